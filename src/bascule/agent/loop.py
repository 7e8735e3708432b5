"""The agent's loop: wake, ask, reconcile, report; and again.

Threads: the loop owns the reconciler and the driver; one more thread listens to the
stream, one to the control socket, and both only put wake-ups and commands in the queue.

What wakes it: the stream, the end of a lease, a command, the poll (the truth when a hint
is lost), the watch over our rules. Nothing that the server says, or fails to say, keeps a pass
from enforcing what is held (EDGES E4); only an error of the firewall at the start ends it.
"""

from __future__ import annotations

import math
import queue
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import structlog

from bascule import __version__
from bascule.agent.knocks import KnockTally
from bascule.agent.link import KeyRefused, Link
from bascule.agent.local_openings import MOST_TOLD, LocalOpenings, local_lease, open_recorded
from bascule.agent.state import StateRefused
from bascule.agent.witness import Witness
from bascule.client.host_agent import AGENT_BUSY
from bascule.domain.desired import HeldLease
from bascule.domain.guard import WHY
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey
from bascule.domain.weaknesses import NOT_ENFORCED, PORT_IN_OWN_RANGE, Weakness
from bascule.errors import BasculeError, EnforcementFailed, ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import Condition, Driver
from bascule.protocol.report import LocalOpening, Report
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

T = TypeVar("T")

UNMANAGED = "the firewall cannot be managed: nothing is known to be closed or open"
CANNOT_BE = "the server sent an invalid state: the agent keeps its current one"
NOT_TIDIED = "existing connections cannot be managed: none is admitted again, and none is ended"
POLL_SECONDS = 15.0  # with a quarter of jitter
WATCH_SECONDS = 2.0  # how often our rules are read back
SHORTEST_RETRY, LONGEST_RETRY = 0.2, 20.0
STEADY_SECONDS = 2.0  # a stream that worked for so long is asked for again at once
REFUSED_RETRY = 10.0
MOST_DRIFT = 32  # sentences of what was healed while the server is away; more are counted
LATE_SECONDS = 4.0  # more for a command that has begun
MOST_WAKES = 10  # passes that the server may wake in any one second (EDGES E4)


@dataclass(slots=True)
class Command:
    """Something to do in the loop's thread; ``answer`` gets what it returned or raised.

    Whoever gets ``claim`` has it: the loop to do it, or its caller to give it up.
    """

    work: Callable[[], Any]
    answer: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(1))
    claim: threading.Lock = field(default_factory=threading.Lock)


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
    ) -> None:
        self._machine_uid = machine_uid
        self._driver_name = driver_name
        self._reconciler = reconciler
        self._driver = driver
        self._link = link
        self._clock = clock
        self._local_port_range = local_port_range
        self._inbox: queue.Queue[Command | None] = queue.Queue()  # None is a bare wake-up
        self._stopping = threading.Event()
        self._own_weaknesses: list[Weakness] = []
        self._announced = -1
        # Set by the stream, cleared before asking: what is announced while an answer is on
        # its way is asked for once more.
        self._is_announced = threading.Event()
        self._wakes: deque[float] = deque(
            maxlen=MOST_WAKES
        )  # when it was asked for being announced
        self._next_poll = 0.0
        self._retry = SHORTEST_RETRY
        self._local = local
        self._witness = witness or Witness()
        self._drift: list[str] = []
        self._more_drift = 0
        self._is_connected: bool | None = None  # it answers, and is told what there is
        self._unheard = "the server has not been contacted yet"  # why its last answer was of no use
        self._knocks = KnockTally()
        self._reported: tuple[object, ...] = ()
        self._last_report = float("-inf")
        self._outcome: Outcome | None = None  # of the last pass
        self._fault = ""  # why the last pass could not manage the firewall
        self._fault_retry = SHORTEST_RETRY
        self._next_try = float("inf")  # of a pass that failed; the server is not asked for it
        self._has_left = False  # something was in force before it, and its sockets are there yet
        self._is_abandoned = False

    def add_weakness(self, weakness: Weakness) -> None:
        """Something about this agent's set-up that its owner should know."""
        self._own_weaknesses.append(weakness)

    @property
    def condition(self) -> Condition:
        """The driver's, and our own: some weaknesses come and go with other programs' rules."""
        known = self._driver.condition()
        return replace(known, weaknesses=(*known.weaknesses, *self._own_weaknesses))

    # -- other threads ------------------------------------------------------------------

    def stop(self) -> None:
        self._stopping.set()
        self._inbox.put(None)

    def abandon(self) -> None:
        """Stop and leave nothing behind: the rules and the state were just removed."""
        self._is_abandoned = True
        self.stop()

    def ask(self, work: Callable[[], T], seconds: float = 10.0) -> T:
        """Run ``work`` in the loop's thread and return what it returns.

        What has not begun by ``seconds`` is not done at all; what has is waited for a little longer.
        """
        command = Command(work)
        self._inbox.put(command)
        try:
            result = command.answer.get(timeout=seconds)
        except queue.Empty:
            if command.claim.acquire(blocking=False):
                raise ServerUnreachable(
                    "The agent is busy. Nothing was done.",
                    code=AGENT_BUSY,
                    advice="Try again in a moment. If that does not help, run systemctl restart "
                    "bascule-agent and try again. Closed ports stay closed.",
                ) from None
            result = _late(command)
        if isinstance(result, Exception):
            raise result
        return cast("T", result)

    def _on_generation(self, generation: int) -> None:
        if generation != self._announced:
            self._announced = generation
            self._hint()

    def _hint(self) -> None:
        if not self._is_announced.is_set():  # else the pass is under way that asks for it
            self._is_announced.set()
            self._inbox.put(None)

    def _listen(self) -> None:
        retry = SHORTEST_RETRY
        while not self._stopping.is_set():
            started = self._clock.boottime()
            try:
                self._link.listen(self._on_generation, self._stopping.is_set)
            except BasculeError as error:
                log.debug("stream ended", why=error.message)
            except Exception:
                log.exception("stream failed")  # a fault of ours: asked for again like any other
            lasted = self._clock.boottime() - started
            if self._announced >= 0 and lasted > STEADY_SECONDS:
                retry = SHORTEST_RETRY
            # Full jitter: after a server's restart not all its agents come at once.
            self._stopping.wait(random.uniform(0, retry))  # noqa: S311  # reason: not a secret
            retry = min(retry * 2, LONGEST_RETRY)
            self._announced = -1
            self._hint()

    # -- the loop's thread --------------------------------------------------------------

    def run(self) -> None:
        """Until ``stop``; what is open stays open till its end and what is shut stays shut."""
        threading.Thread(target=self._listen, name="stream", daemon=True).start()
        while not self._stopping.is_set():
            self._obey(self._wait())
            if self._stopping.is_set():
                break
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
            self._back_off()
            self._stopping.wait(SHORTEST_RETRY)  # a lease's past end would have us here at once

    def _pass(self) -> None:
        """Ask when it is time, reconcile, save, report.

        What is reported open is remembered with its end: after a death right then, an answer of
        before that is given once more opens nothing for longer (EDGES A8).
        """
        now = self._clock.boottime()
        is_hinted = self._is_announced.is_set() and now >= self._next_wake()
        if is_hinted or now >= self._next_poll:
            self._wakes.extend([now] * is_hinted)
            self._is_announced.clear()
            self._ask_server()
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
        self._next_try, self._fault_retry = float("inf"), SHORTEST_RETRY

    def _tidy(self) -> None:
        try:
            self._driver.tidy()
        except EnforcementFailed as error:
            self._reconciler.note(f"{NOT_TIDIED}: {error.message}")
            raise
        self._reconciler.forget_note(NOT_TIDIED)

    def _failed(self, error: BasculeError) -> None:
        log.error("pass failed", why=error.message, advice=error.advice)
        self._next_try = self._clock.boottime() + self._fault_retry
        self._fault_retry = min(self._fault_retry * 2, WATCH_SECONDS)
        if self._fault:
            self._report_fault()

    def _enforce(self) -> Outcome:
        try:
            outcome = self._reconciler.reconcile()
        except EnforcementFailed as error:
            self._fault = error.message
            self._reconciler.note(f"{UNMANAGED}: {error.message}")
            raise
        self._fault = ""
        self._reconciler.forget_note(UNMANAGED)
        known = self._outcome.in_force if self._outcome is not None else None
        self._has_left |= known is None or not known <= outcome.in_force
        self._outcome = outcome
        if outcome.drift:
            self._healed(outcome.drift)
            log.warning("rules were changed by somebody else and put back", what=outcome.drift)
        if outcome.refused:
            log.error("only the part that closes ports was applied", why=outcome.refused)
        return outcome

    def _wait(self) -> Command | None:
        """The next command; None when it is time for a pass."""
        due = min(self._next_poll, self._next_try, self._clock.boottime() + WATCH_SECONDS)
        end = self._reconciler.next_end()
        if end is not None:
            due = min(due, end + 0.01)
        while not self._stopping.is_set():
            if self._is_announced.is_set():
                due = min(due, self._next_wake())
            try:
                command = self._inbox.get(timeout=max(0.0, due - self._clock.boottime()))
            except queue.Empty:
                return None
            if command is not None:
                return command
        return None

    def _next_wake(self) -> float:
        """From when on an announcement may wake a pass; 0 is at once.

        While answers are of no use it is one a second: each may be dear to read.
        """
        if self._unheard and self._wakes:
            return self._wakes[-1] + 1.0
        return self._wakes[0] + 1.0 if len(self._wakes) == MOST_WAKES else 0.0

    def _obey(self, command: Command | None) -> None:
        while command is not None:
            if command.claim.acquire(blocking=False):
                try:
                    command.answer.put(command.work())
                except Exception as error:  # noqa: BLE001  # reason: goes to the asker
                    command.answer.put(error)
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return
        while True:  # fold further bare wake-ups into this pass
            try:
                following = self._inbox.get_nowait()
            except queue.Empty:
                return
            if following is not None:
                self._obey(following)

    def _ask_server(self) -> None:
        """Ask, and hold what is answered. Whatever goes wrong in it, the pass goes on to enforce
        what is held (EDGES E4).
        """
        before, self._unheard = self._unheard, ""
        try:
            self._ask()
        except KeyRefused as error:
            self._refused(error)
        except StateRefused as error:
            if error.message != before:
                log.error("state refused: the current one is kept", why=error.message)
            self._reconciler.note(CANNOT_BE)
            self._unheard = error.message
            self._is_connected = True  # it is there, and is to hear of it
            self._back_off()
        except BasculeError as error:
            self._lost(error)
        except Exception as error:  # its answer led to a fault of ours
            if self._is_connected is not False:
                log.exception("asking the server failed")
            self._lost(_fault_of_ours(error))

    def _ask(self) -> None:
        asked_at = self._clock.boottime()
        state = self._link.fetch_state(self._reconciler.look_ahead)
        self._reconciler.forget_note(CANNOT_BE)
        if self._reconciler.take(state, asked_at):
            self._retry = SHORTEST_RETRY
            self._next_poll = self._clock.boottime() + POLL_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311  # reason: jitter
        else:
            log.warning(
                "state ignored: it came too late or is superseded", generation=state.generation
            )
            self._back_off()
        if not self._is_connected:
            log.info("connected", generation=state.generation)
            self._is_connected = True
            self._reported = ()

    def _refused(self, error: BasculeError) -> None:
        if not self._reconciler.held.is_refused or self._is_connected is not False:
            log.error(
                "key refused: every opening is closed, and ports stay closed", why=error.message
            )
        self._reconciler.end_all()
        self._is_connected = False
        self._unheard = error.message
        self._next_poll = self._clock.boottime() + REFUSED_RETRY

    def _lost(self, error: BasculeError) -> None:
        if self._is_connected is not False:
            log.warning("server away: open access ends on time", why=error.message)
        self._is_connected = False
        self._unheard = error.message
        self._back_off()

    def _back_off(self) -> None:
        self._next_poll = self._clock.boottime() + random.uniform(self._retry / 2, self._retry)  # noqa: S311  # reason: jitter
        self._retry = min(self._retry * 2, LONGEST_RETRY)

    def _report(self, outcome: Outcome) -> None:
        """Report what is new at once, and at each poll that all is as it was."""
        sessions = self._count_sessions()
        attempts, now = outcome.observed.blocked_attempts, self._clock.boottime()
        said = (
            outcome.generation,
            outcome.in_force,
            attempts,
            None if sessions is None else tuple(sorted(sessions.items())),
            len(self._drift) + self._more_drift,
            self._local.pending(),
            len(self._reconciler.notes),
            self._witness.pending(),
            self._weaknesses(),
            frozenset(self._reconciler.refused),
            frozenset(each.id for each in self._held_locally()),
            frozenset(self._reconciler.earlier_ends().items()),
        )
        if not self._is_connected or (said == self._reported and self._polled_lately()):
            self._knocks.look_seldom(attempts, self._driver.blocked, now)
            return
        if not outcome.observed.is_intact:
            return  # what is not known to be so is not said; the next pass heals and says
        opened_here, disputes = self._local.pending(), self._witness.pending()
        self._knocks.look(attempts, self._driver.blocked, now)
        knocks = self._knocks.batch(now)
        report = Report(
            generation=outcome.generation,
            in_force=outcome.in_force,
            local_port_range=self._local_port_range(),
            blocked_attempts=attempts,
            knocks=knocks,
            sessions=sessions,
            weaknesses=self._weaknesses(),
            facts={**self.condition.facts, **self._witness.facts()},
            flushed_by=self.condition.flushed_by,
            agent_version=__version__,
            drift=self._drift_told(),
            local_openings=opened_here,
            notes=tuple(self._reconciler.notes),
            disputes=disputes,
            clock=self._clock.now(),
            closed=self._reconciler.kept_closed(outcome.observed),
            guard=self._reconciler.guard,
            driver=self._driver_name,
            capabilities=self._driver.capabilities,
            refused=self._reconciler.refused,
            ends=self._earlier_ends(),
            held_locally=self._held_locally(),
        )
        server_generation = self._send(report, said)
        if server_generation is None:
            return
        self._drift.clear()
        self._more_drift = 0
        self._local.forget(opened_here)
        self._witness.forget(disputes)
        self._knocks.forget(knocks)
        if server_generation != outcome.generation:
            self._is_announced.set()

    def _count_sessions(self) -> Mapping[str, int] | None:
        """None when connections cannot be listed; what is shut is said all the same (EDGES A3)."""
        try:
            return self._reconciler.count_sessions()
        except EnforcementFailed as error:
            log.error("connections cannot be counted", why=error.message)
            return None

    def _report_fault(self) -> None:
        """That we are there and can enforce nothing. Of no generation: it settles no grant, and
        shuts none in anybody's books that the kernel may still let in.
        """
        said = (self._fault,)
        if not self._is_connected or (said == self._reported and self._polled_lately()):
            return
        known = self._outcome.observed.blocked_attempts if self._outcome is not None else 0
        report = Report(
            generation=0,
            in_force=frozenset(),
            local_port_range=self._local_port_range(),
            blocked_attempts=known,
            weaknesses=self._weaknesses(),
            facts={**self.condition.facts, **self._witness.facts()},
            flushed_by=self.condition.flushed_by,
            agent_version=__version__,
            notes=tuple(self._reconciler.notes),
            clock=self._clock.now(),
            guard=self._reconciler.guard,
            driver=self._driver_name,
            capabilities=self._driver.capabilities,
        )
        self._send(report, said)

    def _send(self, report: Report, said: tuple[object, ...]) -> int | None:
        """The server's generation; None when it did not take the report."""
        try:
            server_generation = self._link.send_report(report)
        except BasculeError as error:
            self._lost(error)
            return None
        except Exception as error:  # its answer led to a fault of ours
            log.exception("reporting to the server failed")
            self._lost(_fault_of_ours(error))
            return None
        self._reported = said
        self._last_report = self._clock.boottime()
        self._reconciler.notes.clear()
        return server_generation

    def _held_locally(self) -> tuple[LocalOpening, ...]:
        """What root opened, as many as one report tells of: those that last longest."""
        now = self._clock.boottime()
        leases = self._reconciler.held.leases.items()
        local = [(key, lease) for key, lease in leases if lease.is_local and lease.deadline > now]
        local.sort(key=lambda each: each[1].deadline, reverse=True)
        return tuple(
            LocalOpening(
                str(port), tuple(map(str, lease.sources)), math.ceil(lease.deadline - now), key
            )
            for key, lease in local[:MOST_TOLD]
            for port in lease.ports[:1]  # root opens one at a time
        )

    def _earlier_ends(self) -> Mapping[str, timedelta]:
        """What is left of leases that end here before the server's end."""
        now = self._clock.boottime()
        ends = self._reconciler.earlier_ends().items()
        return {grant_id: timedelta(seconds=max(0.0, end - now)) for grant_id, end in ends}

    def _healed(self, drift: str) -> None:
        if len(self._drift) < MOST_DRIFT:
            self._drift.append(drift)
        else:
            self._more_drift += 1

    def _drift_told(self) -> tuple[str, ...]:
        """As much as one report carries beside what root opened (EDGES A25)."""
        more = (f"The rules were changed {self._more_drift} times more.",)
        return (*self._drift, *(more if self._more_drift else ()))

    def _weaknesses(self) -> tuple[Weakness, ...]:
        return (
            *((NOT_ENFORCED(problem=self._fault),) if self._fault else ()),
            *self._reconciler.guard_weaknesses(),
            *self.condition.weaknesses,
            *self._own_conflicts(),
            *self._witness.weaknesses(),
        )

    def _own_conflicts(self) -> tuple[Weakness, ...]:
        """Closed ports that this host may use for its own connections (EDGES A4)."""
        bounds = self._local_port_range()
        if bounds is None:
            return ()
        return tuple(
            PORT_IN_OWN_RANGE(port=each.port, low=bounds[0], high=bounds[1])
            for each in sorted(self._reconciler.held.closed, key=_port_of)
            if each.is_kill and bounds[0] <= each.port.number <= bounds[1]
        )

    def _polled_lately(self) -> bool:
        return self._clock.boottime() - self._last_report < POLL_SECONDS / 1.5

    # -- commands -----------------------------------------------------------------------

    def open_locally(
        self, port: PortKey, sources: tuple[AddressPrefix, ...], duration: timedelta
    ) -> str:
        """Open by root's word, time-boxed; reported to the server as soon as it is there."""
        grant_id, lease, opening = local_lease(self._clock, port, sources, duration)
        open_recorded(self._reconciler, self._local, self._enforce, grant_id, lease, opening)
        log.warning("opened locally", port=str(port), sources=[str(s) for s in sources])
        return grant_id

    def keeps_closed(self, port: PortKey) -> bool:
        return any(closed.port == port for closed in self._reconciler.held.closed)

    def status(self) -> dict[str, Any]:
        now = self._clock.boottime()
        held = self._reconciler.held
        live = {key: each for key, each in held.leases.items() if each.deadline > now}
        why = {key: self._why_it_waits(key, each) for key, each in live.items()}
        told = {
            key: {
                "grantId": key,
                "ports": [str(port) for port in lease.ports],
                "sources": [str(source) for source in lease.sources],
                "seconds": round(lease.deadline - now, 1),
                "local": lease.is_local,
            }
            for key, lease in live.items()
        }
        return {
            "machineUid": self._machine_uid,
            "connected": bool(self._is_connected) and not self._unheard,
            "unheard": self._unheard,
            "refused": held.is_refused,
            "generation": held.generation,
            "enforcing": not self._fault and self._outcome is not None,
            "closed": [str(closed.port) for closed in sorted(held.closed, key=_port_of)],
            "open": [each for key, each in told.items() if not why[key]],
            "waiting": [{**each, "why": why[key]} for key, each in told.items() if why[key]],
            "weaknesses": [str(each.text) for each in self._weaknesses()],
            "refusedByGuard": {key: WHY[each] for key, each in self._reconciler.refused.items()},
            "record": self._witness.status(),
        }

    def _why_it_waits(self, grant_id: str, lease: HeldLease) -> str:
        """Empty for one that was read back open, and for one whose port nothing of ours shuts."""
        if self._fault or self._outcome is None:
            return self._fault or "the firewall has not been read yet"
        shut = {each.port for each in self._reconciler.held.closed}
        if grant_id in self._outcome.in_force or shut.isdisjoint(lease.ports):
            return ""
        return self._outcome.refused or "it was not read back from the firewall"


def _fault_of_ours(error: Exception) -> ServerUnreachable:
    return ServerUnreachable(f"The server's answer could not be read ({type(error).__name__}).")


def _late(command: Command) -> object:
    """The answer to a command that the loop has begun."""
    try:
        return command.answer.get(timeout=LATE_SECONDS)
    except queue.Empty:
        raise ServerUnreachable(
            "The agent did not answer in time.",
            advice="Check with bascule agent status whether it was done.",
        ) from None


def _port_of(closed: ClosedPort) -> PortKey:
    return closed.port
