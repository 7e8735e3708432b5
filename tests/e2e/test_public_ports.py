"""A public port from the request to the kernel: real server, real agent, real packets (EDGES G5, G6).

client, stranger  ->  host: the gateway web-1, 10.77.0.1  ->  sql (10.79.0.2, fd79::2): db-1
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.client import fleet
from bascule.client.access import LedPort
from tests.e2e.lab_world import until
from tests.e2e.small_world import rule, sleep_until
from tests.e2e.test_gateway import OTHER, SSH, GatewayWorld
from tests.netns.conftest import why_not
from tests.netns.gateway import SQL, SQL6
from tests.netns.network import (
    CLIENT,
    CLIENT6,
    HOST,
    HOST6,
    PATIENCE,
    hammering,
    is_alive,
    reached,
)

pytestmark = [pytest.mark.root, pytest.mark.leak]

SEEN = 25  # a port of db-1 at which the test looks who comes
FIRST, LAST = 2222, 2225


class TranslatingWorld(GatewayWorld):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.give(FIRST)

    def give(self, first: int, last: int = LAST) -> None:
        (self.folder / "guard.toml").write_text(
            'networks = ["10.79.0.0/24", "fd79::/64"]\nrelease = true\n'
            f'public_addresses = ["{HOST}", "{HOST6}"]\npublic_ports = "{first}-{last}"\n'
        )

    def led(self, request_id: str) -> tuple[str, int]:
        """Where the answer says that one connects to."""
        (told,) = self.port_of(request_id).public
        assert told == LedPort(told.address, told.number, "TCP", str(self.machine_id))
        return told.address, told.number

    def led_on(self) -> set[tuple[str, str, int]]:
        """Who comes through which public port."""
        spaces = {"client": self.network.client, "stranger": self.network.stranger}
        where = [
            (who, address, number)
            for who in spaces
            for address in (HOST, HOST6)
            for number in range(FIRST, LAST + 1)
        ]
        is_led = reached((spaces[who], number, address) for who, address, number in where)
        return {each for each, is_so in zip(where, is_led, strict=True) if is_so}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TranslatingWorld]:
    if why := why_not():
        pytest.skip(why)
    with TranslatingWorld(tmp_path) as made:
        yield made


def test_who_was_granted_connects_to_the_address_and_port_of_the_answer(
    world: TranslatingWorld,
) -> None:
    """The machine sees the true client, the stranger never gets in, the kernel closes it on time."""
    listener = world.network.keep(
        world.behind.sql.inside(lambda: socket.create_server((SQL, SEEN), backlog=16))
    )
    world.begin(rule(SSH), rule(SEEN, on_expiry="kill"))
    assert world.led_on() == set()
    granted = world.open(SEEN, 14)
    assert world.port_of(granted).state == "open", world.logs()
    assert world.led(granted) == (HOST, FIRST)
    end = world.end_of(granted)
    client = world.network.client.connect(FIRST, HOST, wait=PATIENCE)
    assert client is not None
    world.network.keep(client)
    there, peer = world.network.keep(listener.accept()[0]), client.getsockname()
    assert there.getpeername() == peer
    assert peer[0] == CLIENT, "it is not translated"
    with hammering(world.network.stranger, FIRST, HOST) as knocks:
        assert world.led_on() == {("client", HOST, FIRST)}
        assert world.agent is not None
        world.agent.kill()
        sleep_until(end + 0.25)
        assert world.led_on() == set(), "closed by the kernel, on time"
        assert until(lambda: not is_alive(client)), "its port is kill"
    assert not any(knocks)
    world.start_agent()
    world.wait_enforced()
    world.wait_state(granted, "closed")
    assert world.port_of(granted).public == ()
    again = world.open(SEEN, 60)
    assert world.led(again) == (HOST, FIRST), "the port keeps it"
    six = world.open(SSH, 60, CLIENT6)
    assert world.led(six) == (HOST6, FIRST)
    everything = {("client", HOST, FIRST), ("client", HOST6, FIRST)}
    assert until(lambda: world.led_on() == everything), world.logs()
    world.bind(SQL, "fd79::99")
    assert until(lambda: world.led_on() == set(), 5), "another address of the machine ends it"
    world.bind(SQL, SQL6)
    world.open(SSH, 60, CLIENT6)
    world.ask(lambda c: fleet.unbind(c, world.behind_id, world.uid))
    assert until(lambda: world.led_on() == set(), 5), world.logs()


def test_a_public_port_that_the_gateway_serves_is_told_as_the_reason(
    world: TranslatingWorld,
) -> None:
    """It goes on serving. Who asks again gets another one, and root who takes that away ends it."""
    world.network.echo(FIRST)
    world.begin()
    granted = world.open(SSH, 60)
    failed = world.port_of(granted)
    assert failed.state == "failed", world.logs()
    assert f"{HOST}:{FIRST}, is taken at its gateway" in failed.failure
    serves = {(who, at, FIRST) for who in ("client", "stranger") for at in (HOST, HOST6)}
    assert world.led_on() == serves
    again = world.open(SSH, 300)
    assert world.port_of(again).state == "open", world.logs()
    assert world.led(again) == (HOST, FIRST + 1)
    assert world.led_on() == {*serves, ("client", HOST, FIRST + 1)}
    world.give(FIRST + 2)
    assert world.agent is not None
    world.agent.kill()
    world.start_agent()
    assert until(lambda: world.led_on() == serves, 20), world.logs()
    assert until(lambda: world.port_of(again).state == "closed", 20), world.logs()
    other = world.open(OTHER, 60)
    assert world.led(other)[1] >= FIRST + 2
    assert world.port_of(other).state == "open", world.logs()
