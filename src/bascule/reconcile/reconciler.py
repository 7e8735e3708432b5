"""Make one firewall equal to what is desired, and say what was read back.

The same code runs in a host's agent and in a server that guards its own host: only the
driver and where the desired state comes from differ. Level, not edge: each pass reads
everything, acts, reads back; whatever woke it is only a hint.

Failure direction: an unreadable firewall is an error, never an empty one; of a plan that is
refused again and again what closes is applied alone, and the next pass tries the rest; what is
held in memory is closed even when the server says nothing; a memory that cannot be written (a full
disk) is said and tried again, and what is to be closed is closed all the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bascule.domain.bounds import NO_BOUNDS, Guard, Objection
from bascule.domain.desired import (
    DesiredState,
    Held,
    HeldLease,
    Opening,
    RuleSet,
    begin_anew,
    close_all,
    forget_ended,
    hold,
    not_let_go_yet,
    rule_set,
)
from bascule.domain.guard import bound, bound_held
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey
from bascule.domain.plan import TOLERANCE, Observed, Operation, closing_halves, plan
from bascule.domain.weaknesses import (
    GUARD_REFUSES_PORT,
    GUARD_REFUSES_SOURCE,
    GUARD_UNUSABLE,
    Weakness,
)
from bascule.errors import BasculeError, EnforcementFailed
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Driver, HeldStore
from bascule.reconcile.tampering import name_edits

MOST_NOTED = 256  # that wait to be told, and single events that are not told again
MOST_REASONS = 8  # told of one condition until it is over
MOST_REFUSALS = 64  # told of one state
NOT_KEPT = "the agent's state cannot be saved, so it would be lost at a reboot"
NOT_OPENED = "the firewall refused a change: only the part that closes ports was applied"
_GUARD_REFUSES = {
    Objection.PORT: GUARD_REFUSES_PORT,
    Objection.SOURCE: GUARD_REFUSES_SOURCE,
}
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
    refused: str = ""  # why only the part that closes ports was applied


class Reconciler:
    """One enforcement point's memory and its firewall. Not thread-safe: one owner."""

    def __init__(
        self, driver: Driver, memory: HeldStore, clock: Clock, guard: Guard | None = None
    ) -> None:
        self._driver = driver
        self._memory = memory
        self._clock = clock
        self.guard = guard or NO_BOUNDS
        self.refused: Mapping[str, Objection] = {}  # by the guard, of the state taken last
        self._told_ends: dict[str, float] = {}  # by grant id: the server's, of the same state
        self.held = Held()
        self._saved = self.held
        self._has_loaded = False
        self._seen: tuple[Observed, float] | None = None  # a look ahead, and when
        self._settled: Held | None = None  # what the last pass brought about
        self._ended: dict[str, tuple[HeldLease, float]] = {}  # left, and when; still counted
        self.notes: list[str] = []
        # Told already, not again at each pass: the condition, if it is one, and the text.
        self._noted: dict[tuple[str, str], None] = {}

    def restore(self, kernel: RuleSet | None) -> None:
        """Begin from memory, and keep closed whatever the kernel still closes (None: unknown).

        The guard may be another than when it was saved: what it no longer admits is ended.
        """
        loaded = self._memory.load()
        self.held, notes = bound_held(
            loaded, self.guard, self._clock.boottime(), ends_leases=self._ends_leases
        )
        self._note_refusals(notes)
        if kernel is not None:
            known = {closed.port for closed in self.held.closed}
            kept = frozenset(each for each in kernel.closed if each.port not in known)
            self.held = replace(self.held, closed=self.held.closed | kept)

    def take(self, state: DesiredState, asked_at: float) -> bool:
        """Hold a state that the server sent; False when it was too old to be taken in."""
        bounded = bound(state, self.guard, ends_leases=self._ends_leases)
        self._note_refusals(bounded.notes)
        self._replace(hold(self.held, bounded.state, asked_at, self._clock.boottime()))
        self.refused = bounded.refused
        self._told_ends = {
            lease.grant_id: asked_at + lease.remaining.total_seconds() for lease in state.leases
        }
        return self.held.generation == state.generation

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

    def earlier_ends(self) -> Mapping[str, float]:
        """When (CLOCK_BOOTTIME seconds) leases end here that the server has end later: the guard
        cut them, or an earlier end was held already.
        """
        return {
            grant_id: lease.deadline
            for grant_id, lease in self.held.leases.items()
            if lease.deadline + EARLIER < self._told_ends.get(grant_id, lease.deadline)
        }

    def guard_weaknesses(self) -> tuple[Weakness, ...]:
        """What this host's guard keeps its server from doing, for whoever wonders why."""
        if self.guard.problem:
            return (GUARD_UNUSABLE(problem=self.guard.problem),)
        why = set(self.refused.values())
        return tuple(kind() for objection, kind in _GUARD_REFUSES.items() if objection in why)

    def open_locally(self, grant_id: str, lease: HeldLease, closed: ClosedPort | None) -> None:
        """Root's own opening; ``closed`` also closes the port first, for a port not closed yet."""
        shut = self.held.closed | {closed} if closed is not None else self.held.closed
        self.held = replace(self.held, closed=shut, leases={**self.held.leases, grant_id: lease})

    def end_all(self) -> None:
        """Close everything and keep it closed: the server does not know this point any more."""
        self._replace(close_all(self.held))

    def begin_anew(self) -> None:
        """Become another machine's point: nothing is inherited but what is closed (EDGES A12)."""
        self._replace(begin_anew(self.held))
        self.save()  # before the new identity is: after a crash nothing old is left either

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
        if self.held.closed != self._saved.closed or self._has_ended_early():
            self.save()  # first: whoever comes after a death must know what is to be closed
        drift = refused = ""
        for attempt in range(ATTEMPTS):
            now = self._clock.boottime()
            self._replace(forget_ended(self.held, now))
            observed = self._observe()
            since = now if observed.read_at is None else observed.read_at
            wanted = rule_set(self.held, since)
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
        local = {key for key, lease in self.held.leases.items() if lease.is_local}
        for half in closing_halves(operations, observed.rules, local):
            if not half:
                return
            with contextlib.suppress(EnforcementFailed):
                self._driver.apply(half, since)
                self._has_loaded = True
                return
        raise refusal

    def count_sessions(self) -> Mapping[str, int] | None:
        """Live connections of grants that ended in the last COUNTED_FOR, by grant id; None when the
        driver cannot count them.

        Counting is dear (it may read all of conntrack), so it stops when the server has
        had the time to hear of them.
        """
        since = self._clock.boottime() - COUNTED_FOR
        self._ended = {key: each for key, each in self._ended.items() if each[1] > since}
        pairs = [
            (grant_id, port, str(source))
            for grant_id, (lease, _) in self._ended.items()
            for port in lease.ports
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
        held = self.held
        if held != self._settled:
            held = not_let_go_yet(held, self._saved)
        if held == self._saved:
            return
        try:
            self._memory.save(held)
        except BasculeError as error:
            self.note(NOT_KEPT, error.message)
            return
        self._saved = held
        self.forget_note(NOT_KEPT)

    def _has_ended_early(self) -> bool:
        """Does the memory hold a lease for longer than we do? A death must not bring it back."""
        now = self._clock.boottime()
        return any(
            saved.deadline > now
            and ((held := self.held.leases.get(key)) is None or held.deadline < saved.deadline)
            for key, saved in self._saved.leases.items()
        )

    def next_end(self) -> float | None:
        """When (CLOCK_BOOTTIME seconds) the next lease or cut ends."""
        ends = [lease.deadline for lease in self.held.leases.values()]
        ends += [cut.deadline for cut in self.held.cuts.values()]
        return min(ends, default=None)

    def _replace(self, held: Held) -> None:
        """Hold this from now on, and note when what is not in it any more left."""
        now = self._clock.boottime()
        for grant_id, lease in self.held.leases.items():
            if grant_id not in held.leases:
                self._ended[grant_id] = (lease, now)
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
                key.port in lease.ports and key.source in _networks(lease) for key in missing
            )
        )
        still_open = frozenset(
            opening.grant_id
            for opening in observed.rules.openings.values()
            if opening.grant_id not in self.held.leases
            and _outlasts(opening, since_read, wanted.openings.get(opening.key))
        )
        return Outcome(self.held.generation, in_force | still_open, observed, drift)

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


def _outlasts(read: Opening, since_read: timedelta, wanted: Opening | None) -> bool:
    """Is it open for longer than anybody's who is still let in? (Else it bears the name of one who
    is not any more and stands for another, whose end is as good as the same.)
    """
    return wanted is None or read.remaining - since_read - wanted.remaining > TOLERANCE


def _networks(lease: HeldLease) -> set[object]:
    return {network for prefix in lease.sources for network in prefix.networks}
