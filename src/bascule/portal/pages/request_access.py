"""Request access: several machines at once, each port with its source and its time.

One request a policy, all of them or none. A form that is sent twice, as by two clicks, makes
them once (``once``). A link names machines, and ports to switch on; it can set neither source
nor time. Sources that let in more than one network are sent only with
a second act, after a warning in words (EDGES C3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import decides
from bascule.domain.actions import INITIATE, POLICY_READ
from bascule.domain.breadth import is_everybody
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix
from bascule.errors import BasculeError, Forbidden
from bascule.interfaces.store import Transaction
from bascule.portal import once, request_form
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import FormUnsent, comes_back
from bascule.portal.offers import (
    MachineOffer,
    MyAddress,
    Offers,
    PortOffer,
    my_address,
    parse_machines,
    read_offers,
)
from bascule.portal.request_form import Complaint, Filled, Key, Wanted
from bascule.portal.spans import parse_span, words_of
from bascule.portal.starts import read_start
from bascule.services import requests
from bascule.services.act import Act
from bascule.services.requests import Denial, Initiated

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/jit/request"
# What is wrong with which field of a row.
_OF_SOURCE = frozenset(
    {
        "SourceNotAdmittedByHost",
        *("SourceNotAllowed", "SourceRequired", "TooManySources", "AddressNotProved"),
        *("InvalidAddress", "InvalidAddressPrefix"),
    }
)
_OF_TIME = frozenset(
    {"DurationTooLong", "LongerThanHostAdmits", "InvalidDuration", "EndTimePassed", "UpToTooShort"}
)
_OF_START = frozenset({"InvalidStart", "StartPassed", "StartTooFar", "EndBeforeStart"})
_OF_UP_TO = frozenset({"UpToTooShort", "UpToTooLong"})


@dataclass(frozen=True, slots=True)
class Ground:
    """What a form stands on: the offers, and where the visitor comes from."""

    offers: Offers
    mine: MyAddress
    proved: tuple[str, ...]


@router.get(PATH)
@decides(INITIATE, POLICY_READ)
async def show_form(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    named = parse_machines(query.getlist("machine"))
    ground = await _ground(visit, named)
    numbers = frozenset(int(each) for each in query.getlist("port") if _is_number(each))
    filled = request_form.first_filled(ground.offers, ground.mine, numbers)
    return _show(visit, named, ground, filled)


@router.post(PATH)
@comes_back
@decides(INITIATE, POLICY_READ)
async def open_ports(visit: CurrentVisit) -> Response:
    form = visit.form
    named = parse_machines(form.texts("machine"))
    filled = request_form.read_filled(form)
    ground = await _ground(visit, named)
    wanted = request_form.read_wanted(form, filled, ground.mine, ground.proved, visit.now)
    if wanted.complaints:
        return _show(visit, named, ground, filled, wanted.complaints, status=400)
    if wanted.wide and not form.has("confirmed"):
        return _show(visit, named, ground, filled, wide=_wide(wanted))
    why = form.text("justification") or None
    try:
        answers = await visit.perform(lambda tx, act: _initiate(tx, act, visit, wanted, why))
    except BasculeError as error:
        if isinstance(error, Forbidden):
            await record_denial(visit.request, visit.subject, error)
        complaints, status = request_form.whole(error), error.http_status
        return _show(visit, named, ground, filled, complaints, status=status)
    made = [each for each in answers if isinstance(each, str)]
    if not made:
        denials = [each for each in answers if not isinstance(each, str)]
        complaints = request_form.complaints_of(denials, wanted)
        return _show(visit, named, ground, filled, complaints, status=400)
    others = urlencode([("and", each) for each in made[1:]])
    return visit.go(f"/portal/requests/{made[0]}" + (f"?{others}" if others else ""))


def _initiate(
    tx: Transaction, act: Act, visit: Visit, wanted: Wanted, why: str | None
) -> Sequence[str | Denial]:
    """The requests' ids, of an earlier sending of the same form too; or every denial."""
    asked = [
        replace(each, request_id=once.request_id(visit, place))
        for place, each in enumerate(wanted.asked)
    ]
    ids = [each.request_id for each in asked]
    if all(tx.request(each) is not None for each in ids):
        return ids
    answers = requests.initiate_all(tx, act, asked, why, visit.subject, wanted.starts_at)
    return [each.request.id if isinstance(each, Initiated) else each for each in answers]


async def _ground(visit: Visit, named: Sequence[ResourceId]) -> Ground:
    proxies, now = visit.state.proxies, visit.now
    seen_from = visit.state.proved.of(visit.visitor.session.id, now)
    proved = tuple(each for each in seen_from if my_address(each, proxies).source is not None)
    offers = await visit.read(lambda reader: read_offers(reader, visit.subject, named, proved, now))
    return Ground(offers, my_address(visit.subject.address, proxies), proved)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _wide(wanted: Wanted) -> Sequence[tuple[Key, Sequence[AddressPrefix], bool]]:
    """Whom a warning is about: which port, which sources, is it everybody?"""
    return [(key, sources, any(map(is_everybody, sources))) for key, sources in wanted.wide]


def _show(
    visit: Visit,
    named: Sequence[ResourceId],
    ground: Ground,
    filled: Mapping[Key, Filled],
    complaints: Sequence[Complaint] = (),
    wide: Sequence[tuple[Key, Sequence[AddressPrefix], bool]] = (),
    status: int = 200,
) -> Response:
    offers = ground.offers
    # That a form came back unsent says the page's frame.
    complaints = [each for each in complaints if each.problem.code != FormUnsent.code]
    return visit.show(
        "request_access.html",
        status,
        action=PATH,
        named=named,
        offers=offers,
        mine=ground.mine,
        rows=[_rows(each, named, ground, filled, complaints) for each in offers.machines],
        complaints=tuple(dict.fromkeys(complaints)),
        wide=wide,
        justification=visit.form.text("justification"),
        justified=_justified(offers),
        start=read_start(visit.form),
        wrong_start=not _OF_START.isdisjoint(each.problem.code for each in complaints),
        up_to=visit.form.text("up_to"),
        wrong_up_to=any(
            each.problem.code in _OF_UP_TO or each.problem.target == "upTo" for each in complaints
        ),
        wrong_why=any(each.problem.code.startswith("Justification") for each in complaints),
        minutes_of=_minutes,
        minutes_filled=_minutes_filled,
        words_of=words_of,
        once=once.new_key(),
    )


def _justified(offers: Offers) -> Sequence[str]:
    """Ports that want a reason, as ``web-1 (22)``."""
    return [
        f"{each.machine.id.name} ({', '.join(str(port.number) for port in each.ports if port.is_justified)})"
        for each in offers.machines
        if any(port.is_justified for port in each.ports)
    ]


def _minutes(span: timedelta) -> int:
    return span // timedelta(minutes=1)


def _minutes_filled(text: str, longest: timedelta) -> int:
    """Where the slider stands; what cannot be read leaves it at the longest."""
    try:
        return _minutes(min(parse_span(text), longest))
    except BasculeError:
        return _minutes(longest)


@dataclass(frozen=True, slots=True)
class PortRow:
    """One port as the form shows it."""

    place: str  # of its fields: ``M.P.N``
    id: str  # of its elements
    port: PortOffer
    filled: Filled
    is_mine_allowed: bool
    wrong: frozenset[str]  # codes of what is wrong with it

    @property
    def is_source_wrong(self) -> bool:
        return not self.wrong.isdisjoint(_OF_SOURCE)

    @property
    def is_time_wrong(self) -> bool:
        return not self.wrong.isdisjoint(_OF_TIME)


def _rows(
    offer: MachineOffer,
    named: Sequence[ResourceId],
    ground: Ground,
    filled: Mapping[Key, Filled],
    complaints: Sequence[Complaint],
) -> Sequence[PortRow]:
    m, p = named.index(offer.machine.id), ground.offers.policies.index(offer.policy_id)
    mine = ground.mine
    rows = []
    for port in offer.ports:
        key = offer.machine.id, offer.policy_id, port.number
        rows.append(
            PortRow(
                f"{m}.{p}.{port.number}",
                f"{m}-{p}-{port.number}",
                port,
                filled.get(key) or request_form.unfilled(port, mine),
                mine.source is not None and port.allows(mine.source),
                frozenset(each.problem.code for each in complaints if each.key == key),
            )
        )
    return rows
