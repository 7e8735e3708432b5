"""What faces show of requests, machines and policies at one moment; read only.

Each is gathered on one snapshot, with the time at which it was taken. What is not here:
how a picture is written (the faces know), and any change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.classify import Classification
from bascule.domain.emergency import Review
from bascule.domain.facts.grants import GrantClosed, GrantOpened
from bascule.domain.grant import Grant, is_believed_over
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.lifecycle import (
    ENDED_NOT_CONFIRMED,
    NOT_CONFIRMED,
    REQUEST_UNSETTLED,
    STATES,
    GrantState,
    worst,
)
from bascule.domain.machine import ClosedPort, EnforcementPoint, Machine
from bascule.domain.net import Address, PortKey
from bascule.domain.points import patience_with, stages
from bascule.domain.request import AccessRequest
from bascule.domain.security_rules import HeldOpening
from bascule.domain.shadows import PAST_US, past_us
from bascule.domain.weaknesses import Shadow
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.points import BindingReads, PointReads
from bascule.interfaces.policies import PolicyReads, StoredPolicy
from bascule.interfaces.public_ports import PublicPortReads
from bascule.interfaces.record import EventFilter, EventReads
from bascule.interfaces.requests import RequestReads
from bascule.interfaces.reviews import ReviewReads
from bascule.interfaces.runs import RunReads
from bascule.sentences import Sentence
from bascule.services.approval_views import ApprovalView, ApprovalViewReads, view_approvals
from bascule.services.claims import ClaimReads, claimed_ports
from bascule.services.closed_ports import named_ports
from bascule.services.emergencies import NO_REVIEW, view_reviews
from bascule.services.fleet import is_enforced, is_heard_part
from bascule.services.gateways import (
    Names,
    closed_at,
    gateway_names,
    is_way_heard,
    reached_at,
    silent_gateways,
    stages_named,
)
from bascule.services.machine_context import classification_of
from bascule.services.public_ports_told import (
    Through,
    of_grant,
    public_addresses,
    public_ports_told,
)
from bascule.services.request_rights import Sight


class RequestViewReads(
    ApprovalViewReads,
    BindingReads,
    EventReads,
    GrantReads,
    MachineReads,
    PointReads,
    PublicPortReads,
    RequestReads,
    ReviewReads,
    RunReads,
    Protocol,
):
    """What is shown of requests and policies."""


class MachineViewReads(
    ClaimReads, GenerationReads, InventoryReads, MachineReads, PointReads, PolicyReads, Protocol
):
    """What is shown of one machine."""


HISTORY = timedelta(days=7)  # how far back a policy's own ``requests`` reach
MOST_REQUESTS = 1000  # of one policy; the rest is in accessRequests


class PointStands(StrEnum):
    """How a grant stands at one of several points."""

    OPEN = "open"  # in force by its last report
    WAITING = "waiting"  # the point is heard, and has not reported it in force
    SILENT = "silent"
    WITHDRAWN = "withdrawn"  # it is to hold it no longer


@dataclass(frozen=True, slots=True)
class ShownPoint:
    """One of the points that guard a machine, for one grant."""

    name: str  # of the machine whose agent it is
    stands: PointStands
    why: str = ""  # a sentence, where it was withdrawn


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Who came through a gateway got no answer through it (EDGES G7)."""

    gateway: str  # its name
    why: Sentence


@dataclass(frozen=True, slots=True)
class ShownGrant:
    """What is really so of a grant (ARCHITECTURE "A grant's life")."""

    state: str
    not_confirmed_since: datetime | None = None
    opened_at: datetime | None = None  # None: not open yet, or not looked up
    sessions_alive: int | None = None  # None: not closed yet, not looked up, or not to be counted
    lacks: tuple[str, ...] = ()  # what its enforcement point cannot do (``Capabilities``)
    points: tuple[ShownPoint, ...] = ()  # where there are several, or one was withdrawn
    gateways: tuple[str, ...] = ()  # names of those in front of it, while it lives
    unanswered: tuple[NoAnswer, ...] = ()  # while it lives
    left_at: tuple[str, ...] = ()  # names of points that guard it no more, and may hold it still


@dataclass(frozen=True, slots=True)
class RequestView:
    request: AccessRequest
    grants: tuple[Grant, ...]  # empty where its state has none
    machines: Mapping[str, Machine]  # by uid; deleted ones are missing
    points: Mapping[str, EnforcementPoint]  # by machine uid
    now: datetime
    opened_at: Mapping[str, datetime] = field(default_factory=dict)  # by grant id
    sessions_alive: Mapping[str, int] = field(default_factory=dict)  # by grant id
    mapped: Mapping[str, Sequence[Through]] = field(default_factory=dict)  # by machine uid
    names: Mapping[str, str] = field(default_factory=dict)  # of points that are told apart, by uid
    approval: ApprovalView | None = None  # of one that waits or waited, where it was looked up
    review: Review | None = None  # of emergency access, where somebody has reviewed it
    may_review: bool = False  # the caller may
    closes_unused: bool = False  # with the last run that uses it; where it was looked up

    def public_ports(self, grant: Grant) -> Sequence[Through]:
        """Those that lead its sources to it now, the one to name first."""
        return of_grant(self.mapped.get(grant.machine_uid, ()), grant)

    @property
    def state(self) -> str:
        """The request's own, and what is known of it where a point is silent."""
        shown = [self.shown(grant).state for grant in self.grants]
        return worst(shown) if shown else self.request.state.value

    def shown(self, grant: Grant) -> ShownGrant:
        opened_at = self.opened_at.get(grant.id)
        point = self.points.get(grant.machine_uid)
        state = shown_state(grant, point, self.now)
        able = point.capabilities if point is not None else None
        lacks = able.missing if able is not None else ()
        points = tuple(self._points(grant, point))
        through = (
            self._gateways(grant, point),
            tuple(self._unanswered(grant, point)),
            tuple(self._left_at(grant, point)),
        )
        if state == NOT_CONFIRMED:
            known = (point.not_enforced_since or point.last_contact_at) if point else None
            known = known or grant.started_at
            return ShownGrant(state, known, opened_at, None, lacks, points, *through)
        alive = self.sessions_alive.get(grant.id)
        return ShownGrant(state, None, opened_at, alive, lacks, points, *through)

    def _gateways(self, grant: Grant, point: EnforcementPoint | None) -> tuple[str, ...]:
        if point is None or not grant.is_live:
            return ()
        return tuple(self.names.get(uid, uid) for uid in point.gateways)

    def _unanswered(self, grant: Grant, point: EnforcementPoint | None) -> Iterable[NoAnswer]:
        """A gateway that was withdrawn, or no longer guards the machine, says nothing of it."""
        if point is None or not grant.is_live:
            return
        for each in point.weaknesses:
            is_meant = each.is_unanswered and any(map(each.concerns, grant.port_keys))
            if is_meant and each.gateway not in grant.withdrawn:
                yield NoAnswer(self.names.get(each.gateway, each.gateway), each.text)

    def _left_at(self, grant: Grant, point: EnforcementPoint | None) -> Iterable[str]:
        if grant.state is not GrantState.CLOSING:
            return
        guards = {grant.machine_uid} if point is None or point.has_own else set()
        if point is not None:
            guards.update(point.gateways, (each.uid for each in point.parts))
        yield from (self.names.get(uid, uid) for uid in grant.withdrawn if uid not in guards)

    def _points(self, grant: Grant, point: EnforcementPoint | None) -> Iterable[ShownPoint]:
        parts = {each.uid: each for each in point.parts} if point is not None else {}
        if len(parts) < 2 and not grant.withdrawn:
            return
        for uid in dict.fromkeys((*parts, *grant.withdrawn)):
            name, part = self.names.get(uid, uid), parts.get(uid)
            if uid in grant.withdrawn:
                yield ShownPoint(name, PointStands.WITHDRAWN, grant.withdrawn[uid])
            elif part is not None and grant.is_live:
                is_heard = is_heard_part(part, self.now)
                is_open = grant.id in part.in_force
                stands = PointStands.OPEN if is_open else PointStands.WAITING
                yield ShownPoint(name, stands if is_heard else PointStands.SILENT)


def shown_state(grant: Grant, point: EnforcementPoint | None, now: datetime) -> str:
    """What is told of a grant: its own state, or what is known of it where its point is silent."""
    if is_enforced(point, now) or _is_vouched_for(grant, point, now):
        return grant.state.value
    if is_believed_over(grant, now):
        return ENDED_NOT_CONFIRMED
    return NOT_CONFIRMED if grant.state is GrantState.OPEN else grant.state.value


def _is_vouched_for(grant: Grant, point: EnforcementPoint | None, now: datetime) -> bool:
    """Is it open through points that are heard, though one in parallel is not?"""
    if point is None or grant.state is not GrantState.OPEN or point.doubted_since is not None:
        return False
    return len(point.parts) > 1 and all(
        any(
            each.uid not in grant.withdrawn
            and grant.id in each.in_force
            and each.is_enforcing
            and is_heard_part(each, now)
            for each in stage
        )
        for stage in stages(point.parts)
    )


@dataclass(frozen=True, slots=True)
class PolicyView:
    stored: StoredPolicy
    requests: tuple[RequestView, ...]  # newest first
    away: tuple[ResourceId, ...]  # machines at which nothing opens: silent, or it enforces nothing
    is_updating: bool  # some point that is there has not applied it yet
    public_addresses: Mapping[ResourceId, Address] = field(default_factory=dict)  # of gateways
    # Names of the silent gateways of machines that open through others (EDGES G3).
    silent_gateways: Mapping[ResourceId, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineView:
    machine: Machine
    closed: frozenset[ClosedPort]
    claimed: frozenset[ClosedPort]  # by its agent alone (EDGES E7)
    named: frozenset[PortKey]  # by some policy
    read_back: frozenset[PortKey]  # closed, when its point last reported
    policies: tuple[StoredPolicy, ...]  # that name it
    default_etag: str  # of the policy ``default`` beside it; empty when there is none
    point: EnforcementPoint | None
    generation: int
    classification: Classification
    now: datetime
    gateways: Names = field(default_factory=dict)  # of those that guard it
    by_root: tuple[HeldOpening, ...] = ()  # what root opened, on the host or at a gateway

    @property
    def closed_at(self) -> tuple[str, ...]:
        """Names of the gateways at which alone it is closed; empty: its own agent closes it too."""
        return closed_at(self.point, self.gateways)

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """What a port has to be open at (``stages_named``)."""
        return stages_named(self.point, self.gateways)

    @property
    def patience(self) -> timedelta:
        """How long a request for it waits at most, before it fails (EDGES G4)."""
        return patience_with(()) if self.point is None else self.point.patience

    @property
    def silent_gateways(self) -> tuple[str, ...]:
        """Names of gateways that are silent while others are heard (EDGES G3)."""
        return silent_gateways(self.point, self.gateways, self.now)

    @property
    def is_way_heard(self) -> bool:
        """Does a request open all the same, through those that are heard?"""
        return self.point is not None and is_way_heard(self.point, self.now)

    def past_us(self, port: PortKey) -> Shadow | None:
        """Why a closed port may not be called closed (EDGES G7)."""
        return None if self.point is None else past_us(self.point.weaknesses, port)

    @property
    def shadow(self) -> Shadow | None:
        """Why not all of its closed ports may be called closed."""
        of_ports = {self.past_us(each.port) for each in self.closed}
        return next((each for each in PAST_US if each in of_ports), None)

    def reached_at(self, port: PortKey | None = None) -> tuple[str, ...]:
        """Names of the gateways past which that is so; empty: it is so at the machine itself."""
        return reached_at(self.point, self.gateways, port)

    @property
    def still_closed(self) -> tuple[PortKey, ...]:
        """What was released, and its agent was last read back to keep closed."""
        if self.point is None or not self.point.is_enforcing:
            return ()
        known = {each.port for each in (*self.closed, *self.claimed)}
        return tuple(sorted(self.read_back - known))


def view_policy(
    reader: RequestViewReads,
    whole: StoredPolicy,
    now: datetime,
    sight: Sight,
    *,
    shows_rules: bool = False,
) -> PolicyView:
    """What may be seen of a policy (EDGES B1); with ``shows_rules`` all of its rules, as for
    who has just written them.
    """
    stored = sight.narrow(whole)
    is_whole = sight.sees(stored.policy.id)
    requests = reader.requests(policy_id=stored.policy.id, since=now - HISTORY, limit=MOST_REQUESTS)
    away: list[ResourceId] = []
    silent: dict[ResourceId, tuple[str, ...]] = {}
    is_updating = False
    named = {rules.machine_id for rules in stored.policy.machines}
    machines = reader.machines_of(list(stored.generations))
    points = reader.points_of(list(stored.generations))
    for uid, generation in stored.generations.items():
        machine, point = machines.get(uid), points.get(uid)
        if machine is None or not (is_whole or sight.sees(machine.id)):
            continue
        if point is None or not is_enforced(point, now):
            if machine.id not in named:
                continue
            if point is None or not is_way_heard(point, now):
                away.append(machine.id)
            elif gateways := silent_gateways(point, gateway_names(reader, {uid: point}), now):
                silent[machine.id] = gateways
        elif point.observed_generation < generation:
            is_updating = True
    views = view_requests(reader, requests, now)
    if not is_whole:
        views = tuple(narrowed for view in views if (narrowed := _narrow(view, sight)) is not None)
    public = {
        machines[uid].id: address
        for uid, address in public_addresses(reader, points).items()
        if uid in machines
    }
    shown = whole if shows_rules else stored
    return PolicyView(shown, views, tuple(away), is_updating, public, silent)


def _narrow(view: RequestView, sight: Sight) -> RequestView | None:
    """One's own request, or what others asked of machines that may be seen; None: nothing."""
    if sight.is_own(view.request):
        return view
    grants = tuple(grant for grant in view.grants if sight.sees(grant.machine_id))
    return replace(view, grants=grants) if grants else None


def view_requests(
    reader: RequestViewReads,
    requests: Sequence[AccessRequest],
    now: datetime,
    subject: Subject | None = None,
    *,
    tells_runs: bool = False,
) -> tuple[RequestView, ...]:
    """Pictures of several requests, in their order, without those whose grants cannot be read.

    With ``subject``, who looks, of those that wait or waited whom they wait for. With ``tells_runs``, of
    the subject's own whether runs close them.
    """
    approvals = view_approvals(reader, requests, subject, now) if subject is not None else {}
    reviews = view_reviews(reader, requests, subject, now)
    mine = [each.id for each in requests if tells_runs and _may_have_runs(each, subject)]
    closing = reader.requests_with_runs(mine) if mine else frozenset()
    grants: dict[str, list[Grant]] = {}
    for grant in reader.grants_of([request.id for request in requests]):
        grants.setdefault(grant.request_id, []).append(grant)
    uids = sorted({grant.machine_uid for each in grants.values() for grant in each})
    machines = reader.machines_of(uids)
    points = reader.points_of(uids)
    live = {grant.machine_uid for each in grants.values() for grant in each if grant.is_live}
    mapped = public_ports_told(reader, {uid: points[uid] for uid in live & points.keys()})
    told = [grant for each in grants.values() for grant in each]
    names = _names_of_points(reader, points.values(), told)
    return tuple(
        RequestView(
            request,
            tuple(grants.get(request.id, ())),
            machines,
            points,
            now,
            mapped=mapped,
            names=names,
            approval=approvals.get(request.id),
            **reviews.get(request.id, NO_REVIEW)._asdict(),
            closes_unused=request.id in closing,
        )
        for request in requests
        if request.id in grants or not STATES[request.state].has_grants
    )


def _may_have_runs(request: AccessRequest, subject: Subject | None) -> bool:
    if subject is None:
        return False
    return request.requestor_id == subject.principal_id and request.state in REQUEST_UNSETTLED


def view_request(
    reader: RequestViewReads, request_id: str, now: datetime, subject: Subject | None = None
) -> RequestView | None:
    """One request with the moments at which its ports were seen open and closed."""
    request = reader.request(request_id)
    if request is None:
        return None
    plain = view_requests(reader, [request], now, subject)
    if not plain:
        return None
    (view,) = plain
    opened_at: dict[str, datetime] = {}
    sessions_alive: dict[str, int] = {}
    begun = (grant for grant in view.grants if grant.state is not GrantState.OPENING)
    for machine_id in dict.fromkeys(grant.machine_id for grant in begun):
        wanted = EventFilter(
            machine_id.key,
            (GrantOpened.__name__, GrantClosed.__name__),
            request.started_at,
            is_exact=True,
        )
        for _, event in reader.events(wanted):
            if isinstance(event.fact, GrantOpened):
                opened_at[event.fact.grant_id] = event.at
            elif isinstance(event.fact, GrantClosed) and event.fact.sessions_alive is not None:
                sessions_alive[event.fact.grant_id] = event.fact.sessions_alive
    return replace(view, opened_at=opened_at, sessions_alive=sessions_alive)


def _names_of_points(
    reader: MachineReads, points: Iterable[EnforcementPoint], grants: Iterable[Grant]
) -> Mapping[str, str]:
    """By uid, of those that are told apart."""
    known = tuple(points)
    several = {part.uid for each in known if len(each.parts) > 1 for part in each.parts}
    before = {uid for each in known for uid in each.gateways}
    wanted = several.union(before, *(each.withdrawn for each in grants))
    if not wanted:  # nearly always
        return {}
    return {uid: each.id.name for uid, each in reader.machines_of(sorted(wanted)).items()}


def kept_closed(reader: MachineViewReads, machine_uid: str) -> tuple[PortKey, ...]:
    """What the machine's agent was last read back to keep closed; nothing, where it has said that it
    enforces nothing.
    """
    point = reader.enforcement_point(machine_uid)
    held = reader.held_rules([machine_uid]).get(machine_uid)
    if point is None or not point.is_enforcing or held is None:
        return ()
    return tuple(sorted(each.port for each in held.closed))


def view_machine(reader: MachineViewReads, machine: Machine, now: datetime) -> MachineView:
    beside = policy_id(
        machine.id.subscription_id, machine.id.resource_group, machine.location, "default"
    )
    default = reader.policy(beside)
    naming = reader.policies_naming(machine.id)
    point = reader.enforcement_point(machine.uid)
    held = reader.held_rules([machine.uid]).get(machine.uid) if point is not None else None
    return MachineView(
        machine=machine,
        closed=reader.closed_ports(machine.uid),
        claimed=claimed_ports(reader, machine.uid) if held else frozenset(),
        named=named_ports(reader, machine),
        read_back=frozenset(each.port for each in held.closed) if held else frozenset(),
        by_root=tuple(
            each
            for each in (held.local if held else ())
            if each.ends_at is None or each.ends_at > now
        ),
        policies=tuple(naming),
        default_etag=default.etag if default else "",
        point=point,
        generation=reader.generation(machine.uid),
        classification=classification_of(reader, machine, point, naming),
        now=now,
        gateways={} if point is None else gateway_names(reader, {machine.uid: point}),
    )
