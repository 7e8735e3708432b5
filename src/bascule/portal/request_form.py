"""A request for access as a form holds it: per machine and port a switch, a source, a time.

Fields are called ``time.M.P.N``: the places of machine and policy in the form's own lists, and
the port. A link holds machines and ports at most: source and time are the person's own act.
What is not here: whether it is allowed (``services.requests``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bascule.domain.breadth import wide_ones
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, InvalidInput, Place, Problem
from bascule.portal.forms import Form
from bascule.portal.offers import (
    USUAL_PORT,
    MachineOffer,
    MyAddress,
    Offers,
    PortOffer,
)
from bascule.portal.problems import reasons_of
from bascule.portal.spans import parse_span, show_span, words_of
from bascule.portal.starts import parse_start, read_start
from bascule.sentences import sentence
from bascule.services.requests import Denial, PolicyRequest

MOST_PORTS = 1000  # as on the wire
MOST_SOURCES = 100  # of one port
MINE, RANGE, SEEN = "mine", "range", "seen:"
Key = tuple[ResourceId, ResourceId, int]  # machine, policy, port
_NAME = re.compile(r"time\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,5})")
_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled in for one port."""

    is_on: bool
    source: str  # MINE, RANGE, or SEEN and the address
    ranges: str
    time: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that is wrong, and with what."""

    problem: Problem
    key: Key | None = None  # None: with the whole
    machine: str = ""  # where no port is meant


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks for: parsed, or what is wrong with it."""

    asked: tuple[PolicyRequest, ...] = ()
    keys: Mapping[ResourceId, tuple[tuple[Key, ...], ...]] = field(default_factory=dict)
    wide: tuple[tuple[Key, tuple[AddressPrefix, ...]], ...] = ()  # to be warned of
    complaints: tuple[Complaint, ...] = ()
    starts_at: datetime | None = None  # None: now


def first_filled(offers: Offers, mine: MyAddress, numbers: frozenset[int]) -> Mapping[Key, Filled]:
    """A form as it is shown first: these ports on, or the usual one of each machine."""
    return {
        (each.machine.id, each.policy_id, port.number): replace(
            unfilled(port, mine), is_on=_is_usual(each, port, numbers)
        )
        for each in offers.machines
        for port in each.ports
    }


def unfilled(port: PortOffer, mine: MyAddress) -> Filled:
    """Off; if switched on, from the visitor's own address for as long as is allowed."""
    is_mine_allowed = mine.source is not None and port.allows(mine.source)
    return Filled(False, MINE if is_mine_allowed else RANGE, "", show_span(port.longest))


def _is_usual(offer: MachineOffer, port: PortOffer, numbers: frozenset[int]) -> bool:
    if numbers:
        return port.number in numbers
    return len(offer.ports) == 1 or port.number == USUAL_PORT[offer.machine.os_type]


def read_filled(form: Form) -> Mapping[Key, Filled]:
    """What was filled in; raise InvalidInput for a form that no page of ours sends."""
    machines = [ResourceId.parse_machine(each) for each in form.texts("machine")]
    policies = [ResourceId.parse(each) for each in form.texts("policy")]
    filled: dict[Key, Filled] = {}
    on = frozenset(form.texts("on"))
    for name in form.fields:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        m, p, number = map(int, match.groups())
        if m >= len(machines) or p >= len(policies):
            raise InvalidInput("The form cannot be read.", advice="Reload the page.")
        place = f"{m}.{p}.{number}"
        filled[machines[m], policies[p], number] = Filled(
            place in on,
            form.text(f"source.{place}"),
            form.text(f"range.{place}"),
            form.text(name),
        )
    return filled


def read_wanted(
    form: Form,
    filled: Mapping[Key, Filled],
    mine: MyAddress,
    proved: Sequence[str],
    now: datetime,
) -> Wanted:
    """Parse all that is switched on and collect what is wrong with it."""
    on = [(key, each) for key, each in filled.items() if each.is_on]
    complaints = list(_check_whole(form, on, mine))
    starts_at, up_to = None, None
    try:
        starts_at = parse_start(read_start(form), now)
        up_to = parse_span(text, "upTo") if (text := form.text("up_to")) else None
    except InvalidInput as error:
        complaints += whole(error)
    ports: dict[Key, RequestedPort] = {}
    for key, each in on:
        sources, wrong = _sources(each, mine, proved)
        complaints += [Complaint(problem, key) for problem in wrong]
        try:
            span = parse_span(each.time)
        except InvalidInput as error:
            complaints += [Complaint(problem, key) for problem in reasons_of(error)]
            continue
        if up_to is not None and up_to < span:
            complaints.append(Complaint(_too_short(up_to), key))
        ends_at = (starts_at or now) + span
        ports[key] = RequestedPort(
            *(key[2], sources, ends_at, format_utc(ends_at)),
            is_source_list=len(sources) > 1,
            length=span,  # counts from an approval, where one is needed
            up_to=up_to,
        )
    if complaints:
        return Wanted(complaints=tuple(complaints))
    wide = ((key, wide_ones(port.sources)) for key, port in ports.items())
    grouped = _grouped(ports, tuple(each for each in wide if each[1]))
    return replace(grouped, starts_at=starts_at)


def _too_short(up_to: timedelta) -> Problem:
    return Problem(
        "UpToTooShort",
        sentence("With its extensions it ends earlier, after {span}.", span=words_of(up_to)),
    )


def _check_whole(
    form: Form, on: Sequence[tuple[Key, Filled]], mine: MyAddress
) -> Iterable[Complaint]:
    if not on:
        yield Complaint(Problem("PortsRequired", "No port is switched on."))
    if len(on) > MOST_PORTS:
        yield Complaint(
            Problem(
                "TooManyPorts",
                sentence(
                    "This form has {count} ports; at most {most} are allowed.",
                    count=len(on),
                    most=MOST_PORTS,
                ),
            )
        )
    shown = form.text("my_address")
    if any(each.source == MINE for _, each in on) and shown != mine.text:
        yield Complaint(
            Problem(
                "AddressChanged",
                sentence(
                    "The form showed {shown} as your address; it is now {now}.",
                    shown=shown[:60] or "no address",
                    now=mine.text or "not known",
                ),
            )
        )


def _sources(
    filled: Filled, mine: MyAddress, proved: Sequence[str]
) -> tuple[tuple[AddressPrefix, ...], list[Problem]]:
    if filled.source == MINE:
        if mine.source is not None:
            return (mine.source,), []
        return (), [
            Problem("SourceRequired", "Your own address cannot be used. Enter an IP range.")
        ]
    if filled.source.startswith(SEEN):
        address = filled.source.removeprefix(SEEN)
        if address in proved:
            return (AddressPrefix.parse(address),), []
        return (), [
            Problem(
                "AddressNotProved",
                sentence(
                    "This session has not been used from {address} recently.", address=address[:60]
                ),
            )
        ]
    texts = [each for each in _BETWEEN.split(filled.ranges) if each]
    if not texts:
        return (), [Problem("SourceRequired", "Enter an address or a range.")]
    if len(texts) > MOST_SOURCES:
        return (), [
            Problem(
                "TooManySources",
                sentence("This form allows at most {most} sources for a port.", most=MOST_SOURCES),
            )
        ]
    return _parse_all(texts)


def _parse_all(texts: Iterable[str]) -> tuple[tuple[AddressPrefix, ...], list[Problem]]:
    parsed: list[AddressPrefix] = []
    wrong: list[Problem] = []
    for text in texts:
        try:
            parsed.append(AddressPrefix.parse(text))
        except BasculeError as error:
            wrong += reasons_of(error)
    return tuple(dict.fromkeys(parsed)), wrong


def _grouped(
    ports: Mapping[Key, RequestedPort], wide: tuple[tuple[Key, tuple[AddressPrefix, ...]], ...]
) -> Wanted:
    """One request a policy, with which key stands where in it."""
    by_policy: dict[ResourceId, dict[ResourceId, list[Key]]] = {}
    for key in ports:
        machine, policy, _ = key
        by_policy.setdefault(policy, {}).setdefault(machine, []).append(key)
    asked = tuple(
        PolicyRequest(
            policy,
            tuple(
                RequestedMachine(machine, tuple(ports[key] for key in keys))
                for machine, keys in machines.items()
            ),
        )
        for policy, machines in by_policy.items()
    )
    keys = {
        policy: tuple(tuple(each) for each in machines.values())
        for policy, machines in by_policy.items()
    }
    return Wanted(asked, keys, wide)


def complaints_of(denials: Iterable[Denial], wanted: Wanted) -> tuple[Complaint, ...]:
    """What policies answered, each reason at the port that it is about."""
    return tuple(
        _placed(reason, wanted.keys.get(each.policy_id, ()))
        for each in denials
        for reason in each.denied.reasons
    )


def _placed(reason: Problem, keys: Sequence[Sequence[Key]]) -> Complaint:
    at = reason.target
    if not isinstance(at, Place) or at.machine is None:
        return Complaint(reason)
    of_machine = keys[at.machine]
    if at.port is None:
        return Complaint(reason, None, of_machine[0][0].name)
    return Complaint(reason, of_machine[at.port])


def whole(error: BasculeError) -> tuple[Complaint, ...]:
    return tuple(Complaint(each) for each in reasons_of(error))
