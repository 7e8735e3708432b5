"""Connect: is the machine there, is just-in-time on, is a port open for this visitor?

What is missing is offered: enabling it, or asking with one click for the system's own port,
the visitor's own address and the longest time that the policy allows. Then it says how. A
request that failed a short while ago is said to have failed, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import decides
from bascule.api.my_address import source_of_caller
from bascule.domain.actions import EMERGENCY, INITIATE, MACHINE_READ, POLICY_READ
from bascule.domain.decide import Denied
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import STATES, GrantState, RequestState
from bascule.domain.net import AddressPrefix, is_within, parse_address
from bascule.domain.policy import PortRule
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.scopes import resource_scope
from bascule.domain.times import format_duration, format_utc
from bascule.errors import BasculeError, Forbidden, InvalidInput
from bascule.interfaces.store import Reader, Transaction
from bascule.portal import once, problems
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.machine import (
    DEFAULT_PORTS,
    ShownMachine,
    default_rule,
    frame,
    path_of,
    read_machine,
    wanted_id,
)
from bascule.portal.spans import words_of
from bascule.portal.ways_in import WayIn, public_of, way_in
from bascule.sentences import sentence
from bascule.services import request_denials, requests
from bascule.services.act import Act
from bascule.services.fleet import is_online
from bascule.services.views import view_requests

router = APIRouter(route_class=PortalRoute)

_MACHINE = "/portal/machines/{group}/{name}"
FAILED_FOR = timedelta(minutes=15)  # so long a failed request is said to have failed


@dataclass(frozen=True, slots=True)
class Mine:
    """A port that is open for this visitor, or is being opened."""

    grant: Grant
    state: str  # as it is shown
    way: WayIn

    @property
    def was_read_back(self) -> bool:
        return STATES[self.state].was_read_back


@dataclass(frozen=True, slots=True)
class Offer:
    """What one click asks for."""

    policy_id: ResourceId
    rule: PortRule
    source: AddressPrefix | None  # None: the visitor's own address cannot be meant
    longest: timedelta  # by the policy and by the host itself
    why_none: str = ""


@router.get(f"{_MACHINE}/connect")
@decides(MACHINE_READ)
async def connect(visit: CurrentVisit, group: str, name: str) -> Response:
    return await _show(visit, wanted_id(visit, group, name))


async def _show(visit: Visit, wanted: ResourceId, error: BasculeError | None = None) -> Response:
    def read(reader: Reader) -> tuple[ShownMachine, list[Mine], Grant | None, Sequence[str]]:
        place = read_machine(visit, reader, wanted)
        waiting = reader.requests(
            machine_uid=place.machine.uid,
            requestor_id=visit.subject.principal_id,
            states=(RequestState.WAITING,),
            limit=1,
        )
        ids = [each.id for each in waiting]
        return place, _mine(visit, reader, place), _failed(visit, reader, place), ids

    place, mine, failed, waiting = await visit.read(read)
    point = place.view.point
    return visit.show(
        "machine_connect.html",
        error.http_status if error is not None else 200,
        **frame(visit, place, "connect"),
        emergency=visit.may(EMERGENCY, resource_scope(wanted)),
        is_online=point is not None and is_online(point, visit.now),
        mine=mine,
        failed=None if mine or waiting else failed,
        waiting=None if mine else next(iter(waiting), None),
        once=once.new_key(),
        offer=_offer(visit, place),
        offered=default_rule(place.machine),
        span_words=words_of,
        justification=visit.form.text("justification"),
        reasons=problems.reasons_of(error) if error is not None else (),
        advice=error.advice if error is not None else "",
    )


def _mine(visit: Visit, reader: Reader, place: ShownMachine) -> list[Mine]:
    """The visitor's own live grants here that admit the address of this visit."""
    me, uid = visit.subject, place.machine.uid
    if not me.address:
        return []
    own = [AddressPrefix.of(parse_address(me.address))]
    live = [
        grant
        for grant in reader.live_grants_of([me.principal_id])
        if grant.machine_uid == uid and is_within(own, grant.sources)
    ]
    wanted = dict.fromkeys(grant.request_id for grant in live)
    found = [request for each in wanted if (request := reader.request(each)) is not None]
    views = {view.request.id: view for view in view_requests(reader, found, visit.now)}
    return [
        Mine(
            grant,
            views[grant.request_id].shown(grant).state,
            way_in(place.machine, grant, public=public_of(views[grant.request_id], grant)),
        )
        for grant in live
    ]


def _failed(visit: Visit, reader: Reader, place: ShownMachine) -> Grant | None:
    """What the visitor's last request here asked for, when it failed a short while ago."""
    me, uid = visit.subject.principal_id, place.machine.uid
    last = reader.requests(machine_uid=uid, requestor_id=me, limit=1)
    if not last or last[0].started_at < visit.now - FAILED_FOR:
        return None
    grants = [each for each in reader.grants_of([last[0].id]) if each.machine_uid == uid]
    return next((each for each in grants if each.state is GrantState.FAILED), None)


def _offer(visit: Visit, place: ShownMachine) -> Offer | None:
    """The system's own port if a policy offers it to the visitor's address, else the first."""
    rules = place.rules
    if not rules:
        return None
    try:
        source = source_of_caller(visit.subject.address, visit.state.proxies)
    except InvalidInput as error:
        policy, rule = _preferred(place, rules)
        return Offer(policy, rule, None, _longest(place, rule), error.message)
    fitting = [each for each in rules if is_within([source], each[1].sources)]
    policy, rule = _preferred(place, fitting or rules)
    return Offer(policy, rule, source, _longest(place, rule))


def _longest(place: ShownMachine, rule: PortRule) -> timedelta:
    point = place.view.point
    bound = point.guard.max_duration if point is not None and point.guard is not None else None
    return rule.max_duration if bound is None else min(bound, rule.max_duration)


def _preferred(
    place: ShownMachine, rules: Sequence[tuple[ResourceId, PortRule]]
) -> tuple[ResourceId, PortRule]:
    own = DEFAULT_PORTS[place.machine.os_type]
    return next((each for each in rules if each[1].number == own), rules[0])


@router.post(f"{_MACHINE}/connect")
@comes_back
@decides(INITIATE, POLICY_READ)
async def ask(visit: CurrentVisit, group: str, name: str) -> Response:
    """Ask for what the page showed; whether it is allowed is decided anew."""
    wanted = wanted_id(visit, group, name)
    try:
        policy, answer = await visit.perform(lambda tx, act: _ask(tx, act, visit, wanted))
        if isinstance(answer, Denied):
            raise request_denials.denial(answer, policy)
    except BasculeError as error:
        if isinstance(error, Forbidden):
            await record_denial(visit.request, visit.subject, error)
        return await _show(visit, wanted, error)
    if answer is not None and answer.request.state is RequestState.WAITING:
        return visit.go(f"/portal/requests/{answer.request.id}")
    return visit.go(f"{path_of(wanted)}/connect", "access_requested")


def _ask(
    tx: Transaction, act: Act, visit: Visit, wanted: ResourceId
) -> tuple[ResourceId, requests.Initiated | Denied | None]:
    """None: an earlier sending of the same form asked for it."""
    request_id = once.request_id(visit)
    place = read_machine(visit, tx, wanted)
    source = source_of_caller(visit.subject.address, visit.state.proxies)
    offer = _offer(visit, place)
    if offer is None:
        raise InvalidInput(
            sentence(
                "Just-in-time access is not enabled for {machine}, or you may not see it.",
                machine=place.machine.id.name,
            ),
            code="PortNotInPolicy",
        )
    if tx.request(request_id) is not None:
        return offer.policy_id, None
    _check_as_shown(visit, offer, source)
    ends_at = act.now + offer.longest
    port = RequestedPort(
        offer.rule.number, (source,), ends_at, format_utc(ends_at), length=offer.longest
    )
    asked = (RequestedMachine(place.machine.id, (port,)),)
    why = visit.form.text("justification") or None
    policy = offer.policy_id
    return policy, requests.initiate(
        tx, act, policy, asked, why, visit.subject, request_id=request_id
    )


def _check_as_shown(visit: Visit, offer: Offer, source: AddressPrefix) -> None:
    """Raise InvalidInput when the form showed another address, port or time than it is now."""
    form = visit.form
    shown, now = form.text("my_address"), str(source)
    if shown != now:
        raise InvalidInput(
            sentence(
                "The form showed {shown} as your address; it is now {now}.",
                shown=shown[:60] or "no address",
                now=now,
            ),
            code="AddressChanged",
        )
    longest = format_duration(offer.longest)
    if (form.text("port"), form.text("longest")) != (str(offer.rule.number), longest):
        raise InvalidInput(
            sentence(
                "The port or the duration has changed since the form was shown: it is now port "
                "{port} for {longest}.",
                port=offer.rule.number,
                longest=words_of(offer.longest),
            ),
            code="OfferChanged",
        )
