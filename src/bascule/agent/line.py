"""One line to the server (``protocol.line``), from its challenge to its end.

One thread receives (``follow``); the loop's thread asks, reports and echoes. What is received costs
the host little (EDGES E4): a message is small unless an answer is waited for, one that is broken
ends the line, and a state is decoded when the loop takes it.

Rules for states (EDGES A8): the answer to a question counts from when it was asked; a push counts
from when its nonce was sent, and is dropped if that nonce is unknown, of another connection, or
older than FRESH_SECONDS. Of beats, the newest that came before a pass began is echoed once.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule import __version__
from bascule.agent.answers import LONGEST_REASON, read_object
from bascule.agent.link import ChangedOnTheWay, Identity, KeyRefused, Listener, NotGuarded
from bascule.agent.nonces import Nonces
from bascule.agent.shaking import Shaking
from bascule.agent.websocket import WebSocket
from bascule.domain.features import KNOWN
from bascule.errors import InvalidInput, ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.protocol.enrolment import base64url
from bascule.protocol.frames import CloseCode
from bascule.protocol.line import (
    LARGEST_PUSH,
    LARGEST_STATE,
    NO_BEAT,
    SILENCE_SECONDS,
    Ask,
    Beat,
    Challenge,
    Echo,
    Expect,
    FromAgent,
    Head,
    Hint,
    Proof,
    Record,
    Refused,
    Reported,
    Sealed,
    Taken,
    Trusting,
    Welcome,
    from_server,
    signed_text,
    write,
)
from bascule.protocol.report import Report
from bascule.protocol.seal import NotSealed
from bascule.protocol.shape import LARGEST
from bascule.protocol.trust import Trust

log = structlog.get_logger("bascule.agent")

WITHIN = 20.0  # seconds for one answer, however it drips
LARGEST_UNASKED = 4 * LARGEST_PUSH  # bytes of a message while no answer is waited for
MOST_PUSHED = 64  # states of machines behind that wait for the loop; the loop asks for others
KEY_REFUSED = frozenset({"AgentUnknown", "AgentKeyRefused"})  # codes
_ENDED = None  # what whoever waits for an answer gets when the line ends


class Line:
    """One connection. ``follow`` is for one thread, the rest for the loop's."""

    def __init__(self, socket: WebSocket, identity: Identity, clock: Clock) -> None:
        self._socket = socket
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()  # over what follows
        self._nonces = Nonces()
        self._waiting: dict[str, queue.Queue[Any]] = {}  # by nonce or id
        self._pushed: dict[str, tuple[Mapping[str, Any], float]] = {}  # by machine; empty: own
        self._named: dict[str, int] | None = None  # as ``LinkBehind``; None: no beat came yet
        self._beat = 0  # the newest number
        self._is_beat_due = False  # it was not echoed
        # The same two when the pass began, which may have been before this line was.
        self._pass: tuple[int, bool] = (NO_BEAT, False)
        self._welcome: Welcome | None = None
        self.was_live = False  # it was proved at some time
        self._on_welcome: Callable[[Welcome], None]  # of whoever follows
        self._on_record: Callable[[Head], None]
        # What is told to be trusted; answers the number of what is, None: it was not signed.
        self.on_trust: Callable[[Trust], int | None] = lambda _: None
        self._heard_at = clock.boottime()
        # Of an agent that comes through a proxy that ends TLS.
        self._shaking = Shaking(identity) if identity.is_through else None
        self._sending = threading.Lock()  # a seal counts what is sent

    # -- the receiving thread -----------------------------------------------------------

    def follow(
        self,
        listener: Listener,
        on_welcome: Callable[[Welcome], None],
        on_record: Callable[[Head], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        """Until the line ends: raises ServerUnreachable, or KeyRefused. ``on_record`` is told where the
        record ends, unverified.
        """
        self._on_welcome, self._on_record = on_welcome, on_record
        try:
            for content in self._socket.messages(SILENCE_SECONDS):
                if is_stopping():
                    return
                self._heard_at = self._clock.boottime()
                text = content if self._shaking is None else self._shaking.open(content)
                self._hear(text, listener)
        except NotSealed as error:
            self._socket.close(CloseCode.POLICY)
            raise ChangedOnTheWay(error.message) from error
        except (InvalidInput, ValueError) as error:
            self._socket.close(CloseCode.PROTOCOL_ERROR)
            raise ServerUnreachable(
                f"The server sent an invalid message: {str(error)[:LONGEST_REASON]}"
            ) from error
        finally:
            with self._lock:
                self._welcome = None
                for box in self._waiting.values():
                    box.put(_ENDED)
                self._waiting.clear()
            self._socket.release()

    def _hear(self, content: bytes, listener: Listener) -> None:
        told = read_object(content)
        if told.get("kind") == "state":
            self._hear_state(told, listener)
            return
        message = from_server(told)
        match message:
            case None:
                pass  # of a newer server (EDGES F4)
            case Challenge(text):
                self._prove(text)
            case Sealed() if self._shaking is not None:
                self._shaking.take(message)
            case Welcome():
                self._come_in(message, listener)
            case Refused("", _, code, why):
                if code in KEY_REFUSED:
                    raise KeyRefused(why[:LONGEST_REASON])
                raise ServerUnreachable(f"The server refused this agent's proof: {code} {why}")
            case Refused(key) | Taken(key):
                self._answer(key, message)
            case Beat() | Hint() | Expect() | Record() | Trust() if self._welcome is not None:
                self._hear_news(message, listener)
            case _:
                raise InvalidInput("This message may come only after the proof.")

    def _hear_news(
        self, message: Beat | Hint | Expect | Record | Trust, listener: Listener
    ) -> None:
        generation: int | None = None
        own = self._identity.machine_uid
        match message:
            case Beat(number, generations):
                with self._lock:
                    self._beat, self._is_beat_due = number, True
                self._name({uid: each for uid, each in generations.items() if uid != own}, listener)
                generation = generations.get(own)
            case Hint(machine, newer, report) if self._is_ours(machine):
                generation = newer
                if report:
                    listener.on_report_wanted()
            case Hint(machine, int(newer)):
                self._name_one(machine, newer, listener)
            case Expect():
                listener.on_expected()
            case Record(head):
                self._on_record(head)
            case Trust():
                taken = self.on_trust(message)
                if taken is not None:
                    self._send(Trusting(taken))
        if generation is not None:
            listener.on_generation(generation)

    def _name(self, named: dict[str, int], listener: Listener) -> None:
        """Beats name all machines, and so the one of a machine's end."""
        with self._lock:
            has_moved = named != (self._named or {})
            self._named = named
            self._pushed = {
                uid: each for uid, each in self._pushed.items() if uid in named or not uid
            }
        if has_moved:
            listener.on_behind()

    def _name_one(self, uid: str, generation: int, listener: Listener) -> None:
        with self._lock:
            named = self._named or {}
            if named.get(uid, generation) == generation:  # only a beat names a machine first
                return
            self._named = {**named, uid: generation}
        listener.on_behind()

    def _is_ours(self, machine: object) -> bool:
        return machine in ("", self._identity.machine_uid)

    def _prove(self, challenge: str) -> None:
        if self._shaking is not None:
            self._send(self._shaking.proof(challenge))
            return
        identity = self._identity
        text = signed_text(identity.tenant_id, identity.machine_uid, challenge)
        signature = Ed25519PrivateKey.from_private_bytes(identity.private_key).sign(text)
        self._send(Proof(base64url(signature), __version__, KNOWN))

    def _come_in(self, welcome: Welcome, listener: Listener) -> None:
        is_first = self._welcome is None
        with self._lock:
            self._welcome, self.was_live = welcome, True
            self._bound_messages()
        self._on_welcome(welcome)
        if is_first:
            generation = welcome.generations.get(self._identity.machine_uid)
            listener.on_line(welcome.acknowledged, generation)

    def _hear_state(self, told: Mapping[str, Any], listener: Listener) -> None:
        if self._welcome is None:
            raise InvalidInput("A state may come only after the proof.")
        nonce, machine = told.get("nonce"), told.get("machine", "")
        uid = "" if self._is_ours(machine) else machine
        with self._lock:
            is_known = uid == "" or (isinstance(uid, str) and uid in (self._named or ()))
        if not isinstance(nonce, str) or not is_known:
            raise InvalidInput("A state must name its nonce and a machine of this agent.")
        if self._answer(nonce, told):
            return
        with self._lock:
            sent_at = self._nonces.sent_at(nonce, self._clock.boottime())
            if sent_at is not None and (uid in {"", *self._pushed} or self._has_room()):
                self._pushed[uid] = told, sent_at
        if sent_at is None:
            log.info("a pushed state was dropped: it answers no recent nonce of this connection")
        generation = _generation_in(told)
        if uid:
            self._name_one(uid, generation, listener)  # held or asked for
        elif sent_at is None:
            listener.on_doubt()
        else:
            listener.on_push(generation)

    def _has_room(self) -> bool:
        return len(self._pushed) < MOST_PUSHED

    def _answer(self, key: str, answer: object) -> bool:
        """Hand it to whoever waits for it; False when nobody does."""
        with self._lock:
            box = self._waiting.pop(key, None)
            self._bound_messages()
        if box is not None:
            box.put(answer)
        return box is not None

    def _bound_messages(self) -> None:
        """Under the lock. Only an answer may be large, and each question is answered once."""
        largest = LARGEST_STATE if self._waiting else LARGEST_UNASKED
        if self._welcome is not None:
            self._socket.accept(largest, may_fragment=True)

    # -- the loop's thread --------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Proved, and heard of lately."""
        return self._welcome is not None and self._clock.boottime() - self._heard_at <= (
            SILENCE_SECONDS
        )

    @property
    def heard_at(self) -> float:
        return self._heard_at

    def ask(
        self, seen: int, told: int, meanwhile: Callable[[], None], machine: str = ""
    ) -> Mapping[str, Any]:
        """The message with the state (``Told``) of a machine behind, or of its own. Raises
        ServerUnreachable, KeyRefused, NotGuarded.
        """
        with self._lock:
            nonce = self._nonces.make(self._clock.boottime())
        answer = self._call(nonce, Ask(nonce, machine, seen, told, KNOWN), meanwhile)
        if not isinstance(answer, Mapping):
            raise ServerUnreachable("The server sent an answer to a different question.")
        uid = answer.get("machine", "")
        if uid != machine and (machine or not self._is_ours(uid)):
            raise ServerUnreachable("The server sent the state of another machine.")
        return answer

    def report(self, report: Report, machine: str = "") -> int:
        """Send it as read in this pass; returns the server's generation. Raises as ``ask``."""
        key = uuid.uuid4().hex
        answer = self._call(key, Reported(key, self._pass[0], report, machine), lambda: None)
        if not isinstance(answer, Taken):
            raise ServerUnreachable("The server sent an answer to a different question.")
        return answer.generation

    def begin_pass(self) -> None:
        with self._lock:
            self._pass = self._beat, self._is_beat_due

    def end_pass(
        self, generation: int, read: str, acknowledged: str, behind: Mapping[str, int]
    ) -> None:
        """Echo the beat that came before the pass began, unless it was. Raises ServerUnreachable."""
        with self._lock:
            (number, is_due), self._pass = self._pass, (self._pass[0], False)
            if not is_due:
                return
            if number == self._beat:
                self._is_beat_due = False
            nonce = self._nonces.make(self._clock.boottime())
        generations = {**behind, self._identity.machine_uid: generation}
        self._send(Echo(number, nonce, generations, read, acknowledged))

    def take_push(self, machine: str = "") -> tuple[Mapping[str, Any], float] | None:
        """The newest push (``Told``) of that machine, and from when its times count."""
        with self._lock:
            return self._pushed.pop(machine, None)

    def named(self) -> Mapping[str, int] | None:
        with self._lock:
            return self._named

    def close(self) -> None:
        self._socket.close(CloseCode.GOING_AWAY)

    def _call(self, key: str, message: FromAgent, meanwhile: Callable[[], None]) -> object:
        box: queue.Queue[Any] = queue.Queue(1)
        with self._lock:
            if self._welcome is None:
                raise ServerUnreachable("The connection to the server has ended.")
            self._waiting[key] = box
            self._bound_messages()
        try:
            self._send(message)
            meanwhile()
            answer = box.get(timeout=WITHIN)
        except queue.Empty:
            raise ServerUnreachable(f"The server did not answer within {WITHIN:.0f} s.") from None
        finally:
            with self._lock:
                self._waiting.pop(key, None)
                self._bound_messages()
        if answer is _ENDED:
            raise ServerUnreachable("The connection ended before the server answered.")
        if isinstance(answer, Refused):
            if answer.code in KEY_REFUSED:
                raise KeyRefused(answer.message or "The server does not know this agent's machine.")
            kind = NotGuarded if answer.code == NotGuarded.code else ServerUnreachable
            raise kind(f"The server refused: HTTP {answer.status} {answer.code}.")
        return answer

    def _send(self, message: FromAgent) -> None:
        text = write(message)
        if self._shaking is None:
            self._socket.send(text)
            return
        with self._sending:
            self._socket.send(self._shaking.close(text))


def _generation_in(told: Mapping[str, Any]) -> int:
    """Of a state that was not decoded yet; -1 when it has none that can be."""
    state = told.get("state")
    generation = state.get("generation") if isinstance(state, Mapping) else None
    return generation if type(generation) is int and 0 <= generation <= LARGEST else -1
