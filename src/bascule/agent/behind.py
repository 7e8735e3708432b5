"""What a gateway's agent asks and reports of the machines behind it.

The server names these machines in each beat, with their generations (without a line, with each state
of the gateway's own). That is compared with what is held in each pass, so no lost hint or push
matters. A machine that the server names no more loses its leases at once and keeps its ports closed.
While the server is away nothing is named, and leases last to their ends.

The gateway's own report follows those of its machines, and its digest covers theirs: an echo that
names it says that all of them were read back. What is not here: how states are merged
(``domain.holding``), and what is enforced (``reconcile``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from bascule import __version__
from bascule.agent.knocks import KnockTally
from bascule.agent.link import Link, NotGuarded
from bascule.agent.local_openings import LocalOpenings, held_locally
from bascule.agent.news import Telling, Way, news_of
from bascule.agent.reporting import count_sessions, earlier_ends
from bascule.agent.state import StateRefused
from bascule.agent.timetable import ASK_SECONDS, LONGEST_RETRY
from bascule.domain.bindings import MOST_BEHIND
from bascule.domain.held import HeldBehind
from bascule.domain.net import Address, PortBehind
from bascule.domain.weaknesses import GATEWAY_S_OWN_ADDRESS, NOT_ENFORCED, Weakness
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Blocked, Driver
from bascule.protocol.report import MOST_HOPS, Report
from bascule.reconcile.read_back import ReadBack
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

MOST_ASKED = 32  # machines in one pass, so that the gateway's own rules do not wait for long
MOST_HELD = 2 * MOST_BEHIND  # machines, those included that are named no more but are kept closed
TOO_LATE_RETRY = 1.0  # seconds
ANSWERS_SECONDS = 10.0  # between two looks at the rules that may write over who asks
ANSWERS_SHARE = 50  # a look of a second is followed by 50 s without one
CANNOT_BE = "the server sent an invalid state of a machine behind: the current one is kept"
TOO_MANY = "no more machines behind can be held: further ones are neither closed nor opened here"
AnsweredBy = Callable[[Sequence[Collection[PortBehind]]], Sequence[Collection[Address]]]


def nobody_answers(machines: Sequence[Collection[PortBehind]]) -> Sequence[Collection[Address]]:
    """Where it cannot be told."""
    return [()] * len(machines)


class StatesBehind:
    """For the loop's thread alone."""

    def __init__(self, reconciler: Reconciler, link: Link, clock: Clock) -> None:
        self._reconciler = reconciler
        self._link = link
        self._clock = clock
        # By machine: the generation that was asked for last, and when to ask again if it stays so.
        self._next: dict[str, tuple[int, float]] = {}
        self._installation = 0  # whose generations those are

    def forget_asked(self) -> None:
        """The server may be another, an older one, or have us again: the same generation may be of
        another state there, so ask for all anew.
        """
        self._next.clear()

    def keep_named(self) -> None:
        """End at once the leases of machines that the server names no more; a retired one ends none,
        nor does one that has not told yet whether it is.
        """
        named = self._link.named()
        if named is not None and self._reconciler.retired.is_current:
            self._reconciler.keep_named(named)
            self._next = {uid: each for uid, each in self._next.items() if uid in named}

    def ask(self) -> bool:
        """Hold what is newer at the server; True when more is left to be asked for. Raises
        ServerUnreachable and KeyRefused.
        """
        installation = self._reconciler.held.installation
        if installation != self._installation:  # its record was restored or moved
            self._installation = installation
            self.forget_asked()
        named = self._link.named() or {}
        due = [uid for uid, number in named.items() if self._is_due(uid, number)]
        for uid in due[:MOST_ASKED]:
            wait = self._ask(uid, named[uid])
            self._next[uid] = named[uid], self._clock.boottime() + wait
        return len(due) > MOST_ASKED

    def _is_due(self, uid: str, generation: int) -> bool:
        now, asked = self._clock.boottime(), self._next.get(uid)
        if asked is None:
            return True
        if asked[0] == generation:
            return now >= asked[1]
        known = self._reconciler.held.behind.get(uid)
        if known is None or known.held.generation != generation or known.held.is_refused:
            return True
        self._next[uid] = generation, now + random.uniform(0, ASK_SECONDS)  # noqa: S311  # reason: jitter
        return False

    def _ask(self, uid: str, generation: int) -> float:
        """Take a push, or ask; for how many seconds this will do."""
        held = self._reconciler.held.behind
        if uid not in held and len(held) >= MOST_HELD:
            self._reconciler.note(TOO_MANY)
            return LONGEST_RETRY
        pushed = self._link.pushed_behind(uid)
        if pushed is not None and pushed.state.generation == generation:
            state, asked_at = pushed.state, pushed.asked_at
        else:
            asked_at = self._clock.boottime()
            try:
                state = self._link.fetch_behind(uid)
            except StateRefused as error:
                log.error("state refused: the current one is kept", machine=uid, why=error.message)
                self._reconciler.note(CANNOT_BE)
                return LONGEST_RETRY
            except NotGuarded:  # unbound since it was named; the next beat does not name it
                return LONGEST_RETRY
        if self._reconciler.take_behind(uid, state, asked_at):
            return ASK_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311  # reason: jitter
        known = self._reconciler.held.behind.get(uid)  # none: nothing of a retired server is held
        is_newer = known is not None and state.generation >= known.held.generation
        is_late = is_newer and self._reconciler.retired.is_current
        return TOO_LATE_RETRY if is_late else LONGEST_RETRY


class ReportsBehind:
    """For the loop's thread alone."""

    def __init__(
        self,
        reconciler: Reconciler,
        driver: Driver,
        link: Link,
        clock: Clock,
        driver_name: str,
        local: LocalOpenings,
        own_addresses: Callable[[], frozenset[Address]],
        answered_by: AnsweredBy = nobody_answers,
    ) -> None:
        """``own_addresses`` are the gateway's: nothing is forwarded to them, whatever the rules say.
        ``answered_by`` is as of ``HostParts``.
        """
        self._reconciler = reconciler
        self._driver = driver
        self._link = link
        self._clock = clock
        self._driver_name = driver_name
        self._local = local
        self._own_addresses = own_addresses
        self._answered_by = answered_by
        self._next_answers = float("-inf")  # when that is asked again
        self._answers: Mapping[str, frozenset[Address]] = {}  # by machine uid
        self._misplaced: frozenset[Address] = frozenset()  # at which a machine is said to be
        self._knocks = KnockTally()
        self._tellings: dict[str, Telling] = {}

    def forget_known(self) -> None:
        """Report all of it next time: the server may be another, or an older one."""
        self._tellings.clear()

    def weaknesses(self) -> tuple[Weakness, ...]:
        """Of the gateway, for its own report."""
        return tuple(
            GATEWAY_S_OWN_ADDRESS(address=each) for each in sorted(self._misplaced, key=str)
        )

    def of_pass(self, outcome: Outcome, way: Way) -> bool:
        """Report what is new; True when something was sent. Raises ServerUnreachable and KeyRefused."""
        named = self._link.named()
        if named is not None:
            self._local.take_over(named)
        if not outcome.behind:
            return False
        self._knocks.look_seldom(
            outcome.observed.blocked_behind, self._blocked, self._clock.boottime()
        )
        if not outcome.observed.is_intact:
            return False
        said = {each for uid in outcome.behind for each in self._place(uid).addresses}
        self._misplaced = frozenset(said & self._own_addresses())
        self._answers = {uid: each for uid, each in self._answers.items() if uid in outcome.behind}
        new = outcome.behind.keys() - self._answers.keys()
        if new:  # else it would be told as unknown
            self._look_for_answers(outcome, new)
        has_sent = self._send(
            [(uid, self._of_pass(uid, outcome.behind[uid])) for uid in self._named(outcome)], way
        )
        if self._clock.boottime() >= self._next_answers:
            self._look_for_answers(outcome, outcome.behind.keys())
        return has_sent

    def of_fault(self, fault: str, outcome: Outcome | None, way: Way) -> bool:
        """Report that nothing can be enforced; of no generation, as the gateway's own. Raises as
        ``of_pass``.
        """
        report = replace(self._of_agent(), weaknesses=(NOT_ENFORCED(problem=fault),))
        named = self._named(outcome) if outcome is not None else ()
        return self._send([(uid, report) for uid in named], way)

    def digest(self, outcome: Outcome) -> str:
        """Of all that was read back of machines behind and reported; empty: there are none."""
        told = sorted(
            f"{uid} {telling.news.digest}"
            for uid, telling in self._tellings.items()
            if uid in outcome.behind and telling.news is not None
        )
        return hashlib.sha256("\n".join(told).encode()).hexdigest() if told else ""

    def generations(self, outcome: Outcome) -> Mapping[str, int]:
        """Of the machines that were read back, as an echo tells them."""
        return {
            uid: outcome.behind[uid].generation
            for uid in self._named(outcome)
            if not self._is_misplaced(uid)
        }

    def _named(self, outcome: Outcome) -> Sequence[str]:
        """The machines that are read back and that the server wants to hear of."""
        named = self._link.named()
        return [uid for uid in outcome.behind if named is not None and uid in named]

    def _send(self, reports: Collection[tuple[str, Report]], way: Way) -> bool:
        self._tellings = {uid: self._tellings.get(uid) or Telling() for uid, _ in reports}
        has_sent = False
        for uid, report in reports:
            telling, now = self._tellings[uid], self._clock.boottime()
            news = news_of(report, self._reconciler.earlier_ends(uid), None)
            if not telling.is_due(news, way, now):
                continue
            try:
                self._link.report_behind(uid, report)
            except NotGuarded:  # unbound since it was named
                continue
            telling.take(now)
            self._knocks.forget(report.knocks, self._addresses(uid))
            self._local.forget(report.local_openings, uid)
            has_sent = True
        return has_sent

    def _of_pass(self, uid: str, read: ReadBack) -> Report:
        if self._is_misplaced(uid):
            return self._of_agent()  # of no generation: nothing is enforced for it here
        now = self._clock.boottime()
        return replace(
            self._of_agent(),
            generation=read.generation,
            in_force=read.in_force,
            closed=read.closed,
            knocks=self._knocks.batch(now, self._addresses(uid)),
            sessions=count_sessions(self._reconciler, uid),
            answered_by=self._answers.get(uid, frozenset()),
            refused=self._reconciler.refused_of(uid),
            ends=earlier_ends(self._reconciler, now, uid),
            local_openings=self._local.pending(uid),
            held_locally=held_locally(self._place(uid).held, now),
        )

    def _look_for_answers(self, outcome: Outcome, uids: Collection[str]) -> None:
        """By which addresses these machines' answers come back; of too many addresses none is told. Of
        machines that are known it is looked at when a pass is reported, so that no opening waits for it.
        """
        began = self._clock.boottime()
        machines = [
            [
                each.port.behind(address)
                for each in outcome.behind[uid].closed
                for address in self._place(uid).addresses
            ]
            for uid in uids
        ]
        found = map(frozenset, self._answered_by(machines))
        told = (each if len(each) <= MOST_HOPS else frozenset() for each in found)
        self._answers = {**self._answers, **dict(zip(uids, told, strict=True))}
        if len(uids) == len(outcome.behind):  # machines that come again and again put none off
            now = self._clock.boottime()
            self._next_answers = now + max(ANSWERS_SECONDS, ANSWERS_SHARE * (now - began))

    def _of_agent(self) -> Report:
        """What is told of the gateway itself is told by its own report."""
        return Report(
            generation=0,
            in_force=frozenset(),
            agent_version=__version__,
            driver=self._driver_name,
            capabilities=self._driver.capabilities,
        )

    def _addresses(self, uid: str) -> Collection[Address]:
        return {*self._place(uid).addresses, *self._place(uid).former}

    def _is_misplaced(self, uid: str) -> bool:
        return not self._misplaced.isdisjoint(self._place(uid).addresses)

    def _place(self, uid: str) -> HeldBehind:
        return self._reconciler.held.behind[uid]

    def _blocked(self) -> Sequence[Blocked]:
        return [each for each in self._driver.blocked() if each.port.at is not None]
