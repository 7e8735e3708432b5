"""The agent's end of the line, over TLS, against a server that its agent trusts and that means ill.

What a server may do to times (EDGES A8): double, swap, replay and hold back what it says. What it may
do to the host's memory and time (EDGES E4). And what the agent says of itself: an echo is of a pass
that began after its beat came.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent import line as agent_line
from bascule.agent import websocket
from bascule.agent.enrolment import load_identity, trust_of
from bascule.agent.line_link import ALONE_SECONDS, IN_VAIN, LineLink
from bascule.agent.link import KeyRefused
from bascule.agent.state import StateRefused
from bascule.agent.websocket import NotConnected
from bascule.agent.witness import Witness
from bascule.clocks import SystemClock
from bascule.domain.chain import ChainHead
from bascule.domain.held import Held
from bascule.errors import ServerUnreachable
from bascule.protocol.frames import Opcode, close_frame, frame
from bascule.protocol.line import (
    FRESH_SECONDS,
    NO_BEAT,
    SILENCE_SECONDS,
    Ask,
    Beat,
    Challenge,
    Echo,
    Head,
    Hint,
    Proof,
    Record,
    Refused,
    Reported,
    Taken,
    Welcome,
    write,
)
from bascule.protocol.report import Report
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.e2e.hostile_server import (
    TENANT,
    UID,
    Here,
    HostileServer,
    gives,
    line_attacks,
    proved,
    says,
    state,
    told,
)
from tests.support.line_peer import Gone, Peer
from tests.unit.test_agent_loop import Memory

pytestmark = pytest.mark.sockets
REPORT = Report(1, frozenset())
LARGE = 24  # MB
PEAK = 96 * 1024 * 1024  # bytes
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()


class Shifting(SystemClock):
    """The real clocks, set forward by a test: as after a pause, or by somebody's hand."""

    paused = 0.0  # seconds of CLOCK_BOOTTIME
    turned = timedelta(0)  # of the wall clock

    def now(self) -> datetime:
        return super().now() + self.turned

    def boottime(self) -> float:
        return super().boottime() + self.paused


class Ear:
    """A Listener that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []
        self._changed = threading.Condition()

    def _note(self, what: str, detail: object = None) -> None:
        with self._changed:
            self.heard.append((what, detail))
            self._changed.notify_all()

    def on_line(self, acknowledged: str, generation: int | None) -> None:
        del generation
        self._note("line", acknowledged)

    def on_generation(self, generation: int) -> None:
        self._note("generation", generation)

    def on_push(self, generation: int) -> None:
        self._note("push", generation)

    def on_expected(self) -> None:
        self._note("expected")

    def on_doubt(self) -> None:
        self._note("doubt")

    def on_report_wanted(self) -> None:
        self._note("report")

    def on_behind(self) -> None:
        self._note("behind")

    def wait(self, what: str, count: int = 1) -> None:
        def is_there() -> bool:
            return sum(name == what for name, _ in self.heard) >= count

        with self._changed:
            assert self._changed.wait_for(is_there, 10), (what, self.heard)


class Wire:
    """A link whose lines the test serves: ``connect`` returns the server's end, proved."""

    def __init__(self, hostile: HostileServer, folder: Path) -> None:
        self.hostile = hostile
        self.clock = Shifting()
        hostile.enrol(folder / "state")
        identity = load_identity(folder / "state")
        assert identity is not None
        self.witness = Witness()
        self.link = LineLink(identity, trust_of(folder / "state"), self.clock, self.witness)
        self.ear = Ear()
        self.ended: list[Exception | None] = []
        self._over = threading.Event()
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []

    def listen(self) -> threading.Thread:
        def listen() -> None:
            try:
                self.link.listen(self.ear, self._over.is_set)
                self.ended.append(None)
            except Exception as error:  # noqa: BLE001  # reason: the test judges it
                self.ended.append(error)

        thread = threading.Thread(target=listen, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def connect(self, *, is_proved: bool = True, acknowledged: str = "") -> Peer:
        came, count = threading.Event(), len(self._peers)
        lines = sum(name == "line" for name, _ in self.ear.heard)

        def accept(handler: BaseHTTPRequestHandler) -> None:
            self._peers.append(Peer(handler))
            came.set()
            self._over.wait(60)

        self.hostile.evils["line"] = accept
        self.listen()
        assert came.wait(10), self.ended
        peer = self._peers[count]
        if is_proved:
            peer.prove(acknowledged)
            self.ear.wait("line", lines + 1)
        return peer

    def fails(self, evil: Callable[[BaseHTTPRequestHandler], Any]) -> Exception | None:
        """How listening ends when the line's request is answered like this."""
        self.hostile.evils["line"] = lambda handler: evil(handler) and None
        thread = self.listen()
        thread.join(30)
        assert not thread.is_alive()
        return self.ended[-1]

    def while_asking(self, answer: Callable[[], object], work: Callable[[], Any]) -> Any:
        """What ``work`` returns or raises, answered by ``answer`` in the server's place."""
        failed: list[BaseException] = []

        def serve() -> None:
            try:
                answer()
            except BaseException as error:  # noqa: BLE001  # reason: raised by the test
                failed.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            return work()
        finally:
            thread.join(10)
            assert not failed, failed

    def nonce(self, peer: Peer) -> str:
        """Of an echo: a question that stands."""
        lately = sum(name == "generation" for name, _ in self.ear.heard)
        peer.beat({UID: 1})
        self.ear.wait("generation", lately + 1)
        self.link.begin_pass()
        self.link.end_pass(1, "", "", {})
        return peer.take(Echo).nonce

    def close(self) -> None:
        self._over.set()
        self.link.close()
        for peer in self._peers:
            peer.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with HostileServer(Here(), tmp_path / "hostile") as hostile:
        made = Wire(hostile, tmp_path)
        yield made
        made.close()


def lives(wire: Wire) -> bool:
    return wire.link.has_line


def polls(wire: Wire) -> bool:
    return wire.link.may_poll


# -- what is said


def test_the_agent_proves_itself_over_this_connections_challenge(wire: Wire) -> None:
    peer = wire.connect(is_proved=False)
    assert not lives(wire)
    proof = peer.prove("d" * 64, KEY, TENANT, UID)
    wire.ear.wait("line")
    assert wire.ear.heard == [("line", "d" * 64)]
    assert proof.knows
    assert lives(wire)
    assert not wire.link.may_poll
    assert peer.path == f"/bascule/points/{UID}/line"
    names = {name.lower() for name in peer.asked}
    assert names == {
        *("host", "user-agent", "upgrade", "connection"),
        *("sec-websocket-key", "sec-websocket-version"),
    }, "no token, no Origin, no compression"


def test_a_later_challenge_is_answered_too(wire: Wire) -> None:
    """A proof ends as a token does; the line goes on."""
    peer = wire.connect()
    peer.prove("", KEY, TENANT, UID)
    peer.beat({UID: 5})
    wire.ear.wait("generation")
    assert [what for what, _ in wire.ear.heard] == ["line", "generation"], "it is the same line"


def test_states_are_asked_for_and_reports_sent_over_the_line(wire: Wire) -> None:
    peer = wire.connect()
    asked: list[object] = []

    def answer() -> None:
        asked.append(peer.serve(state(7)))
        asked.append(peer.serve(state(7), 8))

    wire.link.begin_pass()

    def work() -> tuple[int, int]:
        meanwhile: list[int] = []
        desired = wire.link.fetch_state(lambda: meanwhile.append(1))
        assert meanwhile == [1]
        return desired.generation, wire.link.send_report(REPORT)

    assert wire.while_asking(answer, work) == (7, 8)
    ask, reported = asked
    assert isinstance(ask, Ask)
    assert ask.knows
    assert isinstance(reported, Reported)
    assert reported.report.generation == 1
    assert reported.number == 0, "no beat came yet"
    assert wire.hostile.asked["state"] == wire.hostile.asked["report"] == 0, "by no call"


def test_a_report_names_the_beat_that_came_before_its_pass(wire: Wire) -> None:
    peer = wire.connect()
    first = peer.beat({UID: 1})
    wire.ear.wait("generation")
    wire.link.begin_pass()
    peer.beat({UID: 1})
    wire.ear.wait("generation", 2)
    reported: list[Any] = []
    wire.while_asking(
        lambda: reported.append(peer.serve(state(1))), lambda: wire.link.send_report(REPORT)
    )
    assert reported[0].number == first


def test_a_report_of_a_pass_that_began_before_its_line_names_no_beat(wire: Wire) -> None:
    """The firewall may have been read long before this line was proved: the loop was stopped."""
    wire.connect()
    wire.link.begin_pass()
    peer = wire.connect()
    peer.beat({UID: 1})
    wire.ear.wait("generation")
    reported: list[Any] = []
    for _ in range(2):
        wire.while_asking(
            lambda: reported.append(peer.serve(state(1))), lambda: wire.link.send_report(REPORT)
        )
        wire.link.begin_pass()
    assert reported[0].number == NO_BEAT
    assert reported[1].number not in (0, NO_BEAT)


def test_an_echo_is_of_a_pass_that_began_after_its_beat_came(wire: Wire) -> None:
    """A pass that was under way may have read the firewall before the server asked."""
    peer = wire.connect()
    wire.link.begin_pass()
    number = peer.beat({UID: 1, "another": 9})
    wire.ear.wait("generation")
    assert ("generation", 1) in wire.ear.heard, "this machine's, not another's"
    wire.link.end_pass(1, "r", "a", {})
    wire.link.begin_pass()
    wire.link.end_pass(2, "read", "taken", {})
    wire.link.begin_pass()
    wire.link.end_pass(3, "read", "taken", {})
    echo = peer.take(Echo)
    assert (echo.number, echo.generations) == (number, {UID: 2})
    assert (echo.read, echo.acknowledged) == ("read", "taken")
    with pytest.raises(Gone):
        peer.next(0.3)  # each beat is echoed once


def test_the_newest_beat_before_a_pass_is_the_one_that_is_echoed(wire: Wire) -> None:
    peer = wire.connect()
    peer.beat({UID: 1})
    second = peer.beat({UID: 1})
    wire.ear.wait("generation", 2)
    wire.link.begin_pass()
    third = peer.beat({UID: 1})
    wire.ear.wait("generation", 3)
    wire.link.end_pass(1, "", "", {})
    wire.link.begin_pass()
    wire.link.end_pass(1, "", "", {})
    assert [peer.take(Echo).number for _ in range(2)] == [second, third]


def test_hints_tell_what_is_newer_and_ask_for_a_report(wire: Wire) -> None:
    peer = wire.connect()
    peer.send(Hint("another-machine", 9, report=True))
    peer.send({"kind": "of a newer server", "what": 1})
    peer.send(Hint(UID, 3))
    peer.send(Hint("", None, report=True))
    wire.ear.wait("report")
    assert wire.ear.heard[1:] == [("generation", 3), ("report", None)]


def test_a_line_is_resumed(wire: Wire) -> None:
    """Else ten thousand agents that come back cost the server as many key exchanges by certificate;
    each proves itself all the same."""
    first = wire.connect()
    wire.nonce(first)
    first.close()
    second = wire.connect(is_proved=False)
    assert getattr(second.handler.connection, "session_reused", None) is True
    second.prove("", KEY, TENANT, UID)


# -- a key that is refused (EDGES A12), and other refusals


@pytest.mark.parametrize("code", ["AgentKeyRefused", "AgentUnknown"])
@pytest.mark.parametrize("is_proved", [False, True])
def test_a_refused_key_is_told_by_name(wire: Wire, code: str, is_proved: bool) -> None:
    peer = wire.connect(is_proved=is_proved)
    peer.send(Refused("", 401, code, "x" * 10_000 if is_proved else "x"))
    wire._threads[-1].join(10)
    (ended,) = wire.ended
    assert isinstance(ended, KeyRefused)
    assert len(ended.message) < 1000


@pytest.mark.parametrize(
    "last",
    [
        write(Refused("", 503, "Busy")),
        write(Refused("", 403, "AgentTooOld")),
        close_frame(4002),  # type: ignore[arg-type]  # reason: its number
        close_frame(4001),  # type: ignore[arg-type]  # reason: its number
        frame(Opcode.CLOSE),
        b"",
    ],
)
def test_no_other_end_is_a_refused_key(wire: Wire, last: bytes) -> None:
    """Every opening would be closed for a server that is only busy."""
    peer = wire.connect()
    peer.send_raw(last if last[:1] == b"\x88" else frame(Opcode.TEXT, last) if last else b"")
    peer.close()
    wire._threads[-1].join(10)
    (ended,) = wire.ended
    assert isinstance(ended, ServerUnreachable)


def test_what_is_asked_may_be_refused(wire: Wire) -> None:
    peer = wire.connect()

    def refuse(code: str, status: int) -> None:
        message = peer.next()
        assert isinstance(message, Ask | Reported)
        key = message.nonce if isinstance(message, Ask) else message.id
        peer.send(Refused(key, status, code))

    def fetch() -> object:
        return wire.link.fetch_state(lambda: None)

    with pytest.raises(ServerUnreachable, match="HTTP 429 TooMany"):
        wire.while_asking(lambda: refuse("TooMany", 429), lambda: wire.link.send_report(REPORT))
    with pytest.raises(ServerUnreachable, match="HTTP 503"):
        wire.while_asking(lambda: refuse("Busy", 503), fetch)
    with pytest.raises(KeyRefused):
        wire.while_asking(lambda: refuse("AgentUnknown", 403), fetch)


def test_who_waits_for_an_answer_hears_that_the_line_ended(wire: Wire) -> None:
    peer = wire.connect()

    def hang_up() -> None:
        peer.take(Ask)
        peer.close()

    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        wire.while_asking(hang_up, lambda: wire.link.fetch_state(lambda: None))
    assert time.monotonic() - began < 5


# -- times (EDGES A8)


def leased(generation: int, seconds: float = 60.0) -> dict[str, Any]:
    """A state that has port 22 open for everybody for so long."""
    lease = {
        "grantId": "g",
        "ports": [{"protocol": "TCP", "number": 22}],
        "sources": ["*"],
        "remainingMs": round(seconds * 1000),
        "extension": 0,
    }
    return state(generation, [lease])


def held(wire: Wire) -> Reconciler:
    made = Reconciler(FakeDriver(FakeFirewall(wire.clock)), Memory(), wire.clock)
    made.held = Held(generation=1)
    return made


def take_push(wire: Wire, reconciler: Reconciler) -> None:
    pushed = wire.link.pushed()
    if pushed is not None:
        reconciler.take(pushed.state, pushed.asked_at)


def test_times_of_a_push_count_from_when_its_nonce_was_sent(wire: Wire) -> None:
    peer = wire.connect()
    before = wire.clock.boottime()
    nonce = wire.nonce(peer)
    after = wire.clock.boottime()
    wire.clock.paused += 20
    peer.tell(nonce, leased(2))
    wire.ear.wait("push")
    assert wire.ear.heard[-1] == ("push", 2)
    pushed = wire.link.pushed()
    assert pushed is not None
    assert before <= pushed.asked_at <= after
    assert pushed.state.leases
    assert wire.link.pushed() is None, "it is had once"


def test_a_push_that_is_doubled_swapped_or_replayed_lengthens_nothing(wire: Wire) -> None:
    peer = wire.connect()
    reconciler = held(wire)
    nonce = wire.nonce(peer)
    peer.tell(nonce, leased(2))
    wire.ear.wait("push")
    take_push(wire, reconciler)
    end = reconciler.held.leases["g"].deadline
    for count in range(2, 5):
        wire.clock.paused += 5
        peer.tell(nonce, leased(2))
        wire.ear.wait("push", count)
        take_push(wire, reconciler)
        assert reconciler.held.leases["g"].deadline == end, "doubled"
    peer.tell(nonce, state(3))
    wire.ear.wait("push", 5)
    take_push(wire, reconciler)
    assert not reconciler.held.leases, "ended by the next generation"
    peer.tell(nonce, leased(2))
    wire.ear.wait("push", 6)
    take_push(wire, reconciler)
    assert not reconciler.held.leases, "swapped: an older generation changes nothing"
    peer.tell(nonce, leased(3))
    wire.ear.wait("push", 7)
    take_push(wire, reconciler)
    assert not reconciler.held.leases, "what has ended comes back by an extension alone"


def test_a_push_that_was_held_back_for_31_seconds_is_dropped(wire: Wire) -> None:
    """Whoever holds it back, or stops the agent (SIGSTOP): CLOCK_BOOTTIME goes on."""
    peer = wire.connect()
    nonce = wire.nonce(peer)
    wire.clock.paused += FRESH_SECONDS - 1
    peer.tell(nonce, leased(2))
    wire.ear.wait("push")
    assert wire.link.pushed() is not None
    peer.tell(nonce, leased(2))
    wire.ear.wait("push", 2)
    wire.clock.paused += 2
    peer.tell(nonce, leased(2))
    wire.ear.wait("doubt")
    assert wire.link.pushed() is None, "and one that was received in time was not taken in time"


def test_a_push_without_a_nonce_of_this_connection_is_dropped(wire: Wire) -> None:
    """Replayed after a reconnect, or made up: the state is asked for instead."""
    first = wire.connect()
    old = wire.nonce(first)
    first.close()
    wire._threads[-1].join(10)
    second = wire.connect()
    wire.nonce(second)
    for count, nonce in enumerate((old, "x" * 24), start=1):
        second.tell(nonce, leased(2))
        wire.ear.wait("doubt", count)
        assert wire.link.pushed() is None
    assert "push" not in [what for what, _ in wire.ear.heard]


def test_the_wall_clock_does_not_matter(wire: Wire) -> None:
    peer = wire.connect()
    reconciler = held(wire)
    nonce = wire.nonce(peer)
    wire.clock.turned = timedelta(hours=1)
    peer.tell(nonce, leased(2, 60))
    wire.ear.wait("push")
    take_push(wire, reconciler)
    left = reconciler.held.leases["g"].deadline - wire.clock.boottime()
    assert 55 < left <= 60


def test_an_answer_that_comes_too_late_is_only_a_push(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its times count from the question all the same, and what it says of the record is not heard:
    a later question may have been answered before."""
    monkeypatch.setattr(agent_line, "WITHIN", 0.2)
    peer = wire.connect()
    with pytest.raises(ServerUnreachable):
        wire.link.fetch_state(lambda: None)
    late = {**leased(2), "record": {"position": 5, "hash": "a" * 64}}
    peer.tell(peer.take(Ask).nonce, late)
    wire.ear.wait("push")
    assert wire.link.pushed() is not None
    assert wire.witness.head == ChainHead()


def test_a_state_that_cannot_be_is_refused(wire: Wire) -> None:
    peer = wire.connect()
    broken = {**state(2), "closed": 7}
    with pytest.raises(StateRefused):
        wire.while_asking(lambda: peer.serve(broken), lambda: wire.link.fetch_state(lambda: None))
    peer.tell(wire.nonce(peer), broken)
    wire.ear.wait("push")
    assert wire.link.pushed() is None
    assert wire.link.has_line, "the server hears of it on the line"


# -- the record (EDGES B9)


def test_what_was_told_of_the_record_is_confirmed_by_the_next_state(wire: Wire) -> None:
    peer = wire.connect()

    def fetch(told: int, record: dict[str, Any]) -> None:
        def answer() -> None:
            ask = peer.take(Ask)
            assert ask.told == told
            peer.tell(ask.nonce, {**state(1), "record": record})

        wire.while_asking(answer, lambda: wire.link.fetch_state(lambda: None))

    def tell(position: int) -> None:
        peer.send(Record(Head(position, f"{position:064x}")))
        wire.nonce(peer)  # it was heard

    fetch(0, {"position": 3, "hash": f"{3:064x}"})
    tell(5)
    tell(8)
    tell(7)
    same = {"position": 9, "hash": f"{9:064x}", "seenHash": f"{3:064x}"}
    fetch(8, {**same, "toldHash": f"{8:064x}"})
    assert wire.witness.weaknesses() == ()
    tell(12)
    fetch(12, {"position": 11, "hash": "f" * 64, "seenHash": f"{9:064x}"})
    (what,) = wire.witness.pending()
    assert what == "it ends at event 11, but reached event 12 before"


def test_what_was_told_on_a_line_that_ended_at_once_is_kept_for_the_next_pass(wire: Wire) -> None:
    """A server that goes on with another past may end each line before it is asked."""
    for position, digest in ((7, "a"), (9, "b")):
        peer = wire.connect()
        peer.send(Record(Head(position, digest * 64)))
        peer.close()
        wire._threads[-1].join(10)
        assert not lives(wire)
    assert wire.witness.told == ChainHead(), "by the loop's thread alone"
    wire.link.begin_pass()
    assert wire.witness.told == ChainHead(9, "b" * 64)
    peer = wire.connect()
    peer.send(Record(Head(9, "c" * 64)))
    peer.close()
    wire._threads[-1].join(10)
    wire.link.begin_pass()
    assert wire.witness.pending() == ("event 9 has changed",)


def test_two_pasts_that_were_told_before_a_pass_are_both_heard(wire: Wire) -> None:
    peer = wire.connect()
    for digest in ("a", "b"):
        peer.send(Record(Head(9, digest * 64)))
    wire.nonce(peer)  # both were heard, by the pass that it makes
    assert wire.witness.pending() == ("event 9 has changed",)


def test_of_very_many_ends_of_the_record_the_newest_are_kept(wire: Wire) -> None:
    peer = wire.connect()
    for position in range(1, 200):
        peer.send(Record(Head(position, f"{position:064x}")))
    wire.nonce(peer)
    assert wire.witness.told.position == 199
    assert len(wire.link._heads) == 0


# -- what a server may do to the host (EDGES E4)


ODD: list[Callable[[BaseHTTPRequestHandler], Any]] = [
    says({}, 200),
    says({}, 401),
    says({"error": {"code": "AgentUnknown"}}, 403),
    says({}, 426),
    gives(b"", 101),
    gives(b"nothing of HTTP" * 10, 999),
    lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"),
    lambda handler: Peer(handler, {"Sec-WebSocket-Accept": "x"}).prove(),
    lambda handler: Peer(handler, {"Sec-WebSocket-Extensions": "permessage-deflate"}).prove(),
    lambda handler: Peer(handler, {"Sec-WebSocket-Protocol": "chat"}).prove(),
    lambda handler: Peer(handler, {"Upgrade": "h2c"}).prove(),
    lambda handler: Peer(handler).send(b"{"),
    lambda handler: Peer(handler).send(b"[]"),
    lambda handler: Peer(handler).send(b"{}"),
    lambda handler: Peer(handler).send({"kind": "challenge", "text": "short"}),
    lambda handler: Peer(handler).send(Beat(1, {UID: 7})),
    lambda handler: Peer(handler).send(Hint("", 7)),
    lambda handler: Peer(handler).tell("n" * 24, leased(2)),
    lambda handler: Peer(handler).send_raw(bytes((Opcode.TEXT, 1)) + b"{"),
    lambda handler: Peer(handler).send_raw(frame(Opcode.TEXT, b"{}", is_masked=True)),
    lambda handler: proved(handler).send({"kind": "beat", "number": -1, "generations": {}}),
    lambda handler: proved(handler).send({"kind": "beat", "number": 1, "generations": {UID: 1e9}}),
    lambda handler: proved(handler).send({"kind": ["state"]}),
    lambda handler: proved(handler).send({"kind": "state"}),
    lambda handler: proved(handler).tell("n" * 24, state(1) | {"a": "x" * 100_000}),
    lambda handler: proved(handler).send(
        {"kind": "state", "machine": "another", "nonce": "n" * 24, "state": state(1)}
    ),
    lambda handler: proved(handler).send(b"\xff\xfe"),
    lambda handler: proved(handler).send_raw(bytes((Opcode.CONTINUATION | 0x80, 0))),
    lambda handler: proved(handler).send_raw(bytes((0x82, 0))),  # binary
    lambda handler: proved(handler).send_raw(bytes((0xC1, 0))),  # compressed
]


@pytest.mark.parametrize("evil", ODD, ids=map(str, range(len(ODD))))
def test_what_cannot_be_ends_the_line_and_nothing_else(
    wire: Wire, evil: Callable[[BaseHTTPRequestHandler], Any]
) -> None:
    ended = wire.fails(evil)
    assert type(ended) is ServerUnreachable, ended
    assert not wire.link.has_line


@pytest.mark.parametrize("status", [200, 403, 426, 502])
def test_a_proxy_that_passes_no_websocket_is_named_as_the_cause(wire: Wire, status: int) -> None:
    ended = wire.fails(says({}, status))
    assert str(status) in str(ended)
    assert "proxy in between must pass WebSockets" in str(ended)


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that Python held at a time meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(line_attacks(1)))
def test_no_line_takes_much_memory(wire: Wire, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_line, "WITHIN", 8.0)
    wire.hostile.evils["line"] = line_attacks(LARGE)[name]

    def attacked() -> None:
        thread = wire.listen()
        if "answer" in name:
            wire.ear.wait("line")
            with pytest.raises(ServerUnreachable):
                wire.link.fetch_state(lambda: None)
        thread.join(6.0)  # one at a bounded pace goes on for longer
        wire.link.close()
        thread.join(10)
        assert not thread.is_alive()

    assert peak_of(attacked) < PEAK
    assert wire.hostile.asked["line"] == 1


def test_messages_are_taken_at_a_bounded_pace(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a server that sends without end has a core of the host read it."""
    monkeypatch.setattr(websocket, "MESSAGES_A_SECOND", 20)
    peer = wire.connect()
    began = time.monotonic()
    for _ in range(50):
        peer.send(Hint("", 3))
    wire.ear.wait("generation", 50)
    assert time.monotonic() - began > 1.9


def test_a_message_may_come_in_fragments_after_the_proof(wire: Wire) -> None:
    """Some proxies cut them."""
    peer = wire.connect()
    text = write(Hint("", 5))
    peer.send_raw(bytes((Opcode.TEXT, 5)) + text[:5])
    peer.send_raw(frame(Opcode.PING, b"in between"))
    peer.send_raw(bytes((Opcode.CONTINUATION | 0x80, len(text) - 5)) + text[5:])
    wire.ear.wait("generation")
    assert wire.ear.heard[-1] == ("generation", 5)


def test_a_silent_line_is_given_up(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_line, "SILENCE_SECONDS", 0.5)
    wire.connect()
    wire._threads[-1].join(5)
    (ended,) = wire.ended
    assert isinstance(ended, ServerUnreachable)
    assert not wire.link.has_line


def test_a_line_that_was_not_heard_of_is_none(wire: Wire) -> None:
    """After a pause of the agent nobody has noticed yet that the line is dead."""
    wire.connect()
    assert lives(wire)
    wire.clock.paused += SILENCE_SECONDS + 1
    assert not lives(wire)


def test_a_server_that_takes_nothing_holds_up_no_pass_for_long(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PATIENCE", 1.0)
    wire.connect()
    big = Report(1, frozenset(), notes=tuple("n" * 500 for _ in range(64)))
    began = time.monotonic()
    with contextlib.suppress(ServerUnreachable):
        while time.monotonic() - began < 20:
            wire.link._line._send(Reported("r", 0, big))  # type: ignore[union-attr]  # reason: it lives
    assert time.monotonic() - began < 15
    wire._threads[-1].join(5)
    assert wire.ended, "half a message may be on its way, so the line is over"


# -- without a line


def test_who_has_no_line_polls_after_a_while(wire: Wire) -> None:
    for _ in range(IN_VAIN):
        wire.fails(says({}, 400))
    assert not polls(wire)
    wire.clock.paused += ALONE_SECONDS + 1
    assert polls(wire)
    assert wire.link.fetch_state(lambda: None).generation == 1
    assert wire.link.send_report(REPORT) == 1
    assert wire.hostile.asked["state"] == wire.hostile.asked["report"] == 1
    peer = wire.connect()
    assert not polls(wire)
    wire.link.begin_pass()
    peer.close()
    wire._threads[-1].join(10)
    wire.clock.paused += ALONE_SECONDS + 1
    assert not polls(wire), "lines pass here"
    wire.fails(says({}, 400))
    wire.fails(says({}, 400))
    assert not polls(wire)
    wire.fails(lambda handler: Peer(handler).close())
    assert polls(wire)


def test_a_server_that_cannot_be_reached_is_not_polled(wire: Wire) -> None:
    """Ten thousand agents would poll one that has just come back, in the place of their lines."""
    for _ in range(IN_VAIN):
        wire.fails(says({}, 400))
    wire.clock.paused += ALONE_SECONDS + 1
    assert polls(wire)
    wire.hostile.close()
    wire.listen().join(10)
    assert type(wire.ended[-1]) is NotConnected
    assert not polls(wire)


def test_when_to_come_back_is_told(wire: Wire) -> None:
    assert wire.link.come_back_within(holds_leases=False) == 0
    peer = wire.connect(is_proved=False)
    peer.send(Challenge("c" * 43))
    peer.take(Proof)
    peer.send(Welcome("c", "", 60, 3600))
    wire.ear.wait("line")
    assert wire.link.come_back_within(holds_leases=False) == 60
    assert wire.link.come_back_within(holds_leases=True) == 6


def test_the_server_s_clock_is_compared_without_its_wall_clock_s_leaps(wire: Wire) -> None:
    assert wire.link.clock_skew() is None
    peer = wire.connect(is_proved=False)
    peer.send(Challenge("c" * 43))
    peer.take(Proof)
    peer.send(Welcome("c", "", 60, 3600, wire.clock.now() - timedelta(seconds=5)))
    wire.ear.wait("line")
    skew = wire.link.clock_skew()
    assert skew is not None
    assert timedelta(seconds=4) < skew < timedelta(seconds=6)
    wire.clock.turned = timedelta(hours=1)
    skew = wire.link.clock_skew()
    assert skew is not None
    assert skew > timedelta(minutes=59), "this host's clock was turned since"


def test_the_answer_to_a_report_is_its_own(wire: Wire) -> None:
    """An answer to another question answers none."""
    peer = wire.connect()

    def answer() -> None:
        reported = peer.take(Reported)
        peer.send(Taken("another", 9))
        peer.send(told(wire_nonce(peer), state(1)))
        peer.send(Taken(reported.id, 4))

    def wire_nonce(peer: Peer) -> str:
        return base64.urlsafe_b64encode(bytes(18)).decode()

    assert wire.while_asking(answer, lambda: wire.link.send_report(REPORT)) == 4
