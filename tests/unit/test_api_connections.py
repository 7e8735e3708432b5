"""Who may hold a connection open when there are too many (EDGES A27)."""

from __future__ import annotations

import pytest

from bascule.api.connections import Bounds, Crowd, Place
from bascule.domain.net import parse_address

BOUNDS = Bounds(in_all=10, per_address=6, waiting_per_address=3)


class Gate:
    """A crowd whose cut connections are remembered by name."""

    def __init__(self, bounds: Bounds = BOUNDS, proxy: str = "192.0.2.99") -> None:
        self.crowd = Crowd(bounds, frozenset([parse_address(proxy)]))
        self.cut: list[str] = []

    def admit(self, name: str, peer: str = "192.0.2.1") -> Place | None:
        return self.crowd.admit(peer, lambda: self.cut.append(name))

    def busy(self, name: str, peer: str = "192.0.2.1") -> Place | None:
        place = self.admit(name, peer)
        if place is not None:
            place.be_busy()
        return place


def test_a_newcomer_takes_the_place_of_the_one_of_its_address_that_waited_longest() -> None:
    gate = Gate()
    for name in "abcd":
        assert gate.admit(name) is not None
    assert gate.cut == ["a"]
    assert len(gate.crowd) == 3


def test_another_address_is_not_cut_for_it() -> None:
    gate = Gate()
    gate.admit("other", "192.0.2.2")
    for name in "abcd":
        gate.admit(name)
    assert "other" not in gate.cut


def test_who_was_busy_and_waits_again_has_waited_least() -> None:
    gate = Gate()
    first = gate.busy("first")
    for name in "abc":
        gate.admit(name)
    assert first is not None
    first.wait()
    assert gate.cut == ["a"]


def test_busy_ones_are_not_counted_as_waiting_nor_cut() -> None:
    gate = Gate()
    for number in range(5):
        assert gate.busy(f"busy-{number}") is not None
    assert gate.admit("a") is not None
    assert gate.admit("b") is not None  # in the place of a: the address has its six
    assert gate.cut == ["a"]


def test_an_address_that_is_busy_on_its_whole_share_gets_no_more() -> None:
    gate = Gate()
    for number in range(6):
        gate.busy(f"busy-{number}")
    assert gate.admit("more") is None
    assert gate.admit("other", "192.0.2.2") is not None
    assert gate.cut == []


def test_when_all_is_full_whoever_waited_longest_goes() -> None:
    gate = Gate()
    gate.admit("oldest", "198.51.100.1")
    for number in range(9):
        gate.busy("busy", f"203.0.113.{number}")
    assert gate.admit("new") is not None
    assert gate.cut == ["oldest"]


def test_when_all_are_busy_nobody_is_cut_and_nobody_let_in() -> None:
    gate = Gate()
    for number in range(10):
        gate.busy("busy", f"203.0.113.{number}")
    assert gate.admit("new") is None
    assert gate.cut == []


def test_a_place_is_left_once_however_often_it_is_said() -> None:
    gate = Gate()
    place = gate.admit("a")
    assert place is not None
    for _ in range(2):
        place.leave()
    place.wait()  # a late word of a connection that is gone
    assert len(gate.crowd) == 0
    for name in "bcd":
        gate.admit(name)
    assert gate.cut == []


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, is_same: bool) -> None:
    gate = Gate()
    for name in "abc":
        gate.admit(name, one)
    gate.admit("d", other)
    assert gate.cut == (["a"] if is_same else [])


def test_a_reverse_proxy_stands_for_many_and_is_bounded_only_as_a_whole() -> None:
    gate = Gate()
    for number in range(10):
        assert gate.admit(str(number), "192.0.2.99") is not None
    assert gate.cut == []
    assert gate.admit("more", "192.0.2.99") is not None
    assert gate.cut == ["0"]


@pytest.mark.parametrize("limit", [64, 1024, 20_000, 1 << 20])
def test_the_bounds_leave_descriptors_for_the_rest(limit: int) -> None:
    bounds = Bounds.for_descriptors(limit)
    assert 1 <= bounds.waiting_per_address < bounds.per_address < bounds.in_all
    if limit >= 1024:
        assert bounds.in_all <= limit - 256
