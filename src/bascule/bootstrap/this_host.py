"""``serve --this-host``: the agent's loop in the server's process, on its own firewall.

The same loop and reconciler as a remote agent's; only the link is a function call.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from bascule.agent.control import ControlSocket, Uninstalled, handler_for
from bascule.agent.guard_file import DEFAULT_PATH, guard_of_host
from bascule.agent.link import KeyRefused, Listener, WithoutLine
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.memory import HeldFile
from bascule.agent.service_manager import ServiceManager
from bascule.client.host_agent import CONTROL_NAME, DEFAULT_CONTROL, is_answering
from bascule.domain.desired import DesiredState
from bascule.domain.ids import is_name, machine_id
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import parse_address
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    ConfigurationError,
    Conflict,
    ServerUnreachable,
)
from bascule.interfaces.driver import HostParts
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.report import Report
from bascule.reconcile.reconciler import Reconciler
from bascule.reconcile.returning import Returning
from bascule.services.act import IN_PROCESS_KEY, Act, Services
from bascule.services.fleet import state_for
from bascule.services.hub import machine_topic, wait_for
from bascule.services.installation import DEFAULT_RESOURCE_GROUP
from bascule.services.machines import MachineDraft, put_machine
from bascule.services.reports import take_report

log = structlog.get_logger("bascule.agent")
T = TypeVar("T")


def enrol_this_host(
    tx: Transaction, act: Act, installation: Installation, name: str, addresses: tuple[str, ...]
) -> Machine:
    """The machine that this server runs on, in the inventory, with a point: its own, unless
    another agent has that place.
    """
    wanted = machine_id(installation.subscription_id, DEFAULT_RESOURCE_GROUP, name)
    machine = tx.machine(wanted)
    if machine is None:
        draft = MachineDraft(addresses=tuple(parse_address(text) for text in addresses))
        machine, _ = put_machine(tx, act, wanted, draft, installation.location)
    point = tx.agent_of(machine.uid)
    if point is not None and point.public_key != IN_PROCESS_KEY:
        log.error(
            "another agent has this host's place: nothing is opened and no new port is closed here",
            machine=machine.id.name,
            next="If that is another host, give this one another name: hostnamectl set-hostname "
            "NAME. If its agent was here once, remove it in the portal, on the page Enforcement "
            "points. Then start again.",
        )
    if point is None:
        tx.put_enforcement_point(EnforcementPoint(machine.uid, IN_PROCESS_KEY, act.now))
        tx.advance_generation(machine.uid)
    return machine


class LocalLink(WithoutLine):
    """A Link that calls the services of this process from the loop's threads."""

    def __init__(
        self, services: Services, machine_uid: str, event_loop: asyncio.AbstractEventLoop
    ) -> None:
        self._services = services
        self._uid = machine_uid
        self._event_loop = event_loop

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        meanwhile()
        now = self._services.clock.now()
        try:
            return self._run(self._services.read(lambda tx: self._state(tx, now)))
        except AuthenticationFailed as error:  # the machine was deleted: closed all (EDGES A12)
            raise KeyRefused(error.message) from error

    def _state(self, reader: Reader, now: datetime) -> DesiredState:
        self._check_is_ours(reader)
        wanted = state_for(reader, self._uid, now)[1]
        return replace(wanted, installation=self._services.number.value)

    def send_report(self, report: Report) -> int:
        def take(tx: Transaction, act: Act) -> int:
            self._check_is_ours(tx)
            return take_report(tx, act, self._uid, report)

        return self._run(self._services.perform(take))

    def _check_is_ours(self, reader: Reader) -> None:
        """Two hosts must not be one machine: with another's key this one is refused (EDGES A12),
        keeps closed what it kept closed, and the server serves all others.
        """
        point = reader.agent_of(self._uid)
        if point is not None and point.public_key != IN_PROCESS_KEY:
            raise KeyRefused("Another agent is enrolled for this machine.")

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        self._run(self._follow(listener.on_generation, is_stopping), seconds=None)

    async def _follow(
        self, on_generation: Callable[[int], None], is_stopping: Callable[[], bool]
    ) -> None:
        def current(tx: Reader) -> int:
            return tx.generation(self._uid)

        with self._services.hub.listening(machine_topic(self._uid)) as woken:
            while not is_stopping() and not self._services.hub.is_closing:
                on_generation(await self._services.read(current))
                await wait_for(woken, 1.0)

    def _run(self, work: Coroutine[None, None, T], seconds: float | None = 10.0) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._event_loop).result(seconds)
        except (RuntimeError, TimeoutError) as error:
            raise ServerUnreachable("The server is stopping.") from error
        except BasculeError:
            raise
        except Exception as error:
            log.exception("the server could not answer its own agent")
            raise ServerUnreachable("The server failed.") from error


def refuse_uninstall(state: Path) -> Uninstalled:
    raise Conflict(
        "The Bascule server's own process protects this host (serve --this-host).",
        code="GuardedByServer",
        advice="Stop the server, or start it without --this-host. Then run bascule agent "
        f"uninstall --state {state}.",
    )


class ControlSockets:
    """Where root on this host finds the loop: beside its state, and where commands look."""

    def __init__(self, loop: AgentLoop, state: Path, well_known: Path) -> None:
        self._open: list[tuple[Path, ControlSocket]] = []
        handle = handler_for(loop, lambda: refuse_uninstall(state))
        for path in (state / CONTROL_NAME, well_known):
            try:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                if path == well_known and is_answering(path):
                    raise FileExistsError("another agent answers there")
                self._open.append((path, ControlSocket(path, handle)))
            except OSError as error:  # not ours to make, or longer than unix(7) allows
                log.warning("no control socket", path=str(path), why=str(error))

    def close(self) -> None:
        for path, listener in self._open:
            listener.close()
            path.unlink(missing_ok=True)


class ThisHost:
    """Runs the loop in a thread beside the server.

    Making one looks at the host's name and firewall and raises ConfigurationError when they
    will not do, before anything is served.
    """

    def __init__(
        self, services: Services, parts: HostParts, data: Path, control: Path = DEFAULT_CONTROL
    ) -> None:
        self._name = socket.gethostname().partition(".")[0]
        if not is_name(self._name):
            raise ConfigurationError(
                f"This host's name {self._name!r} is not a valid machine name.",
                advice="Change the host's name: hostnamectl set-hostname NAME.",
            )
        self._services = services
        self._parts = parts
        self._firewall = parts.firewall()
        self._driver = self._firewall.open()
        self._state = data / "this-host"
        self._control = control
        self._sockets: ControlSockets | None = None
        self._loop: AgentLoop | None = None
        self._thread: threading.Thread | None = None

    async def start(self, installation: Installation) -> None:
        """Close what is to be closed, then follow the server's own desired state."""
        machine = await self._services.perform(
            lambda tx, act: enrol_this_host(tx, act, installation, self._name, ())
        )
        self._state.mkdir(mode=0o700, exist_ok=True)
        memory = HeldFile(self._state, self._services.clock)
        reconciler = Reconciler(
            self._driver,
            memory,
            self._services.clock,
            guard_of_host(DEFAULT_PATH),
            Returning(
                self._parts.next_hops, self._parts.own_addresses, self._services.clock.boottime
            ),
        )
        reconciler.restore(self._driver.observe().rules)
        reconciler.notes.extend(memory.notes)
        self._driver.own(ServiceManager(None))
        reconciler.reconcile()
        link = LocalLink(self._services, machine.uid, asyncio.get_running_loop())
        self._loop = AgentLoop(
            reconciler,
            self._driver,
            link,
            self._services.clock,
            self._parts.local_port_range,
            LocalOpenings(self._state),
            machine_uid=machine.uid,
            driver_name=self._firewall.name,
        )
        self._thread = threading.Thread(target=self._loop.run, name="this-host", daemon=True)
        self._thread.start()
        self._sockets = ControlSockets(self._loop, self._state, self._control)
        log.info("guarding this host", machine=machine.id.name)

    async def stop(self) -> None:
        if self._sockets is not None:
            await asyncio.to_thread(self._sockets.close)
        if self._loop is not None and self._thread is not None:
            self._loop.stop()
            await asyncio.to_thread(self._thread.join, 5.0)
