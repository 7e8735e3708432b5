"""Handshakes are for peers that are still there (EDGES H8)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from bascule.api.connections import Bounds, Crowd
from bascule.api.networks import AgentNetworks
from bascule.api.server import EdgeServer
from bascule.api.turns import LONGEST_QUEUE, MOST_IN_HAND, TURN_SECONDS
from bascule.client.https import DIAL_SECONDS
from bascule.clocks import SystemClock
from bascule.identity.tls import CertificateKeeper

BOUNDS = Bounds(in_all=400, per_address=200, waiting_per_address=100)
PEER = "192.0.2.7"
WAITING = 40


class Keeper:
    """Counts for whom TLS is begun."""

    lifetime = timedelta(days=1)
    has_choice = False

    def __init__(self) -> None:
        self.begun = 0

    @property
    def context(self) -> ssl.SSLContext:
        self.begun += 1
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_whoever_gets_a_turn_has_ten_seconds_left_of_an_agents_patience() -> None:
    assert LONGEST_QUEUE + BOUNDS.headers_seconds <= DIAL_SECONDS


@pytest.mark.sockets
def test_peers_that_left_while_they_waited_for_their_turn_cost_no_handshake() -> None:
    asyncio.run(_let_go_of_all_but_one())


async def _let_go_of_all_but_one() -> None:
    keeper, crowd = Keeper(), Crowd(BOUNDS)
    server = _server(keeper, crowd)
    held = [await server._turns.take("192.0.2.8") for _ in range(MOST_IN_HAND // 2)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peers, shaking = [], []
        for _ in range(WAITING):
            peers.append(socket.create_connection(listener.getsockname()))
            peers[-1].send(b"no TLS at all\r\n")
            connection, _ = listener.accept()
            place = crowd.admit(PEER, connection.close)
            assert place is not None
            shaking.append(asyncio.create_task(server._shake_hands(connection, place)))
        await asyncio.sleep(0.1)
        assert len(crowd) == WAITING
        keeper.begun = 0
        for peer in peers[:-1]:
            peer.close()
        for turn in held:
            turn.end()
        await asyncio.gather(*shaking)
        peers[-1].close()
    assert keeper.begun == 1  # the last is still there
    assert len(crowd) == 0


@pytest.mark.sockets
def test_a_turn_outlives_the_handshake_and_ends_with_the_connection(tmp_path: Path) -> None:
    """Agents that come back together are welcomed in turn, not only let in."""
    asyncio.run(_hold_a_turn(tmp_path, _hang_up, within=TURN_SECONDS / 2))


@pytest.mark.sockets
def test_a_peer_that_is_slow_after_its_handshake_keeps_its_turn_for_a_second(
    tmp_path: Path,
) -> None:
    asyncio.run(_hold_a_turn(tmp_path, lambda _: None, within=TURN_SECONDS * 5))


async def _hold_a_turn(folder: Path, then: Callable[[ssl.SSLSocket], None], within: float) -> None:
    """Shake hands and say nothing; the turn is to be over ``within`` seconds after ``then``."""
    keeper, crowd = CertificateKeeper(folder, ["localhost"]), Crowd(BOUNDS)
    keeper.ensure(SystemClock().now())
    server = _server(keeper, crowd)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shaken = asyncio.create_task(asyncio.to_thread(_shake_hands, listener.getsockname()))
        connection, _ = await asyncio.to_thread(listener.accept)
        place = crowd.admit(PEER, connection.close)
        assert place is not None
        await server._shake_hands(connection, place)
        peer = await shaken
        assert server._turns._strange.in_hand == 1
        then(peer)
        for _ in range(MOST_IN_HAND // 2):  # the last of them has to wait for the peer's
            await server._turns.take(PEER, within)
        peer.close()
        await asyncio.sleep(0.05)
    assert len(crowd) == 0


def test_a_balancer_without_a_right_header_is_told_of_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else nobody learns why its callers get no answer."""
    server, now = _server(Keeper(), Crowd(BOUNDS)), [1000.0]
    monkeypatch.setattr("bascule.api.server.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("bascule.api.server.log", structlog.get_logger())
    with capture_logs() as lines:
        for peer, at in (("192.0.2.1", 0), ("192.0.2.1", 59), ("192.0.2.2", 59), ("192.0.2.1", 60)):
            now[0] = 1000.0 + at
            server._tell_of_balancer(peer)
    assert [line["balancer"] for line in lines] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


def _shake_hands(to: tuple[str, int]) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(to), server_hostname="localhost")


def _hang_up(peer: ssl.SSLSocket) -> None:
    peer.close()


def _server(keeper: object, crowd: Crowd) -> EdgeServer:
    server = EdgeServer(
        cast("Any", None),
        [],
        cast("Any", keeper),
        lambda _: None,
        clock=SystemClock(),
        on_stopping=lambda: None,
        crowd=crowd,
        agents=AgentNetworks(),
        house=None,
    )
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    return server
