"""Make one firewall equal to what is desired, and say what was read back.

The same code runs in a host's agent and in a server that guards its own host: only the
driver and where the desired state comes from differ. Level, not edge: each pass reads
everything, acts, reads back; whatever woke it is only a hint.

Failure direction: an unreadable firewall is an error, never an empty one; of a plan that is
refused again and again what closes is applied alone, and the next pass tries the rest; what is
held in memory is closed even when the server says nothing; a memory that cannot be written (a full
disk) is said and tried again, and what is to be closed is closed all the same.

On a gateway the same pass makes the rules of the machines behind it. Where a method takes a ``uid``,
it is such a machine's; empty: the point's own.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import NO_BOUNDS, Guard, Objection
from bascule.domain.desired import DesiredState, RuleSet
from bascule.domain.guard import REFUSING, Bounded, bound, bound_behind, bound_held, bound_place
from bascule.domain.held import (
    Held,
    HeldBehind,
    HeldLease,
    begin_anew,
    close_all,
    forget_ended,
    hold,
    rule_set,
)
from bascule.domain.holding import (
    FOUND,
    all_leases,
    ends,
    ends_earlier,
    everywhere,
    firewall_rules,
    hold_behind,
    keep_found,
    keep_named,
    none_let_go_yet,
    only_closed,
    places,
    public_ports,
)
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, PortKey, PortMapped, PublicPorts
from bascule.domain.plan import Observed, Operation, closing_halves, plan
from bascule.domain.weaknesses import GUARD_UNUSABLE, Weakness
from bascule.errors import BasculeError, EnforcementFailed
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Driver, HeldStore
from bascule.reconcile.read_back import ReadBack, networks, outlasts, read_back
from bascule.reconcile.retired import RetiredServer
from bascule.reconcile.returning import Returning, Unanswered
from bascule.reconcile.tampering import name_edits

MOST_NOTED = 256  # that wait to be told, and single events that are not told again
MOST_REASONS, MOST_REFUSALS = 8, 64  # told of one condition until it is over; of one state
NOT_KEPT = "the agent's state cannot be saved, so it would be lost at a reboot"
NOT_OPENED = "the firewall refused a change: only the part that closes ports was applied"
NOT_FREE = "whether public ports are free cannot be read, so they stand for no machine's"
EARLIER = 1.0  # seconds by which an end here must come before the server's to be told
LOOK_HOLDS = 0.03  # seconds, less than plan.TOLERANCE: what was seen must still be so
COUNTED_FOR = 30.0  # seconds in which the sessions of an ended grant are counted
ATTEMPTS = 3  # a plan may be overtaken by an element that ends meanwhile


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pass did and read back."""

    generation: int
    in_force: frozenset[str]  # grant ids all of whose openings were read back
    observed: Observed
    drift: str = ""  # what somebody had changed, healed now
    sessions: Mapping[str, int] | None = None
    behind: Mapping[str, ReadBack] = field(default_factory=dict)  # by machine uid
    refused: str = ""  # why only the part that closes ports was applied


@dataclass(frozen=True, slots=True)
class _Told:
    """What there is to say of the state that was taken last of one machine."""

    refused: Mapping[str, Objection] = field(default_factory=dict)  # by the guard; by grant id
    ends: Mapping[str, float] = field(default_factory=dict)  # the server's, by grant id


class Reconciler:
    """One enforcement point's memory and its firewall. Not thread-safe: one owner."""

    def __init__(
        self,
        driver: Driver,
        memory: HeldStore,
        clock: Clock,
        guard: Guard | None = None,
        returning: Returning | None = None,
    ) -> None:
        self._driver = driver
        self._memory = memory
        self._clock = clock
        self.guard = guard or NO_BOUNDS
        self._returning = returning or Returning()
        self.unanswered = Unanswered()  # grants of the state that was taken last
        self._told: dict[str, _Told] = {}  # by machine uid
        self.held = Held()
        self._saved = self.held
        self._has_loaded = False
        self._seen: tuple[Observed, float] | None = None  # a look ahead, and when
        self.retired = RetiredServer()
        self._settled: Held | None = None  # what the last pass brought about
        # By machine and grant, what left, when, and the machine's addresses; still counted.
        self._ended: dict[tuple[str, str], tuple[HeldLease, float, tuple[Address, ...]]] = {}
        self.notes: list[str] = []
        # Told already, not again at each pass: the condition, if it is one, and the text.
        self._noted: dict[tuple[str, str], None] = {}

    def restore(self, kernel: RuleSet | None) -> None:
        """Begin from memory, and keep closed whatever the kernel still closes (None: unknown).

        The guard may be another than when it was saved: what it no longer admits is ended.
        """
        now, notes = self._clock.boottime(), list[str]()
        saved = self._memory.load()
        if not self._driver.capabilities.drains:
            saved = everywhere(saved, lambda each: replace(each, drains={}))
        held, own = bound_held(saved, self.guard, now, ends_leases=self._ends_leases)
        notes.extend(own)
        behind = {}
        for uid, place in held.behind.items():
            behind[uid], said = bound_place(place, self.guard, now, ends_leases=self._ends_leases)
            notes.extend(said)
        self.held = replace(held, behind=behind)
        self._note_refusals(notes)
        if kernel is not None:
            self.held = keep_found(self.held, kernel)

    def take(self, state: DesiredState, asked_at: float) -> bool:
        """Hold a state that the server sent; False when it was too old, or of a retired server."""
        if self.retired.tells("", state, self.held):
            return False
        state = self._possible(state)
        self.unanswered = self._returning.judge(state, self.held.leases)
        bounded = bound(state, self.guard, self.unanswered.refused, ends_leases=self._ends_leases)
        self._tell("", state, bounded, asked_at)
        self._replace(hold(self.held, bounded.state, asked_at, self._clock.boottime()))
        return self.held.generation == state.generation

    def take_behind(self, uid: str, state: DesiredState, asked_at: float) -> bool:
        """As ``take``, of a machine behind."""
        if self.retired.tells(uid, state, self.held):
            return False
        state = self._possible(state)
        place = self.held.behind.get(uid, HeldBehind())
        where = state.where or Whereabouts(place.addresses, mapped=place.mapped)
        ends, taken = self._ends_leases, self._taken(uid, place, where.mapped)
        bounded = bound_behind(state, self.guard, where, taken, ends_leases=ends)
        self._tell(uid, state, bounded, asked_at)
        now = self._clock.boottime()
        self._replace(hold_behind(self.held, uid, bounded.state, asked_at, now))
        return self.held.behind[uid].held.generation == state.generation

    def accept_server(self) -> int | None:
        number, held = self.retired.accept(self.held)
        self._replace(held)
        return number

    def _possible(self, state: DesiredState) -> DesiredState:
        """Where nothing can drain, connections end with their lease."""
        return state if self._driver.capabilities.drains else replace(state, drains=())

    def keep_named(self, uids: Collection[str]) -> None:
        """End the leases of machines that the server has this point guard no more."""
        self._replace(keep_named(self.held, uids))
        self._told = {uid: each for uid, each in self._told.items() if uid in ("", *uids)}

    def _taken(self, uid: str, place: HeldBehind, mapped: PublicPorts) -> Collection[PortMapped]:
        """Those public ports that cannot stand for this machine's, because something else has them.

        Whether they are free is asked once: what comes later finds them closed.
        """
        claims = Counter(public_ports(mapped))
        wanted = claims.keys()
        numbers = {(each.port.protocol, each.port.number) for each in self.held.closed}
        others = [each.mapped for key, each in self.held.behind.items() if key != uid]
        taken = {
            each
            for each, count in claims.items()
            if count > 1 or (each.protocol, each.number) in numbers
        }
        taken |= wanted & {port for each in others for port in public_ports(each)}
        new = wanted - taken - {*public_ports(place.mapped)}
        if not new:
            return taken
        try:
            return taken | {*self._driver.taken(new)}
        except EnforcementFailed as error:
            self.note(NOT_FREE, error.message)
            return taken | new

    def _tell(self, uid: str, state: DesiredState, bounded: Bounded, asked_at: float) -> None:
        """Have said what the guard refused of a state, and how much earlier its leases end."""
        self._note_refusals(bounded.notes)
        ends = {each.grant_id: asked_at + each.remaining.total_seconds() for each in state.leases}
        self._told[uid] = _Told(bounded.refused, ends)

    @property
    def refused(self) -> Mapping[str, Objection]:
        """Of the point's own machine, by the guard: of the state taken last, by grant id."""
        return self.refused_of("")

    def refused_of(self, uid: str) -> Mapping[str, Objection]:
        return self._told.get(uid, _Told()).refused

    @property
    def _ends_leases(self) -> bool:
        return self._driver.capabilities.ends_leases

    def require_leases(self) -> None:
        """Raise EnforcementFailed where an opening would stay open if this process died."""
        if not self._ends_leases:
            raise EnforcementFailed(
                "Nothing was opened: the firewall here cannot end an opening by itself, so that it "
                "would stay open if the agent died.",
                advice="Open the port in that firewall itself, and close it again there.",
            )

    def earlier_ends(self, uid: str = "") -> Mapping[str, float]:
        """When (CLOCK_BOOTTIME seconds) leases end here that the server has end later: the guard
        cut them, or an earlier end was held already.
        """
        told = self._told.get(uid, _Told()).ends
        return {
            grant_id: lease.deadline
            for where, grant_id, lease in all_leases(self.held)
            if where == uid and lease.deadline + EARLIER < told.get(grant_id, lease.deadline)
        }

    def weaknesses(self) -> tuple[Weakness, ...]:
        """What this host's guard or routes keep its server from doing, for whoever wonders why."""
        past = self.answers_elsewhere()
        if self.guard.problem:
            return (GUARD_UNUSABLE(problem=self.guard.problem), *past)
        why = {objection for told in self._told.values() for objection in told.refused.values()}
        return (*(kind() for each, kind in REFUSING.items() if each in why), *past)

    def answers_elsewhere(self) -> tuple[Weakness, ...]:
        """Answers of this machine that do not go back through the gateways in front of it."""
        return self._returning.weaknesses(self.held.leases.values())

    def open_locally(
        self, grant_id: str, lease: HeldLease, closed: ClosedPort | None, uid: str = ""
    ) -> None:
        """Root's own opening; ``closed`` also closes the port first, for a port not closed yet."""
        shut = frozenset() if closed is None else frozenset({closed})
        self._change(
            uid,
            lambda held: replace(
                held, closed=held.closed | shut, leases={**held.leases, grant_id: lease}
            ),
        )

    def close_locally(self, grant_id: str, uid: str = "") -> None:
        """End what root opened."""
        self._change(
            uid,
            lambda held: replace(
                held, leases={key: each for key, each in held.leases.items() if key != grant_id}
            ),
        )

    def _change(self, uid: str, work: Callable[[Held], Held]) -> None:
        if not uid:
            self._replace(work(self.held))
            return
        place = self.held.behind[uid]
        machines = {**self.held.behind, uid: replace(place, held=work(place.held))}
        self._replace(replace(self.held, behind=machines))

    def end_all(self) -> None:
        """Close everything and keep it closed: the server does not know this point any more."""
        self._replace(everywhere(self.held, close_all))

    def begin_anew(self) -> None:
        """Become another machine's point: nothing is inherited but what is closed (EDGES A12).

        On disk before the new identity is, so that after a crash nothing old is left either. Raises
        ConfigurationError when it cannot be saved.
        """
        self._replace(everywhere(self.held, begin_anew))
        self._save()

    def look_ahead(self) -> None:
        """Read the firewall back now, for a pass that begins within LOOK_HOLDS.

        Called while an answer of the server is on its way, so that nobody waits for it. An
        unreadable firewall shows in the pass itself.
        """
        with contextlib.suppress(EnforcementFailed):
            self._seen = (self._driver.observe(), self._clock.boottime())

    @property
    def is_looked_ahead(self) -> bool:
        """Would a pass that begins now rest on what was seen before?"""
        return self._seen is not None and self._clock.boottime() - self._seen[1] <= LOOK_HOLDS

    def _observe(self) -> Observed:
        is_looked_ahead = self.is_looked_ahead
        seen, self._seen = self._seen, None
        return seen[0] if seen is not None and is_looked_ahead else self._driver.observe()

    def reconcile(self) -> Outcome:
        """One pass; raises EnforcementFailed when not even what is to be closed could be closed."""
        if only_closed(self.held) != only_closed(self._saved) or ends_earlier(
            self.held, self._saved, self._clock.boottime()
        ):
            self.save()  # first: whoever comes after a death must know what is to be closed
        drift = refused = ""
        for attempt in range(ATTEMPTS):
            now = self._clock.boottime()
            self._forget_ended(now)
            observed = self._observe()
            since = now if observed.read_at is None else observed.read_at
            wanted = firewall_rules(self.held, since)
            if observed.drift and self._has_loaded and not drift:
                drift = observed.drift
            operations = plan(wanted, observed)
            if self._settled == self.held and not drift:
                drift = name_edits(operations, observed)
            if not operations:
                break
            try:
                self._settled = None
                self._driver.apply(operations, since)
                self._has_loaded = True
            except EnforcementFailed as error:
                if attempt == ATTEMPTS - 1:
                    self._shut_alone(operations, observed, since, error)
                    refused = error.message
        else:
            observed = self._driver.observe()
        if refused:
            self.note(NOT_OPENED, refused)
        else:
            self._settled = self.held
            self.forget_note(NOT_OPENED)
        return replace(self._outcome(observed, drift), refused=refused)

    def _shut_alone(
        self,
        operations: Sequence[Operation],
        observed: Observed,
        since: float,
        refusal: EnforcementFailed,
    ) -> None:
        """Apply what closes of a plan that was refused; raises ``refusal`` when that is too.

        Root's local openings are kept if possible: they may be the only way in.
        """
        local = {key for _, key, lease in all_leases(self.held) if lease.is_local}
        for half in closing_halves(operations, observed.rules, local):
            if not half:
                return
            with contextlib.suppress(EnforcementFailed):
                self._driver.apply(half, since)
                self._has_loaded = True
                return
        raise refusal

    def count_sessions(self, uid: str = "") -> Mapping[str, int] | None:
        """Live connections of grants that ended in the last COUNTED_FOR, by grant id; None when the
        driver cannot count them.

        Counting is dear (it may read all of conntrack), so it stops when the server has
        had the time to hear of them.
        """
        since = self._clock.boottime() - COUNTED_FOR
        self._ended = {key: each for key, each in self._ended.items() if each[1] > since}
        pairs = [
            (grant_id, port, str(source))
            for (where, grant_id), (lease, _, addresses) in self._ended.items()
            if where == uid
            for own in lease.ports
            for port in ([own.behind(each) for each in addresses] if uid else [own])
            for source in lease.sources
        ]
        if not pairs:
            return {}
        counts = self._driver.sessions([(port, source) for _, port, source in pairs])
        if counts is None:
            return None
        alive: dict[str, int] = {}
        for (grant_id, _, _), count in zip(pairs, counts, strict=True):
            alive[grant_id] = alive.get(grant_id, 0) + count
        return alive

    def save(self) -> None:
        """Keep what is held across death and reboot, when it changed.

        What is let go is kept as closed until the firewall has let it go.
        """
        try:
            self._save()
        except BasculeError as error:
            self.note(NOT_KEPT, error.message)

    def _save(self) -> None:
        held = self.held
        if held != self._settled:
            held = none_let_go_yet(held, self._saved)
        if held == self._saved:
            return
        self._memory.save(held)
        self._saved = held
        self.forget_note(NOT_KEPT)

    def next_end(self) -> float | None:
        """When (CLOCK_BOOTTIME seconds) the next lease, drain or cut ends."""
        return min(ends(self.held), default=None)

    def _forget_ended(self, now: float) -> None:
        self._replace(everywhere(self.held, lambda each: forget_ended(each, now)))

    def _replace(self, held: Held) -> None:
        """Hold this from now on, and note when what is not in it any more left."""
        now = self._clock.boottime()
        left = {(uid, grant_id) for uid, grant_id, _ in all_leases(held)}
        for uid, grant_id, lease in all_leases(self.held):
            if (uid, grant_id) not in left:
                place = self.held.behind.get(uid, HeldBehind())
                addresses = (*place.addresses, *place.former)
                self._ended[uid, grant_id] = (lease, now, addresses)
        self.held = held

    def _outcome(self, observed: Observed, drift: str) -> Outcome:
        now = self._clock.boottime()
        wanted = rule_set(self.held, now)
        since_read = timedelta(seconds=0.0 if observed.read_at is None else now - observed.read_at)
        missing = {key for key in wanted.openings if key not in observed.rules.openings}
        shut: set[PortKey] = {closed.port for closed in observed.rules.closed}
        in_force = frozenset(
            grant_id
            for grant_id, lease in self.held.leases.items()
            if observed.is_intact
            and set(lease.ports) <= shut
            and not any(
                key.port in lease.ports and key.source in networks(lease) for key in missing
            )
        )
        still_open = frozenset(
            opening.grant_id
            for opening in observed.rules.openings.values()
            if opening.key.port.at is None
            and opening.grant_id not in self.held.leases
            and outlasts(opening, since_read, wanted.openings.get(opening.key))
        )
        behind = {
            uid: read_back(place, observed, now)
            for uid, place in places(self.held)
            if not uid.startswith(FOUND)  # whose it is nobody knows
        }
        return Outcome(self.held.generation, in_force | still_open, observed, drift, behind=behind)

    def kept_closed(self, observed: Observed) -> frozenset[ClosedPort]:
        """What was read back as closed and is to be; not what the firewall has yet to let go, which
        the server would take for a port that stays closed.
        """
        held = {closed.port for closed in self.held.closed}
        return frozenset(each for each in observed.rules.closed if each.port in held)

    def note(self, condition: str, reason: str = "") -> None:
        """Have this told to the server, once until ``forget_note``. The reason may be anybody's text:
        only the condition, which is ours, says what the note is about.
        """
        self._note(condition, f"{condition}: {reason}" if reason else condition)

    def forget_note(self, condition: str) -> None:
        """It is over: when it comes again it is told again."""
        self._noted = {each: None for each in self._noted if each[0] != condition}

    def _note_refusals(self, notes: Sequence[str]) -> None:
        """What the guard refused of one state; the last may be of releases."""
        for note in (*notes[: MOST_REFUSALS - 1], *notes[MOST_REFUSALS - 1 :][-1:]):
            self._note("", note)

    def _note(self, condition: str, text: str) -> None:
        """However much a server or a driver has refused, it takes no room of another note."""
        if (condition, text) in self._noted or (not condition and len(self.notes) >= MOST_NOTED):
            return
        same = [each for each in self._noted if each[0] == condition]
        if condition and len(same) >= MOST_REASONS:
            return
        if len(same) >= MOST_NOTED:
            del self._noted[same[0]]
        self._noted[condition, text] = None
        self.notes.append(text)
