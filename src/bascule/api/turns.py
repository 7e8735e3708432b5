"""Connections in turns: few come up at once, by network, half of them for networks of known agents.

A handshake costs a thousand times what an attempt at one costs the peer. When thousands of them are
under way together, each takes longer than its peer waits, and none is of use to anybody. So a
connection waits for its turn after its peer has begun (the ClientHello is there), and few are in
hand. Networks take turns, however many connections each has; IPv6 counts by /64. Networks from
which an agent has proved itself in the last day have half of the turns for themselves, so that a
flood of strangers does not keep agents from coming back (EDGES H8).

A turn lasts until the connection is of use: an agent was welcomed on it, or it has sent the headers of
another request. Were it over with the handshake, thousands of agents that come back together would
wait for their welcome longer than their patience is. It lasts a second at most: a peer that begins and
then says nothing, or is slow, keeps no turn from others. While an agent has waited for an answer for longer
than BEHIND_SECONDS, one in SHARE_WHEN_BEHIND of the turns is given out: new agents ask and report at once,
and those that were let in are to be served before more are. What they wait for may be what all servers of
a database share, so their number says nothing, and the time says it of all. What is not here: how many may
wait (``connections``).
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

MOST_IN_HAND = (
    64  # about a second of work for three servers; peers far away take two round trips each
)
BEHIND_SECONDS = 0.5
SHARE_WHEN_BEHIND = 8  # so that people get in meanwhile
TURN_SECONDS = 1.0
# Seconds. Agents wait for 30: were it as long, then in a queue that is always full everyone's turn
# would come when they are about to give up, and each handshake would be for nobody.
LONGEST_QUEUE = 20.0
_ESTABLISHED = 1  # tcp(7), TCP_INFO's first byte: include/net/tcp_states.h


class Turn:
    """One connection's turn; ``end`` may be called more than once."""

    __slots__ = ("_is_over", "_on_end")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._is_over = False

    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_end()


class _Queue:
    """Those who wait, by network, each network in its turn."""

    def __init__(self) -> None:
        self.in_hand = 0
        self._of: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, network: str, waiter: asyncio.Future[None]) -> None:
        self._of.setdefault(network, deque()).append(waiter)

    def remove(self, network: str, waiter: asyncio.Future[None]) -> None:
        """Forget one who waits no more; it may be gone already."""
        waiters = self._of.get(network)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._of[network]

    def call_next(self) -> None:
        """Give a turn to the network that waited longest, which is last from now on.

        It goes to nobody when the one who waited has just given up and did not leave yet.
        """
        network, waiters = next(iter(self._of.items()))
        waiter = waiters.popleft()
        if waiters:
            self._of.move_to_end(network)
        else:
            del self._of[network]
        if not waiter.done():
            self.in_hand += 1
            waiter.set_result(None)


class HandshakeTurns:
    """Use from one event loop."""

    def __init__(
        self,
        has_agents: Callable[[str], bool],
        most: int = MOST_IN_HAND,
        lag: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``has_agents``: has an agent proved itself from this network lately? ``lag``: for how many
        seconds the agent has waited that has waited longest for an answer.
        """
        self._has_agents = has_agents
        self._most = most
        self._lag = lag
        self._known, self._strange = _Queue(), _Queue()

    async def take(self, network: str, seconds: float = LONGEST_QUEUE) -> Turn:
        """Wait for a turn; raises TimeoutError when none came within ``seconds``."""
        loop = asyncio.get_running_loop()
        queue = self._known if self._has_agents(network) else self._strange
        waiter = loop.create_future()
        queue.add(network, waiter)
        self._call()
        if not waiter.done():
            await self._wait(queue, network, waiter, seconds)
        turn = Turn(lambda: self._end(queue))
        loop.call_later(TURN_SECONDS, turn.end)
        return turn

    async def _wait(
        self, queue: _Queue, network: str, waiter: asyncio.Future[None], seconds: float
    ) -> None:
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except BaseException:
            queue.remove(network, waiter)
            if waiter.done() and not waiter.cancelled():  # its turn came just then
                self._end(queue)
            raise

    def _end(self, queue: _Queue) -> None:
        queue.in_hand -= 1
        self._call()

    def _call(self) -> None:
        """Give out the turns that are free: each kind may have its half, and the known more."""
        is_behind = self._lag() > BEHIND_SECONDS
        most = self._most // SHARE_WHEN_BEHIND if is_behind else self._most
        half = most // 2
        while self._known.in_hand + self._strange.in_hand < most:
            if self._strange and self._strange.in_hand < half:
                is_strange = not self._known or self._known.in_hand >= half
            elif self._known:
                is_strange = False
            else:
                return
            (self._strange if is_strange else self._known).call_next()


async def is_begun(connection: socket.socket, seconds: float) -> bool:
    """Wait for the first bytes of a handshake; False when none came within ``seconds``.

    The end of the connection counts too: ``is_gone`` tells it apart.
    """
    with suppress(BlockingIOError):
        connection.recv(1, socket.MSG_PEEK)
        return True
    return await is_readable(connection, seconds)


async def is_readable(connection: socket.socket, seconds: float) -> bool:
    """Does it count as readable within ``seconds`` (socket(7))? One whose peer has hung up does."""
    loop = asyncio.get_running_loop()
    is_there = asyncio.Event()
    loop.add_reader(connection, is_there.set)
    try:
        async with asyncio.timeout(seconds):
            await is_there.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(connection)
    return True


def is_gone(connection: socket.socket) -> bool:
    """Has the peer hung up? Its first bytes may be here all the same."""
    try:
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return True
    return state[0] != _ESTABLISHED
