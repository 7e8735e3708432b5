"""A machine without an agent behind a gateway: real server, real agent, real packets (EDGES G).

    client, stranger  ->  host: the gateway web-1, with the agent  ->  sql (10.79.0.2, fd79::2): db-1

The server is in ``inner``. What is said of db-1 is compared with what packets do.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bascule.client import access, fleet, machines, policies
from bascule.client.connection import Connection
from bascule.domain.ids import ResourceId, machine_id
from bascule.domain.policy import PortRule
from bascule.errors import BasculeError
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.gateway import SQL, SQL6, Gateway
from tests.netns.network import CLIENT, CLIENT6, hammering, is_alive, reached

pytestmark = [pytest.mark.root, pytest.mark.leak]

BEHIND = "db-1"
SSH, OTHER = 22, 23
ADDRESSES = (SQL, SQL6)


class GatewayWorld(SmallWorld):
    """The small world with a machine behind its host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.behind = Gateway(self.network)
        (folder / "guard.toml").write_text(
            'networks = ["10.79.0.0/24", "fd79::/64"]\nrelease = true\n'
        )
        self.network.echo(SSH, OTHER, space=self.behind.sql)
        self.uid = ""  # of the gateway

    @property
    def behind_id(self) -> ResourceId:
        return machine_id(self.admin["subscription_id"], "default", BEHIND)

    def begin(self, *ports: PortRule) -> None:
        """Server, gateway with its agent, and the machine behind it closed by that."""
        self.start_server()
        self.uid = self.add_machine().uid
        self.start_agent()
        self.wait_enforced()
        self.add_behind(*ports)
        self.bind()
        self.wait_closed()

    def add_behind(self, *ports: PortRule) -> None:
        self.ask(lambda c: machines.put_machine(c, self.behind_id, ADDRESSES, "Linux"))
        wanted = ports or (rule(SSH), rule(OTHER, on_expiry="kill"))
        self.ask(lambda c: policies.put_machine_rules(c, self.behind_id, wanted, "default"))

    def bind(self, *addresses: str) -> None:
        where = addresses or ADDRESSES
        self.ask(lambda c: fleet.bind(c, self.behind_id, self.uid, where))

    def told(self) -> machines.Machine:
        return self.ask(lambda c: machines.get_machine(c, self.behind_id))

    def wait_closed(self) -> None:
        def is_so() -> bool:
            found = self.told()
            return all(port.is_read_back for port in found.closed_ports)

        assert until(is_so, 20), self.logs()

    def open(self, port: int, seconds: float, source: str = CLIENT) -> str:
        """Ask for it at the machine behind; the request's id, settled."""
        asked = access.PortRequest(port, timedelta(seconds=seconds), None, source)

        def work(connection: Connection) -> str:
            made = access.initiate(connection, self.policy_id, self.behind_id, [asked])
            access.get_request(connection, made, 15)
            return made

        return self.ask(work)

    def reached(self) -> dict[tuple[str, str, int], bool]:
        """By whom, where and at which port a new connection comes about."""
        spaces = {"client": self.network.client, "stranger": self.network.stranger}
        where = sorted(EVERYTHING)
        probes = [(spaces[who], port, address) for who, address, port in where]
        return dict(zip(where, reached(probes), strict=True))

    def open_to(self) -> set[tuple[str, str, int]]:
        return {where for where, is_so in self.reached().items() if is_so}


EVERYTHING = {
    (who, address, port)
    for who in ("client", "stranger")
    for address in ADDRESSES
    for port in (SSH, OTHER)
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GatewayWorld]:
    if why := why_not():
        pytest.skip(why)
    with GatewayWorld(tmp_path) as made:
        yield made


def test_a_machine_without_an_agent_is_opened_for_who_asked_and_nobody_else(
    world: GatewayWorld,
) -> None:
    assert until(lambda: world.open_to() == EVERYTHING), "nothing guards it yet"
    world.begin()
    assert world.told().state == "configured"
    assert world.open_to() == set()
    granted = world.open(SSH, 12)
    assert world.port_of(granted).state == "open", world.logs()
    end = world.end_of(granted)
    assert world.open_to() == {("client", SQL, SSH)}
    sleep_until(end + 0.25)
    assert not world.network.client.reaches(SSH, SQL), "closed by the kernel, on time"
    assert world.open_to() == set()
    world.wait_state(granted, "closed")
    six = world.open(OTHER, 60, CLIENT6)
    assert world.port_of(six).state == "open", world.logs()
    assert world.open_to() == {("client", SQL6, OTHER)}
    session = world.network.session(world.network.client, OTHER, SQL6)
    world.ask(lambda c: access.revoke(c, six, kill=False))
    assert until(lambda: world.open_to() == set())
    assert until(lambda: not is_alive(session)), "its port is kill"
    world.wait_state(six, "closed")


def test_without_a_guard_file_nothing_is_opened_behind_and_who_asks_is_told_at_once(
    world: GatewayWorld,
) -> None:
    """EDGES G1: what policies close is closed, and the rest passes as before."""
    (world.folder / "guard.toml").unlink()
    world.network.echo(80, space=world.behind.sql)
    world.begin()
    began = time.monotonic()
    with pytest.raises(
        BasculeError, match="in no network that the guard file of its gateway names"
    ):
        world.open(SSH, 60)
    assert time.monotonic() - began < 5, "nobody waits for it"
    assert world.open_to() == set()
    assert world.network.stranger.lets_in(80, SQL)


def test_with_the_agent_killed_and_the_rules_flushed_nobody_gets_in(world: GatewayWorld) -> None:
    """EDGES A5, A6, G5: throughout, for whoever knocks as fast as they can."""
    world.begin()
    granted = world.open(SSH, 8)
    end = world.end_of(granted)
    assert world.agent is not None
    with hammering(world.network.stranger, SSH, SQL) as knocks:
        world.agent.kill()
        world.network.host.run("nft", "flush", "ruleset", check=False)
        assert world.network.client.reaches(SSH, SQL), "its lease is the kernel's"
        assert world.open_to() == {("client", SQL, SSH)}
        sleep_until(end + 0.25)
        assert world.open_to() == set(), "its end is the kernel's"
        world.start_agent()
        world.network.host.run("nft", "flush", "ruleset", check=False)
        world.wait_enforced()
        world.wait_closed()
    assert not any(knocks)
    again = world.open(SSH, 30)
    assert world.port_of(again).state == "open", world.logs()
    assert world.open_to() == {("client", SQL, SSH)}


def test_a_gateway_that_is_not_there_opens_nothing_and_the_request_says_which(
    world: GatewayWorld,
) -> None:
    world.begin()
    assert world.agent is not None
    world.agent.kill()
    granted = world.open(SSH, 120)
    assert world.port_of(granted).state == "opening"
    assert world.open_to() == set()
    world.start_agent()
    assert until(lambda: world.port_of(granted).state == "open", 20), world.logs()
    assert world.open_to() == {("client", SQL, SSH)}


def test_unbinding_and_moving_open_nothing(world: GatewayWorld) -> None:
    """EDGES F3, G2: at once, in the same commit, and until it is released by name."""
    world.begin()
    world.open(SSH, 300)
    assert world.open_to() == {("client", SQL, SSH)}
    world.bind("10.79.0.99", SQL6)
    assert until(lambda: world.open_to() == set(), 5), world.logs()
    time.sleep(2.5)
    assert world.open_to() == set(), "the former address stays closed"
    granted = world.open(SSH, 300, CLIENT6)
    assert world.port_of(granted).state == "open", world.logs()
    assert world.open_to() == {("client", SQL6, SSH)}
    found = world.ask(lambda c: fleet.points_of(c, world.behind_id))
    assert [each.former for each in found] == [(SQL,)]
    released = world.ask(lambda c: fleet.release_addresses(c, world.behind_id, world.uid, []))
    assert released == (SQL,)
    everybody = {(who, SQL, port) for who in ("client", "stranger") for port in (SSH, OTHER)}
    assert until(lambda: world.open_to() == {("client", SQL6, SSH), *everybody}, 5), world.logs()
    world.bind(*ADDRESSES)
    assert until(lambda: world.open_to() == set(), 5), "it is the machine's address again"
    world.ask(lambda c: fleet.unbind(c, world.behind_id, world.uid))
    time.sleep(1)
    assert world.open_to() == set(), "nothing is released by it"


def test_a_replaced_gateway_closes_what_was_closed_and_opens_for_nobody_else(
    world: GatewayWorld,
) -> None:
    """EDGES A10, G3: new hardware with a new agent, which knows nothing but its token."""
    world.begin()
    world.open(SSH, 300)
    assert world.agent is not None
    world.agent.kill()
    world.manager.store.clear()
    world.network.host.run("nft", "flush", "ruleset")
    shutil.rmtree(world.state)
    assert ("stranger", SQL, SSH) in world.open_to(), "a router without rules"
    enrolment = world.ask(
        lambda c: fleet.enrol(c, world.machine_id, replaces=True, valid_minutes=5)
    )
    world.token = enrolment.token
    world.start_agent()
    allowed: set[tuple[str, str, int]] = {("client", SQL, SSH)}
    assert until(lambda: world.open_to() <= allowed, 20), world.logs()
    world.wait_closed()
    world.wait_enforced()
    with hammering(world.network.stranger, SSH, SQL) as knocks:
        again = world.open(OTHER, 60, CLIENT6)
        assert world.port_of(again).state == "open", world.logs()
        assert world.open_to() <= {*allowed, ("client", SQL6, OTHER)}
        assert world.network.client.reaches(OTHER, SQL6)
    assert not any(knocks)


def test_a_refused_agent_closes_every_opening_behind_it(world: GatewayWorld) -> None:
    """EDGES A12."""
    world.begin()
    world.open(SSH, 300)
    assert world.open_to() == {("client", SQL, SSH)}
    world.ask(lambda c: machines.delete_machine(c, world.machine_id))
    assert until(lambda: world.open_to() == set(), 15), world.logs()


def test_root_of_the_gateway_opens_one_machine_with_server_and_agent_dead(
    world: GatewayWorld,
) -> None:
    """EDGES A25, for what is forwarded: that port for that source, until its end, and on record."""
    world.begin()
    assert world.server is not None
    assert world.agent is not None
    world.server.kill()
    paths = {
        "--state": world.state,
        "--control": world.control,
        "--guard": world.folder / "guard.toml",
    }
    where = [word for name, path in paths.items() for word in (name, str(path))]
    opens = ("agent", "open", "--machine", BEHIND, "-p", str(SSH), "--from", CLIENT)
    said = world.on_host(*opens, "--for", "60s", *where).stdout
    assert f"{SSH}/tcp of {BEHIND} ({SQL}) is open for {CLIENT}" in said
    assert world.open_to() == {("client", SQL, SSH)}
    world.on_host("agent", "close", "--machine", BEHIND, "-p", str(SSH), *where)
    assert world.open_to() == set()

    world.agent.kill()
    world.manager.store.clear()  # its service was stopped: nobody owns the table
    refused = world.on_host("agent", "open", "--machine", "db-9", *opens[4:], *where, check=False)
    assert refused.returncode != 0
    assert f"{BEHIND} at {SQL}" in refused.stderr
    said = world.on_host(*opens, "--for", "40s", *where).stdout
    end = time.monotonic() + 40
    assert "No agent is running" in said
    assert world.open_to() == {("client", SQL, SSH)}
    world.start_agent()
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60)
    world.start_server()
    assert until(lambda: len(world.events("OpenedLocally")) == 2, 30), world.logs()
    assert {each.data["machine"].rpartition("/")[2] for each in world.events("OpenedLocally")} == {
        BEHIND
    }
    assert world.open_to() == {("client", SQL, SSH)}, "neither its start nor the server heals it"
    sleep_until(end + 0.25)
    assert world.open_to() == set()
