"""HTTP/1.1 on one connection: uvicorn's protocol with patience that ends.

uvicorn waits for ever for headers and bodies. Here each has its time (EDGES A27), counted
by one timer a connection, headers have a size, and few requests may come before those in
front of them are answered. An answer that backs up is to be read, be it slowly: a second
timer runs meanwhile. The place in the crowd follows whose turn it is. uvicorn tells the
newest request alone that its connection is lost; here each that is not answered hears it.
It leans on uvicorn's HttpToolsProtocol, whose callbacks are httptools' public ones and whose
pipeline has no end; tests/e2e/test_https_edge.py would notice a change.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bascule.api.connections import Bounds, ConnectionPlace
from bascule.api.line import Line
from bascule.api.lines import Lines
from bascule.api.origin import Names, Proxies
from bascule.api.proxy_protocol import ProxyHeader
from bascule.api.upgrade import judge, point_of, refusing, switching
from bascule.errors import BasculeError

MOST_PIPELINED = 8  # requests that wait for the answer before theirs; browsers send none so


class Incoming(Enum):
    """What of a request is on its way to us."""

    NOTHING = 0
    HEADERS = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class LineHouse:
    """Where a connection that becomes a line goes, and by what it is judged."""

    lines: Lines
    names: Names
    proxies: Proxies


class PatientProtocol(HttpToolsProtocol):
    """One connection, from the end of its handshake to its loss."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        place: ConnectionPlace,
        bounds: Bounds,
        due: float,
        house: LineHouse | None = None,
        told: ProxyHeader | None = None,
    ) -> None:
        """``due``: when the first headers must be there, in the loop's time; ``house``: where agents'
        lines live (None: there are none); ``told``: by a balancer, of whom it calls for.
        """
        super().__init__(config, server_state, app_state, loop)
        self._house = house
        self._place = place
        self._bounds = bounds
        self._told = told
        self._incoming = Incoming.HEADERS
        self._unanswered = 0  # whole requests received less answers completed
        self._cycles: list[RequestResponseCycle] = []  # not answered yet, the oldest first
        self._header_bytes = 0
        self._due = due
        self._deadline: asyncio.TimerHandle | None = None
        self._next_look: asyncio.TimerHandle | None = None  # at what backs up

    # -- the connection -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # reason: as uvicorn narrows it
        super().connection_made(transport)
        if self._told is not None:
            self.client = self._told.caller  # uvicorn took the peer, which is the balancer
        self._place.cut = transport.abort
        self._allow(max(0.0, self._due - self.loop.time()))

    def drop(self) -> None:
        """Break the reference cycle of parser and protocol where no lost connection will do it: after a
        failed handshake, and once a line has the transport. Otherwise they would fill the memory.
        """
        self.parser = None  # type: ignore[assignment]  # reason: as uvicorn does when one is lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._forget_backlog()
        self._place.leave()
        super().connection_lost(exc)
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
            cycle.message_event.set()
        self._cycles.clear()

    def data_received(self, data: bytes) -> None:
        if self._incoming is Incoming.NOTHING and not self._unanswered:
            self._expect(Incoming.HEADERS)
        super().data_received(data)
        if self._incoming is Incoming.HEADERS:
            self._header_bytes += len(data)
            if self._header_bytes > self._bounds.header_bytes:
                self.transport.abort()

    def pause_writing(self) -> None:
        """More is written than the peer takes: it is its turn until that is less."""
        super().pause_writing()
        if self._is_answering:
            self._place.wait()
        self._watch_backlog()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_backlog()
        if self._is_answering:
            self._place.be_busy()

    # -- httptools' callbacks -------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["cut"] = self.transport.abort
        if self._incoming is not Incoming.HEADERS:  # a further request in the same packet
            self._expect(Incoming.HEADERS)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:  # uvicorn would keep them without end
            self.transport.abort()
            return
        super().on_headers_complete()
        if self._is_for_line():
            return
        self._place.end_turn()
        self._cycles.append(self.cycle)
        self._expect(Incoming.BODY)

    def on_message_complete(self) -> None:
        if self._is_for_line():
            return
        super().on_message_complete()
        self._unanswered += 1
        self._expect(Incoming.NOTHING)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._cycles:
            self._cycles.pop(0)
        self._unanswered -= 1  # -1 while a request that was answered early is still arriving
        if self._incoming is Incoming.NOTHING:
            self._expect(Incoming.NOTHING)

    # -- lines --------------------------------------------------------------------------

    def _is_for_line(self) -> bool:
        return bool(self.parser.should_upgrade()) and self._should_upgrade()

    def _should_upgrade(self) -> bool:
        """uvicorn asks; it then calls ``handle_websocket_upgrade`` instead of the application."""
        if self._house is None or self._get_upgrade() != b"websocket":
            return False
        return point_of(self.parser.get_method().decode(), self.url) is not None

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over to a line; whatever is not answered yet ends with it."""
        uid = point_of(self.parser.get_method().decode(), self.url)
        if self._house is None or uid is None or self._cycles:
            self.transport.abort()
            return
        self._forget_deadline()
        self._forget_backlog()
        try:
            self._house.lines.services.fitness.require_current()
            accept, address, client, is_relayed = judge(
                self.scope, self._house.names, self._house.proxies
            )
        except BasculeError as error:
            self.transport.write(refusing(error))
            self.transport.close()
            return
        self.connections.discard(self)
        self._place.wait()
        line = Line(
            self._house.lines,
            uid,
            self._place,
            self.transport,
            address,
            client,
            is_relayed=is_relayed,
        )
        self.transport.write(switching(accept))
        self.transport.set_protocol(line)
        self.drop()
        self._house.lines.begin(line, self._bounds.headers_seconds)

    # -- patience -------------------------------------------------------------------------

    def _expect(self, incoming: Incoming) -> None:
        """Note what comes next, whose turn it is, and how long that may take."""
        self._incoming = incoming
        self._forget_deadline()
        if self._is_answering:
            if not self.flow.write_paused:
                self._place.be_busy()
            return
        self._place.wait()
        if incoming is Incoming.HEADERS:
            self._header_bytes = 0
            self._allow(self._bounds.headers_seconds)
        elif incoming is Incoming.BODY:
            self._allow(self._bounds.body_seconds)
        else:
            self._allow(self._bounds.idle_seconds)

    @property
    def _is_answering(self) -> bool:
        return self._incoming is Incoming.NOTHING and self._unanswered > 0

    def _allow(self, seconds: float) -> None:
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch_backlog(self) -> None:
        """Cut the connection unless its peer takes something of what backs up, each time anew."""
        size = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() < size:
                self._watch_backlog()
            else:
                self.transport.abort()

        self._next_look = self.loop.call_later(self._bounds.taking_seconds, look)

    def _forget_backlog(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
