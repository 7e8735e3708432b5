"""Handshakes in turns: whom a flood does not keep waiting (EDGES H8)."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Coroutine

import pytest

from bascule.api.turns import (
    BEHIND_SECONDS,
    MOST_IN_HAND,
    SHARE_WHEN_BEHIND,
    TURN_SECONDS,
    HandshakeTurns,
    Turn,
    is_begun,
    is_gone,
)

AGENTS = "192.0.2.1/32"
SOON = 5.0  # seconds


def turns_of(most: int = 4) -> HandshakeTurns:
    return HandshakeTurns(lambda network: network == AGENTS, most)


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


async def wait_in(turns: HandshakeTurns, network: str) -> asyncio.Task[Turn]:
    """One more who waits, or has its turn at once."""
    task = asyncio.create_task(turns.take(network, SOON))
    await settle()
    return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@in_a_loop
async def test_strangers_have_half_of_the_turns() -> None:
    turns = turns_of(4)
    tasks = [await wait_in(turns, f"strange-{number}") for number in range(4)]
    assert [task.done() for task in tasks] == [True, True, False, False]
    agent = await wait_in(turns, AGENTS)
    assert agent.done()
    (await tasks[0]).end()
    await settle()
    assert [task.done() for task in tasks] == [True, True, True, False]
    for task in tasks:
        task.cancel()


@in_a_loop
async def test_no_turn_is_lost_to_one_who_gives_up_at_that_moment() -> None:
    turns = turns_of(2)
    first, gone, last = [await wait_in(turns, f"strange-{number}") for number in range(3)]
    gone.cancel()  # its future is done at once, and its task runs later
    first.result().end()
    await settle()
    assert last.done()


@in_a_loop
async def test_agents_may_have_all_turns_and_strangers_get_the_next_ones() -> None:
    turns = turns_of(4)
    agents = [await wait_in(turns, AGENTS) for _ in range(6)]
    assert [task.done() for task in agents] == [True] * 4 + [False] * 2
    stranger = await wait_in(turns, "strange")
    assert not stranger.done()
    (await agents[0]).end()
    await settle()
    assert not stranger.done() or not agents[4].done()
    (await agents[1]).end()
    await settle()
    (await agents[2]).end()
    await settle()
    assert stranger.done()


@in_a_loop
async def test_networks_take_turns_however_many_wait_in_one() -> None:
    turns = turns_of(2)  # one of them for strangers
    first = await wait_in(turns, "crowded")
    crowd = [await wait_in(turns, "crowded") for _ in range(100)]
    alone = await wait_in(turns, "alone")
    (await first).end()
    await settle()
    assert crowd[0].done()
    (await crowd[0]).end()
    await settle()
    assert alone.done()
    assert not crowd[1].done()
    for task in crowd:
        task.cancel()


@in_a_loop
async def test_a_turn_ends_once() -> None:
    turns = turns_of(2)
    turn = await turns.take("a", SOON)
    waiting = [await wait_in(turns, "b") for _ in range(2)]
    turn.end()
    turn.end()
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    waiting[1].cancel()


@in_a_loop
async def test_a_peer_that_stops_in_the_middle_keeps_its_turn_for_a_second() -> None:
    turns = turns_of(2)
    await turns.take("silent", SOON)
    began = asyncio.get_running_loop().time()
    await turns.take("next", SOON)
    assert asyncio.get_running_loop().time() - began >= TURN_SECONDS * 0.9


@in_a_loop
async def test_whose_turn_does_not_come_in_time_waits_no_more() -> None:
    turns = turns_of(2)
    held = await turns.take("a", SOON)
    with pytest.raises(TimeoutError):
        await turns.take("b", 0.01)
    held.end()
    await turns.take("c", SOON)


@in_a_loop
async def test_who_gives_up_when_its_turn_comes_takes_it_from_nobody() -> None:
    turns = turns_of(2)
    held = await turns.take("a", SOON)
    given_up = await wait_in(turns, "b")
    held.end()  # its future is set; the task has not run yet
    given_up.cancel()
    await settle()
    assert given_up.cancelled()
    await asyncio.wait_for(turns.take("c", SOON), SOON)


@in_a_loop
async def test_while_agents_wait_long_for_answers_few_turns_are_given() -> None:
    """Few, not none: people get in, and whoever waits is called when the others are served."""
    lag = BEHIND_SECONDS * 1.01
    turns = HandshakeTurns(lambda network: network == AGENTS, lag=lambda: lag)
    tasks = [await wait_in(turns, network) for network in [AGENTS, "a person"] * MOST_IN_HAND]
    in_hand = [task for task in tasks if task.done()]
    assert len(in_hand) == MOST_IN_HAND // SHARE_WHEN_BEHIND
    assert tasks[1] in in_hand
    lag = BEHIND_SECONDS
    in_hand[0].result().end()
    await settle()
    assert sum(task.done() for task in tasks) == MOST_IN_HAND + 1
    for task in tasks:
        task.cancel()


@pytest.mark.sockets
@in_a_loop
async def test_a_peer_that_says_nothing_has_not_begun() -> None:
    here, there = connected()
    with here, there:
        assert not await is_begun(here, 0.01)
        there.send(b"x")
        assert await is_begun(here, SOON)


@pytest.mark.sockets
def test_a_peer_that_hung_up_is_gone_although_its_first_bytes_are_here() -> None:
    here, there = connected()
    with here:
        there.send(b"hello")
        assert not is_gone(here)
        there.close()
        assert is_gone(here)
    assert is_gone(here)


def connected() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
    here.setblocking(False)
    return here, there
