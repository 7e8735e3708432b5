"""The daemon of one lab: makes it, keeps its programs running, takes it down.

It plays the service manager for them: a program that ended is started again after a second
(systemd.service(5) Restart=always, RestartSec=1), and the descriptors that an agent stored are
kept and handed to the next one (``fdstore``), so that the agent's table stays owned while no
agent lives. One thread, one epoll: what happens, happens in order.

It ends on SIGTERM or SIGINT, and when the foreground ``lab up`` that it belongs to is gone.
What is not here: how a program is started (``launch``), what runs (``units``).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule.lab import units
from bascule.lab.environment import bascule_command, code_folders, find_tool, host_environment
from bascule.lab.fdstore import FdStore, parse_notice
from bascule.lab.folder import LabFolder
from bascule.lab.host import BuiltHost, HostPlan, build_host, prepare_run, receive
from bascule.lab.launch import Start, start_in
from bascule.lab.network import make_network, remove_network
from bascule.lab.packages import postgresql_programs
from bascule.lab.person import Person, current_person
from bascule.lab.processes import (
    NETNS_FOLDER,
    end_all,
    identify,
    mark_of,
    registered_networks,
)
from bascule.lab.resources import read_tokens
from bascule.lab.sshd import write_ssh_files
from bascule.lab.state import HostEntry, LabState, write_state
from bascule.lab.topology import Shape, Topology, default_topology
from bascule.lab.units import Unit

RESTART_SECONDS = 1.0
TOO_MANY_DEATHS = 3  # of one unit before the lab stands: then it never will
START_SECONDS = 150.0  # twice that with a cluster of PostgreSQL
STOP_SECONDS = 5.0


class LabFailure(Exception):
    """The lab cannot come to stand; the text says why."""


@dataclass(slots=True)
class Running:
    """One unit and its process."""

    unit: Unit
    store: FdStore
    pid: int = 0  # 0: no process now
    deaths: int = 0
    restart_at: float = 0.0  # monotonic; 0: not waiting for a restart
    is_leaving: bool = False  # it said STOPPING=1: it has uninstalled itself

    def may_restart(self) -> bool:
        return not self.unit.is_oneshot and not self.is_leaving


class Supervisor:
    """One lab from its first namespace to its last."""

    def __init__(self, folder: LabFolder, topology: Topology, listener: int, port: int) -> None:
        self._folder = folder
        self._topology = topology
        self._listener = listener
        self._person: Person = current_person()
        self._bascule = bascule_command()
        self._hosts: dict[str, BuiltHost] = {}
        self._running: dict[str, Running] = {}
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._is_stopping = False
        self._began_at = time.monotonic()
        own = identify(os.getpid())
        if own is None:
            raise LabFailure("/proc does not show this process: is it mounted?")
        self.state = LabState(topology.lab, port, own, is_rootless=not self._person.is_root)
        self.state.shape = str(topology.shape)

    # -- telling --------------------------------------------------------------------------

    def _write(self) -> None:
        write_state(self._folder.state, self.state)

    def _step(self, text: str) -> None:
        self.state.steps.append(text)
        self._write()

    # -- making ---------------------------------------------------------------------------

    def run(self) -> int:
        """Make the lab, keep it until told to end, take it down; answer the exit code."""
        self._write()
        self._watch_signals()
        try:
            self._make()
            while not self._is_stopping:
                self._turn()
        except Exception as error:  # noqa: BLE001  # reason: whatever it was: take all down and say why
            self.state.error = str(error) or repr(error)
            self.state.advice = error.advice if isinstance(error, BasculeError) else ""
            traceback.print_exc()  # into the supervisor's log
        finally:
            self._take_down()
        return 1 if self.state.error else 0

    def _make(self) -> None:
        kept = (*code_folders(), self._folder.root)
        if self.state.is_rootless:
            prepare_run(mark_of(self._folder.root), kept)
        make_network(self._topology)
        write_ssh_files(self._topology, self._folder, self._person)
        for host in self._topology.hosts:
            names = units.notify_units(self._topology, host)
            plan = HostPlan(self._topology, host, self._folder, self._person, kept, names)
            built = build_host(plan)
            self._hosts[host.name] = built
            self.state.hosts[host.name] = HostEntry(built.net, built.uts, built.mnt)
        self._step(
            "network: " + ", ".join(f"{host.name} {host.ipv4}" for host in self._topology.hosts)
        )
        sshd = find_tool("sshd") or "sshd"
        for machine in self._topology.known:
            self._add(units.sshd(machine, sshd))
        if self._topology.database is None:
            self._serve()
            return
        programs = postgresql_programs()
        if programs is None:
            raise LabFailure("PostgreSQL's programs are gone")
        host = self._topology.database
        self._add(units.database(self._topology, host, self._folder, sys.executable, programs))
        self._add(units.database_ready(host, programs))

    def _serve(self) -> None:
        """Start the first server, which makes the installation, and what is done to it."""
        if self._topology.replicas:
            self._add(units.balancer(self._topology, self._folder, sys.executable))
        first = self._topology.servers[0]
        self._add(units.server(self._topology, self._folder, self._bascule, first))
        self._add(units.seed(self._topology, sys.executable, self._folder, units.SEED))

    def _seeded(self) -> None:
        """The server knows the machines: further servers join it, then the agents start."""
        for host in self._topology.servers[1:]:
            self._add(units.invite(self._topology, self._folder, self._bascule, host))
        self._start_agents_with_all()

    def _invited(self, host: str) -> None:
        where = self._topology.host(host)
        self._add(units.server(self._topology, self._folder, self._bascule, where))
        self._start_agents_with_all()

    def _start_agents_with_all(self) -> None:
        """Once each server was started."""
        if not all(each.name in self._running for each in self._topology.servers):
            return
        self._step(
            f"server: {self._topology.server_url}, on this machine https://localhost:"
            f"{self.state.port}"
        )
        for name, token in read_tokens(self._folder).items():
            machine = self._topology.host(name)
            self._add(units.agent(self._topology, self._folder, self._bascule, machine, token))
        self._add(units.seed(self._topology, sys.executable, self._folder, units.AWAIT))

    def _stands(self) -> None:
        self.state.phase = "running"
        took = time.monotonic() - self._began_at
        names = ", ".join(machine.name for machine in self._topology.agents)
        self._step(f"agents: {names} online ({took:.1f} s in all)")

    # -- programs -------------------------------------------------------------------------

    def _add(self, unit: Unit) -> None:
        running = Running(unit, FdStore(close=self._close_stored))
        self._running[unit.name] = running
        notify = self._hosts[unit.host.name].notify.get(unit.name)
        if notify is not None:
            notify.setblocking(False)
            self._watch(notify.fileno(), lambda: self._hear(running, notify))
        self._start(running)

    def _start(self, running: Running) -> None:
        unit = running.unit
        handed = [(entry.name, entry.fd) for entry in running.store.entries]
        if unit.takes_listen_socket:
            handed.insert(0, (units.LISTEN_NAME, self._listener))
        environment = host_environment(self._person, os.environ) | unit.environment
        start = Start(
            unit.argv, environment, self._person.home, self._folder.log(unit.name), handed
        )
        running.pid = start_in(self._hosts[unit.host.name], start)
        running.restart_at = 0.0
        process = identify(running.pid)
        if process is not None:
            self.state.processes[unit.name] = process
        self._write()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for running in list(self._running.values()):
                    if running.pid == pid:
                        self._ended(running, os.waitstatus_to_exitcode(status))

    def _ended(self, running: Running, code: int) -> None:
        name = running.unit.name
        running.pid = 0
        self.state.processes.pop(name, None)
        if self._is_stopping:
            return
        if running.unit.is_oneshot:
            self._oneshot_ended(name, code)
            return
        running.deaths += 1
        if self.state.phase == "starting" and running.deaths >= TOO_MANY_DEATHS:
            raise LabFailure(
                f"{name} keeps failing (exit code {code}):\n" + self._folder.tail(name)
            )
        if self._is_stopped(running):
            running.restart_at = 0.0
        elif running.may_restart():
            running.restart_at = time.monotonic() + RESTART_SECONDS
        else:
            running.store.clear()
        self._write()

    def _oneshot_ended(self, name: str, code: int) -> None:
        if code != 0:
            raise LabFailure(f"{name} failed (exit code {code}):\n{self._folder.tail(name)}")
        if name == units.DATABASE_READY:
            self._step(f"database: PostgreSQL in {units.DATABASE}")
            self._serve()
        elif name == units.SEED:
            self._seeded()
        elif name.startswith(units.INVITE):
            self._invited(name.removeprefix(units.INVITE))
        else:
            self._stands()

    # -- the fd store ---------------------------------------------------------------------

    def _hear(self, running: Running, notify: socket.socket) -> None:
        """Take all notices that wait; what a service sent in order is done in order."""
        while True:
            try:
                data, fds = receive(notify, 65536)
            except BlockingIOError:
                return
            fields = parse_notice(data)
            running.is_leaving |= fields.get("STOPPING") == "1"
            for entry in running.store.accept(fields, fds):
                if entry.is_polled:
                    self._watch_stored(running, entry.fd)

    def _watch_stored(self, running: Running, fd: int) -> None:
        with contextlib.suppress(PermissionError):  # a plain file never hangs up
            self._watch(fd, lambda: running.store.drop(fd), 0)

    def _close_stored(self, fd: int) -> None:
        """Close a descriptor; epoll would go on watching what a started program holds too."""
        if fd in self._handlers:
            self._unwatch(fd)
        os.close(fd)

    # -- the loop -------------------------------------------------------------------------

    def _watch(self, fd: int, handler: Callable[[], None], events: int = select.EPOLLIN) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def _unwatch(self, fd: int) -> None:
        self._epoll.unregister(fd)
        del self._handlers[fd]

    def watch_tether(self, fd: int) -> None:
        """End when the other end of this pipe is closed, which its holder's death does too."""

        def gone() -> None:
            self._unwatch(fd)
            self._is_stopping = True

        self._watch(fd, gone)

    def _watch_signals(self) -> None:
        """Have signals wake the loop through a pipe, so that none comes between two steps."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def woken() -> None:
            numbers = os.read(reader, 4096)
            self._is_stopping |= signal.SIGTERM in numbers or signal.SIGINT in numbers
            self._reap()
            if signal.SIGUSR1 in numbers:
                self._start_again()

        self._watch(reader, woken)

    def _start_again(self) -> None:
        """Start what was stopped by word and is wanted again (``stopping``)."""
        for running in self._running.values():
            if running.pid == 0 and running.may_restart() and not self._is_stopped(running):
                self._start(running)

    def _is_stopped(self, running: Running) -> bool:
        """By word."""
        return self._folder.stopped(running.unit.name).exists()

    def _turn(self) -> None:
        """Wait for the next thing to happen and do it."""
        now = time.monotonic()
        patience = START_SECONDS * (1 if self._topology.database is None else 2)
        if self.state.phase == "starting" and now - self._began_at > patience:
            raise LabFailure(
                f"the lab was not up within {patience:.0f} s. The last step that was done: "
                f"{self.state.steps[-1] if self.state.steps else 'none'}. See the logs in "
                f"{self._folder.root / 'logs'}"
            )
        waits = [
            running.restart_at - now for running in self._running.values() if running.restart_at
        ]
        if self.state.phase == "starting":
            waits.append(START_SECONDS)
        for fd, _ in self._epoll.poll(max(0.0, min(waits)) if waits else -1):
            if fd in self._handlers:  # an earlier one of this turn may have dropped it
                self._handlers[fd]()
        now = time.monotonic()
        for running in list(self._running.values()):
            if not running.restart_at or running.restart_at > now or self._is_stopping:
                continue
            if self._is_stopped(running):  # after it died
                running.restart_at = 0.0
            else:
                self._start(running)

    # -- taking down ----------------------------------------------------------------------

    def _take_down(self) -> None:
        """End all programs, gently first, then everything else that stands in the hosts."""
        self._is_stopping = True
        self.state.phase = "stopping"
        self._write()
        for running in self._running.values():
            if running.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running.pid, units.gentle_signal(running.unit.name))
        deadline = time.monotonic() + STOP_SECONDS
        while any(running.pid for running in self._running.values()):
            if time.monotonic() > deadline:
                break
            self._reap()
            time.sleep(0.02)
        for running in self._running.values():
            running.store.clear()
        names = [name for name in self._topology.namespaces if (NETNS_FOLDER / name).exists()]
        stubborn = end_all(mark_of(self._folder.root), registered_networks(tuple(names)))
        if stubborn:
            self.state.error += f"\nthese processes did not end: {stubborn}"
        with contextlib.suppress(BasculeError):  # `up` and `down` try again
            remove_network(names)
        self.state.phase = "failed" if self.state.error else "stopping"
        self._write()


def main(arguments: list[str]) -> int:
    """FOLDER LAB SHAPE PORT LISTENER [TETHER]: the last two are inherited descriptors."""
    root, lab, shape, port, listener, *tether = arguments
    os.umask(0o022)
    os.set_inheritable(int(listener), False)
    folder = LabFolder(Path(root))
    topology = default_topology(lab, Shape.parse(shape))
    supervisor = Supervisor(folder, topology, int(listener), int(port))
    for fd in map(int, tether):
        os.set_inheritable(fd, False)
        supervisor.watch_tether(fd)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
