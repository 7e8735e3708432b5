"""How much of bodies is kept, of whom, and who loses first (EDGES E1, E6)."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from bascule.api import body_limit
from bascule.api.body_limit import (
    KIB,
    LARGEST_BODY,
    MIB,
    Allowance,
    BodyLimit,
    Pools,
    allowance_of,
)
from bascule.api.networks import KnownNetworks
from bascule.errors import TooManyRequests, Unavailable

FULL = 4 * KIB  # what each sends


class Server:
    """Its pools; who was cut, by name."""

    def __init__(self, *known: str) -> None:
        networks = KnownNetworks()
        for address in known:
            networks.note(address, "somebody")
        self.pools = Pools(networks)
        self.cut: list[str] = []

    def call(self, address: str, name: str = "") -> Allowance:
        made = Allowance(self.pools, address, 0)
        made.cut = lambda: self.cut.append(name or address)
        return made

    def sent(self, address: str, count: int, size: int = FULL) -> list[Allowance]:
        calls = [self.call(address) for _ in range(count)]
        for each in calls:
            each.take(size)
        return calls


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose pool for callers without identity takes ten bodies."""
    monkeypatch.setattr(body_limit, "UNPROVED_IN_ALL", 10 * FULL)


def test_without_identity_a_body_is_at_most_4_kib() -> None:
    call = Server().call("192.0.2.1")
    call.take(4096)
    with pytest.raises(HTTPException, match="At most 4 KiB"):
        call.take(1)


def test_a_route_may_say_that_it_needs_more_but_not_any_amount() -> None:
    call = Server().call("192.0.2.1")
    call.allow(16 * KIB)
    call.take(16 * KIB)
    with pytest.raises(HTTPException, match="At most 16 KiB"):
        call.take(1)
    with pytest.raises(ValueError, match="without identity"):
        call.allow(64 * KIB + 1)


def test_with_identity_it_is_a_mebibyte_however_it_is_cut_up() -> None:
    call = Server().call("192.0.2.1")
    call.be_proved("somebody")
    for _ in range(16):
        call.take(64 * KIB)
    with pytest.raises(HTTPException, match="At most 1 MiB"):
        call.take(1)


def test_what_is_announced_as_too_large_is_refused_before_it_comes() -> None:
    pools = Server().pools
    stranger = Allowance(pools, "192.0.2.1", LARGEST_BODY)
    with pytest.raises(HTTPException, match="At most 4 KiB"):
        stranger.check_announced()
    known = Allowance(pools, "192.0.2.1", LARGEST_BODY)
    known.be_proved("somebody")
    known.check_announced()


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_a_network_has_a_mebibyte_in_which_a_newcomer_takes_the_room_of_the_slowest(
    one: str, other: str, is_same: bool
) -> None:
    """So that whoever shares an attacker's network signs in all the same."""
    server = Server()
    server.sent(one, MIB // FULL)
    server.call(other).take(FULL)
    assert server.cut == ([one] if is_same else [])
    assert server.pools.unproved.total == (MIB if is_same else MIB + FULL)


def test_a_body_that_is_whole_is_being_answered_and_gives_no_way() -> None:
    server = Server()
    for each in server.sent("192.0.2.1", MIB // FULL):
        each.gives_way = False
    with pytest.raises(TooManyRequests):
        server.call("192.0.2.1").take(1)
    assert server.cut == []


def test_a_48_which_one_customer_may_hold_has_eight() -> None:
    server = Server()
    for number in range(8):
        server.sent(f"2001:db8:0:{number:x}::1", MIB // FULL)
    server.call("2001:db8:0:ff::1").take(FULL)
    assert server.cut == ["2001:db8:0:0::1"]
    server.call("2001:db8:1::1").take(FULL)
    assert len(server.cut) == 1


def test_who_is_known_is_not_bounded_by_the_strangers_beside_them() -> None:
    server = Server()
    server.sent("192.0.2.1", MIB // FULL)
    call = server.call("192.0.2.1")
    call.be_proved("somebody")
    call.take(MIB)


def test_a_principal_has_a_share_and_leaves_another_its_own() -> None:
    server = Server()
    for _ in range(4):
        call = server.call("192.0.2.1")
        call.be_proved("one")
        call.take(MIB)
    more = server.call("192.0.2.9")
    more.be_proved("one")
    with pytest.raises(TooManyRequests):
        more.take(1)
    other = server.call("192.0.2.1")
    other.be_proved("other")
    other.take(MIB)


@pytest.mark.usefixtures("small")
def test_when_all_is_full_the_busiest_network_that_never_signed_in_loses_what_it_sent() -> None:
    server = Server("192.0.2.7")
    lost = server.sent("192.0.2.1", 6)
    kept = server.sent("192.0.2.2", 1)
    server.sent("192.0.2.7", 3)
    server.call("192.0.2.3").take(FULL)
    assert server.cut == ["192.0.2.1"] * 6
    assert server.pools.unproved.total == 5 * FULL
    with pytest.raises(Unavailable):
        lost[0].take(1)
    lost[0].release()
    kept[0].release()
    assert server.pools.unproved.total == 4 * FULL


@pytest.mark.usefixtures("small")
def test_the_busiest_itself_takes_nothing_from_others() -> None:
    server = Server()
    server.sent("192.0.2.1", 6)
    server.sent("192.0.2.2", 4)
    with pytest.raises(Unavailable):
        server.call("192.0.2.1").take(1)
    assert server.cut == []


@pytest.mark.usefixtures("small")
def test_who_signed_in_before_takes_the_place_of_who_did_not_and_never_the_other_way() -> None:
    server = Server("192.0.2.7", "192.0.2.8")
    server.sent("192.0.2.7", 9)
    server.sent("192.0.2.1", 1)
    server.call("192.0.2.8").take(FULL)
    assert server.cut == ["192.0.2.1"]
    with pytest.raises(Unavailable):
        server.call("192.0.2.2").take(1)


def test_what_is_over_is_given_back_once() -> None:
    server = Server()
    (call,) = server.sent("2001:db8::1", 1)
    call.release()
    call.release()
    assert server.pools.unproved.total == 0
    server.sent("2001:db8::1", MIB // FULL)


def test_networks_that_are_remembered_are_bounded_and_the_unheard_of_go_first() -> None:
    networks = KnownNetworks(2)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1%eth0", "", "odd"):
        networks.note(address, "somebody")
    assert "192.0.2.1/32" in networks
    assert "192.0.2.2/32" not in networks
    assert "2001:db8::/64" in networks


# -- the middleware, as a server calls it -----------------------------------------------------


def ask(pieces: list[bytes], principal: str = "", announced: int | None = None) -> tuple[int, int]:
    """One call whose body comes in these pieces, each by itself: bytes read, status.

    A test client would join them, and a limit that forgot what came before would not show.
    """
    status, read = 200, 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal status, read
        if principal:
            allowance_of(HTTPConnection(scope)).be_proved(principal)
        try:
            while True:
                message = await receive()
                read += len(message["body"])
                if not message["more_body"]:
                    break
        except HTTPException as error:
            status = error.status_code

    left = list(pieces)

    async def receive() -> Message:
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(_: Message) -> None: ...

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    scope = {
        "type": "http",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "state": {"caller_address": "192.0.2.1"},
    }
    limit = BodyLimit(app, KnownNetworks())
    asyncio.run(limit(scope, receive, send))
    assert limit._pools.unproved.total == limit._pools.proved.total == 0
    return read, status


def test_pieces_are_added_up() -> None:
    assert ask([b"x" * 1024] * 4) == (4096, 200)
    assert ask([b"x" * 1024] * 5) == (4096, 413)
    assert ask([b"x" * 65_536] * 16, "somebody") == (MIB, 200)
    assert ask([b"x" * 65_536] * 17, "somebody") == (MIB, 413)


def test_of_what_is_announced_as_too_large_nothing_is_read() -> None:
    assert ask([b"x"], announced=4097) == (0, 413)
    assert ask([b"x"], "somebody", announced=MIB) == (1, 200)


@pytest.mark.parametrize("announced", [MIB + 1, 10**30])
def test_what_nobody_may_send_does_not_reach_the_application(announced: int) -> None:
    async def app(*_: object) -> None:
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope = {
        "type": "http",
        "headers": [(b"content-length", str(announced).encode())],
        "state": {"caller_address": "192.0.2.1"},
    }
    asyncio.run(BodyLimit(app, KnownNetworks())(scope, receive, send))
    assert sent[0]["status"] == 413
