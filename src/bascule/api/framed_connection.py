"""A connection of messages in frames: the bytes of a line, and what a peer may make the server keep.

An asyncio.Protocol on a transport that was HTTP's. It parses frames as they come, answers pings, and
hands on each message of an agent; ``line`` says what one means.

Rules:
* A peer has a pace of messages, and a time for each to come whole. It reads what is sent to it.
* Whoever sends more, faster, or slower, loses the connection.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from bascule.errors import InvalidInput
from bascule.interfaces.clock import Clock
from bascule.json_text import read_json
from bascule.protocol.frames import Broken, CloseCode, Frames, Opcode, close_frame, frame
from bascule.protocol.line import LARGEST_UNPROVED, FromAgent, FromServer, from_agent, write
from bascule.protocol.seal import NotSealed, Seal

MESSAGES_A_SECOND, MOST_AT_ONCE = 30.0, 100.0  # ten passes a second: ask, report, echo
STALLED_SECONDS = 30.0  # that a message may take to come, or the peer to read what was sent


class FramedConnection(asyncio.Protocol, ABC):
    """From the end of the handshake to the loss of the connection."""

    __slots__ = (
        "_allowance",
        "_allowed_at",
        "_amid_since",
        "_clock",
        "_frames",
        "_is_over",
        "_kept",
        "_paused_since",
        "_seal",
        "_transport",
    )

    def __init__(self, transport: asyncio.Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._frames = Frames(is_masked=True, largest=LARGEST_UNPROVED)
        self._is_over = False
        self._paused_since: float | None = None  # the peer does not read
        self._kept = 0  # bytes of it
        self._amid_since: float | None = None  # a message has begun whose end has not come
        self._seal: Seal | None = None  # from then on, messages are sealed
        self._allowance, self._allowed_at = MOST_AT_ONCE, clock.monotonic()

    @property
    def is_over(self) -> bool:
        return self._is_over

    @property
    def is_paused(self) -> bool:
        """The peer does not read what was sent: nothing more is to be sent."""
        return self._paused_since is not None

    def has_stalled(self, now: float) -> bool:
        begun = (each for each in (self._paused_since, self._amid_since) if each is not None)
        return any(now - since > STALLED_SECONDS for since in begun)

    # -- what the line makes of it ------------------------------------------------------

    @abstractmethod
    def hear(self, message: FromAgent | None, size: int) -> None:
        """A message of so many bytes came; None: of a kind that only newer agents know."""

    @abstractmethod
    def count(self) -> None:
        """More or less is kept of a message that is not whole (``_kept``)."""

    @abstractmethod
    def note_change(self) -> None:
        """Somebody on the way changed a sealed message."""

    @abstractmethod
    def go_on(self) -> None:
        """The peer reads again."""

    @abstractmethod
    def give_up(self) -> None:
        """The connection is over; may be called twice."""

    # -- the transport ------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._finish()

    def pause_writing(self) -> None:
        if self._paused_since is None:
            self._paused_since = self._clock.monotonic()

    def resume_writing(self) -> None:
        self._paused_since = None
        self.go_on()

    def data_received(self, data: bytes) -> None:
        if self._is_over:  # what was on its way when this end was closed
            return
        try:
            for opcode, content in self._frames.feed(data):
                if opcode is Opcode.TEXT:  # others may come in the middle of a message
                    self._amid_since = None
                self._take(opcode, content)
                if self.is_over:
                    return
        except Broken as error:
            self.end(error.close_code, error.message)
            return
        if not self._frames.is_amid:
            self._amid_since = None
        elif self._amid_since is None:
            self._amid_since = self._clock.monotonic()
        if self._frames.kept != self._kept:
            self._kept = self._frames.kept
            self.count()

    def _take(self, opcode: Opcode, content: bytes) -> None:
        if not self._is_within_pace():
            self.end(CloseCode.POLICY, "The agent sends too many messages.")
        elif opcode is Opcode.CLOSE:
            self.end(CloseCode.NORMAL)
        elif opcode is Opcode.PING and self._paused_since is None:
            self.write(frame(Opcode.PONG, content))
        elif opcode is Opcode.TEXT:
            try:
                text = content if self._seal is None else self._seal.open(content)
                message = from_agent(read_json(text))
            except NotSealed as error:
                self.note_change()
                self.end(CloseCode.POLICY, error.message)
            except InvalidInput as error:
                self.end(CloseCode.PROTOCOL_ERROR, error.message)
            except ValueError:
                self.end(CloseCode.NOT_TEXT, "A message is one JSON object in UTF-8.")
            else:
                self.hear(message, len(content))

    def _is_within_pace(self) -> bool:
        now = self._clock.monotonic()
        more = (now - self._allowed_at) * MESSAGES_A_SECOND
        self._allowance = min(MOST_AT_ONCE, self._allowance + more) - 1.0
        self._allowed_at = now
        return self._allowance >= 0.0

    # -- to the peer --------------------------------------------------------------------

    def send(self, *messages: FromServer, last: bytes = b"") -> None:
        """``last``: the text of one more; empty: none. What is sent together costs one system call."""
        self.say(*map(write, messages), *((last,) if last else ()))

    def say(self, *texts: bytes) -> None:
        """Send messages whose texts are written already."""
        if self._is_over:  # a seal counts what is sent
            return
        seal = self._seal
        closed = texts if seal is None else map(seal.close, texts)
        self.write(b"".join(frame(Opcode.TEXT, each) for each in closed))

    def write(self, data: bytes) -> None:
        """Send a frame that is written already."""
        if not self._is_over:
            self._transport.write(data)

    def end(self, code: CloseCode, reason: str = "") -> None:
        """Close the connection, saying why."""
        if not self._is_over:
            self._transport.write(close_frame(code, reason))
            self._transport.close()
            self._finish()

    def _finish(self) -> None:
        self._is_over = True
        self._frames.forget()
        self.give_up()
