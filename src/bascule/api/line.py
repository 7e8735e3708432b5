"""One line: the connection on which an enforcement point proves its key, is beaten, asks and reports.

``protocol.line`` says what is said. This is an asyncio.Protocol on a transport that was HTTP's: it
parses frames as they come and answers beats' echoes at once, with no task, no event and no SQL.
What needs the store is done one after the other, in order, by a task that exists meanwhile.

Rules:
* Before the proof a peer may send one small message, the proof, and has as long as for headers.
* An echo counts as contact at the moment when its number was sent, if that is one of the last few
  and not old, and if what was read is what the server last settled. Otherwise a report is asked for.
* A state is pushed in answer to the newest nonce alone, while that is fresh; its times count from
  the receipt of that nonce, which is never before the agent sent it (EDGES A8).
* What a peer may make the server keep is bounded: one message, a few that wait, what it does not
  read. Whoever sends more, faster, or slower, loses the connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from bascule.api.connections import ConnectionPlace
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.desired import counted_from_before
from bascule.domain.features import BASELINE, Feature
from bascule.domain.grant import SILENCE_BOUND
from bascule.errors import AuthenticationFailed, BasculeError, InvalidInput, Unavailable
from bascule.identity.line_proof import is_signed
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Reader, Transaction
from bascule.json_text import read_json
from bascule.protocol.frames import Broken, CloseCode, Frames, Opcode, close_frame, frame
from bascule.protocol.line import (
    FRESH_SECONDS,
    LARGEST_PUSH,
    LARGEST_REPORT,
    LARGEST_UNPROVED,
    NUMBERS_REMEMBERED,
    Ask,
    Beat,
    Challenge,
    Echo,
    FromAgent,
    FromServer,
    Hint,
    Proof,
    Refused,
    Reported,
    Taken,
    Told,
    Welcome,
    from_agent,
    signed_text,
    write,
)
from bascule.protocol.state import RecordMark, State
from bascule.services import lines as use
from bascule.services.act import Act

if TYPE_CHECKING:
    from bascule.api.lines import Lines

log = structlog.get_logger("bascule.api")

MOST_WAITING = 4  # asks and reports that wait for the one before
MESSAGES_A_SECOND, MOST_AT_ONCE = 30.0, 100.0  # ten passes a second: ask, report, echo
STALLED_SECONDS = 30.0  # that a message may take to come, or the peer to read what was sent
RENEW_BEFORE = 60.0  # seconds before a proof ends
AT_PROOF = 0  # the number of a report that was read before the first beat came
REFUSED: Final = "AgentKeyRefused"  # code: the agent gives up what it holds open (EDGES A12)


class Sent(NamedTuple):
    """A beat that may still be echoed."""

    number: int
    at: datetime
    monotonic: float


class Line(asyncio.Protocol):
    """From the end of the handshake to the loss of the connection."""

    __slots__ = (
        "_allowance",
        "_allowed_at",
        "_amid_since",
        "_beats",
        "_challenge",
        "_contact_at",
        "_deadline",
        "_frames",
        "_is_looking",
        "_is_over",
        "_is_woken",
        "_is_working",
        "_lines",
        "_machine_name",
        "_nonce",
        "_number",
        "_paused_since",
        "_place",
        "_proof_ends",
        "_told_head",
        "_transport",
        "_waiting",
        "acknowledged",
        "address",
        "client",
        "generations",
        "knows",
        "public_key",
        "slot",
        "uid",
    )

    def __init__(
        self,
        lines: Lines,
        uid: str,
        place: ConnectionPlace,
        transport: asyncio.Transport,
        address: str,
        client: str,
    ) -> None:
        self._lines = lines
        self.uid = uid
        self.address, self.client = address, client
        self.public_key = ""  # empty: not proved
        self.knows: frozenset[Feature] = BASELINE
        self.generations: Mapping[str, int] = {}  # as told, by machine uid
        self.acknowledged = ""
        self.slot = -1  # of the ticker
        self._place = place
        self._transport = transport
        self._frames = Frames(is_masked=True, largest=LARGEST_UNPROVED)
        self._machine_name = ""
        self._challenge = ""  # that is to be answered; empty: none
        self._proof_ends = 0.0
        self._number = secrets.randbelow(1 << 40)
        self._beats: tuple[Sent, ...] = ()  # the newest last
        self._nonce: tuple[str, float] = ("", 0.0)  # and when it was received
        self._contact_at: datetime | None = None
        self._told_head: bytes = b""
        self._waiting: deque[tuple[Ask | Reported, float]] = deque()
        self._is_working = self._is_looking = self._is_woken = self._is_over = False
        self._paused_since: float | None = None
        self._amid_since: float | None = None
        self._allowance, self._allowed_at = MOST_AT_ONCE, 0.0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_proved(self) -> bool:
        return bool(self.public_key)

    @property
    def is_over(self) -> bool:
        return self._is_over

    def begin(self, seconds: float) -> None:
        """Challenge the peer, which has so many seconds to answer."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
        self._allowed_at = self._lines.monotonic()
        self._send_challenge()

    # -- the transport ------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._finish()

    def eof_received(self) -> None:
        """The transport closes."""

    def pause_writing(self) -> None:
        if self._paused_since is None:
            self._paused_since = self._lines.monotonic()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._work_on()
        if self._is_woken:
            self.look()

    def data_received(self, data: bytes) -> None:
        try:
            for opcode, content in self._frames.feed(data):
                self._amid_since = None
                self._take(opcode, content)
                if self._is_over:
                    return
        except Broken as error:
            self.end(error.close_code, error.message)
            return
        if self._amid_since is None and self._frames.is_amid:
            self._amid_since = self._lines.monotonic()

    def _take(self, opcode: Opcode, content: bytes) -> None:
        if not self._is_within_pace():
            self.end(CloseCode.POLICY, "The agent sends too many messages.")
        elif opcode is Opcode.CLOSE:
            self.end(CloseCode.NORMAL)
        elif opcode is Opcode.PING and self._paused_since is None:
            self._write(frame(Opcode.PONG, content))
        elif opcode is Opcode.TEXT:
            try:
                message = from_agent(read_json(content))
            except InvalidInput as error:
                self.end(CloseCode.PROTOCOL_ERROR, error.message)
            except ValueError:
                self.end(CloseCode.NOT_TEXT, "A message is one JSON object in UTF-8.")
            else:
                self._hear(message)

    def _is_within_pace(self) -> bool:
        now = self._lines.monotonic()
        more = (now - self._allowed_at) * MESSAGES_A_SECOND
        self._allowance = min(MOST_AT_ONCE, self._allowance + more) - 1.0
        self._allowed_at = now
        return self._allowance >= 0.0

    # -- what is said -------------------------------------------------------------------

    def _hear(self, message: FromAgent | None) -> None:
        if isinstance(message, Proof):
            self._hear_proof(message)
        elif not self.is_proved:
            self.end(CloseCode.POLICY, "The first message must be the proof.")
        elif isinstance(message, Echo):
            self._hear_echo(message)
        elif message is not None:
            received = self._lines.monotonic()
            if isinstance(message, Ask):
                self._nonce = message.nonce, received
            if len(self._waiting) >= MOST_WAITING:
                self.end(CloseCode.POLICY, "Too many questions and reports wait for an answer.")
                return
            self._waiting.append((message, received))
            self._work_on()

    def _hear_proof(self, proof: Proof) -> None:
        challenge, self._challenge = self._challenge, ""  # it is answered once
        if not challenge:
            self.end(CloseCode.PROTOCOL_ERROR, "A proof came that answers no challenge.")
            return
        self._lines.begin_task(self._check(proof, challenge))

    def _hear_echo(self, echo: Echo) -> None:
        now = self._lines.monotonic()
        sent = self._sent(echo.number, now)
        if sent is None or sent.number == AT_PROOF:
            return
        self._nonce = echo.nonce, now
        known = self._contact_at
        is_known = (
            echo.read == echo.acknowledged == self.acknowledged
            and bool(echo.read)
            and known is not None
            and sent.at - known <= SILENCE_BOUND
            and not self._is_ahead(echo.generations)
        )
        if not is_known:
            self.send(Hint(report=True))
            return
        self._note_contact(sent.at)
        machines = use.machines_of(echo.generations, self.uid)
        network = self._place.group
        self._lines.contacts.note(Contact(self.uid, self.public_key, sent.at, machines, network))

    def _is_ahead(self, held: Mapping[str, int]) -> bool:
        """Does the agent hold a generation that this server did not tell (EDGES A8)?"""
        return any(held.get(uid, 0) > told for uid, told in self.generations.items())

    def _sent(self, number: int, now: float) -> Sent | None:
        """The beat of that number, if its echo still counts."""
        for sent in self._beats:
            if sent.number == number and now - sent.monotonic <= FRESH_SECONDS:
                return sent
        return None

    def _note_contact(self, at: datetime) -> None:
        if (
            self._contact_at is None
            or self._contact_at < at
            or self._contact_at > self._lines.now()
        ):
            self._contact_at = at

    # -- the proof ----------------------------------------------------------------------

    def _send_challenge(self) -> None:
        self._challenge = secrets.token_urlsafe(32)
        self.send(Challenge(self._challenge))

    async def _check(self, proof: Proof, challenge: str) -> None:
        try:
            found = await self._lines.services.read_few(lambda r: use.standing(r, self.uid))
        except BasculeError as error:
            self._refuse_proof(error)
            return
        text = signed_text(self._lines.tenant_id, self.uid, challenge)
        is_new_key = found is not None and self.public_key not in ("", found.public_key)
        if found is None or is_new_key or not is_signed(found.public_key, proof.signature, text):
            self.refuse_key()
        elif not self._is_over:
            self._admit(proof, found)

    def _admit(self, proof: Proof, found: use.Standing) -> None:
        if not self._place.hold():
            self._refuse_proof(
                Unavailable(
                    "The server has no room for more agents. Try again later.", retry_after=30
                )
            )
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        is_first = not self.is_proved
        self.public_key, self.knows = found.public_key, proof.knows
        self._machine_name = found.machine_name
        self._contact_at, self.acknowledged = found.last_contact_at, found.acknowledged
        self._frames.largest, self._frames.may_fragment = LARGEST_REPORT, True
        seconds = self._lines.proof_seconds
        self._proof_ends = self._lines.monotonic() + seconds
        if is_first:
            self._beats = (Sent(AT_PROOF, self._lines.now(), self._lines.monotonic()),)
            self._lines.admit(self, found.generations, self._place.group)
        welcome = Welcome(
            secrets.token_urlsafe(16),
            self.acknowledged,
            self._lines.come_back_seconds,
            int(seconds),
            self._lines.now(),
            self.generations,
        )
        self.send(welcome)
        if is_first:
            self.beat()

    def refuse_key(self) -> None:
        """The key is not this point's, or not any more: the agent ends what it holds open."""
        if self._lines.is_logged(self.address):
            log.info("an agent's proof was refused", point=self.uid, address=self.address)
        why = "The proof is not signed with the key of this enforcement point."
        self.send(Refused("", 401, REFUSED, why))
        self.end(CloseCode.CREDENTIAL_REVOKED)

    def _refuse_proof(self, error: BasculeError) -> None:
        self.send(Refused("", error.http_status, error.specific_code, error.message))
        self.end(CloseCode.POLICY, error.message)

    # -- beats --------------------------------------------------------------------------

    def beat(self) -> None:
        """Send the next number, and end what has lasted too long."""
        now = self._lines.monotonic()
        if now >= self._proof_ends:
            self.end(CloseCode.PROOF_ENDED, "The agent did not renew its proof in time.")
        elif self._has_stalled(now):
            self._transport.abort()
        elif self._paused_since is None and not self._is_over:
            self._number += 1
            sent = Sent(self._number, self._lines.now(), now)
            self._beats = (*self._beats, sent)[-NUMBERS_REMEMBERED:]
            self.send(Beat(self._number, self.generations))
            if now >= self._proof_ends - RENEW_BEFORE and not self._challenge:
                self._send_challenge()
            if self._told_head is not self._lines.head:
                self._told_head = self._lines.head
                self._write(self._told_head)
            if self._is_woken:  # reading it failed
                self.look()

    def _has_stalled(self, now: float) -> bool:
        begun = (each for each in (self._paused_since, self._amid_since) if each is not None)
        return any(now - since > STALLED_SECONDS for since in begun)

    # -- news ---------------------------------------------------------------------------

    def look(self) -> None:
        """Something of this point or its machines may have moved: read it and tell."""
        self._is_woken = True
        if not (self._is_looking or self._is_over or self._paused_since is not None):
            self._is_looking = True
            self._lines.begin_task(self._look())

    async def _look(self) -> None:
        try:
            while self._is_woken and not self._is_over and self._paused_since is None:
                self._is_woken = False
                await self._tell_news()
        except AuthenticationFailed:
            self.refuse_key()
        except BasculeError as error:
            self._is_woken = True  # the next beat looks again
            log.warning("changes were not sent to an agent", point=self.uid, why=error.message)
        finally:
            self._is_looking = False

    async def _tell_news(self) -> None:
        at, now = self._lines.monotonic(), self._lines.now()
        nonce, received = self._nonce
        is_fresh = bool(nonce) and at - received < FRESH_SECONDS

        def read(reader: Reader) -> use.News:
            return use.news(
                reader,
                self.uid,
                self.public_key,
                self.generations,
                now,
                self.knows,
                with_states=is_fresh,
            )

        found = await self._lines.services.read_few(read)
        if self._is_over:
            return
        told, generations = self.generations, found.generations
        self._lines.follow(self, generations)
        for uid, number in generations.items():
            if told.get(uid) == number:
                continue
            wanted = found.states.get(uid)
            if wanted is None or not self._is_pushed(wanted, nonce, at - received):
                self.send(Hint(uid, number))

    def _is_pushed(self, wanted: use.Wanted, nonce: str, age: float) -> bool:
        """Send the state in answer to the nonce, unless it is too large for that."""
        text = write(self._told(wanted, nonce, age, None))
        if len(text) > LARGEST_PUSH:
            return False
        self._write(frame(Opcode.TEXT, text))
        return True

    def _told(self, wanted: use.Wanted, nonce: str, age: float, record: RecordMark | None) -> Told:
        """``age``: seconds from the receipt of the nonce to ``wanted.now``."""
        desired = counted_from_before(wanted.desired, timedelta(seconds=age))
        state = State(desired, wanted.machine_name, wanted.now, record)
        return Told(wanted.desired.machine_uid, nonce, state)

    # -- asks and reports ---------------------------------------------------------------

    def _work_on(self) -> None:
        if self._waiting and not (self._is_working or self._is_over):
            self._is_working = True
            self._lines.begin_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting and not self._is_over and self._paused_since is None:
                message, received = self._waiting.popleft()
                await self._answer(message, received)
        finally:
            self._is_working = False

    async def _answer(self, message: Ask | Reported, received: float) -> None:
        key = message.nonce if isinstance(message, Ask) else message.id
        try:
            if isinstance(message, Ask):
                await self._answer_ask(message, received)
            else:
                await self._answer_report(message, received)
        except AuthenticationFailed as error:
            self.send(Refused(key, error.http_status, error.specific_code, error.message))
            self.refuse_key()
        except BasculeError as error:
            await self._lines.record_denial(self.subject, message, error)
            self.send(Refused(key, error.http_status, error.specific_code, error.message))
        except Exception:
            log.exception("a message of an agent failed", point=self.uid)
            self.send(Refused(key, 500, "InternalServerError", "An internal error occurred."))

    async def _answer_ask(self, ask: Ask, received: float) -> None:
        at, now = self._lines.monotonic(), self._lines.now()

        def read(reader: Reader) -> tuple[use.Wanted, RecordMark]:
            use.check_holds(reader, self.uid, self.public_key)
            machine_uid = ask.machine or self.uid
            return (
                use.wanted(reader, self.uid, machine_uid, now, ask.knows),
                self._lines.mark(reader, ask),
            )

        wanted, record = await self._lines.services.read_few(read)
        self._was_told(wanted.desired.machine_uid, wanted.desired.generation)
        self.send(self._told(wanted, ask.nonce, at - received, record))

    async def _answer_report(self, message: Reported, received: float) -> None:
        sent = self._sent(message.number, received)
        heard_at = None if sent is None else sent.at
        acts: list[Act] = []

        def settle(tx: Transaction, act: Act) -> int:
            acts.append(act)
            return use.settle(
                tx, act, self.uid, self.public_key, message.report, message.machine, heard_at
            )

        generation = await self._lines.services.perform(settle, self.subject)
        if acts[-1].acknowledged is not None:
            self.acknowledged = acts[-1].acknowledged
        if heard_at is not None:
            self._note_contact(heard_at)
        self._was_told(message.machine or self.uid, generation)
        self.send(Taken(message.id, generation))

    def _was_told(self, machine_uid: str, generation: int) -> None:
        if machine_uid in self.generations and self.generations[machine_uid] != generation:
            self.generations = {**self.generations, machine_uid: generation}

    @property
    def subject(self) -> Subject:
        return Subject(self.uid, PrincipalKind.AGENT, self._machine_name, self.address, self.client)

    # -- the end ------------------------------------------------------------------------

    def send(self, message: FromServer) -> None:
        self._write(frame(Opcode.TEXT, write(message)))

    def _write(self, data: bytes) -> None:
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
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._waiting.clear()
        self._lines.leave(self)
        self._place.leave()
