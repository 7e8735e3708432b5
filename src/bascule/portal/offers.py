"""What may be asked for at some machines: their policies' ports, and from where.

Read on one snapshot for somebody who may ask at each of them; what that takes is asked
again when the request is made. What is not here: what was filled in (``request_form``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.api.my_address import source_of_caller
from bascule.api.origin import Proxies
from bascule.domain.access import Subject
from bascule.domain.bounds import NO_BOUNDS, Guard, Objection
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint, Machine, OsType
from bascule.domain.net import AddressPrefix, is_within, parse_address
from bascule.domain.points import patience_with
from bascule.domain.policy import MachineRules, PortRule
from bascule.domain.scopes import resource_scope
from bascule.errors import BasculeError, InvalidInput, Problem
from bascule.interfaces.store import Reader
from bascule.sentences import sentence
from bascule.services.fleet import is_online
from bascule.services.gateways import gateway_names, is_way_heard, silent_gateways, stages_named
from bascule.services.hosts_said import guards_of
from bascule.services.knocks import seen_just_now
from bascule.services.plans import require_plan
from bascule.services.request_rights import NEEDED_TO_ASK
from bascule.services.rights import Needed, check

MOST_MACHINES = 50  # of one form
SERVICES = {22: "SSH", 3389: "RDP", 5985: "WinRM (HTTP)", 5986: "WinRM (HTTPS)"}
USUAL_PORT = {OsType.LINUX: 22, OsType.WINDOWS: 3389}


@dataclass(frozen=True, slots=True)
class MyAddress:
    """*My IP*: what the server sees, and why it cannot be meant."""

    text: str  # empty: the transport does not say
    source: AddressPrefix | None  # None: it cannot be meant
    why_not: str = ""  # a word of ``ask.mine.*``


@dataclass(frozen=True, slots=True)
class PortOffer:
    """One port of one machine in one policy: TCP and UDP of one number are asked for together."""

    number: int
    rules: tuple[PortRule, ...]
    mine: Grant | None = None  # the visitor's own that lives, the one that ends last
    guard: Guard = NO_BOUNDS  # what the host itself admits

    @property
    def service(self) -> str:
        return SERVICES.get(self.number, "")

    @property
    def protocols(self) -> str:
        transports = [each for rule in self.rules for each in rule.protocol.transports]
        return ", ".join(dict.fromkeys(map(str, transports)))

    @property
    def longest(self) -> timedelta:
        bound = self.guard.max_duration
        spans = [rule.max_duration for rule in self.rules]
        return min([*spans, *([] if bound is None else [bound])])

    @property
    def is_cut_by_host(self) -> bool:
        """Is the longest time the host's own, and shorter than the policy's?"""
        return self.longest < min(rule.max_duration for rule in self.rules)

    @property
    def objection(self) -> Objection | None:
        """Why the host admits no opening of this port, whoever asks from wherever."""
        ports = [key for rule in self.rules for key in rule.port_keys]
        return self.guard.objection(ports, self.guard.sources or ())

    @property
    def is_justified(self) -> bool:
        """Must a reason be given?"""
        return any(rule.justification_required for rule in self.rules)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The sources of the narrowest rule to read, or the host's; empty when any will do."""
        bounds = [*(rule.sources for rule in self.rules), self.guard.sources or ()]
        listed = [each for each in bounds if each and not _is_any(each)]
        return tuple(dict.fromkeys(str(each) for sources in listed for each in sources))

    def allows(self, source: AddressPrefix) -> bool:
        bound = self.guard.sources
        return all(is_within((source,), rule.sources) for rule in self.rules) and (
            bound is None or is_within((source,), bound)
        )

    @property
    def slider_step(self) -> int:
        """Minutes."""
        minutes = self.longest // timedelta(minutes=1)
        return 1 if minutes <= 60 else 5 if minutes <= 720 else 15


@dataclass(frozen=True, slots=True)
class MachineOffer:
    machine: Machine
    policy_id: ResourceId
    ports: tuple[PortOffer, ...]
    seen: Mapping[str, datetime]  # addresses that the session proved, blocked here just now
    point: str  # online, partly, silent, notEnforced, none
    stages: tuple[tuple[str, ...], ...]  # ``stages_named``
    patience: timedelta  # a request that is not open by then fails
    silent_since: datetime | None = None
    silent_gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offers:
    machines: tuple[MachineOffer, ...]  # by policy, then as they were named
    without: tuple[ResourceId, ...]  # that no policy names
    problems: tuple[Problem, ...]  # why nothing can be asked of some
    has_approval: bool = False  # may people have to approve?

    @property
    def policies(self) -> tuple[ResourceId, ...]:
        return tuple(dict.fromkeys(each.policy_id for each in self.machines))

    @property
    def ids(self) -> tuple[ResourceId, ...]:
        return tuple(dict.fromkeys(each.machine.id for each in self.machines))

    @property
    def is_justified(self) -> bool:
        return any(port.is_justified for each in self.machines for port in each.ports)

    @property
    def is_always_justified(self) -> bool:
        return all(port.is_justified for each in self.machines for port in each.ports)


def parse_machines(texts: Sequence[str]) -> tuple[ResourceId, ...]:
    """The machines that a link or a form names; raise InvalidInput for none, too many, or what
    is no machine's id.
    """
    named = tuple(dict.fromkeys(ResourceId.parse_machine(each, "machine") for each in texts))
    if not named:
        raise InvalidInput("No machine is named.", code="MachinesRequired")
    if len(named) > MOST_MACHINES:
        raise InvalidInput(
            sentence(
                "A form can have at most {most} machines; this one has {count}.",
                most=MOST_MACHINES,
                count=len(named),
            ),
            code="TooManyMachines",
        )
    return named


def my_address(address: str, proxies: Proxies) -> MyAddress:
    """By the same rules as a request on the API that names no source."""
    try:
        return MyAddress(address, source_of_caller(address, proxies))
    except BasculeError:
        return MyAddress(address, None, _why_not(address, proxies))


def _why_not(address: str, proxies: Proxies) -> str:
    if not address:
        return "unknown"
    parsed = parse_address(address)
    if parsed in proxies:
        return "proxy"
    if parsed.is_loopback:
        return "loopback"
    return "link_local" if parsed.is_link_local else "own"


def read_offers(
    reader: Reader,
    subject: Subject,
    named: Sequence[ResourceId],
    proved: Sequence[str],
    now: datetime,
) -> Offers:
    """Raise Forbidden with all that is missing at these machines, before anything is told.

    ``proved`` are the addresses that the visitor's session has come from.
    """
    check(
        reader,
        subject,
        now,
        [Needed(action, resource_scope(each)) for each in named for action in NEEDED_TO_ASK],
    )
    machines = {each: reader.machine(each) for each in named}
    known = {each: machine for each, machine in machines.items() if machine is not None}
    problems = [
        Problem(
            "MachineNotFound",
            sentence("Machine {machine} does not exist here.", machine=each),
            each.name,
        )
        for each in named
        if each not in known
    ]
    problems += _plan_off(reader, list(known))
    mine = _mine(reader, subject, known.values())
    guards = guards_of(reader, [machine.uid for machine in known.values()])
    seen = {each: _seen(reader, subject, machine, proved, now) for each, machine in known.items()}
    made = [
        _offer(
            reader,
            known[rules.machine_id],
            policy,
            _ports(known, rules, mine, guards),
            seen[rules.machine_id],
            now,
        )
        for policy, rules in reader.rules_at(list(known))
        if rules.machine_id in known
    ]
    made.sort(key=lambda each: (each.policy_id.key, named.index(each.machine.id)))
    offered = {each.machine.id for each in made}
    return Offers(
        tuple(made),
        tuple(each for each in known if each not in offered),
        tuple(problems),
        bool(reader.policies_judging(list(known))),
    )


def _plan_off(reader: Reader, named: Sequence[ResourceId]) -> list[Problem]:
    try:
        require_plan(reader, named)
    except BasculeError as error:
        return [Problem(error.specific_code, error.message)]
    return []


def _mine(
    reader: Reader, subject: Subject, machines: Iterable[Machine]
) -> Mapping[tuple[str, int], Grant]:
    """The visitor's live grants by machine and port; the last to end of several."""
    live = reader.live_grants([machine.uid for machine in machines])
    return {
        (grant.machine_uid, grant.number): grant
        for grant in live
        if grant.requestor_id == subject.principal_id
    }


def _seen(
    reader: Reader, subject: Subject, machine: Machine, proved: Sequence[str], now: datetime
) -> dict[str, datetime]:
    """Proved addresses from which this machine has just blocked attempts, at ports that are not
    open to the visitor from there by now.
    """
    opened = [
        grant
        for grant in reader.live_grants([machine.uid] if proved else [])
        if grant.requestor_id == subject.principal_id and grant.state is GrantState.OPEN
    ]

    def at(text: str) -> datetime | None:
        address = parse_address(text)
        ports = {
            port
            for grant in opened
            if is_within([AddressPrefix.of(address)], grant.sources)
            for port in grant.port_keys
        }
        return seen_just_now(reader, machine, address, now, ports)

    found = {each: at(each) for each in proved}
    return {each: seen for each, seen in found.items() if seen is not None}


def _ports(
    known: Mapping[ResourceId, Machine],
    rules: MachineRules,
    mine: Mapping[tuple[str, int], Grant],
    guards: Mapping[str, Guard],
) -> tuple[PortOffer, ...]:
    uid = known[rules.machine_id].uid
    by_number: dict[int, list[PortRule]] = {}
    for rule in rules.ports:
        by_number.setdefault(rule.number, []).append(rule)
    return tuple(
        PortOffer(number, tuple(same), mine.get((uid, number)), guards.get(uid, NO_BOUNDS))
        for number, same in by_number.items()
    )


def _offer(
    reader: Reader,
    machine: Machine,
    policy_id: ResourceId,
    ports: tuple[PortOffer, ...],
    seen: Mapping[str, datetime],
    now: datetime,
) -> MachineOffer:
    point = reader.enforcement_point(machine.uid)
    silent_since = point.last_contact_at if point is not None else None
    names = gateway_names(reader, {machine.uid: point} if point is not None else {})
    return MachineOffer(
        machine,
        policy_id,
        ports,
        seen,
        _heard(point, now),
        stages_named(point, names),
        patience_with(() if point is None else point.parts),
        silent_since,
        silent_gateways(point, names, now),
    )


def _heard(point: EnforcementPoint | None, now: datetime) -> str:
    if point is None:
        return "none"
    if not is_online(point, now):
        return "partly" if is_way_heard(point, now) else "silent"
    return "online" if point.is_enforcing else "notEnforced"


def _is_any(sources: Sequence[AddressPrefix]) -> bool:
    return any(each.network is None for each in sources)
