"""Handshakes are for peers that are still there (EDGES H8)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from typing import Any, cast

import pytest

from bascule.api.connections import Bounds, Crowd
from bascule.api.networks import AgentNetworks
from bascule.api.server import EdgeServer
from bascule.api.turns import LONGEST_QUEUE, MOST_IN_HAND
from bascule.client.https import DIAL_SECONDS
from bascule.clocks import SystemClock

BOUNDS = Bounds(in_all=400, per_address=200, waiting_per_address=100)
PEER = "192.0.2.7"
WAITING = 40


class Keeper:
    """Counts for whom TLS is begun."""

    lifetime = timedelta(days=1)

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


def _server(keeper: Keeper, crowd: Crowd) -> EdgeServer:
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
