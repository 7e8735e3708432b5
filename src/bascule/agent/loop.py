"""The agent's loop: wake, ask, reconcile, report; and again.

Threads: the loop owns the reconciler and the driver; one more thread listens to the
line, one to the control socket, and both only put wake-ups and commands in the queue.

What wakes it: the line, the end of a lease, a command, the poll (where there is no line),
the watch over our rules. A beat of the line is echoed by the first whole pass that began after it
came: a loop whose passes fail is silent. Nothing that the server says, or fails to say, keeps a pass
from enforcing what is held (EDGES E4); only an error of the firewall at the start ends it.

What is not here: when it asks and tries again (``timetable``), how a line is made again
(``following``), what it reports (``reporting``), machines behind a gateway (``gateway``), and what root
orders (``by_root``).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from bascule.agent.behind import AnsweredBy, ReportsBehind, StatesBehind, nobody_answers
from bascule.agent.by_root import ByRoot
from bascule.agent.following import fault_of_ours, follow
from bascule.agent.gateway import MachinesBehind
from bascule.agent.inbox import Command, Inbox
from bascule.agent.link import KeyRefused, Link
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.news import Way
from bascule.agent.reporting import Reports
from bascule.agent.shaking import note_change
from bascule.agent.state import StateRefused
from bascule.agent.status import behind_status, findings, held_status
from bascule.agent.timetable import SHORTEST_RETRY, WATCH_SECONDS, Timetable
from bascule.agent.witness import Witness
from bascule.domain.guard import WHY
from bascule.domain.holding import all_leases
from bascule.domain.net import Address
from bascule.domain.weaknesses import Weakness
from bascule.errors import BasculeError, EnforcementFailed
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Driver
from bascule.protocol.report import Report
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

T = TypeVar("T")

UNMANAGED = "the firewall cannot be managed: nothing is known to be closed or open"
CANNOT_BE = "the server sent an invalid state: the agent keeps its current one"
NOT_TIDIED = "existing connections cannot be managed: none is admitted again, and none is ended"


class AgentLoop:
    def __init__(
        self,
        reconciler: Reconciler,
        driver: Driver,
        link: Link,
        clock: Clock,
        local_port_range: Callable[[], tuple[int, int] | None],
        local: LocalOpenings,
        witness: Witness | None = None,
        machine_uid: str = "",
        driver_name: str = "",
        own_weaknesses: tuple[Weakness, ...] = (),
        own_addresses: Callable[[], frozenset[Address]] = frozenset,
        answered_by: AnsweredBy = nobody_answers,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """``own_weaknesses`` is what its owner should know; ``alive`` is called each time round."""
        self._alive = alive
        self._machine_uid = machine_uid
        self._reconciler = reconciler
        self._driver = driver
        self._link = link
        self._clock = clock
        self._inbox = Inbox()
        self._stopping = threading.Event()
        self._announced = -1
        # Set by the line, cleared before asking: what is announced while an answer is on
        # its way is asked for once more.
        self._is_announced = threading.Event()
        self._is_expected = threading.Event()  # something may be pushed in a moment
        self._times = Timetable(clock)
        self.by_root = ByRoot(reconciler, local, clock, self._enforce)  # by ``ask``
        self._witness = witness or Witness()
        self._reports = Reports(
            reconciler,
            driver,
            clock,
            local_port_range,
            local,
            self._witness,
            driver_name,
            lambda: (*own_weaknesses, *self._behind.weaknesses()),
        )
        self._behind = MachinesBehind(
            StatesBehind(reconciler, link, clock),
            ReportsBehind(
                reconciler, driver, link, clock, driver_name, local, own_addresses, answered_by
            ),
            self._refused,
            self._lost,
        )
        self._is_woken = threading.Event()
        self._ended: BasculeError | None = None  # why the last line did
        self._came: tuple[str, int | None] | None = None  # what a new line told, as on_line
        self._is_report_wanted = threading.Event()
        self._is_connected: bool | None = None  # it answers, and is told what there is
        self._unheard = "the server has not been contacted yet"  # why its last answer was of no use
        self._outcome: Outcome | None = None  # of the last pass
        self._fault = ""  # why the last pass could not manage the firewall
        self._has_left = False  # something was in force before it, and its sockets are there yet
        self._is_abandoned = False

    # -- other threads ------------------------------------------------------------------

    def stop(self) -> None:
        self._stopping.set()
        self._inbox.wake()

    def accept_server(self) -> int | None:
        """Root says that the server is the right one; by ``ask``. Its number, None as of
        ``Reconciler.accept_server``.
        """
        accepted = self._reconciler.accept_server()
        if accepted is not None:
            log.warning("server accepted by root", installation=accepted)
            self._reconciler.note(
                "", f"root accepted the server with installation number {accepted}"
            )
            self._reconciler.save()
            self._behind.forget_asked()
            self._hint()
        return accepted

    def abandon(self) -> None:
        """Stop and leave nothing behind: the rules and the state were just removed."""
        self._is_abandoned = True
        self.stop()

    def ask(self, work: Callable[[], T], seconds: float = 10.0) -> T:
        """Run ``work`` in the loop's thread and return what it returns (``Inbox.ask``)."""
        return self._inbox.ask(work, seconds)

    def on_line(self, acknowledged: str, generation: int | None = None) -> None:
        self._announced = -1 if generation is None else generation
        self._came = acknowledged, generation
        self._is_woken.set()
        self._inbox.wake()

    def on_generation(self, generation: int) -> None:
        if generation != self._announced:
            self._announced = generation
            self._hint()

    def on_push(self, generation: int) -> None:
        self._announced = max(self._announced, generation)
        self._hint()

    def on_expected(self) -> None:
        if not (self._is_expected.is_set() or self._is_announced.is_set()):
            self._is_expected.set()
            self._inbox.wake()

    def on_doubt(self) -> None:
        self._announced = -1  # no push is of it
        self._hint()

    def on_report_wanted(self) -> None:
        self._is_report_wanted.set()

    def on_behind(self) -> None:
        if not self._behind.is_moved.is_set():
            self._behind.is_moved.set()
            self._inbox.wake()

    def _hint(self) -> None:
        if not self._is_announced.is_set():  # else the pass is under way that asks for it
            self._is_announced.set()
            self._inbox.wake()

    def _listen(self) -> None:
        follow(
            self._link, self, self._clock, self._stopping, self._holds_leases, self._on_line_ended
        )

    def _on_line_ended(self, why: BasculeError) -> None:
        self._announced = -1
        self._ended = why
        if isinstance(why, KeyRefused):  # every opening is closed at once (EDGES A12)
            self._is_woken.set()
            self._inbox.wake()

    def _holds_leases(self) -> bool:
        return any(True for _ in all_leases(self._reconciler.held))

    # -- the loop's thread --------------------------------------------------------------

    def run(self) -> None:
        """Until ``stop``; what is open stays open until its end, and closed ports stay closed."""
        threading.Thread(target=self._listen, name="line", daemon=True).start()
        while not self._stopping.is_set():
            self._inbox.obey(self._wait())
            if not self._stopping.is_set():
                self._alive()
                self.step()
        if not self._is_abandoned:
            self._reconciler.save()

    def step(self) -> None:
        """One pass; whatever goes wrong in it, there is a next one."""
        try:
            try:
                self._pass()
            except BasculeError as error:
                self._failed(error)
        except Exception:
            # In the server's process nobody would start this thread anew, and say so (A6).
            log.exception("pass failed, by a fault of the agent's own")
            self._times.back_off()
            self._stopping.wait(SHORTEST_RETRY)  # a lease's past end would have us here at once

    def _pass(self) -> None:
        """Ask when it is time, reconcile, save, report.

        What is reported open is remembered with its end: after a death right then, an answer of
        before that is given once more opens nothing for longer (EDGES A8).
        """
        if not self._reconciler.is_looked_ahead:
            self._link.begin_pass()
        self._is_woken.clear()
        self._heed_end()
        self._heed_line()
        now = self._clock.boottime()
        is_hinted = self._is_announced.is_set() and now >= self._next_wake()
        if self._can_ask() and (is_hinted or now >= self._next_asking()):
            if is_hinted:
                self._times.note_wake()
            self._is_announced.clear()
            self._ask_server(is_hinted=is_hinted)
        if self._behind.is_moved.is_set():  # a hint of them wakes no more passes than others
            self._times.note_wake()
            self._behind.is_moved.clear()
        self._behind.keep_named()
        if self._is_connected and not self._unheard and self._can_ask():
            self._behind.ask()
        outcome = self._enforce()
        self._reconciler.save()
        self._witness.save(self._clock.boottime())
        is_first, self._has_left = self._has_left, False
        try:
            if is_first:  # its sockets go before anybody counts them (EDGES A24)
                self._tidy()
        finally:
            self._report(outcome)
        if not is_first:
            self._tidy()
        if outcome.observed.is_intact:
            reports = self._reports
            behind = self._behind.generations(outcome)
            self._link.end_pass(outcome.generation, reports.read, reports.acknowledged, behind)
        self._times.note_whole_pass()

    def _look_ahead(self) -> None:
        """Read the firewall for a pass that a push may wake in a moment, if it is not here already.

        That pass begins here: what was read before a beat came is no answer to it.
        """
        self._is_expected.clear()
        is_useful = self._is_connected and not self._unheard and not self._is_announced.is_set()
        if is_useful and self._times.may_look():
            self._link.begin_pass()
            self._reconciler.look_ahead()

    def _heed_end(self) -> None:
        """What the end of a line means to the loop."""
        ended, self._ended = note_change(self._reconciler.note, self._ended), None
        if isinstance(ended, KeyRefused):
            self._refused(ended)
        elif ended is not None and not self._can_ask():
            self._lost(ended)

    def _heed_line(self) -> None:
        """Ask over a new line, unless the server has our last report, and we its last state.

        Ten thousand agents that come back would otherwise all ask. What was seen of the record is
        confirmed a little later (EDGES B9).
        """
        came, self._came = self._came, None
        if came is None:
            return
        (acknowledged, generation), held = came, self._reconciler.held
        is_taken = bool(acknowledged) and acknowledged == self._reports.acknowledged
        if not is_taken:
            self._forget_known()
            self._behind.forget_asked()
            self._reconciler.retired.forget()
        if not is_taken or generation != held.generation or held.is_refused:
            self._is_announced.set()
            return
        if not self._is_connected:
            log.info("connected", generation=generation)
        self._is_connected, self._unheard = True, ""
        self._times.note_nothing_new()

    def _can_ask(self) -> bool:
        return self._link.has_line or self._link.may_poll

    def _next_asking(self) -> float:
        return self._times.next_asking(has_line=self._link.has_line)

    def _tidy(self) -> None:
        try:
            self._driver.tidy()
        except EnforcementFailed as error:
            self._reconciler.note(NOT_TIDIED, error.message)
            raise
        self._reconciler.forget_note(NOT_TIDIED)

    def _failed(self, error: BasculeError) -> None:
        log.error("pass failed", why=error.message, advice=error.advice)
        self._times.note_failed_pass()
        if self._fault:
            self._report_fault()

    def _enforce(self) -> Outcome:
        try:
            outcome = self._reconciler.reconcile()
        except EnforcementFailed as error:
            self._fault = error.message
            self._reconciler.note(UNMANAGED, error.message)
            raise
        self._fault = ""
        self._reconciler.forget_note(UNMANAGED)
        known = self._outcome.in_force if self._outcome is not None else None
        self._has_left |= known is None or not known <= outcome.in_force
        self._outcome = outcome
        if outcome.drift:
            self._reports.add_drift(outcome.drift)
            log.warning("rules were changed by somebody else and put back", what=outcome.drift)
        if outcome.refused:
            log.error("only the part that closes ports was applied", why=outcome.refused)
        return outcome

    def _wait(self) -> Command | None:
        """The next command; None when it is time for a pass."""
        due = min(self._times.next_try, self._clock.boottime() + WATCH_SECONDS)
        if self._can_ask():
            due = min(due, self._next_asking())
        end = self._reconciler.next_end()
        if end is not None:
            due = min(due, end + 0.01)
        while not self._stopping.is_set():
            if self._is_woken.is_set():
                return None
            if self._is_expected.is_set():
                self._look_ahead()
            is_moved = self._is_announced.is_set() or self._behind.is_moved.is_set()
            if is_moved and self._can_ask():
                due = min(due, self._next_wake())
            try:
                command = self._inbox.take(max(0.0, due - self._clock.boottime()))
            except queue.Empty:
                return None
            if command is not None:
                return command
        return None

    def _next_wake(self) -> float:
        return self._times.next_wake(is_heard=not self._unheard)

    def _ask_server(self, *, is_hinted: bool) -> None:
        """Ask, and hold what is answered. Whatever goes wrong in it, the pass goes on to enforce
        what is held (EDGES E4).
        """
        before, self._unheard = self._unheard, ""
        try:
            if not (is_hinted and self._is_connected and not before and self._take_push()):
                self._ask()
        except KeyRefused as error:
            self._refused(error)
        except StateRefused as error:
            if error.message != before:
                log.error("state refused: the current one is kept", why=error.message)
            self._reconciler.note(CANNOT_BE)
            self._unheard = error.message
            self._is_connected = True  # it is there, and is to hear of it
            self._times.back_off()
        except BasculeError as error:
            self._lost(error)
        except Exception as error:  # its answer led to a fault of ours
            if self._is_connected is not False:
                log.exception("asking the server failed")
            self._lost(fault_of_ours(error))

    def _take_push(self) -> bool:
        """Hold a state that was pushed; False when there is none of what was announced."""
        pushed = self._link.pushed()
        if pushed is None or pushed.state.generation != self._announced:
            return False
        return self._reconciler.take(pushed.state, pushed.asked_at)

    def _ask(self) -> None:
        asked_at = self._clock.boottime()
        state = self._link.fetch_state(self._reconciler.look_ahead)
        self._reconciler.forget_note(CANNOT_BE)
        if self._reconciler.take(state, asked_at):
            self._times.note_answer()
        else:
            log.warning(
                "state ignored: it came too late or is superseded", generation=state.generation
            )
            self._times.back_off()
        if not self._is_connected:
            log.info("connected", generation=state.generation)
            self._is_connected = True
            if not self._link.has_line:  # nobody said what the server has taken
                self._forget_known()
                self._behind.forget_asked()

    def _forget_known(self) -> None:
        """Report all of it next time: the server may be another, or an older one."""
        self._reports.forget_known()
        self._behind.forget_known()

    def _refused(self, error: BasculeError) -> None:
        if not self._reconciler.held.is_refused or self._is_connected is not False:
            log.error("key refused: every opening is closed, ports stay closed", why=error.message)
        self._reconciler.end_all()
        self._behind.forget_asked()
        self._is_connected = False
        self._unheard = error.message
        self._times.note_refusal()

    def _lost(self, error: BasculeError) -> None:
        note_change(self._reconciler.note, error)
        if self._is_connected is not False:
            log.warning("server away: open access ends on time", why=error.message)
        self._is_connected = False
        self._unheard = error.message
        self._times.back_off()

    def _report(self, outcome: Outcome) -> None:
        """Report what is new at once; without a line, at each poll that all is as it was."""
        way, is_wanted = self._behind.report(outcome, self._way())
        digest = self._behind.digest(outcome)
        report = self._reports.of_pass(outcome, way, digest, is_wanted=is_wanted)
        if report is None:
            return
        server_generation = self._send(report)
        if server_generation not in (None, outcome.generation):
            self._is_announced.set()

    def _report_fault(self) -> None:
        attempts = self._outcome.observed.blocked_attempts if self._outcome is not None else 0
        way, _ = self._behind.report_fault(self._fault, self._outcome, self._way())
        report = self._reports.of_fault(self._fault, attempts, way)
        if report is not None:
            self._send(report)

    def _way(self) -> Way:
        """How to report now; where the server wants all of it, all of it is news."""
        if self._is_report_wanted.is_set():
            self._is_report_wanted.clear()
            self._forget_known()
        is_open = bool(self._is_connected) and self._can_ask()
        return Way(is_open, not self._link.has_line, self._link.clock_skew())

    def _send(self, report: Report) -> int | None:
        """The server's generation; None when it did not take the report."""
        try:
            server_generation = self._link.send_report(report)
        except BasculeError as error:
            self._lost(error)
            return None
        except Exception as error:  # its answer led to a fault of ours
            log.exception("reporting to the server failed")
            self._lost(fault_of_ours(error))
            return None
        self._reports.take(report)
        return server_generation

    def status(self) -> dict[str, Any]:
        held, now = self._reconciler.held, self._clock.boottime()
        return {
            "machineUid": self._machine_uid,
            "connected": bool(self._is_connected) and not self._unheard,
            "unheard": self._unheard,
            "failedPasses": self._times.failed_passes,
            **held_status(held, self._outcome, self._fault, now),
            "behind": behind_status(held, self._outcome, now),
            "answersElsewhere": findings(self._reconciler.answers_elsewhere()),
            "weaknesses": [str(each.text) for each in self._reports.weaknesses(self._fault)],
            "refusedByGuard": {key: WHY[each] for key, each in self._reconciler.refused.items()},
            "record": self._witness.status(),
        }
