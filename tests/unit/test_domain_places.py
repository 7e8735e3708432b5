"""Who loses a place when places run out (EDGES E6)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from bascule.domain.places import Bounds, Full, Room, TakenPlace, find_room

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BOUNDS = Bounds(network=4, wide_network=6, in_all=12)


def taken(*addresses: str) -> list[TakenPlace]:
    """Places of these addresses, the oldest first, keyed by their number."""
    return [
        TakenPlace(str(n), address, NOW + timedelta(minutes=n))
        for n, address in enumerate(addresses)
    ]


def room(places: list[TakenPlace], address: str, *known: str) -> str | None:
    """Whose place goes; None: the newcomer has to wait."""
    found = find_room(places, address, BOUNDS, lambda asked: frozenset(known) & set(asked))
    return found.gives_way if isinstance(found, Room) else None


def test_while_there_is_room_nobody_gives_way() -> None:
    assert room([], "192.0.2.1") == ""
    assert room(taken(*["192.0.2.1"] * 3), "192.0.2.1") == ""


def test_in_a_full_network_the_busiest_address_loses_its_oldest() -> None:
    one, two, three = (f"2001:db8::{n}" for n in (1, 2, 3))
    assert room(taken(one, two, two, two), three) == "1"
    assert room(taken(one, two, two, two), two) is None
    assert room(taken(one, one, two, two), three) == "0", "of equals, the one that came first"
    assert room(taken(*["192.0.2.1"] * 4), "192.0.2.1") is None
    assert room(taken(*["192.0.2.1"] * 4), "192.0.2.2") == "", "another network"


def test_in_a_full_48_the_busiest_network_loses() -> None:
    busy = [f"2001:db8:1:1::{n}" for n in range(3)]
    other = [f"2001:db8:1:{n}::1" for n in (2, 3, 4)]
    assert room(taken(*other, *busy), "2001:db8:1:5::1") == "3"
    assert room(taken(*other, *busy), "2001:db8:1:1::9") is None
    assert room(taken(*other, *busy), "2001:db8:2::1") == "", "another customer"


def test_in_all_the_busiest_customer_loses() -> None:
    flood = [f"2001:db8:{wide}:{n}::1" for wide in (1, 2) for n in range(5)]
    assert room(taken("192.0.2.1", "192.0.2.2", *flood), "192.0.2.3") == "2"
    assert room(taken("192.0.2.1", "192.0.2.2", *flood), "2001:db8:1:99::1") is None


def test_strangers_lose_before_anybody_from_where_somebody_signed_in() -> None:
    known = ["198.51.100.1"] * 3
    strangers = [f"203.0.113.{n}" for n in range(9)]
    full = taken(*known, *strangers)
    assert room(full, "192.0.2.1", "198.51.100.1/32") is None, "among equals the newcomer waits"
    assert room(full, "198.51.100.1", "198.51.100.1/32") == "3"
    assert room(full, "192.0.2.1", "192.0.2.1/32") == "0", "who never signed in, the busiest first"
    both = ("192.0.2.1/32", "198.51.100.1/32")
    assert room(full, "192.0.2.1", *both) == "3"
    only = taken(*known, *(f"10.0.0.{n}" for n in range(9)))
    everybody = ["198.51.100.1/32", *(f"10.0.0.{n}/32" for n in range(9))]
    assert room(only, "192.0.2.1", *everybody) is None, "a stranger takes nothing from them"
    assert room(only, "192.0.2.1", "192.0.2.1/32", *everybody) == "0"


def test_where_all_networks_are_alike_the_busiest_in_ones_own_loses() -> None:
    """A flood from one address of a network is nobody's reason to wait there."""
    flood = [f"2001:db8:1:{n}::1" for n in (1, 2, 3) for _ in range(2)]
    assert room(taken(*flood), "2001:db8:1:2::99") == "2"
    assert room(taken(*flood), "2001:db8:1:2::1") is None
    whole = [f"2001:db8:{n}::1" for n in (1, 2, 3) for _ in range(4)]
    assert room(taken(*whole), "2001:db8:3::99") == "8"
    assert room(taken(*whole), "2001:db8:3::1") is None
    alike = [f"2001:db8:{n}::1" for n in range(12)]
    assert room(taken(*alike), "2001:db8:99::1") is None


def test_how_long_there_is_to_wait() -> None:
    found = find_room(taken(*["192.0.2.1"] * 4), "192.0.2.1", BOUNDS, lambda _: frozenset())
    assert found == Full(NOW)


def test_two_floods_do_not_push_each_other_out_without_end() -> None:
    """However they take turns, the writes that a full house costs come to an end."""
    chance = random.Random(1)
    addresses = [f"203.0.113.{n}" for n in range(7)]
    places: list[TakenPlace] = []
    moves = 0
    for number in range(5000):
        address = chance.choice(addresses)
        gone = room(places, address)
        if gone is None:
            continue
        moves += bool(gone)
        places = [each for each in places if each.key != gone]
        places.append(TakenPlace(f"n{number}", address, NOW))
    assert len(places) <= BOUNDS.in_all
    assert moves < 100
