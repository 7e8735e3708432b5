"""Connections that a gateway let through and that get no answer: told without a false alarm (EDGES G7)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bascule.domain.net import Address, PortBehind, PortKey, TransportProtocol
from bascule.drivers.linux import unanswered
from bascule.drivers.linux.unanswered import Repeated, Unanswered

ADA, BERT, APP = map(ip_address, ("192.0.2.7", "192.0.2.8", "10.1.0.10"))
SSH = PortKey(TransportProtocol.TCP, 22).behind(APP)
assert isinstance(SSH, PortBehind)


class World:
    """What the kernel would say, and what is found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.answered: set[tuple[Address, PortBehind]] = set()
        self.asked = 0
        self.is_there = True
        self.watch = Unanswered()
        monkeypatch.setattr(unanswered, "answered", self._answered)
        monkeypatch.setattr(unanswered, "is_neighbour", lambda _: self.is_there)

    def _answered(self, _: object) -> set[tuple[Address, PortBehind]]:
        self.asked += 1
        return self.answered

    def look(self, *found: Repeated) -> list[str]:
        self.now += 2.0
        self.watch.look(found, lambda: self.now)
        return [each.code for each in self.watch.weaknesses]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize(("packets", "is_found"), [(1, False), (2, True), (6, True)])
def test_who_goes_on_asking_was_not_answered(world: World, packets: int, is_found: bool) -> None:
    found = world.look(Repeated(ADA, SSH, packets, 0.5))
    assert found == (["Unanswered"] if is_found else [])
    if is_found:
        assert dict(world.watch.weaknesses[0].arguments) == {
            "port": f"22/tcp of {APP}",
            "address": str(APP),
        }


def test_a_connection_of_that_client_that_is_answered_takes_it_back(world: World) -> None:
    """And it stays so after that connection; what is repeated later is found again."""
    assert world.look(Repeated(ADA, SSH, 3, 0.5)) == ["Unanswered"]
    world.answered = {(ADA, SSH)}
    assert world.look(Repeated(ADA, SSH, 3, 2.5)) == []
    world.answered = set()
    assert world.look(Repeated(ADA, SSH, 3, 4.5)) == []
    assert world.look(Repeated(ADA, SSH, 4, 0.5)) == ["Unanswered"]


def test_that_somebody_else_is_answered_does_not(world: World) -> None:
    """A machine may have a route to one client's network and not to the other's."""
    world.answered = {(BERT, SSH)}
    assert world.look(Repeated(ADA, SSH, 3, 0.5)) == ["Unanswered"]


def test_it_is_told_for_as_long_as_the_kernel_remembers_it(world: World) -> None:
    assert world.look(Repeated(ADA, SSH, 3, 599.0)) == ["Unanswered"], "the next one is warned"
    assert world.look() == []


def test_a_machine_that_is_off_is_told_as_that(world: World) -> None:
    world.is_there = False
    assert world.look(Repeated(ADA, SSH, 3, 0.5)) == ["NoNeighbour"]
    world.is_there = True
    assert world.look(Repeated(ADA, SSH, 3, 2.5)) == ["NoNeighbour"], (
        "it is not said anew each time"
    )


def test_where_nobody_repeats_anything_nothing_is_asked(world: World) -> None:
    for _ in range(10):
        assert world.look() == []
    assert world.asked == 0


def test_a_look_that_takes_long_is_not_taken_again_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_: object) -> set[tuple[Address, PortBehind]]:
        world.asked += 1
        world.now += 1.0
        return set()

    monkeypatch.setattr(unanswered, "answered", slow)
    for _ in range(100):
        world.look(Repeated(ADA, SSH, 3, 0.5))
    assert 4 <= world.asked <= 5


def test_where_connections_cannot_be_listed_it_is_told_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(_: object) -> set[tuple[Address, PortBehind]]:
        raise OSError

    monkeypatch.setattr(unanswered, "answered", cannot)
    assert world.look(Repeated(ADA, SSH, 3, 0.5)) == ["Unanswered"]
