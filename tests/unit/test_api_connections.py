"""Who may hold a connection open when there are too many (EDGES A27)."""

from __future__ import annotations

import pytest

from bascule.api.connections import Bounds, ConnectionPlace, Crowd
from bascule.api.networks import AGENTS_KNOWN_FOR, AgentNetworks, KnownNetworks
from bascule.domain.net import parse_address

BOUNDS = Bounds(in_all=10, per_address=6, waiting_per_address=3)


class Gate:
    """A crowd whose cut connections are remembered by name."""

    def __init__(self, bounds: Bounds = BOUNDS, proxy: str = "192.0.2.99") -> None:
        self.known = KnownNetworks()
        self.crowd = Crowd(bounds, frozenset([parse_address(proxy)]), self.known)
        self.cut: list[str] = []

    def admit(self, name: str, peer: str = "192.0.2.1") -> ConnectionPlace | None:
        return self.crowd.admit(peer, lambda: self.cut.append(name))

    def busy(self, name: str, peer: str = "192.0.2.1") -> ConnectionPlace | None:
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


# -- all places are taken (EDGES E6) ------------------------------------------------------------

WIDE = Bounds(in_all=16, per_address=8, waiting_per_address=8)  # two places are for strangers


def full(gate: Gate, *held: tuple[str, int]) -> None:
    """Each address is busy on so many places."""
    for address, count in held:
        for _ in range(count):
            assert gate.busy(address, address) is not None


def test_two_known_networks_that_hold_all_places_make_way_for_a_third() -> None:
    gate = Gate(WIDE)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        gate.known.note(address, "somebody")
    full(gate, ("192.0.2.1", 8), ("192.0.2.2", 8))
    for _ in range(5):
        assert gate.busy("third", "192.0.2.3") is not None
    assert set(gate.cut) == {"192.0.2.1", "192.0.2.2"}
    assert gate.busy("sixth", "192.0.2.3") is None, "then it is as busy as they are"
    assert len(gate.crowd) == 16


def test_and_for_somebody_who_has_yet_to_sign_in() -> None:
    gate = Gate(WIDE)
    for address in ("192.0.2.1", "192.0.2.2"):
        gate.known.note(address, "somebody")
    full(gate, ("192.0.2.1", 8), ("192.0.2.2", 8))
    assert gate.admit("new", "198.51.100.1") is not None
    assert len(gate.cut) == 1


def test_the_busiest_network_that_never_signed_in_loses_first() -> None:
    gate = Gate(WIDE)
    gate.known.note("192.0.2.1", "somebody")
    gate.known.note("192.0.2.3", "somebody")
    full(gate, ("192.0.2.1", 8), ("198.51.100.1", 3), ("198.51.100.2", 5))
    assert gate.admit("new", "192.0.2.3") is not None
    assert gate.cut == ["198.51.100.2"]
    assert gate.admit("newer", "198.51.100.3") is not None
    assert gate.cut == ["198.51.100.2"] * 2


def test_it_gains_no_place_by_asking_for_more() -> None:
    gate = Gate(WIDE)
    gate.known.note("192.0.2.1", "somebody")
    full(gate, ("192.0.2.1", 8), ("198.51.100.1", 3), ("198.51.100.2", 5))
    assert gate.admit("more", "198.51.100.2") is None
    assert gate.cut == []


def test_many_strangers_take_nothing_from_who_is_known() -> None:
    gate = Gate(WIDE)
    gate.known.note("192.0.2.1", "somebody")
    full(gate, ("192.0.2.1", 8))
    for number in range(200):
        gate.busy(f"stranger-{number}", f"198.51.100.{number}")
    assert "192.0.2.1" not in gate.cut
    assert len(gate.crowd) == 16


def test_of_the_known_whoever_waits_goes_before_whoever_is_busy() -> None:
    gate = Gate(WIDE)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        gate.known.note(address, "somebody")
    full(gate, ("192.0.2.1", 8), ("192.0.2.2", 7))
    gate.admit("idle", "192.0.2.3")
    assert gate.admit("new", "192.0.2.4") is not None
    assert gate.cut == ["idle"]


def test_a_network_becomes_known_while_it_is_here_and_may_be_forgotten() -> None:
    gate = Gate(WIDE)
    gate.known._most = 1
    full(gate, ("192.0.2.1", 8), ("192.0.2.2", 8))
    gate.known.note("192.0.2.1", "somebody")
    assert gate.admit("new", "192.0.2.3") is not None
    assert gate.cut == ["192.0.2.2"]
    gate.known.note("192.0.2.2", "somebody")
    assert gate.admit("newer", "192.0.2.4") is not None
    assert gate.cut == ["192.0.2.2", "192.0.2.1"]


def test_a_lone_stream_is_not_cut_for_another() -> None:
    gate = Gate(WIDE)
    for number in range(16):
        gate.known.note(f"192.0.2.{number}", f"somebody {number}")
        full(gate, (f"192.0.2.{number}", 1))
    assert gate.admit("new", "198.51.100.1") is None
    assert gate.cut == []


def test_what_is_left_leaves_nothing_behind() -> None:
    gate = Gate(WIDE)
    places = [gate.busy("x", f"192.0.2.{number % 3}") for number in range(12)]
    gate.known.note("192.0.2.1", "somebody")
    for each in places:
        assert each is not None
        each.leave()
    assert len(gate.crowd) == 0
    assert (gate.crowd._familiar.total, gate.crowd._strange.total) == (0, 0)
    assert not gate.crowd._of


# -- which networks are known -----------------------------------------------------------------


def test_one_stolen_key_that_is_proved_from_a_whole_prefix_holds_not_all_places() -> None:
    gate = Gate(Bounds(in_all=64, per_address=32, waiting_per_address=8))
    networks = [f"2001:db8:0:{number:x}::1" for number in range(64)]
    for address in networks:
        gate.known.note(address, "stolen")
    full(gate, *((address, 1) for address in networks))
    gate.known.note("192.0.2.1", "owner")
    for _ in range(32):
        assert gate.busy("owner", "192.0.2.1") is not None
    assert "owner" not in gate.cut


def test_a_principal_is_known_in_its_last_networks() -> None:
    known = KnownNetworks()
    for number in range(1, 10):
        known.note(f"192.0.2.{number}", "traveller")
    assert "192.0.2.1/32" not in known
    assert "192.0.2.2/32" in known
    assert "192.0.2.9/32" in known


def test_a_network_stays_known_while_one_of_its_principals_makes_it_so() -> None:
    known, changed = KnownNetworks(), list[str]()
    known.on_change = changed.append
    known.note("192.0.2.1", "resident")
    for number in range(1, 20):
        known.note(f"192.0.2.{number}", "traveller")
    assert "192.0.2.1/32" in known
    assert changed.count("192.0.2.1/32") == 1
    assert changed.count("192.0.2.2/32") == 2, "known, then forgotten"


def test_of_too_many_networks_the_one_longest_without_a_call_is_forgotten() -> None:
    known = KnownNetworks(most=2)
    for number in (1, 2, 1, 3):
        known.note(f"192.0.2.{number}", f"principal {number}")
    assert [f"192.0.2.{number}/32" in known for number in (1, 2, 3)] == [True, False, True]


def held(gate: Gate, name: str, peer: str = "192.0.2.1") -> ConnectionPlace | None:
    place = gate.admit(name, peer)
    return place if place is not None and place.hold() else None


def test_a_place_that_an_agent_holds_is_taken_by_nobody() -> None:
    gate = Gate()
    assert held(gate, "agent")
    for number in range(30):
        gate.admit(f"waiting-{number}", f"198.51.100.{number}")
        gate.busy(f"busy-{number}", f"203.0.113.{number}")
    assert len(gate.crowd) == BOUNDS.in_all
    gate.crowd.make_room()
    assert "agent" not in gate.cut


def test_agents_of_one_address_count_for_no_address() -> None:
    gate = Gate(Bounds(in_all=100, per_address=6, waiting_per_address=3))
    for number in range(50):
        assert held(gate, f"agent-{number}")
    assert gate.cut == []


def test_agents_leave_an_eighth_of_the_places_to_others() -> None:
    gate = Gate(Bounds(in_all=16, per_address=16, waiting_per_address=16))
    places = [held(gate, f"agent-{number}", f"198.51.100.{number}") for number in range(16)]
    assert [place is not None for place in places] == [True] * 14 + [False] * 2
    assert gate.admit("person", "203.0.113.1") is not None
    assert len(gate.crowd) == 16
    assert places[0] is not None
    places[0].leave()
    places[0].leave()
    assert len(gate.crowd) == 15
    assert held(gate, "another", "198.51.100.99")


def test_a_place_that_was_lost_cannot_be_held() -> None:
    gate = Gate()
    lost = gate.admit("a")
    for name in "bcd":
        gate.admit(name)
    assert gate.cut == ["a"]
    assert lost is not None
    assert not lost.hold()
    assert len(gate.crowd) == 3


def test_who_found_no_place_and_whose_was_taken_is_counted() -> None:
    gate = Gate()
    for number in range(6):
        gate.busy(f"busy-{number}")
    assert gate.crowd.turned_away == 0
    assert gate.admit("more") is None
    assert gate.crowd.turned_away == 1


def test_an_agent_makes_one_network_known() -> None:
    networks = AgentNetworks()
    networks.note("web-1", "192.0.2.1/32", 0.0)
    networks.note("web-2", "192.0.2.1/32", 10.0)
    networks.note("web-1", "198.51.100.1/32", 20.0)
    assert networks.has("192.0.2.1/32", 30.0)
    assert networks.has("198.51.100.1/32", 30.0)
    networks.note("web-2", "198.51.100.1/32", 40.0)
    assert not networks.has("192.0.2.1/32", 50.0)
    networks.note("web-2", "", 60.0)
    assert not networks.has("", 60.0)


def test_a_network_of_agents_is_known_for_a_day() -> None:
    networks = AgentNetworks()
    networks.note("web-1", "192.0.2.1/32", 5.0)
    assert networks.has("192.0.2.1/32", 5.0 + AGENTS_KNOWN_FOR)
    assert not networks.has("192.0.2.1/32", 5.1 + AGENTS_KNOWN_FOR)
