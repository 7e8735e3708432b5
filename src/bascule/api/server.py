"""The HTTPS server: uvicorn with listening, TLS and patience of our own.

uvicorn accepts for itself, gives a handshake a minute, and knows nothing of who has how
many connections; so here the accepting is ours (``listening``, ``connections``), the
handshake has ten seconds, and uvicorn's protocol is made impatient (``protocol``). uvicorn
never ends while a stream is open: at a stop, ``on_stopping`` ends the streams, what is
left is hung up on after a second and a half and cancelled half a second later, and the
process is gone within three.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from bascule.api.connections import Bounds, ConnectionPlace, Crowd
from bascule.api.hello import peek_hello
from bascule.api.listening import address_of, listen
from bascule.api.networks import AgentNetworks, KnownNetworks
from bascule.api.protocol import LineHouse, PatientProtocol
from bascule.api.proxy_protocol import BadHeader, ProxyHeader, read_header
from bascule.api.turns import HandshakeTurns, is_begun, is_gone
from bascule.domain.net import Address, parse_address
from bascule.errors import BasculeError
from bascule.identity.tls import CertificateKeeper
from bascule.interfaces.clock import Clock

log = structlog.get_logger("bascule.server")

HANG_UP_SECONDS = 1.5  # after a stop was asked for
CANCEL_SECONDS = 2  # likewise
MINIMUM_PATIENCE = 0.05  # seconds for a handshake
CLOSE_NOTIFY_SECONDS = 1.0  # how long a peer may take to answer TLS's goodbye
UNACKNOWLEDGED_MS = 30_000  # tcp(7) TCP_USER_TIMEOUT: a dead or deaf peer is let go
LONGEST_BETWEEN_LOOKS = 300.0  # seconds between looks at the certificate's age
LOOKS_IN_A_LIFE = 30
CROWDS_TOLD_EVERY = 60.0  # seconds
OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
STARTED_BADLY = 1

Started = Callable[[Sequence[tuple[str, int]]], None]


def run_server(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    keeper: CertificateKeeper,
    on_started: Started,
    *,
    clock: Clock,
    on_stopping: Callable[[], None] = lambda: None,
    proxies: Container[object] = (),
    balancers: Collection[Address] = (),
    known: KnownNetworks | None = None,
    agents: AgentNetworks | None = None,
    house: LineHouse | None = None,
    bounds: Bounds | None = None,
) -> int:
    """Serve ``app`` until SIGTERM or SIGINT; returns the exit code.

    ``listeners`` are bound, or listen already; ``on_started`` gets their addresses when connections are
    accepted; ``on_stopping`` is called first at a stop and ends streams and waits;
    ``proxies`` are not bounded by address; ``balancers`` begin each connection with a header of the PROXY
    protocol; ``known`` are the networks that keep their places
    longest; handshakes from those of ``agents`` have turns of their own; ``house`` is where agents'
    lines live. Raises ConfigurationError
    when a port cannot be listened on.
    """
    listen(listeners)
    if bounds is None:
        bounds = Bounds.for_descriptors(raise_descriptor_limit())
    server = EdgeServer(
        app,
        listeners,
        keeper,
        on_started,
        clock=clock,
        on_stopping=on_stopping,
        crowd=Crowd(bounds, _AnyOf((proxies, frozenset(balancers))), known),
        balancers=frozenset(balancers),
        agents=agents or AgentNetworks(),
        house=house,
    )
    return server.run_until_stopped()


@dataclass(frozen=True, slots=True)
class _AnyOf:
    several: Sequence[Container[object]]

    def __contains__(self, address: object) -> bool:
        return any(address in each for each in self.several)


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as it may have; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


class EdgeServer(uvicorn.Server):
    """One server; ``request_stop`` may be called from any thread."""

    def __init__(
        self,
        app: ASGIApp,
        listeners: Sequence[socket.socket],
        keeper: CertificateKeeper,
        on_started: Started,
        *,
        clock: Clock,
        on_stopping: Callable[[], None],
        crowd: Crowd,
        balancers: frozenset[Address] = frozenset(),
        agents: AgentNetworks,
        house: LineHouse | None,
    ) -> None:
        super().__init__(_config(app, keeper, crowd.bounds))
        self._listeners = list(listeners)
        self._keeper = keeper
        self._on_started = on_started
        self._clock = clock
        self._on_stopping = on_stopping
        self._crowd = crowd
        self._balancers = balancers
        self._balancers_told: dict[str, float] = {}  # when something was logged of each
        self._house = house
        self._turns = HandshakeTurns(
            # Behind a reverse proxy, which has no group, networks cannot be told apart.
            lambda network: not network or agents.has(network, clock.boottime()),
            lag=lambda: house.lines.lag if house is not None else 0.0,
        )
        self._accepting: list[asyncio.Task[None]] = []
        self._shaking: set[asyncio.Task[None]] = set()

    def run_until_stopped(self) -> int:
        """Serve in an event loop of its own; returns the exit code."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve())
        return 0 if self.started else STARTED_BADLY

    def request_stop(self) -> None:
        """Stop gracefully; asked twice, without grace."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT; unlike uvicorn, do not raise them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept."""
        del sockets  # given to the constructor
        self.servers = []
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        self._accepting = [
            asyncio.create_task(self._accept(listener)) for listener in self._listeners
        ]
        self._accepting.append(asyncio.create_task(self._keep_certificate()))
        self._accepting.append(asyncio.create_task(self._tell_of_crowds()))
        self.started = True
        self._on_started([address_of(listener) for listener in self._listeners])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, end the streams, give the rest a moment."""
        del sockets
        for task in (*self._accepting, *self._shaking):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._shaking, return_exceptions=True)
        self._on_stopping()
        hanging_up = asyncio.get_running_loop().call_later(HANG_UP_SECONDS, self._hang_up_on_all)
        await super().shutdown(self._listeners)
        hanging_up.cancel()
        self._hang_up_on_all()

    def _hang_up_on_all(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    # -- accepting ------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                await self._after(error)
                continue
            place = self._crowd.admit(peer[0], partial(_hang_up, connection))
            if place is None:
                connection.close()
                continue
            task = loop.create_task(self._begin(connection, peer[0], place))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _after(self, error: OSError) -> None:
        """Go on accepting after an error: the peer's own, or there was no room for more."""
        if error.errno in OUT_OF:
            log.error("no room for a connection", reason=error.strerror)
            self._crowd.make_room()
            await asyncio.sleep(0.05)

    async def _begin(self, connection: socket.socket, peer: str, place: ConnectionPlace) -> None:
        """Through a balancer, the place is the caller's from when the header is read."""
        told: ProxyHeader | None = None
        if self._is_balancer(peer):
            try:
                connection.setblocking(False)
                async with asyncio.timeout(self._crowd.bounds.headers_seconds):
                    told = await read_header(connection)
            except BaseException as error:
                place.leave()
                connection.close()
                if not isinstance(error, OSError):
                    raise
                if isinstance(error, BadHeader | TimeoutError):
                    self._tell_of_balancer(peer)
                return
            if told.caller is not None:
                place.leave()
                own = self._crowd.admit(told.caller[0], partial(_hang_up, connection))
                if own is None:
                    connection.close()
                    return
                place = own
        await self._shake_hands(connection, place, told)

    def _tell_of_balancer(self, peer: str) -> None:
        """Log that it sends no right header, once a minute as long as it lasts."""
        now, told_at = time.monotonic(), self._balancers_told.get(peer)
        if told_at is None or now - told_at >= CROWDS_TOLD_EVERY:
            self._balancers_told[peer] = now
            log.warning(
                "a connection of a balancer was closed: it did not begin with a right header of "
                "the PROXY protocol",
                balancer=peer,
            )

    def _is_balancer(self, peer: str) -> bool:
        return bool(self._balancers) and parse_address(peer.partition("%")[0]) in self._balancers

    async def _shake_hands(
        self, connection: socket.socket, place: ConnectionPlace, told: ProxyHeader | None = None
    ) -> None:
        """A peer has ten seconds for its part of it and its first headers. The time in which it
        waits for its turn is ours.
        """
        loop = asyncio.get_running_loop()
        patience = self._crowd.bounds.headers_seconds
        due = loop.time() + patience
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
            connection.setblocking(False)
            if not await is_begun(connection, patience):
                raise TimeoutError
            place.be_busy()
            began = loop.time()
            place.turn = await self._turns.take(place.group)
            place.wait()
        except BaseException as error:
            place.leave()
            connection.close()
            if not isinstance(error, OSError):
                raise
            return
        due += loop.time() - began
        try:
            await self._answer(connection, place, due, told)
        except OSError:  # no TLS, no common version, too slow, or gone: the peer's affair
            place.leave()
        except BaseException:
            place.leave()
            raise

    async def _answer(
        self,
        connection: socket.socket,
        place: ConnectionPlace,
        due: float,
        told: ProxyHeader | None,
    ) -> None:
        """``due``: when handshake and headers must be over, in the loop's time."""
        if is_gone(connection):
            connection.close()
            raise ConnectionResetError
        loop = asyncio.get_running_loop()
        bounds, keeper = self._crowd.bounds, self._keeper
        context = keeper.context
        if keeper.has_choice:
            context = keeper.context_for(await _hello(connection, due - loop.time()))
        protocol = PatientProtocol(
            self.config,
            self.server_state,
            self.lifespan.state,
            loop,
            place,
            bounds,
            due,
            self._house,
            told,
        )
        try:
            await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=max(MINIMUM_PATIENCE, due - loop.time()),
                ssl_shutdown_timeout=CLOSE_NOTIFY_SECONDS,
            )
        except BaseException:
            protocol.drop()
            raise

    async def _tell_of_crowds(self) -> None:
        """Log that places have run out, once a minute as long as it lasts."""
        told = 0
        while True:
            if self._crowd.turned_away > told:
                log.warning(
                    "too many connections: new ones were refused, or old ones were ended for them",
                    times=self._crowd.turned_away - told,
                    places=self._crowd.bounds.in_all,
                )
                told = self._crowd.turned_away
                await asyncio.sleep(CROWDS_TOLD_EVERY)
            await asyncio.sleep(1.0)

    async def _keep_certificate(self) -> None:
        """Renew the certificate when it is due; a failure is said and tried again."""
        life = self._keeper.lifetime.total_seconds()
        pause = min(max(life / LOOKS_IN_A_LIFE, 0.1), LONGEST_BETWEEN_LOOKS)
        while True:
            await asyncio.sleep(pause)
            try:
                if self._keeper.renew_if_due(self._clock.now()):
                    ends_at = self._keeper.server_certificate_ends_at
                    log.info("certificate renewed", ends_at=ends_at.isoformat())
            except BasculeError as error:
                log.error("certificate not renewed", reason=error.message, advice=error.advice)


def _config(app: ASGIApp, keeper: CertificateKeeper, bounds: Bounds) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what an application raises is Frame's to log, in bounded number
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(bounds.idle_seconds) + 1,
        timeout_graceful_shutdown=CANCEL_SECONDS,
        ssl_context_factory=lambda *_: keeper.context,
    )


async def _hello(connection: socket.socket, seconds: float) -> bytes:
    try:
        return await peek_hello(connection, seconds)
    except BaseException:
        connection.close()
        raise


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
