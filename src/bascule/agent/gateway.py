"""The machines behind this host in one pass of the loop: what is named, asked for and reported of them.

A call that fails ends neither the pass nor what is held: the loop is told how it failed, and calls the
server no more in that pass. What is asked and said is ``behind``'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from bascule.agent.behind import ReportsBehind, StatesBehind
from bascule.agent.following import fault_of_ours
from bascule.agent.link import KeyRefused
from bascule.agent.news import Way
from bascule.domain.weaknesses import Weakness
from bascule.errors import BasculeError
from bascule.reconcile.reconciler import Outcome

log = structlog.get_logger("bascule.agent")


class MachinesBehind:
    """For the loop's thread, but for ``is_moved``, which any thread may set."""

    def __init__(
        self,
        states: StatesBehind,
        reports: ReportsBehind,
        on_refused: Callable[[KeyRefused], None],
        on_lost: Callable[[BasculeError], None],
    ) -> None:
        self.is_moved = threading.Event()  # the server names others, or other generations
        self._states = states
        self._reports = reports
        self._on_refused = on_refused
        self._on_lost = on_lost

    def forget_known(self) -> None:
        """Report all of it next time: the server may be another, or an older one."""
        self._reports.forget_known()

    def forget_asked(self) -> None:
        self._states.forget_asked()

    def weaknesses(self) -> tuple[Weakness, ...]:
        return self._reports.weaknesses()

    def keep_named(self) -> None:
        self._states.keep_named()

    def ask(self) -> None:
        """Hold what is newer at the server; what is left for another pass wakes one."""
        if self._call(self._states.ask):
            self.is_moved.set()

    def report(self, outcome: Outcome, way: Way) -> tuple[Way, bool]:
        """Report what is new; how the gateway's own report goes now, and whether one was sent that
        it is to follow.
        """
        return self._after(self._call(lambda: self._reports.of_pass(outcome, way)), way)

    def report_fault(self, fault: str, outcome: Outcome | None, way: Way) -> tuple[Way, bool]:
        return self._after(self._call(lambda: self._reports.of_fault(fault, outcome, way)), way)

    def digest(self, outcome: Outcome) -> str:
        return self._reports.digest(outcome)

    def generations(self, outcome: Outcome) -> Mapping[str, int]:
        return self._reports.generations(outcome)

    def _after(self, has_sent: bool | None, way: Way) -> tuple[Way, bool]:
        return (replace(way, is_open=False) if has_sent is None else way), bool(has_sent)

    def _call(self, work: Callable[[], bool]) -> bool | None:
        """None: the server gave no answer of use, and is not called again in this pass."""
        try:
            return work()
        except KeyRefused as error:
            self._on_refused(error)
        except BasculeError as error:
            self._on_lost(error)
        except Exception as error:  # its answer led to a fault of ours
            log.exception("a call about a machine behind failed")
            self._on_lost(fault_of_ours(error))
        return None
