"""A machine with an agent of its own behind two gateways, and agents that stop at a step of a request.

    client, stranger  ->  a: the small world's host, web-1      ->  sql (10.79.0.2): db-1, with an agent
                      ->  b: 10.77.0.12, another router, web-2  ->

A packet takes the way that ``go_by`` says, there and back. All agents run as ``bascule agent run``
does, but look for a file at six moments of a request. Where that names the moment, the agent sends
itself the signal in it. The server waits for points for a few seconds instead of a minute.
What is not here: which of the cases are tried (``test_steps``, ``__main__``).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bascule.client import access, fleet, machines, policies
from bascule.client.connection import Connection
from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.domain.ids import ResourceId, machine_id
from bascule.domain.policy import PortRule
from bascule.lab.fdstore import listen_environment
from tests.e2e.lab_world import until
from tests.e2e.small_world import LAUNCH, PORT, Manager, Program, SmallWorld
from tests.netns.gateway import SQL, Gateway
from tests.netns.network import CLIENT, INNER, Space, hammering

PATIENCE = 4.0  # seconds
B = "10.77.0.12"
# In their order. The first comes with the request, the last after the point's word was taken.
STEPS = ("hint", "fetch", "apply", "read back", "report", "reported")

_SERVER = f"""
import sys
from datetime import timedelta
import bascule.domain.points as points
for kind in points.PATIENCE:
    points.PATIENCE[kind] = timedelta(seconds={PATIENCE})
points.LONGEST_PATIENCE = timedelta(seconds={PATIENCE})
import bascule.bootstrap as bootstrap
sys.exit(bootstrap.main())
"""
_AGENT = """
import os, sys
file = sys.argv.pop(1)
has_applied = False

def here(step):
    try:
        with open(file) as armed:
            wanted, number = armed.read().split("/")
    except OSError:
        return
    if wanted == step:
        os.unlink(file)
        os.kill(os.getpid(), int(number))

def wrap(owner, name, before="", after="", only_applied=False):
    work = getattr(owner, name)
    def wrapped(*arguments, **named):
        global has_applied
        if before and (has_applied or not only_applied):
            here(before)
        result = work(*arguments, **named)
        if name == "apply":
            has_applied = os.path.exists(file)
        if after and (has_applied or not only_applied):
            here(after)
        return result
    setattr(owner, name, wrapped)

from bascule.agent.line import Line
from bascule.agent.loop import AgentLoop
from bascule.drivers.nftables.driver import NftablesDriver
from bascule.reconcile.reconciler import Reconciler
for name in ("on_expected", "on_generation", "on_push", "on_behind"):
    wrap(AgentLoop, name, before="hint")
for name in ("take", "take_behind"):
    wrap(Reconciler, name, before="fetch")
wrap(NftablesDriver, "apply", before="apply", after="read back")
wrap(Line, "report", before="report", after="reported", only_applied=True)
import bascule.bootstrap as bootstrap
sys.exit(bootstrap.main())
"""


@dataclass
class Agent:
    """An agent with a service manager that starts it again, in any namespace."""

    world: SmallWorld
    space: Space
    name: str
    token: str
    manager: Manager = field(init=False)
    program: Program | None = None

    def __post_init__(self) -> None:
        self.manager = Manager(self.world.folder / f"notify-{self.name}")

    @property
    def armed(self) -> Path:
        return self.world.folder / f"armed-{self.name}"

    def arm(self, step: str, number: signal.Signals) -> None:
        self.armed.write_text(f"{step}/{int(number)}")

    def start(self) -> None:
        folder = self.world.folder
        handed = list(self.manager.store.entries)
        numbers = [str(each.fd) for each in handed]
        argv = ["ip", "netns", "exec", self.space.name, sys.executable, "-c", LAUNCH]
        argv += [str(len(numbers)), *numbers, sys.executable, "-c", _AGENT, str(self.armed)]
        argv += ["agent", "run", "--state", str(folder / f"state-{self.name}")]
        argv += ["--control", str(folder / f"{self.name}.sock")]
        argv += ["--guard", str(folder / f"guard-{self.name}.toml")]
        argv += ["--server", f"https://{INNER}:{PORT}"]
        self.program = Program(
            argv,
            folder / f"agent-{self.name}.log",
            env={
                **os.environ,
                **listen_environment([each.name for each in handed]),
                "NOTIFY_SOCKET": str(self.manager.path),
                TOKEN_VARIABLE: self.token,
            },
            pass_fds=[each.fd for each in handed],
        )

    def close(self) -> None:
        if self.program is not None:
            self.program.kill()
        self.manager.close()

    def openings(self) -> str:
        """What its kernel lets in by a lease now: words of nft, empty if nobody."""
        names = ("g4", "behind_g4", "mapped_to4")
        return "".join(
            self.space.run("nft", "list", "set", "inet", "bascule", name, check=False)
            for name in names
        )

    def lets_in(self, source: str = CLIENT) -> bool:
        return f"{source} ." in self.openings()


class PointsWorld(SmallWorld):
    """Server, both gateways and the machine, each with its agent; nothing is bound yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.behind = Gateway(self.network)
        self.b = self._second_gateway()
        self.network.echo(22, space=self.behind.sql)
        self.agents: dict[str, Agent] = {}

    def _second_gateway(self) -> Space:
        host, sql = self.network.host, self.behind.sql
        made = self.network.keep(Space(f"{host.name}b"))
        made.run("ip", "link", "set", "lo", "up")
        host.run("ip", "link", "add", "v7", "type", "veth", "peer", "e0", "netns", made.name)
        host.run("ip", "link", "set", "v7", "master", "br0", "up")
        # What goes to b passes the bridge of a; on a kernel with br_netfilter it would be judged there.
        for name in ("iptables", "ip6tables"):
            host.run("sysctl", "-q", "-w", f"net.bridge.bridge-nf-call-{name}=0", check=False)
        made.run("ip", "link", "add", "e1", "type", "veth", "peer", "e1", "netns", sql.name)
        for space, cable, address in (
            (made, "e0", f"{B}/16"),
            (made, "e1", "10.79.1.1/24"),
            (sql, "e1", "10.79.1.2/24"),
        ):
            space.run("ip", "addr", "add", address, "dev", cable)
            space.run("ip", "link", "set", cable, "up")
        made.run("ip", "route", "add", "default", "via", "10.77.0.1")
        made.run("ip", "route", "add", f"{SQL}/32", "via", "10.79.1.2")
        made.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        sql.run("ip", "route", "add", f"{INNER}/32", "via", "10.79.0.1")  # the server's, either way
        return made

    def go_by(self, gateway: str) -> None:
        outer, inner = {"a": ("10.77.0.1", "10.79.0.1"), "b": (B, "10.79.1.1")}[gateway]
        for space in (self.network.client, self.network.stranger):
            space.run("ip", "route", "replace", f"{SQL}/32", "via", outer)
        self.behind.sql.run("ip", "route", "replace", "default", "via", inner)

    def id_of(self, name: str) -> ResourceId:
        return machine_id(self.admin["subscription_id"], "default", name)

    def begin(self, *ports: PortRule) -> None:
        for name in "ab":
            networks = 'networks = ["10.79.0.0/24"]\nrelease = true\n'
            (self.folder / f"guard-{name}.toml").write_text(networks)
        self.start_server(program=(sys.executable, "-c", _SERVER))
        hosts = (
            ("a", "web-1", self.network.host, "10.77.0.1"),
            ("b", "web-2", self.b, B),
            ("sql", "db-1", self.behind.sql, SQL),
        )
        for short, name, space, address in hosts:
            self._add(short, name, space, address)
        self.ask(lambda c: policies.put_machine_rules(c, self.id_of("db-1"), ports, "default"))
        for _, name, _, _ in hosts:
            self.wait_current(name)

    def _add(self, short: str, name: str, space: Space, address: str) -> None:
        uid = self.id_of(name)
        self.ask(lambda c: machines.put_machine(c, uid, [address], "Linux"))
        made = self.ask(lambda c: fleet.enrol(c, uid, replaces=False, valid_minutes=15))
        self.agents[short] = Agent(self, space, short, made.token)
        self.agents[short].start()

    def bind(self, *names: str, is_parallel: bool) -> None:
        """Have these gateways alone stand before the machine."""
        there = self.id_of("db-1")
        for short, name in (("a", "web-1"), ("b", "web-2")):
            uid = self.ask(lambda c, n=name: machines.get_machine(c, self.id_of(n))).uid  # type: ignore[misc]  # reason: mypy infers no default
            if short in names:
                self.ask(lambda c, u=uid: fleet.bind(c, there, u, [SQL], is_parallel=is_parallel))  # type: ignore[misc]  # reason: as above
            else:
                self.ask(lambda c, u=uid: fleet.unbind(c, there, u))  # type: ignore[misc]  # reason: as above
        self.wait_current("db-1")

    def wait_current(self, name: str, seconds: float = 40) -> None:
        """Until all that guards it has reported the newest generation, and is heard."""

        def is_so() -> bool:
            point = self.ask(lambda c: machines.get_machine(c, self.id_of(name))).point
            return (
                point is not None
                and point.state == machines.ONLINE
                and point.observed_generation >= point.generation
            )

        assert until(is_so, seconds), self.logs()

    def initiate(self, seconds: float) -> str:
        asked = access.PortRequest(22, timedelta(seconds=seconds), None, CLIENT)

        def work(connection: Connection) -> str:
            return access.initiate(connection, self.policy_id, self.id_of("db-1"), [asked])

        return self.ask(work)

    def logs(self) -> str:
        found = [each.read_text()[-2500:] for each in sorted(self.folder.glob("*.log"))]
        return "\n".join(found)

    def close(self) -> None:
        for each in self.agents.values():
            each.close()
        super().close()


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
LEASE = 40.0  # seconds; none of the cases waits for its end
SOON = 3.0  # seconds for what the server decided to be so everywhere that it is heard


@dataclass(frozen=True, slots=True)
class Case:
    """An agent gets a signal at a step of a request for the machine."""

    is_parallel: bool  # both gateways, as alternatives; else a alone
    who: str
    step: str
    number: signal.Signals

    def __str__(self) -> str:
        order = "parallel" if self.is_parallel else "series"
        return f"{order}, {self.who}, {self.step}, {self.number.name}"

    @property
    def points(self) -> tuple[str, ...]:
        return ("sql", "a", "b") if self.is_parallel else ("sql", "a")

    @property
    def is_dispensable(self) -> bool:
        return self.is_parallel and self.who != "sql"


def all_cases() -> Iterator[Case]:
    for is_parallel in (False, True):
        for who in ("sql", "a"):
            for step in STEPS:
                for number in SIGNALS:
                    yield Case(is_parallel, who, step, number)


def arrange(world: PointsWorld, *, is_parallel: bool) -> None:
    """Bind the gateways so; nobody gets in."""
    world.bind(*("ab" if is_parallel else "a"), is_parallel=is_parallel)
    world.go_by("a")


def try_case(world: PointsWorld, case: Case) -> list[str]:
    """Request access, and have it happen; what should not be so, afterwards and meanwhile."""
    agent = world.agents[case.who]
    assert agent.program is not None
    agent.arm(case.step, case.number)
    with hammering(world.network.stranger, 22, SQL) as knocks:
        made = world.initiate(LEASE)
        decided = time.monotonic()
        has_stopped = until(lambda: not agent.armed.exists(), PATIENCE)
        agent.armed.unlink(missing_ok=True)
        found = [] if has_stopped else ["it never came to that step"]
        if case.number is not signal.SIGSTOP:
            agent.program.kill(case.number)
            agent.start()
        within = decided + PATIENCE + SOON - time.monotonic()
        if not until(lambda: world.port_of(made).state != "opening", within):
            found.append("it waits for longer than the patience")
        if case.number is signal.SIGSTOP:
            found += _while_stopped(world, case, made, decided)
            agent.program.go_on()
        world.wait_current("db-1")
        found += _afterwards(world, case, made)
    if any(knocks):
        found.append(f"the stranger got in {sum(knocks)} times")
    found += _put_back(world, case, made)
    return [f"{case}: {each}" for each in found]


def _while_stopped(world: PointsWorld, case: Case, made: str, decided: float) -> Iterator[str]:
    time.sleep(max(0.0, decided + PATIENCE + SOON - time.monotonic()))
    state = world.port_of(made).state
    is_open = case.is_dispensable or case.step == "reported"
    if state != ("open" if is_open else "failed"):
        yield f"it is {state} while that agent is stopped"
    others = [each for each in case.points if each != case.who]
    wrong = [each for each in others if world.agents[each].lets_in() != is_open]
    if wrong:
        yield f"{wrong} {'closed' if is_open else 'open'} after the patience"
    world.go_by("b" if case.is_dispensable else "a")
    if world.network.client.reaches(22, SQL) != is_open:
        yield f"the client {'does not get in' if is_open else 'gets in'} after the patience"
    world.go_by("a")


def _afterwards(world: PointsWorld, case: Case, made: str) -> Iterator[str]:
    """With all agents there: at every point what the request says of it."""
    said = ""

    def is_as_said() -> bool:
        nonlocal said
        port = world.port_of(made)
        shown = {each.name: each.state for each in port.points}
        holding = {name for name in case.points if world.agents[name].lets_in()}
        ways = set()
        for way in [each for each in case.points if each != "sql"]:
            world.go_by(way)
            if world.network.client.reaches(22, SQL):
                ways.add(way)
        world.go_by("a")
        said = f"it is {port.state} {shown}, held by {holding}, and the client comes by {ways}"
        if port.state != "open":
            return port.state in ("failed", "closed") and not holding and not ways
        return "sql" in holding and bool(ways) and ways == holding - {"sql"}

    if not until(is_as_said, SOON + 2):
        yield said
    is_given_up = case.number is signal.SIGSTOP and case.is_dispensable and case.step != "reported"
    if is_given_up and world.agents[case.who].lets_in():
        yield "the gateway that was given up has it open again"


def _put_back(world: PointsWorld, case: Case, made: str) -> Iterator[str]:
    if world.port_of(made).state == "open":
        world.ask(lambda c: access.revoke(c, made, kill=False))
    if not until(lambda: world.port_of(made).state in ("closed", "failed"), 20):
        yield f"it is {world.port_of(made).state} after it was revoked"
    left = [name for name in case.points if world.agents[name].lets_in()]
    if left:
        yield f"{left} hold it after its end"
