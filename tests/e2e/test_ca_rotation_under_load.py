"""EDGES I5 under load: the CA is replaced while people ask, with live grants on ten agents, one of them away."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.client import access, fleet, machines, policies
from bascule.client.connection import Connection
from bascule.client.host_agent import TOKEN_VARIABLE
from bascule.domain.ids import machine_id
from bascule.domain.lifecycle import GrantState, RequestState
from bascule.errors import BasculeError
from tests.e2e.lab_world import until
from tests.e2e.small_world import BASCULE, PORT, WEB, Program, SmallWorld, rule
from tests.e2e.test_ca_rotation import moved, rotate, status
from tests.netns.conftest import why_not
from tests.netns.network import CLIENT, HOST, INNER, Space, reached

pytestmark = [pytest.mark.root, pytest.mark.leak, pytest.mark.long]

OTHERS = 9  # agents beside web-1's
SSH, BUSY, NEVER = 22, 23, 24  # with live grants; asked for all the time; never asked for
LONG, SHORT = 900.0, 60.0  # seconds of the grants for SSH; the short one ends meanwhile
ASKERS = 2
LATEST = 2.0  # seconds after its end at which a grant is shut, on a busy machine


class Guarded:
    """A machine with an agent and a network of its own, at whose other end the server is."""

    def __init__(self, world: SmallWorld, number: int, closing: ExitStack) -> None:
        self.name = f"m-{number}"
        self.source, self.address = f"10.79.{number}.1", f"10.79.{number}.2"
        self.asker = world.network.inner  # whom its grants name
        self.id = machine_id(world.admin["subscription_id"], "default", self.name)
        space = Space(f"{world.network.inner.name}m{number}")
        closing.callback(space.close)
        link = f"m{number}"
        self.asker.run(
            *("ip", "link", "add", link, "type", "veth"),
            *("peer", "name", "e0", "netns", space.name),
        )
        self.asker.run("ip", "addr", "add", f"{self.source}/24", "dev", link)
        self.asker.run("ip", "link", "set", link, "up")
        for words in (
            "link set lo up",
            f"addr add {self.address}/24 dev e0",
            "link set e0 up",
            f"route add default via {self.source}",
        ):
            space.run("ip", *words.split())
        world.network.echo(SSH, BUSY, NEVER, space=space)
        world.ask(lambda c: machines.put_machine(c, self.id, [self.address], "Linux"))
        token = world.ask(lambda c: fleet.enrol(c, self.id, replaces=False, valid_minutes=15)).token
        ports = (rule(SSH), rule(BUSY), rule(NEVER))
        world.ask(lambda c: policies.put_machine_rules(c, self.id, ports, "default"))
        state = world.folder / self.name
        arguments = ["agent", "run", "--state", str(state), "--control", f"{state}.sock"]
        arguments += ["--guard", f"{state}.toml", "--server", f"https://{INNER}:{PORT}"]
        agent = Program(
            ("ip", "netns", "exec", space.name, *BASCULE, *arguments),
            world.folder / f"{self.name}.log",
            env={**os.environ, TOKEN_VARIABLE: token},
        )
        closing.callback(agent.kill)


class Own:
    """web-1, whose agent the small world starts and kills."""

    def __init__(self, world: SmallWorld) -> None:
        self.name, self.source, self.address = WEB, CLIENT, HOST
        self.asker, self.id = world.network.client, world.machine_id


Machine = Guarded | Own


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        made.network.echo(SSH, BUSY, NEVER)
        made.start(rule(SSH), rule(BUSY), rule(NEVER))
        yield made


def ask(world: SmallWorld, machine: Machine, seconds: float, number: int = SSH) -> str:
    """Ask, and wait until it is open; the request's id."""
    port = access.PortRequest(number, timedelta(seconds=seconds), None, machine.source)
    made = world.ask(lambda c: access.initiate(c, world.policy_id, machine.id, [port]))
    world.ask(lambda c: access.get_request(c, made, 20))
    return made


class Load:
    """People who ask, see that it is open, and give it back; each with one connection throughout."""

    def __init__(self, world: SmallWorld, machines: Sequence[Machine]) -> None:
        self._world, self._machines = world, machines
        self._over = threading.Event()
        self.cycles, self.failures = 0, list[str]()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(ASKERS)]

    @contextmanager
    def running(self) -> Iterator[None]:
        for each in self._threads:
            each.start()
        try:
            yield
        finally:
            self._over.set()
            for each in self._threads:
                each.join()

    def _ask(self, number: int) -> None:
        self._world.network.client.enter()
        connection = self._world.connect()
        try:
            for machine in itertools.cycle(self._machines[number::ASKERS]):
                if self._over.is_set():
                    return
                self._cycle(connection, machine)
        finally:
            connection.close()

    def _cycle(self, connection: Connection, machine: Machine) -> None:
        port = access.PortRequest(BUSY, timedelta(minutes=5), None, machine.source)
        try:
            made = access.initiate(connection, self._world.policy_id, machine.id, [port])
            shown = access.get_request(connection, made, 20)
            access.revoke(connection, made, kill=False)
        except BasculeError as error:
            self.failures.append(f"{machine.name}: {error!r}")
            return
        if shown.state != RequestState.OPEN:
            self.failures.append(f"{machine.name}: {shown}")
        self.cycles += 1


class Watch:
    """Knocks at SSH and NEVER of each machine until it is over; what was answered, and when."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._machines = machines
        self._over = threading.Event()
        self.told: dict[str, list[tuple[float, float, bool]]] = {each.name: [] for each in machines}
        self.never = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._knock)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _knock(self) -> None:
        while not self._over.wait(0.3):
            began = time.monotonic()
            ports = (SSH, NEVER)
            probes = [(each.asker, port, each.address) for port in ports for each in self._machines]
            found = reached(probes, wait=1.5)
            ended, count = time.monotonic(), len(self._machines)
            for each, answered in zip(self._machines, found[:count], strict=True):
                self.told[each.name].append((began, ended, answered))
            self.never += sum(found[count:])

    def shut_before(self, name: str, end: float) -> list[float]:
        """Of knocks that were over by then, those that nobody answered."""
        return [began for began, ended, answered in self.told[name] if ended < end and not answered]

    def open_after(self, name: str, end: float) -> list[float]:
        return [began for began, _, answered in self.told[name] if began > end and answered]


def test_ten_agents_lose_and_lengthen_nothing(world: SmallWorld) -> None:
    with ExitStack() as closing:
        others = [Guarded(world, number, closing) for number in range(1, OTHERS + 1)]
        _rotate(world, [*others, Own(world)])


def _rotate(world: SmallWorld, machines: Sequence[Machine]) -> None:
    names = {each.name for each in machines}
    there = names - {WEB}
    assert until(lambda: {each["machine"] for each in status(world)["agents"]} == names, 120)
    asked = {each.name: ask(world, each, LONG) for each in machines[1:]}
    short = machines[0].name
    old = (world.data / "ca.pem").read_text()
    load, watch = Load(world, machines[:-1]), Watch(machines)
    asked[short] = ask(world, machines[0], SHORT)
    ends = {name: world.port_of(request).ends_at for name, request in asked.items()}
    short_end = world.end_of(asked[short])
    assert world.agent is not None
    world.agent.kill()  # web-1 is away from before the beginning until the new CA is in use
    with watch.running():
        with load.running():
            rotate(world)
            assert until(lambda: moved(world) == there, 120), status(world)
            rotate(world, "--switch")
            assert until(lambda: (world.data / "ca.pem").read_text() != old, 60)
            assert "web-1" in rotate(world, "--finish", code=2).stderr
            world.start_agent()
            world.wait_enforced()
            assert until(lambda: moved(world) == names, 120), status(world)
            assert until(lambda: time.monotonic() > short_end + 5, SHORT)
        assert load.failures == []
        assert load.cycles > 2 * len(machines)
        rotate(world, "--finish")
        world.forget_connection()  # it is made again with the CA of now
        assert until(lambda: moved(world) == names, 120), status(world)
        for each in machines:  # a change reaches each agent by the new CA
            made = ask(world, each, LONG, BUSY)
            world.wait_state(made, GrantState.OPEN, 20)
        told = {name: world.port_of(request) for name, request in asked.items() if name != short}
    for name, port in told.items():
        assert (name, port.state, port.ends_at) == (name, GrantState.OPEN, ends[name])
        assert watch.shut_before(name, float("inf")) == [], name
    assert watch.shut_before(short, short_end) == []
    assert watch.open_after(short, short_end + LATEST) == []
    assert len(watch.told[short]) > 20
    assert watch.never == 0
    trusted = {
        json.loads((world.folder / each / "identity.json").read_text())["ca"] for each in there
    }
    assert trusted == {(world.data / "ca.pem").read_text()}
    assert old not in trusted
