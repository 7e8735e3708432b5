"""What the agent reports, and whether there is anything new to report.

What the server has not taken yet (repairs, openings by root, disputes, blocked attempts) is kept and
reported again. What is not here: when a report is sent, and what follows if it cannot be (``loop``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from bascule import __version__
from bascule.agent.knocks import KnockTally
from bascule.agent.local_openings import LocalOpenings, held_locally
from bascule.agent.news import Telling, Way, covering, news_of
from bascule.agent.witness import Witness
from bascule.domain.weaknesses import NOT_ENFORCED, PORT_IN_OWN_RANGE, Weakness
from bascule.errors import EnforcementFailed
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Blocked, Driver
from bascule.protocol.report import MOST_NOTES, Report
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

MOST_DRIFT = 32  # sentences of what was healed while the server is away; more are counted


def count_sessions(reconciler: Reconciler, uid: str = "") -> Mapping[str, int] | None:
    """None when connections cannot be listed; closed ports are reported all the same (EDGES A3)."""
    try:
        return reconciler.count_sessions(uid)
    except EnforcementFailed as error:
        log.error("connections cannot be counted", why=error.message)
        return None


def earlier_ends(reconciler: Reconciler, now: float, uid: str = "") -> Mapping[str, timedelta]:
    """What is left of leases that end here before the server's end."""
    ends = reconciler.earlier_ends(uid).items()
    return {grant_id: timedelta(seconds=max(0.0, end - now)) for grant_id, end in ends}


class Reports:
    """One agent's reports. For the loop's thread alone."""

    def __init__(
        self,
        reconciler: Reconciler,
        driver: Driver,
        clock: Clock,
        local_port_range: Callable[[], tuple[int, int] | None],
        local: LocalOpenings,
        witness: Witness,
        driver_name: str,
        own_weaknesses: Callable[[], tuple[Weakness, ...]],
    ) -> None:
        self._reconciler = reconciler
        self._driver = driver
        self._clock = clock
        self._local_port_range = local_port_range
        self._local = local
        self._witness = witness
        self._driver_name = driver_name
        self._own_weaknesses = own_weaknesses
        self._knocks = KnockTally()
        self._drift: list[str] = []
        self._more_drift = 0
        self._telling = Telling()
        self.acknowledged = ""  # digest of the report that was taken last

    def add_drift(self, drift: str) -> None:
        """Keep what was changed by somebody else and put back."""
        if len(self._drift) < MOST_DRIFT:
            self._drift.append(drift)
        else:
            self._more_drift += 1

    @property
    def read(self) -> str:
        """Digest of what the last pass read back."""
        return self._telling.news.digest if self._telling.news is not None else ""

    def of_pass(
        self, outcome: Outcome, way: Way, behind: str = "", *, is_wanted: bool = False
    ) -> Report | None:
        """What is new, or all of it if a poll is due; None when there is nothing to send.

        ``behind`` is the digest of what is reported of machines behind, which this report's digest
        covers; ``is_wanted``: one of those was sent, so that this one is to follow.
        """
        attempts, now = outcome.observed.blocked_attempts, self._clock.boottime()
        report = replace(
            self._state_of_agent(self.weaknesses(), attempts),
            generation=outcome.generation,
            in_force=outcome.in_force,
            knocks=self._knocks.batch(now),
            sessions=count_sessions(self._reconciler),
            drift=self._told_drift(),
            local_openings=self._local.pending(),
            disputes=self._witness.pending(),
            closed=self._reconciler.kept_closed(outcome.observed),
            refused=self._reconciler.refused,
            past={
                key: tuple(sorted(each)) for key, each in self._reconciler.unanswered.past.items()
            },
            ends=earlier_ends(self._reconciler, now),
            held_locally=held_locally(self._reconciler.held, now),
        )
        news = covering(news_of(report, self._reconciler.earlier_ends(), way.skew), behind)
        is_due = self._telling.is_due(news, way, now)
        if not (is_due or (is_wanted and way.is_open)):
            self._knocks.look_seldom(attempts, self._blocked, now)
            return None
        if not outcome.observed.is_intact:
            return None  # what is not known to be so is not reported; the next pass heals it
        self._knocks.look(attempts, self._blocked, now)
        return replace(report, knocks=self._knocks.batch(now), digest=news.digest)

    def of_fault(self, fault: str, attempts: int, way: Way) -> Report | None:
        """That the agent lives and can enforce nothing; None when the server knows.

        It is of no generation: it settles no grant, and closes none in the server's books that the
        kernel may still admit.
        """
        report = self._state_of_agent(self.weaknesses(fault), attempts)
        news = news_of(report, {}, way.skew)
        if not self._telling.is_due(news, way, self._clock.boottime()):
            return None
        return replace(report, digest=news.digest)

    def take(self, report: Report) -> None:
        """The server has this report, the last that was made."""
        self._telling.take(self._clock.boottime())
        self.acknowledged = report.digest
        del self._reconciler.notes[: len(report.notes)]
        if report.drift:
            self._drift.clear()
            self._more_drift = 0
        self._local.forget(report.local_openings)
        self._witness.forget(report.disputes)
        self._knocks.forget(report.knocks)

    def forget_known(self) -> None:
        """Report all of it next time: the server may be another, or an older one."""
        self._telling.forget_known()

    def weaknesses(self, fault: str = "") -> tuple[Weakness, ...]:
        """What the owner should know; some come and go with other programs' rules."""
        return (
            *((NOT_ENFORCED(problem=fault),) if fault else ()),
            *self._reconciler.retired.weaknesses(self._reconciler.held),
            *self._reconciler.weaknesses(),
            *self._driver.condition().weaknesses,
            *self._own_weaknesses(),
            *self._own_conflicts(),
            *self._witness.weaknesses(),
        )

    def _state_of_agent(self, weaknesses: tuple[Weakness, ...], attempts: int) -> Report:
        """What every report says, even if nothing can be enforced."""
        condition = self._driver.condition()
        return Report(
            generation=0,
            in_force=frozenset(),
            local_port_range=self._local_port_range(),
            blocked_attempts=attempts,
            weaknesses=weaknesses,
            facts={**condition.facts, **self._witness.facts()},
            flushed_by=condition.flushed_by,
            agent_version=__version__,
            notes=tuple(self._reconciler.notes[:MOST_NOTES]),
            clock=self._clock.now(),
            guard=self._reconciler.guard,
            driver=self._driver_name,
            capabilities=self._driver.capabilities,
        )

    def _blocked(self) -> Sequence[Blocked]:
        """Of this host's own ports: what is behind it is another machine's."""
        return [each for each in self._driver.blocked() if each.port.at is None]

    def _told_drift(self) -> tuple[str, ...]:
        """As much as one report carries beside what root opened (EDGES A25)."""
        more = (f"The rules were changed {self._more_drift} times more.",)
        return (*self._drift, *(more if self._more_drift else ()))

    def _own_conflicts(self) -> tuple[Weakness, ...]:
        """Closed ports that this host may use for its own connections (EDGES A4)."""
        bounds = self._local_port_range()
        if bounds is None:
            return ()
        closed = sorted(self._reconciler.held.closed, key=lambda each: each.port)
        return tuple(
            PORT_IN_OWN_RANGE(port=each.port, low=bounds[0], high=bounds[1])
            for each in closed
            if each.is_kill and bounds[0] <= each.port.number <= bounds[1]
        )
