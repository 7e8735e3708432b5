"""Which points guard a machine, and what they say of it together.

A host's agent guards its own machine, bound by its enrolment. An owner may bind a machine to the
points of other machines too (EDGES F3), never a report. The points of a machine stand in series:
a packet must pass all of them. Gateways that are bound in parallel are alternatives to each other,
and together stand in series with the rest. So a port is read back closed when every point has read it
back; a grant is open when it is in force at every point in series and at one in parallel at least; and
it has ended when it is in force at none (EDGES G3).

Their numbers count one thing, the machine's desired generation; how far each has come is its own.
A gateway forwards to a machine at the addresses that its binding names.
What is not here: what a point does about it, and machines that have their own agent alone, for
which nothing of this is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce

from bascule.domain.bounds import Guard
from bascule.domain.capabilities import ABILITIES, Capabilities, Latency
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort, EnforcementPoint, PointPart
from bascule.domain.net import Address, PublicPorts
from bascule.domain.points import patience_of, stages
from bascule.domain.shadows import PAST_US, seen_behind
from bascule.domain.weaknesses import OUTSIDE_NETWORKS, Weakness

MOST_BEHIND = 1023  # machines of one point beside its own: one message names all
MOST_FORMER = 64  # addresses of one machine at one gateway that are not released


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a gateway reaches a machine behind it."""

    addresses: tuple[Address, ...] = ()  # at most one of each IP version
    former: frozenset[Address] = frozenset()  # at which it was, and what is closed stays closed
    # Former addresses at which nothing is closed any more, with the generation of that release.
    released: Mapping[Address, int] = field(default_factory=dict)
    mapped: PublicPorts = field(default_factory=dict)
    name: str = field(default="", compare=False)  # the machine's, by which root there names it


@dataclass(frozen=True, slots=True)
class GatewayInFront:
    """One of them."""

    uid: str  # of the machine whose agent it is
    # Answers go back through it where their next hop is one of these; empty: that is not known.
    addresses: tuple[Address, ...] = ()
    mapped: PublicPorts = field(default_factory=dict)  # its public ports, by the machine's
    versions: frozenset[int] = frozenset()  # IP versions in which it has public ports to give
    is_parallel: bool = False
    is_trusted: bool = False  # an owner says that answers come back through it, whatever is seen
    name: str = ""


@dataclass(frozen=True, slots=True)
class InFront:
    """The gateways in front of a machine, as its own agent is told of them (EDGES G7)."""

    gateways: tuple[GatewayInFront, ...]
    addresses: tuple[Address, ...]  # of the machine, to which they forward
    is_for_all: bool = False  # may anybody ask, wherever they are?


@dataclass(frozen=True, slots=True)
class Binding:
    """One machine at one point, and what that point last read back of it."""

    machine_uid: str
    point_uid: str  # of the machine that the point's agent was enrolled for
    bound_at: datetime
    reported_at: datetime | None = None  # when it last reported this machine; None: not yet
    generation: int = -1  # of that report; 0: it could enforce nothing, -1: there was none
    failed_since: datetime | None = None  # since when it can enforce nothing here
    in_force: frozenset[str] = frozenset()  # grant ids
    closed: frozenset[ClosedPort] = frozenset()
    addresses: tuple[
        Address, ...
    ] = ()  # to which the point forwards; none of the machine's own agent
    former: frozenset[Address] = frozenset()  # to which it did; what is closed there stays closed
    # Former ones where nothing is closed any more, with the generation of that; the newest.
    released: Mapping[Address, int] = field(default_factory=dict)
    is_parallel: bool = False  # an alternative to the machine's other gateways that are bound so
    # Of a gateway, by which answers of the machine come back through it; empty: it has not told any.
    answered_by: frozenset[Address] = frozenset()
    # An owner says that they do come back through it, whatever the machine's own agent sees (EDGES G7).
    trusts_route: bool = False

    @property
    def is_own(self) -> bool:
        """Is it the machine's own agent?"""
        return self.machine_uid == self.point_uid

    @property
    def where(self) -> Whereabouts | None:
        """What the point is told of it; None: nobody has said where the machine is."""
        if not self.addresses and not self.former and not self.released:
            return None
        return Whereabouts(self.addresses, self.former, self.released)

    def anew(self, now: datetime) -> Binding:
        """For a new agent at the point, which has read back nothing. What it finds closed at an
        address is released anew, by name.
        """
        return Binding(
            self.machine_uid,
            self.point_uid,
            now,
            addresses=self.addresses,
            former=self.former,
            is_parallel=self.is_parallel,
            trusts_route=self.trusts_route,
        )

    def placed(self, addresses: tuple[Address, ...]) -> Binding:
        """With other addresses."""
        former = (self.former | {*self.addresses}) - {*addresses}
        gone = {each: since for each, since in self.released.items() if each not in addresses}
        return replace(
            self, addresses=addresses, former=former, released=gone, answered_by=frozenset()
        )

    def let_go(self, addresses: Collection[Address], generation: int) -> Binding:
        """With former addresses released by this generation."""
        newest = [*self.released.items(), *((each, generation) for each in addresses)]
        return replace(
            self,
            former=self.former - {*addresses},
            released=dict(newest[-MOST_FORMER:]),
        )

    def at(self, point: EnforcementPoint) -> EnforcementPoint:
        """The point as this machine has it. It knows nothing of the time before it was bound, and
        what it counts and says of its own host is not said of this machine.
        """
        if self.is_own:
            return replace(point, parts=(self._part(point),))
        here = seen_behind(point.weaknesses, self.addresses, self.point_uid)
        manager = replace(point, weaknesses=here).manager  # of this machine, not of the others
        there = replace(
            point,
            machine_uid=self.machine_uid,
            enrolled_at=max(point.enrolled_at, self.bound_at),
            last_contact_at=self.reported_at,
            observed_generation=max(self.generation, 0),
            local_port_range=None,
            blocked_attempts=0,
            counted_at=None,
            facts={},
            not_enforced_since=point.not_enforced_since or self.failed_since,
            gateways=(self.point_uid,),
            flushed_at=self.point_uid if point.flushed_by else "",
            managed_by="",
            managers=() if manager is None else (manager,),
            has_own=False,
            weaknesses=(
                *here,
                *self._outside(point),
            ),
        )
        return replace(there, parts=(self._part(there),))

    def _part(self, there: EnforcementPoint) -> PointPart:
        return PointPart(
            self.point_uid,
            self.is_own,
            self.is_parallel,
            there.last_contact_at,
            there.is_enforcing,
            there.unable,
            self.in_force,
        )

    def is_told(self, grant: Grant, now: datetime) -> bool:
        """Is the point to hold this grant? One in parallel that was withdrawn is not, to the grant's
        end, nor one whose patience is over: it opens nothing later than was decided.
        """
        if not self.is_parallel:
            return True
        if self.point_uid in grant.withdrawn:
            return False
        return grant.id in self.in_force or now < grant.started_at + patience_of(self)

    def _outside(self, point: EnforcementPoint) -> Iterable[Weakness]:
        """What keeps a gateway from opening anything where the machine is (EDGES G1); an agent that
        has told no guard is asked, and refuses.
        """
        guard = point.guard
        if guard is not None and guard.objection_behind(self.addresses, ()) is not None:
            yield OUTSIDE_NETWORKS(addresses=", ".join(map(str, self.addresses)))

    def after(
        self,
        generation: int,
        in_force: frozenset[str],
        closed: frozenset[ClosedPort],
        now: datetime,
        answered_by: frozenset[Address] = frozenset(),
    ) -> Binding:
        """With a report taken in."""
        failed = (self.failed_since or now) if generation == 0 else None
        return replace(
            self,
            reported_at=now,
            generation=generation,
            in_force=in_force,
            closed=closed,
            failed_since=failed,
            answered_by=self.answered_by if generation == 0 else answered_by,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What all points of a machine have read back; there is one at least."""

    bindings: Sequence[Binding]

    @property
    def closed(self) -> frozenset[ClosedPort]:
        """At every point."""
        return frozenset.intersection(*(each.closed for each in self.bindings))

    def is_open(self, grant: Grant) -> bool:
        """Is it in force as it now is, at every point in series and at one in parallel?"""
        return all(
            any(_has(each, grant) and grant.generation <= each.generation for each in stage)
            for stage in stages_of(self.bindings, grant)
        )

    def is_gone(self, grant: Grant) -> bool:
        """Is it in force at no point, nor at one that was withdrawn, or unbound before it has said so?"""
        guards = {each.point_uid for each in self.bindings}
        return grant.withdrawn.keys() <= guards and all(
            grant.generation <= each.generation and not _has(each, grant) for each in self.bindings
        )

    def is_lost(self, grant: Grant) -> bool:
        """Has a point in series, or have all in parallel, read back that it is not in force?"""
        return any(
            all(grant.generation <= each.generation and not _has(each, grant) for each in stage)
            for stage in stages_of(self.bindings, grant)
        )

    def awaited(self, grant: Grant) -> list[Binding]:
        """The points that have yet to report it in force; once it is open, those in parallel alone."""
        return [
            each
            for stage in stages_of(self.bindings, grant)
            for each in stage
            if not _has(each, grant) and (each.is_parallel or grant.state is not GrantState.OPEN)
        ]


def is_dispensable(point_uid: str, bindings: Sequence[Binding], grant: Grant) -> bool:
    """Is it one in parallel, where another may still open the grant, or has?"""
    return any(
        len(stage) > 1 and any(each.point_uid == point_uid for each in stage)
        for stage in stages_of(bindings, grant)
    )


def stages_of(bindings: Sequence[Binding], grant: Grant) -> list[list[Binding]]:
    """Without the points that were withdrawn. A stage of which none is left stays, empty: nobody
    passes there.
    """
    return [
        [each for each in stage if not (each.is_parallel and each.point_uid in grant.withdrawn)]
        for stage in stages(bindings)
    ]


def _has(binding: Binding, grant: Grant) -> bool:
    return grant.id in binding.in_force


def together(points: Sequence[EnforcementPoint]) -> EnforcementPoint:
    """One machine's points as one, no better than the worst of them; at least one is given, the
    machine's own first where it has one.
    """
    if len(points) == 1:
        return points[0]
    first = points[0]
    heard = [each.last_contact_at for each in points if each.last_contact_at is not None]
    guards = _guards(points)
    ranges = (each.local_port_range for each in points)
    flushed = next((each for each in points if each.flushed_by), first)
    return replace(
        first,
        enrolled_at=max(each.enrolled_at for each in points),
        observed_generation=min(each.observed_generation for each in points),
        last_contact_at=min(heard) if len(heard) == len(points) else None,
        local_port_range=next((each for each in ranges if each is not None), None),
        weaknesses=tuple(dict.fromkeys(_weaknesses(points))),
        blocked_attempts=sum(each.blocked_attempts for each in points),
        counted_at=_first(each.counted_at for each in points),
        facts={k: text for each in reversed(points) for k, text in each.facts.items()},
        flushed_by=flushed.flushed_by,
        flushed_at=flushed.flushed_at,
        not_enforced_since=_first(each.not_enforced_since for each in points),
        doubted_since=_first(each.doubted_since for each in points),
        believed_since=None,
        guard=reduce(lambda one, other: one.within(other), guards) if guards else None,
        driver=", ".join(dict.fromkeys(each.driver for each in points if each.driver)),
        knows=frozenset.intersection(*(each.knows for each in points)),
        capabilities=_common([e.capabilities for e in points if e.capabilities is not None]),
        gateways=tuple(uid for each in points for uid in each.gateways),
        managers=tuple(other for each in points for other in each.managers),
        has_own=any(each.has_own for each in points),
        parts=tuple(part for each in points for part in each.parts),
    )


def _weaknesses(points: Sequence[EnforcementPoint]) -> Iterable[Weakness]:
    """Of all. What leads past a gateway does not lead past the machine's own agent, which judges all
    that arrives: it is told of the gateway alone (EDGES G7).
    """
    has_own = any(each.has_own for each in points)
    for point in points:
        for said in point.weaknesses:
            if not (has_own and said.gateway and said.shadow in PAST_US):
                yield said


def _guards(points: Sequence[EnforcementPoint]) -> list[Guard]:
    """All bound a request, whichever way it opens; but of points in parallel one whose file is invalid
    opens nothing, and bounds nothing where another's is valid.
    """
    beside = [each for each in points if any(part.is_parallel for part in each.parts)]
    is_one_valid = any(each.guard is not None and not each.guard.problem for each in beside)
    left_out = [e for e in beside if is_one_valid and e.guard is not None and e.guard.problem]
    return [each.guard for each in points if each.guard is not None and each not in left_out]


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    """What holds for one holds for all, since it first did."""
    return min((each for each in instants if each is not None), default=None)


def _common(known: Sequence[Capabilities]) -> Capabilities | None:
    if not known:
        return None
    has = [name for name in ABILITIES if all(name not in each.missing for each in known)]
    order = list(Latency)
    return Capabilities.having(has, max((each.latency for each in known), key=order.index))
