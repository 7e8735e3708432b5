"""The agent as a process: it closes the ports and owns the rules before it contacts the server.

Order (EDGES A5, A6): what memory says is closed before the network is of use; the driver makes
the rules of an earlier agent its own with no gap; it is ready when the ports are closed;
only then the server is spoken to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import ssl
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from bascule.agent.control import ControlSocket, Uninstalled, handler_for
from bascule.agent.enrolment import (
    EnrolmentToken,
    enrol,
    is_begun,
    is_enrolled_by,
    load_identity,
    parse_token,
    read_proxy_ca,
    trust_of,
)
from bascule.agent.farewell import last_report, tell_server
from bascule.agent.guard_file import guard_of_host
from bascule.agent.leave import LOCK_FILE, remove_files
from bascule.agent.line_link import LineLink
from bascule.agent.link import Identity
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.memory import HeldFile
from bascule.agent.service_manager import ServiceManager, Watchdog
from bascule.agent.textfile import Textfile, Told
from bascule.agent.timetable import LONGEST_RETRY, SHORTEST_RETRY
from bascule.agent.token_source import ask_token, offered_token
from bascule.agent.trusted import Trusted
from bascule.agent.warning import warner_from_environment
from bascule.agent.witness import Witness
from bascule.domain.holding import firewall_rules
from bascule.domain.net import port_order
from bascule.errors import (
    BasculeError,
    ConfigurationError,
    EnforcementFailed,
    ServerUnreachable,
)
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import HostParts
from bascule.reconcile.reconciler import Reconciler
from bascule.reconcile.returning import Returning

log = structlog.get_logger("bascule.agent")


@dataclass(frozen=True, slots=True)
class AgentPaths:
    state: Path
    control: Path  # the control socket
    guard: Path
    metrics: Path | None = None  # where the metrics are written; None: nowhere


class AgentProcess:
    """One agent, from the first closing to the last save."""

    def __init__(self, parts: HostParts, paths: AgentPaths, clock: Clock) -> None:
        self._parts = parts
        self._firewall = parts.firewall()
        self._driver = driver = self._firewall.open()
        self._paths = paths
        self._clock = clock
        self._manager = ServiceManager.from_environment()
        self._watchdog = Watchdog(self._manager, clock.monotonic)
        self._stopping = threading.Event()
        self._loop: AgentLoop | None = None
        self._link: LineLink | None = None
        self._lock = lock_state(paths.state)
        self._memory = HeldFile(paths.state, clock)
        returning = Returning(parts.next_hops, parts.own_addresses, clock.boottime)
        guard = guard_of_host(paths.guard)
        self._reconciler = Reconciler(driver, self._memory, clock, guard, returning)

    def run(self, server: str, token_file: Path | None, proxy_ca: Path | None = None) -> int:
        """Until SIGTERM or SIGINT; returns the exit code.

        The token is read, or asked for, when the ports are closed and only when it is needed.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self.close_first()
        self._manager.notify("READY=1\nSTATUS=rules are in place")
        identity = self._identity(server, token_file, proxy_ca)
        if identity is None:
            return 0
        witness = Witness(self._paths.state, identity.tenant_id)
        link = LineLink(
            identity,
            trust_of(self._paths.state),
            self._clock,
            witness,
            Trusted(self._paths.state, identity),
        )
        self._link = link
        unkept = self._firewall.needs.unkept
        own_weaknesses = (unkept(),) if unkept and not self._manager.is_present else ()
        loop = AgentLoop(
            self._reconciler,
            self._driver,
            link,
            self._clock,
            self._parts.local_port_range,
            LocalOpenings(self._paths.state),
            witness,
            identity.machine_uid,
            self._firewall.name,
            own_weaknesses,
            self._parts.own_addresses,
            self._parts.answered_by,
            alive=self._watchdog.alive,
        )
        for weakness in (*self._driver.condition().weaknesses, *own_weaknesses):
            log.warning("weak on this host", code=weakness.code, what=weakness.text)
        self._loop = loop
        if self._stopping.is_set():  # told so before there was a loop to stop
            loop.stop()
        listener = self._listen(loop)
        metrics = self._metrics_of(loop)
        warner = warner_from_environment(lambda: self._reconciler.held, self._clock)
        if warner is not None:
            warner.start()
        try:
            loop.run()
        finally:
            for each in (metrics, warner):
                if each is not None:
                    each.stop()
            listener.close()
            self._paths.control.unlink(missing_ok=True)
            link.close()
        return 0

    def _listen(self, loop: AgentLoop) -> ControlSocket:
        """For root's commands; raises ConfigurationError."""
        path = self._paths.control
        try:
            return ControlSocket(path, handler_for(loop, self._uninstall))
        except OSError as error:
            raise ConfigurationError(
                f"No control socket can be made at {path}: {error.strerror or error}.",
                advice="Give a shorter path in a directory that exists: --control FILE.",
            ) from error

    def _metrics_of(self, loop: AgentLoop) -> Textfile | None:
        """Who writes the metrics, at work."""
        if self._paths.metrics is None:
            return None

        def ask() -> Told:
            return loop.ask(lambda: Told(loop.status(), self._driver.condition().is_owned))

        textfile = Textfile(self._paths.metrics, ask, self._clock.now)
        textfile.start()
        return textfile

    def close_first(self) -> None:
        """Close what is to be closed and own the rules; raises EnforcementFailed when it cannot."""
        kernel = self._driver.observe().rules
        self._reconciler.restore(kernel)
        self._reconciler.notes.extend(self._memory.notes)
        self._driver.own(self._manager)
        outcome = self._reconciler.reconcile()
        log.info(
            "rules are in place",
            closed=[str(closed.port) for closed in sorted(self._reconciler.held.closed, key=str)],
            restored=len(self._reconciler.held.leases),
            intact=outcome.observed.is_intact,
        )

    def _identity(
        self, server: str, token_file: Path | None, proxy_ca: Path | None
    ) -> Identity | None:
        """Who we are, enrolling when we must; None when told to stop meanwhile."""
        known = load_identity(self._paths.state)
        token = self._offered_token(token_file, is_needed=known is None)
        if known is not None and not (token and self._is_to_enrol(known, token)):
            if token and not is_enrolled_by(self._paths.state, token):
                log.warning(
                    "the token was not used: this machine is enrolled already",
                    advice="For a new key: bascule agent install --server URL",
                )
            return known
        if not server:
            raise ConfigurationError(
                "This agent is not enrolled, and does not know its server.",
                advice="Give --server URL: bascule machine enrol NAME prints it.",
            )
        with _interruptible():
            wanted = token or parse_token(ask_token())
        trusted = read_proxy_ca(proxy_ca, wanted)
        self._reconciler.begin_anew()
        self._keep_shut()
        return self._retry(
            lambda: enrol(self._paths.state, server, wanted, self._clock, proxy_ca=trusted)
        )

    def _offered_token(self, file: Path | None, *, is_needed: bool) -> EnrolmentToken | None:
        """The token of the file or the environment.

        Who is enrolled goes on when its file is gone or is no token: it was for one use.
        """
        try:
            with _interruptible():
                text = offered_token(file)
            return parse_token(text) if text else None
        except BasculeError as error:
            if is_needed:
                raise
            log.warning("no token was read; this machine is enrolled already", why=error.message)
            return None

    def _is_to_enrol(self, known: Identity, token: EnrolmentToken) -> bool:
        """Is the token for another machine, or one whose enrolment was cut short here?"""
        return token.machine_uid != known.machine_uid or is_begun(self._paths.state, token)

    def _retry(self, attempt: Callable[[], Identity]) -> Identity | None:
        wait = SHORTEST_RETRY
        while not self._stopping.is_set():
            self._watchdog.alive()
            try:
                return attempt()
            except (ServerUnreachable, ssl.SSLError, OSError) as error:
                log.warning("cannot enrol yet", why=str(error))
            self._stopping.wait(random.uniform(wait / 2, wait))  # noqa: S311  # reason: jitter
            wait = min(wait * 2, LONGEST_RETRY)
            self._keep_shut()
        return None

    def _keep_shut(self) -> None:
        try:
            self._reconciler.reconcile()
        except EnforcementFailed as error:
            log.error("pass failed", why=error.message)

    def _uninstall(self) -> Uninstalled:
        """Take every rule and file away and end; returns what this opens."""
        closed = sorted(
            (each.port for each in firewall_rules(self._reconciler.held, 0.0).closed),
            key=port_order,
        )
        self._driver.remove()
        told = False
        if self._link is not None:
            told = tell_server(self._link, last_report(closed, self._driver.condition().facts))
        remove_files(self._paths.state)
        if self._loop is not None:
            self._loop.abandon()
        self._manager.notify("STOPPING=1")
        return {
            "opened": [str(port) for port in closed],
            "rules": self._firewall.needs.rules,
            "state": str(self._paths.state.absolute()),
            "told": told,
        }

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        del number, frame
        self._stopping.set()
        if self._loop is not None:
            self._loop.stop()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM interrupt what is read here: a read goes on after a handler (PEP 475)."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def make_state_directory(state: Path) -> None:
    """Have it there and ours to write; raises ConfigurationError."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = "" if os.access(state, os.W_OK | os.X_OK) else "it is not writable"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason:
        raise ConfigurationError(
            f"The state directory {state} cannot be used: {reason}.",
            advice="Run this as root, or give another one: --state DIR.",
        )


def lock_state(state: Path) -> int:
    """Only one agent on a state directory; the lock ends with the process."""
    make_state_directory(state)
    try:
        descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{state / LOCK_FILE} cannot be opened: {error.strerror}.",
            advice="Free space, or give another state directory: --state DIR.",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError(
            f"Another agent runs on {state}.", advice="Stop it first: systemctl stop bascule-agent."
        ) from None
    return descriptor
