"""One server and one agent on a small network, each a process that a test may do anything to.

    host    (10.77.0.1)  the machine web-1: its agent, and a listener on each port asked for
    client  (10.77.0.2)  whom grants name; the administrator speaks from here
    stranger             whom none does
    inner   (10.78.0.2)  the server

What a lab does by itself is in the test's hands here: when something starts again, with which
clock, disk or boot. ``Manager`` plays the service manager's part for the agent (its fd store).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bascule.client import access, audit, fleet, machines, policies
from bascule.client.connection import Connection, trust_file
from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId, machine_id, policy_id
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.errors import BasculeError, ServerUnreachable
from bascule.lab.fdstore import FdStore, listen_environment, parse_notice
from tests.e2e.lab_world import until
from tests.netns.network import CLIENT, HOST, INNER, Network

T = TypeVar("T")

PORT = 8443
BASCULE = (sys.executable, "-m", "bascule.bootstrap")
WEB = "web-1"
CONNECTED = '"event": "connected"'  # a line of an agent's log
# Numbers the handed descriptors from 3 on, says whose they are, and becomes the program.
LAUNCH = """
import os, sys
count, program = int(sys.argv[1]), sys.argv[2 + int(sys.argv[1]):]
given = [int(each) for each in sys.argv[2:2 + count]]
handed = [os.dup2(each, 500 + n) for n, each in enumerate(given)]
for each in given:
    os.close(each)
for n, each in enumerate(handed):
    os.dup2(each, 3 + n, inheritable=True)
    os.close(each)
if count:
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(program[0], program)
"""


class Manager:
    """A service manager's socket and fd store for one service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = FdStore()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 16)
            if data == b"end":
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self.store.accept(parse_notice(data), descriptors)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", str(self.path))
        self._thread.join()
        self.store.clear()
        self._socket.close()


class Program:
    """A process and its log; ended by its own pid."""

    def __init__(self, argv: Sequence[str], log: Path, **options: Any) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(argv), stdout=output, stderr=output, stdin=subprocess.DEVNULL, **options
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Signal it and its children (a wrapper's), wait; the exit code."""
        for pid in (*_children(self.pid), self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return self._process.wait(20)

    def innermost(self) -> int:
        """The pid of the program itself, past what it was wrapped in."""
        below = _children(self.pid)
        return below[0] if below else self.pid

    def pause(self) -> None:
        os.kill(self.innermost(), signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.innermost(), signal.SIGCONT)


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class SmallWorld:
    """Made with nothing running; ``start`` brings server, machine and agent up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.state = folder / "state"
        self.network = Network()
        self.manager = Manager(folder / "notify")
        self.server: Program | None = None
        self.agent: Program | None = None
        self.spare = ""
        self.token = ""
        self._connection: Connection | None = None
        self._agent_from = 0  # where the log of the agent that runs now begins

    # -- processes ------------------------------------------------------------------------

    def start(self, *ports: PortRule, program: Sequence[str] = BASCULE) -> None:
        """Server, machine with these rules, agent; all there and the ports shut."""
        self.start_server()
        self.add_machine()
        if ports:
            self.set_rules(*ports)
        self.start_agent(program=program)
        self.wait_enforced()

    def start_server(
        self,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        is_awaited: bool = True,
        program: Sequence[str] = BASCULE,
        options: Sequence[str] = (),
    ) -> Program:
        where = ("--data", str(self.data), "--listen", f"{INNER}:{PORT}", "--name", INNER)
        self.server = Program(
            (*self._inside(self.network.inner.name), *prefix, *program, "serve", *where, *options),
            self.folder / "server.log",
            env={**os.environ, **(environment or {})},
        )
        if is_awaited:
            assert until(self.is_served, 90), self.server.log.read_text()[-3000:]
        return self.server

    def start_agent(
        self,
        prefix: Sequence[str] = (),
        program: Sequence[str] = BASCULE,
        is_kept: bool = True,
        server: str = f"https://{INNER}:{PORT}",
        options: Sequence[str] = (),
    ) -> Program:
        """``is_kept``: under the manager, which hands it what an earlier one stored."""
        environment = dict(os.environ)
        handed = list(self.manager.store.entries) if is_kept else []
        self._agent_from = len(self.agent_log())
        if is_kept:
            environment["NOTIFY_SOCKET"] = str(self.manager.path)
            environment |= listen_environment([each.name for each in handed])
        numbers = [str(each.fd) for each in handed]
        launch = (sys.executable, "-c", LAUNCH, str(len(numbers)), *numbers)
        arguments = ["agent", "run", "--state", str(self.state), "--control", str(self.control)]
        arguments += ["--guard", str(self.folder / "guard.toml"), *options]
        if self.token:
            arguments += ["--server", server]
            environment[TOKEN_VARIABLE] = self.token
        self.agent = Program(
            (*self._inside(self.network.host.name), *prefix, *launch, *program, *arguments),
            self.folder / "agent.log",
            env=environment,
            pass_fds=[each.fd for each in handed],
        )
        return self.agent

    @staticmethod
    def _inside(namespace: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", namespace)

    @property
    def control(self) -> Path:
        return self.folder / "agent.sock"

    def restart_agent(self, **how: Any) -> Program:
        assert self.agent is not None
        self.agent.kill()
        return self.start_agent(**how)

    def on_host(
        self, *command: str, check: bool = True, token: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """``bascule`` typed by root on the machine, with an enrolment token in the environment."""
        environment = {k: v for k, v in os.environ.items() if k != "SSH_CONNECTION"}
        if token:
            environment[TOKEN_VARIABLE] = token
        done = subprocess.run(
            [*self._inside(self.network.host.name), *BASCULE, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=environment,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def status(self) -> tuple[str, ...]:
        """The command that asks this world's agent how it stands."""
        where = ("--state", str(self.state), "--control", str(self.control))
        return ("agent", "status", *where, "-o", "json")

    def agent_status(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.on_host(*self.status).stdout)
        return said

    # -- the administrator, on client -----------------------------------------------------

    @property
    def admin(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / "admin.json").read_text())
        return found

    def connect(self, port: int = PORT) -> Connection:
        """A new connection, to be used and closed by a thread that is in ``client``."""
        admin = self.admin
        return Connection(
            f"https://{INNER}:{port}",
            admin["subscription_id"],
            Credentials(*(admin[k] for k in ("tenant_id", "client_id", "client_secret"))),
            trust_file(self.data / "ca.pem"),
            SystemClock(),
        )

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Call the server from ``client``; the connection outlives server restarts."""

        def inside() -> T:
            if self._connection is None:
                self._connection = self.connect()
            try:
                return work(self._connection)
            except ServerUnreachable as error:
                error.add_note(self.logs())
                raise

        return self.network.client.inside(inside)

    def is_served(self) -> bool:
        try:
            self.ask(machines.list_machines)
        except (BasculeError, OSError, ValueError):
            self.forget_connection()  # admin.json may be of a first start that was killed
            return False
        return True

    def forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def machine_id(self) -> ResourceId:
        return machine_id(self.admin["subscription_id"], "default", WEB)

    @property
    def policy_id(self) -> ResourceId:
        return policy_id(self.admin["subscription_id"], "default", "local", "default")

    def add_machine(self) -> machines.Machine:
        made, _ = self.ask(lambda c: machines.put_machine(c, self.machine_id, [HOST], "Linux"))
        # The spare is refused once an agent is enrolled: afterwards none such is made any more.
        self.spare, self.token = self.enrol_token(), self.enrol_token()
        return made

    def enrol_token(self, replaces: bool = False) -> str:
        made = self.ask(
            lambda c: fleet.enrol(c, self.machine_id, replaces=replaces, valid_minutes=15)
        )
        return made.token

    def machine(self) -> machines.Machine:
        return self.ask(lambda c: machines.get_machine(c, self.machine_id))

    def set_rules(self, *ports: PortRule) -> None:
        self.ask(lambda c: policies.put_machine_rules(c, self.machine_id, ports, "default"))

    def request(self, port: int, seconds: float, source: str = CLIENT, wait: int = 10) -> str:
        """Ask, wait until it is settled; the request's id."""

        def work(connection: Connection) -> str:
            asked = access.PortRequest(port, timedelta(seconds=seconds), None, source)
            made = access.initiate(connection, self.policy_id, self.machine_id, [asked])
            if wait:
                access.get_request(connection, made, wait)
            return made

        return self.ask(work)

    def port_of(self, request_id: str) -> access.GrantedPort:
        """The only port of a request, as it is now."""
        found = self.ask(lambda c: access.get_request(c, request_id))
        ((_, port),) = found.ports()
        return port

    def end_of(self, request_id: str) -> float:
        """When a request ends by this machine's clock, as a moment of time.monotonic()."""
        left = self.port_of(request_id).ends_at - SystemClock().now()
        return time.monotonic() + left.total_seconds()

    def wait_state(self, request_id: str, state: str, seconds: float = 10.0) -> None:
        assert until(lambda: self.port_of(request_id).state == state, seconds), self.port_of(
            request_id
        )

    def wait_enforced(self, seconds: float = 40.0) -> None:
        """Until the agent that runs now is connected and the newest generation was reported.

        What the server knows of the agent before it says nothing of this one.
        """

        def is_so() -> bool:
            if CONNECTED not in self.agent_log()[self._agent_from :]:
                return False
            point = self.machine().point
            return point is not None and point.observed_generation >= point.generation

        assert until(is_so, seconds), self.logs()

    def events(self, kind: str, since: datetime | None = None) -> list[audit.AuditEvent]:
        """Oldest first."""
        found = self.ask(
            lambda c: list(audit.events(c, audit.Wanted(since=since, kind=kind), 1000))
        )
        return found[::-1]

    def logs(self) -> str:
        names = ("server.log", "agent.log")
        return "\n".join(
            f"{name}: {(self.folder / name).read_text()[-2500:]}"
            for name in names
            if (self.folder / name).exists()
        )

    def agent_log(self) -> str:
        """Of all agents so far."""
        log = self.folder / "agent.log"
        return log.read_text() if log.exists() else ""

    # -- packets --------------------------------------------------------------------------

    def lets_in(self, port: int, wait: float = 0.3) -> bool:
        return self.network.client.reaches(port, wait=wait)

    def lets_stranger_in(self, port: int) -> bool:
        return self.network.stranger.reaches(port)

    def close(self) -> None:
        self.forget_connection()
        for program in (self.agent, self.server):
            if program is not None:
                program.kill()
        self.manager.close()
        self.network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            sys.stderr.write(self.logs())
        self.close()


def rule(number: int, protocol: str = "TCP", on_expiry: str = "keep", hours: float = 3) -> PortRule:
    anywhere = (AddressPrefix(None),)
    longest = timedelta(hours=hours)
    return PortRule(number, RuleProtocol(protocol), anywhere, longest, OnExpiry(on_expiry))


def sleep_until(moment: float) -> None:
    """``moment`` is of time.monotonic()."""
    time.sleep(max(0.0, moment - time.monotonic()))
