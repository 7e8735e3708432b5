"""A Link over a line while one lives, and by polling where none does.

``listen`` makes one line and follows it until it ends. States and reports go over it; where no line
has lived for ALONE_SECONDS and IN_VAIN of them were made in vain, they go by calls (``http_link``), as
through a proxy that passes no WebSocket. A server that cannot be reached is not polled: calls would
only take the places of lines.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog

from bascule.agent.http_link import HttpLink
from bascule.agent.line import Line
from bascule.agent.link import Identity, Listener, Pushed
from bascule.agent.state import StateRefused, state_of
from bascule.agent.trusted import Trusted
from bascule.agent.websocket import NotConnected, WebSocket
from bascule.agent.witness import Witness
from bascule.domain.chain import ChainHead
from bascule.domain.desired import DesiredState
from bascule.errors import InvalidInput, ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.protocol.codec import decode
from bascule.protocol.line import (
    FRESH_SECONDS,
    LARGEST_UNPROVED,
    LONGEST_COMING_BACK,
    Head,
    Told,
    Welcome,
)
from bascule.protocol.report import Report
from bascule.protocol.trust import Trust

log = structlog.get_logger("bascule.agent")

ALONE_SECONDS = 30.0  # without a line, until the agent polls
IN_VAIN = 3  # lines that did not come to live although TLS came up, likewise
PROMPT_SECONDS = 5.0  # within which an answer tells the server's time
MOST_HEADS = 16  # of the record, that a server may tell between two passes; the newest are kept


class LineLink:
    """``listen`` may run in another thread than the rest."""

    def __init__(
        self,
        identity: Identity,
        trust: ssl.SSLContext,
        clock: Clock,
        witness: Witness,
        trusted: Trusted | None = None,
    ) -> None:
        """``trusted``: where changes of trust are kept; None: none is taken."""
        self._trusted = trusted
        self._identity = identity
        self._trust = trust
        self._clock = clock
        self._witness = witness
        self._calls = HttpLink(
            identity,
            trust,
            clock,
            witness,
            lambda: None if trusted is None else trusted.number,
            self._take_trust,
        )
        self._line: Line | None = None  # that is followed, proved or not
        self._session: ssl.SSLSession | None = None  # of the last one, to be resumed
        self._lived_at = clock.boottime()  # when a line was heard of last, or this began
        self._in_vain = 0  # lines that were not welcomed, one after another
        self._come_back_seconds = 0
        self._server_time: tuple[datetime, float] | None = None  # what was said, and when
        # Where the record ends, as lines told; also of one that ended. The listening thread appends, the
        # loop's takes: both are atomic, and the witness is the loop's alone.
        self._heads: deque[Head] = deque(maxlen=MOST_HEADS)

    # -- the listening thread -----------------------------------------------------------

    def listen(self, listener: Listener, is_stopping: Callable[[], bool]) -> None:
        path = f"/bascule/points/{self._identity.machine_uid}/line"
        self._in_vain += 1
        try:
            socket = WebSocket(
                self._identity.server,
                path,
                self._trust,
                self._clock,
                LARGEST_UNPROVED,
                self._session,
            )
        except NotConnected:
            self._in_vain = 0
            raise
        self._line = line = Line(socket, self._identity, self._clock)
        line.on_trust = self._take_trust

        def keep(welcome: Welcome) -> None:
            self._in_vain = 0
            self._session = socket.session
            self._come_back_seconds = min(welcome.come_back_seconds, LONGEST_COMING_BACK)
            if welcome.server_time is not None:
                self._server_time = welcome.server_time, line.heard_at

        try:
            line.follow(listener, keep, self._heads.append, is_stopping)
        finally:
            if line.was_live:
                self._lived_at = line.heard_at
            self._line = None

    def _take_trust(self, told: Trust) -> int | None:
        """The next connections trust what it says; this one goes on."""
        if self._trusted is None:
            return None
        number, trust = self._trusted.take(told)
        if trust is not None:
            self._trust, self._session = trust, None
            self._calls.trust = trust
        return number

    def come_back_within(self, *, holds_leases: bool) -> float:
        return self._come_back_seconds / (10 if holds_leases else 1)

    # -- the loop's thread --------------------------------------------------------------

    @property
    def has_line(self) -> bool:
        return self._live() is not None

    @property
    def may_poll(self) -> bool:
        alone = self._clock.boottime() - self._lived_at
        return not self.has_line and self._in_vain >= IN_VAIN and alone >= ALONE_SECONDS

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        self._hear_of_record()
        line = self._live()
        if line is None:
            asked_at = self._clock.boottime()
            desired = self._calls.fetch_state(meanwhile)
            self._note_time(self._calls.server_time, asked_at)
            return desired
        asked_at = self._clock.boottime()
        answer = line.ask(self._witness.head.position, self._witness.told.position, meanwhile)
        told = _read(answer)
        self._note_time(told.state.server_time, asked_at)
        self._witness.take(told.state.record, self._clock.now())
        return told.state.desired

    def send_report(self, report: Report) -> int:
        line = self._live()
        return self._calls.send_report(report) if line is None else line.report(report)

    def named(self) -> Mapping[str, int] | None:
        line = self._live()
        return self._calls.named() if line is None else line.named()

    def fetch_behind(self, uid: str) -> DesiredState:
        line = self._live()
        if line is None:
            return self._calls.fetch_behind(uid)
        answer = line.ask(self._witness.head.position, 0, lambda: None, uid)
        return state_of(uid, _read(answer).state.desired)

    def report_behind(self, uid: str, report: Report) -> None:
        line = self._live()
        if line is None:
            self._calls.report_behind(uid, report)
        else:
            line.report(report, uid)

    def pushed_behind(self, uid: str) -> Pushed | None:
        pushed = self._pushed(uid)
        is_its_own = pushed is not None and pushed.state.machine_uid == uid
        return pushed if is_its_own else None

    def pushed(self) -> Pushed | None:
        return self._pushed("")

    def _pushed(self, uid: str) -> Pushed | None:
        line = self._live()
        pushed = line.take_push(uid) if line is not None else None
        if pushed is None or self._clock.boottime() - pushed[1] > FRESH_SECONDS:
            return None
        try:
            # Its record is not looked at: pushes may come in another order than they were read.
            return Pushed(_read(pushed[0]).state.desired, pushed[1])
        except StateRefused as error:
            log.warning("a pushed state was dropped", why=error.message)
            return None

    def begin_pass(self) -> None:
        self._hear_of_record()
        line = self._live()
        if line is not None:
            self._lived_at = line.heard_at
            self._calls.forget_named()
            line.begin_pass()

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        line = self._live()
        if line is None:
            return
        try:
            line.end_pass(generation, read, acknowledged, behind)
        except ServerUnreachable as error:  # whoever follows it sees that it ended
            log.debug("no echo was sent", why=error.message)

    def _hear_of_record(self) -> None:
        """Have the next state confirm what was told, be its line over or not."""
        for _ in range(len(self._heads)):
            head = self._heads.popleft()
            self._witness.hear(ChainHead(head.position, head.hash))

    def clock_skew(self) -> timedelta | None:
        if self._server_time is None:
            return None
        server_time, at = self._server_time
        since = timedelta(seconds=self._clock.boottime() - at)
        return self._clock.now() - (server_time + since)

    def _note_time(self, server_time: datetime | None, asked_at: float) -> None:
        """Unless the answer took so long that nobody can say when the clock was read."""
        if server_time is not None and self._clock.boottime() - asked_at <= PROMPT_SECONDS:
            self._server_time = server_time, asked_at

    def close(self) -> None:
        line = self._line
        if line is not None:
            line.close()
        self._calls.close()

    def _live(self) -> Line | None:
        line = self._line
        return line if line is not None and line.is_live else None


def _read(answer: object) -> Told:
    """Raises StateRefused."""
    try:
        return decode(Told, answer)
    except InvalidInput as error:
        raise StateRefused.of(error) from error
