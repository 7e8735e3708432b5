"""One lab for faults: up and down, which code it runs, its processes, cables and kernels.

The code is a copy made when the lab comes up, so that nothing which is being edited meanwhile
is started half-way through; a planted bug is another copy (``planted``).
What is not here: what is done to it (``faults``) and what is thought of it (``judge``).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

import bascule
from bascule.client.connection import Answer, Connection, trust_file
from bascule.client.tokens import Credentials, Person, Token
from bascule.clocks import SystemClock
from bascule.domain.clients import BASCULE_CLI
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.stages import Approvers, Stage
from bascule.lab import preflight
from bascule.lab.folder import LabFolder
from bascule.lab.lifecycle import Launched, follow
from bascule.lab.processes import NETNS_FOLDER, ProcessId
from bascule.lab.resources import LOCATION, POLICY_NAME, RESOURCE_GROUP, machine_id, read_admin
from bascule.lab.state import read_state
from bascule.lab.topology import Shape, Topology
from bascule.lab.units import BALANCER, DATABASE, agent_unit
from tests.e2e.lab_world import NOT_READY, LabWorld
from tests.faults import accounts
from tests.faults.history import boottime
from tests.faults.kernels import Kernel, Ruleset, Rulesets, read_kernel
from tests.faults.schedule import (
    BEHIND,
    CLOCK_TURNED,
    KEEP_PORT,
    LINKS,
    MACHINES,
    PUBLIC,
    Due,
)
from tests.faults.second import addresses_at, fault_topology
from tests.faults.signed_in import sign_in
from tests.faults.supervisor import (
    CODE,
    FAKETIME,
    PORTS,
    boot_file,
    clock_file,
    lost_file,
    token_file,
)

PLAIN = Shape()
REPOSITORY = Path(__file__).resolve().parents[2]
EVERY = 0.008  # seconds between two knocks of one watcher
WATCHERS = ("client", "stranger")
LOST_WITHIN = 10.0  # seconds for a dead agent to be followed by the next
_CONNECTED = '"event": "connected"'  # lines of an agent's log, which say where it is
_SHUT = '"event": "rules are in place"'
PARTED = """\
table inet parted_{other} {{
    chain heard {{
        type filter hook input priority 0; policy accept;
        ip saddr {ipv4} drop
        ip6 saddr {ipv6} drop
    }}
}}
"""
_TURNS = (_CONNECTED, _SHUT, '"server away', '"key refused')
_UNDER = r"under the id ([0-9a-f-]{36})"  # in an answer of status 500, and its line of the log


@dataclass
class World:
    lab: LabWorld
    shape: Shape = PLAIN
    topology: Topology = field(init=False)
    folder: LabFolder = field(init=False)
    _watchers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _launched: Launched | None = None
    _tokens: dict[str, Token] = field(default_factory=dict)  # of users who have signed in

    def __post_init__(self) -> None:
        self.topology = fault_topology(self.lab.name, self.shape)
        self.folder = LabFolder(self.lab.folder)

    # -- up and down --------------------------------------------------------------------

    def up(self) -> None:
        self.folder.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.create([host.name for host in self.topology.hosts])
        code = self.code
        copy_code(Path(bascule.__file__).parent, code)
        self.use_code(code)
        with preflight.listen_on_loopback(self.lab.port) as listener:
            argv = [sys.executable, "-m", "tests.faults.supervisor", str(self.folder.root)]
            argv += [self.lab.name, str(self.shape), str(self.lab.port), str(listener.fileno())]
            with self.folder.supervisor_log.open("ab") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": f"{code}:{REPOSITORY}"},
                )
            self._launched = Launched(self.folder, process, None)
            while process.poll() is None and not self.folder.state.exists():
                time.sleep(0.02)
        follow(self._launched, lambda _: None)
        if self.topology.database is not None:
            with self.connection() as admin:
                accounts.ask_for_people(admin, self.folder.root)
            self._keep_log_small()
        with self.connection() as admin:
            accounts.ask_for_approvers(admin, self.folder.root)
        self._watch()

    def _keep_log_small(self) -> None:
        """The database's disk is small."""
        place = make_conninfo("", host=str(self.folder.database), user="postgres")
        with psycopg.connect(place, dbname="postgres", autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
            connection.execute("SELECT pg_reload_conf()")

    def down(self) -> None:
        for watcher in self._watchers:
            watcher.kill()
            watcher.wait()
        if self._launched is not None:
            self._launched.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launched.process.wait(20)
        self.lab.down()
        if self.folder.database.is_mount():
            run("umount", "--lazy", str(self.folder.database))
        for (
            name
        ) in self.topology.namespaces:  # that of ``second`` too, if its supervisor was killed
            if (NETNS_FOLDER / name).exists():
                run("ip", "netns", "delete", name)

    @property
    def code(self) -> Path:
        """The program as it was when the lab came up."""
        return self.folder.root / "code-as-it-is"

    def use_code(self, code: Path) -> None:
        """Have server and agents run this copy from their next start on."""
        (self.folder.root / CODE).write_text(f"{code}:{REPOSITORY}")

    # -- the watchers -------------------------------------------------------------------

    def _watch(self) -> None:
        targets = [f"{each.address}/{each.number}" for each in knocked_at(self.topology)]
        for name in WATCHERS:
            argv = ["ip", "netns", "exec", self._namespace(name), sys.executable]
            argv += ["-m", "tests.faults.watcher", str(self.seen_file(name)), str(EVERY), *targets]
            with self.folder.log(f"watcher-{name}").open("ab") as log:
                self._watchers.append(
                    subprocess.Popen(argv, stdout=log, stderr=log, cwd=REPOSITORY)
                )

    def seen_file(self, name: str) -> Path:
        return self.folder.root / f"seen-{name}"

    # -- processes and cables -----------------------------------------------------------

    def process(self, unit: str) -> ProcessId | None:
        """The process of a server, the balancer, the database, or a machine's agent; None between two
        of them.
        """
        state = read_state(self.folder.state)
        name = unit if unit in (*self.servers, BALANCER, DATABASE) else agent_unit(unit)
        found = state.processes.get(name) if state is not None else None
        return found if found is not None and found.is_alive() else None

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.topology.servers)

    def said_of_failures(self, findings: Iterable[str]) -> list[str]:
        """Lines of the servers' logs that answers refer to: "under the id ..."."""
        ids = {each for finding in findings for each in re.findall(_UNDER, finding)}
        return [
            f"{server}: {line}"
            for server in (self.servers if ids else ())
            for line in self.folder.log(server).read_text(errors="replace").splitlines()
            if any(each in line for each in ids)
        ]

    def not_serving(self) -> list[str]:
        """The replicas that do not say that they are ready, by their addresses."""
        hosts = [each.ipv4 for each in self.topology.replicas]
        ca_file = read_admin(self.folder)["ca_file"]
        argv = ["ip", "netns", "exec", self._namespace("client"), sys.executable, "-c", NOT_READY]
        return run(*argv, ca_file, *hosts).split() if hosts else []

    def part(self, replica: str, other: str, *, is_parted: bool) -> None:
        """It hears nothing of the other, which is not told so: nothing is refused."""
        found = self.topology.host(other)
        text = PARTED.format(ipv4=found.ipv4, ipv6=found.ipv6, other=other)
        if not is_parted:
            text = f"delete table inet parted_{other}\n"
        code, said = self.nft(replica, "-f", "-", text=text)
        assert code == 0, said

    def send(self, unit: str, number: signal.Signals) -> ProcessId | None:
        """Signal a unit's process, if there is one now."""
        found = self.process(unit)
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, number)
        return found

    def is_ready(self, machine: str) -> bool:
        """Does its agent live and, by its own log, have what the server last said?

        The server calls a point online for half a minute after it was last heard of.
        """
        process = self.process(machine)
        if process is None:
            return False
        log = self.folder.log(agent_unit(machine)).read_text(errors="replace")
        turns = [line for line in log.splitlines() if any(word in line for word in _TURNS)]
        if not turns or _CONNECTED not in turns[-1]:
            return False
        return said_at(turns[-1]) > process.started / os.sysconf("SC_CLK_TCK")

    def closed_at(self, machine: str) -> list[float]:
        """When its agents, by their own log, had taken the table over."""
        log = self.folder.log(agent_unit(machine)).read_text(errors="replace")
        return [said_at(line) for line in log.splitlines() if _SHUT in line]

    def lose(self, machine: str, what: str) -> float:
        """End its agent for the next to find that much gone (``lost_file``); the moment of that."""
        boot_file(self.folder, machine).write_text(f"{uuid.uuid4()}\n")
        lost = lost_file(self.folder, machine)
        lost.write_text(what)
        deadline = boottime() + LOST_WITHIN
        while lost.exists():
            assert boottime() < deadline, f"the agent of {machine} does not begin again"
            self.send(machine, signal.SIGKILL)  # the one before may just have been started
            time.sleep(0.05)
        return boottime()

    def turn_clock(self, unit: str, hours: int | None) -> None:
        """Have the next agent or server there begin with a wall clock that is wrong by that; None: with
        the right one.
        """
        file = clock_file(self.folder, unit)
        if hours is None:
            file.unlink(missing_ok=True)
        elif FAKETIME is not None:
            file.write_text(f"{hours:+d}h")
        self.send(unit, signal.SIGKILL)

    def part_from_watchers(self, host: str, *, is_parted: bool) -> None:
        """Between it and the watchers no frame passes; the server reaches both."""
        hosts = (*WATCHERS, host) if is_parted else (host,)
        for each in hosts:
            near = f"p{self.topology.host(each).number}"
            isolated = ("type", "bridge_slave", "isolated", "on" if is_parted else "off")
            run("ip", "-n", self.topology.bridge_namespace, "link", "set", near, *isolated)

    def set_cable(self, host: str, *, is_up: bool) -> None:
        if host in LINKS:
            self._set_link(LINKS[host], is_up=is_up)
            return
        near = f"p{self.topology.host(host).number}"
        state = "up" if is_up else "down"
        run("ip", "-n", self.topology.bridge_namespace, "link", "set", near, state)

    def _set_link(self, gateway: str, *, is_up: bool) -> None:
        verb = "delete" if is_up else "add"
        for address in self.topology.host(gateway).addresses:
            route = ("route", verb, "blackhole", address)
            run("ip", "-n", self._namespace(self.topology.server.name), *route)

    def nft(self, machine: str, *arguments: str, text: str | None = None) -> tuple[int, str]:
        """Run nft on a machine as its root; the exit code and what it said."""
        done = subprocess.run(
            ["ip", "netns", "exec", self._namespace(machine), "nft", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def kernels(self, machine: str, read: Rulesets | None = None) -> dict[str, Kernel]:
        """What each point of a machine holds for it; read by nft and not by any code of ours.

        ``read`` are rule sets that were read just now, by point; those that are missing are added.
        """
        known: Rulesets = {} if read is None else read
        host = self.topology.host(machine)
        points = {machine: ()} if host.has_agent else {}
        where = {way: addresses_at(self.topology, machine, way) for way in BEHIND.get(machine, ())}
        for point in (*points, *where):
            if point not in known:
                known[point] = self._ruleset(point)
        return {
            point: read_kernel(known[point], addresses)
            for point, addresses in {**points, **where}.items()
        }

    def _ruleset(self, point: str) -> Ruleset:
        _, text = self.nft(point, "-j", "list", "ruleset")
        objects: Ruleset = json.loads(text)["nftables"]
        return objects

    def _namespace(self, host: str) -> str:
        return self.topology.namespace(self.topology.host(host))

    # -- the server ---------------------------------------------------------------------

    @contextlib.contextmanager
    def connection(self, person: str = "", *, is_kept: bool = True) -> Iterator[Connection]:
        """Sign in as one of the people, or as the administrator. One that is not kept has the balancer
        send each call to another replica.
        """
        admin = read_admin(self.folder)
        who: dict[str, str] = admin
        if person:
            who = json.loads((self.folder.root / accounts.FILE).read_text())[person]
        with (Connection if is_kept else _Anew)(
            f"https://localhost:{self.lab.port}",
            admin["subscription_id"],
            Credentials(admin["tenant_id"], who["client_id"], who["client_secret"]),
            trust_file(Path(admin["ca_file"])),
            SystemClock(),
        ) as made:
            yield made

    def of_approver(self, name: str, *, is_kept: bool = True) -> Connection:
        """A connection of one of the users, who signs in where they have not, or not since they were
        disabled. Raises AuthenticationFailed, ServerUnreachable.
        """
        admin = read_admin(self.folder)
        endpoint, tenant = f"https://localhost:{self.lab.port}", admin["tenant_id"]
        trust = trust_file(Path(admin["ca_file"]))
        if name not in self._tokens:
            user = f"{name}@{accounts.DOMAIN}"
            self._tokens[name] = sign_in(endpoint, tenant, trust, user, accounts.PASSWORD)
        return (Connection if is_kept else _Anew)(
            endpoint,
            admin["subscription_id"],
            Person(tenant, BASCULE_CLI, name),
            trust,
            SystemClock(),
            token=self._tokens[name],
        )

    def forget_token(self, approver: str) -> None:
        """They have to sign in again."""
        self._tokens.pop(approver, None)

    def principal(self, name: str) -> str:
        """The id of a person's service principal, of an approver, or of a group of approvers."""
        people = json.loads((self.folder.root / accounts.FILE).read_text())
        if name in people:
            return str(people[name]["client_id"])
        return str(json.loads((self.folder.root / accounts.APPROVERS_FILE).read_text())[name])

    def machine(self, name: str) -> ResourceId:
        return ResourceId.parse_machine(
            machine_id(read_admin(self.folder)["subscription_id"], name)
        )

    def policy(self, name: str = POLICY_NAME) -> ResourceId:
        subscription = read_admin(self.folder)["subscription_id"]
        return policy_id(subscription, RESOURCE_GROUP, LOCATION, name)

    def stages(self, due: Due) -> tuple[Stage, ...]:
        """With the ids of the groups."""
        return tuple(
            Stage(Approvers(groups=(self.principal(group),)), needed) for group, needed in due
        )

    def give_token(self, machine: str, token: str) -> None:
        """Root on the machine enrols it again: with the next start of its agent."""
        token_file(self.folder, machine).write_text(token)


class _Anew(Connection):
    """Each call has a connection of its own."""

    def call(self, *arguments: Any, **named: Any) -> Answer:
        self._https.close()
        return super().call(*arguments, **named)


@dataclass(frozen=True, slots=True)
class Door:
    """An address and a number at which one knocks, and which port of which machine it is."""

    machine: str
    port: int
    address: str
    number: int  # the port's own, or that of a public port which stands for it
    way: str  # the gateway that leads there; empty: none

    @property
    def is_public(self) -> bool:
        return self.number != self.port


def knocked_at(topology: Topology) -> list[Door]:
    """Where a watcher knocks in turn."""
    found: list[Door] = []
    for name in MACHINES:
        for way in BEHIND.get(name, ("",)):
            ipv4, ipv6 = addresses_at(topology, name, way)
            found += [Door(name, port, ipv4, port, way) for port in PORTS]
            found.append(Door(name, KEEP_PORT, ipv6, KEEP_PORT, way))
    for (name, port), number in PUBLIC.items():
        for at in map(topology.host, BEHIND[name]):
            found.append(Door(name, port, at.ipv4, number, at.name))
            if port == KEEP_PORT:
                found.append(Door(name, port, at.ipv6, number, at.name))
    return found


def said_at(line: str) -> float:
    """The moment of a line of an agent's log, in seconds of CLOCK_BOOTTIME.

    An agent whose wall clock was turned wrote another time. A world lives for less than half of
    ``CLOCK_TURNED``, so which one it was is seen from how far the time is from now.
    """
    wall = SystemClock().now().timestamp() - SystemClock().boottime()
    said = datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() - wall
    turned = CLOCK_TURNED * 3600.0
    return said - turned * round((said - SystemClock().boottime()) / turned)


def copy_code(package: Path, folder: Path) -> None:
    """Copy the package as it stands now into another folder for PYTHONPATH, with what is compiled of
    it: else server and agents would each compile all of it when they come back.
    """
    shutil.copytree(package, folder / "bascule")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
