"""One line: the connection on which an enforcement point proves its key, echoes beats, asks and reports.

``protocol.line`` says what is said. Echoes are taken in at once, with no task, no event and no SQL.
What needs the store is done one after the other, in order, by a task that exists meanwhile.

Rules:
* Before the proof a peer may send one small message, the proof, and has as long as for headers.
* An echo counts as contact at the moment when its number was sent, if that is one of the last few
  and not old, and if what was read is what the server last settled. Otherwise a report is asked for.
* Of what waits for the store, a few messages are kept. Whoever sends more loses the connection.

What is not here: bytes and their pace (``framed_connection``), which beats count (``beats``), and
what is read and settled in the store (``line_answers``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from bascule.api.beats import AT_PROOF, Beats
from bascule.api.connections import ConnectionPlace
from bascule.api.framed_connection import FramedConnection
from bascule.api.line_answers import answer, tell_news
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.features import BASELINE, Feature
from bascule.domain.grant import SILENCE_BOUND
from bascule.errors import AuthenticationFailed, BasculeError, Forbidden, Unavailable
from bascule.interfaces.points import Contact
from bascule.protocol.frames import CloseCode
from bascule.protocol.line import (
    LARGEST_REPORT,
    Ask,
    Beat,
    Challenge,
    Echo,
    Expect,
    FromAgent,
    Hint,
    Proof,
    Refused,
    Reported,
    Sealed,
    Trusting,
    Welcome,
    seal_text,
    sealed_text,
    signed_text,
    write,
)
from bascule.protocol.seal import Ephemeral, NotSealed
from bascule.protocol.signed import Kind, is_signed
from bascule.services import lines as use
from bascule.services.ca_rotation import note_taken

if TYPE_CHECKING:
    from bascule.api.lines import Lines

log = structlog.get_logger("bascule.api")

_EXPECT: Final = write(Expect())
MOST_WAITING = 4  # asks and reports that wait for the one before
MOST_WELCOMED = 64  # machines in a Welcome, which has LARGEST_UNPROVED bytes; the own one is first
RENEW_BEFORE = 60.0  # seconds before a proof ends
REFUSED: Final = "AgentKeyRefused"  # code: the agent gives up what it holds open (EDGES A12)


class Line(FramedConnection):
    """The line of one point, proved or not."""

    __slots__ = (
        "_challenge",
        "_contact_at",
        "_deadline",
        "_is_looking",
        "_is_relayed",
        "_is_silent",
        "_is_woken",
        "_is_working",
        "_lines",
        "_machine_name",
        "_place",
        "_proof_ends",
        "_told_head",
        "_unanswered",
        "_waiting",
        "acknowledged",
        "address",
        "beats",
        "client",
        "generations",
        "holds",
        "knows",
        "nonce",
        "number",
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
        *,
        is_relayed: bool = False,
    ) -> None:
        """``is_relayed``: the peer is a proxy, which ended the agent's TLS."""
        super().__init__(transport, lines.services.clock)
        self._lines = lines
        self.uid = uid
        self.address, self.client = address, client
        self._is_relayed = is_relayed
        self.public_key = ""  # empty: not proved
        self.knows: frozenset[Feature] = BASELINE
        self.generations: Mapping[str, int] = {}  # as told, by machine uid
        self.acknowledged = ""
        self.beats = Beats()
        self.nonce: tuple[str, float] = ("", 0.0)  # the newest, and when it was received
        self.holds = frozenset((uid,))  # machines whose states may be pushed
        self.slot = -1  # of the ticker
        self.number = 0  # of the claim, among all servers; 0: this server is alone
        self._place = place
        self._machine_name = ""
        self._challenge = ""  # that is to be answered; empty: none
        self._proof_ends = 0.0
        self._contact_at: datetime | None = None
        self._is_silent = False  # as the proof found it
        self._told_head: bytes = b""
        self._waiting: deque[tuple[Ask | Reported, float, int]] = deque()  # received, bytes
        self._unanswered = 0  # bytes of these, and of the one that is being answered
        self._is_working = self._is_looking = self._is_woken = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_proved(self) -> bool:
        return bool(self.public_key)

    @property
    def subject(self) -> Subject:
        return Subject(self.uid, PrincipalKind.AGENT, self._machine_name, self.address, self.client)

    def begin(self, seconds: float) -> None:
        """Challenge the peer, which has so many seconds to answer."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
        self._send_challenge()

    def go_on(self) -> None:
        self._work_on()
        if self._is_woken:
            self.look()

    def give_up(self) -> None:
        self._cancel_deadline()
        self._waiting.clear()
        self._kept = self._unanswered = 0
        self.count()
        self._place.end_turn()
        self._lines.leave(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Until then the connection has a descriptor, and so its place."""
        super().connection_lost(exc)
        self._place.leave()

    def count(self) -> None:
        self._lines.arrivals.keep(self, self._kept + self._unanswered)

    def lose(self) -> None:
        if self._lines.is_logged(self.address):
            log.warning(
                "too much arrives at once: the line that sends most was ended",
                point=self.uid,
                address=self.address,
            )
        self._transport.abort()
        self._finish()

    # -- what is said -------------------------------------------------------------------

    def hear(self, message: FromAgent | None, size: int) -> None:
        if isinstance(message, Proof):
            self._hear_proof(message)
        elif not self.is_proved:
            self.end(CloseCode.POLICY, "The first message must be the proof.")
        elif isinstance(message, Echo):
            self._hear_echo(message)
        elif isinstance(message, Trusting):
            self._lines.begin_task(self._note_trusting(message.number))
        elif message is not None:
            received = self._clock.monotonic()
            if isinstance(message, Ask):
                self.nonce = message.nonce, received
                self.holds |= self.generations.keys() & {message.machine}
            if len(self._waiting) >= MOST_WAITING:
                self.end(CloseCode.POLICY, "Too many questions and reports wait for an answer.")
                return
            self._waiting.append((message, received, size))
            self._unanswered += size
            self.count()
            self._work_on()

    async def _note_trusting(self, number: int) -> None:
        uid, key = self.uid, self.public_key
        try:
            await self._lines.services.perform(lambda tx, _: note_taken(tx, uid, key, number))
        except BasculeError as error:  # it is told again on its next line
            log.warning("not recorded what an agent trusts", point=uid, why=error.message)

    def tell_trust(self) -> None:
        """What the agent is to trust, if there ever was a change of it."""
        trust = self._lines.trust_for(self.uid)
        if trust is not None and self.is_proved and not self._is_over:
            self.send(trust)

    def _hear_proof(self, proof: Proof) -> None:
        challenge, self._challenge = self._challenge, ""  # it is answered once
        if not challenge:
            self.end(CloseCode.PROTOCOL_ERROR, "A proof came that answers no challenge.")
            return
        self._lines.begin_task(self._answer_proof(proof, challenge))

    def _hear_echo(self, echo: Echo) -> None:
        now = self._clock.monotonic()
        sent = self.beats.sent(echo.number, now)
        if sent is None or sent.number == AT_PROOF:
            return
        self.nonce = echo.nonce, now
        self.holds = frozenset((self.uid, *(self.generations.keys() & echo.generations.keys())))
        is_known = (
            echo.read == echo.acknowledged == self.acknowledged
            and bool(echo.read)
            and self._is_heard(sent.at)
            and not self._is_ahead(echo.generations)
        )
        if not is_known:
            self.send(Hint(report=True))
            return
        self.note_contact(sent.at)
        machines = use.machines_of(echo.generations, self.uid)
        network = self._place.group
        self._lines.contacts.note(
            Contact(self.uid, self.public_key, sent.at, machines, network, self.number)
        )

    def _is_heard(self, at: datetime) -> bool:
        """Was it heard within the silence bound of that moment, or could it not be, because no server
        ran? Otherwise its return is to go on record by a report.
        """
        known = self._contact_at
        if known is None:
            return False
        is_counted = self._is_silent or self._lines.contacts.is_counting
        return at - known <= SILENCE_BOUND or not is_counted

    def _is_ahead(self, held: Mapping[str, int]) -> bool:
        """Does the agent hold a generation that this server did not tell (EDGES A8)?"""
        return any(held.get(uid, 0) > told for uid, told in self.generations.items())

    def note_contact(self, at: datetime) -> None:
        if (
            self._contact_at is None
            or self._contact_at < at
            or self._contact_at > self._clock.now()
        ):
            self._contact_at = at

    def forget_contact(self) -> None:
        """What was heard may not be stored: the next echo asks for a report, which is."""
        self._contact_at = None

    # -- the proof ----------------------------------------------------------------------

    def _send_challenge(self) -> None:
        self._challenge = secrets.token_urlsafe(32)
        self.send(Challenge(self._challenge))

    async def _answer_proof(self, proof: Proof, challenge: str) -> None:
        with self._lines.owing():
            await self._check(proof, challenge)

    async def _check(self, proof: Proof, challenge: str) -> None:
        try:
            found = await self._lines.services.read_few(lambda r: use.standing(r, self.uid))
        except BasculeError as error:
            self._refuse_proof(error)
            return
        is_new_key = found is not None and self.public_key not in ("", found.public_key)
        is_to_seal = self._seal is None and bool(proof.key or self._is_relayed)
        if is_to_seal and not self._is_over and not self._begin_seal(proof, challenge, found):
            return
        if found is None or is_new_key or not self._is_proved_by(proof, challenge, found):
            self.refuse_key()
        elif not self._is_over and not self._place.hold():
            self._refuse_proof(
                Unavailable(
                    "The server has no room for more agents. Try again later.", retry_after=30
                )
            )
        elif not self._is_over and (self._lines.is_alone or self.is_proved):
            self._admit(proof, found)
        elif not self._is_over:
            await self._claim(proof, found)

    def _text_of(self, proof: Proof, challenge: str) -> bytes:
        if not proof.key:
            return signed_text(self._lines.tenant_id, self.uid, challenge)
        named = (challenge, proof.public_key, proof.key)
        return sealed_text(self._lines.tenant_id, self.uid, *named)

    def _is_proved_by(self, proof: Proof, challenge: str, found: use.Standing) -> bool:
        text = self._text_of(proof, challenge)
        return is_signed(found.public_key, proof.signature, text)

    def _begin_seal(self, proof: Proof, challenge: str, found: use.Standing | None) -> bool:
        """Whoever may change what is said must not make us say that the agent's key is refused: that is
        said sealed, and only of the key that the seal names. False: the line ends without one.
        """
        if not proof.key:
            self._refuse_proof(
                Forbidden(
                    "An agent that comes through a proxy which ends TLS must be enrolled for that.",
                    code="SealRequired",
                    advice="Enrol it with bascule machine enrol NAME --replace --through-proxy.",
                )
            )
            return False
        is_named = found is not None and found.public_key == proof.public_key
        if is_named and found is not None and not self._is_proved_by(proof, challenge, found):
            self.note_change()
            self._refuse_proof(NotSealed("The proof was changed on its way."))
            return False
        own = Ephemeral()
        text = seal_text(self._text_of(proof, challenge), own.public)
        try:
            seal = own.seal(proof.key, text, is_agent=False)
        except NotSealed as error:
            self._refuse_proof(error)
            return False
        signature = self._lines.sign(Kind.LINE, self.uid, proof.key, 0, text)
        self.send(Sealed(own.public, signature))
        self._seal = seal
        return True

    def note_change(self) -> None:
        if self._lines.is_logged(self.address):
            log.warning(
                "what an agent said was changed on its way, by the proxy or before it",
                point=self.uid,
                address=self.address,
            )

    async def _claim(self, proof: Proof, known: use.Standing) -> None:
        """Be the newest connection of the point, over all servers, before it is welcome."""
        try:
            claimed = await self._lines.claims.claim(self.uid)
        except BasculeError as error:
            self._refuse_proof(error)
            return
        if claimed is None or claimed.standing.public_key != known.public_key:
            self.refuse_key()
        elif not self._is_over:
            self.number = claimed.number
            self._admit(proof, claimed.standing)
            self.look()  # what moved since the claim woke nobody here

    def _admit(self, proof: Proof, found: use.Standing) -> None:
        self._cancel_deadline()
        is_first = not self.is_proved
        self.public_key, self.knows = found.public_key, proof.knows
        self._machine_name = found.machine_name
        self._contact_at, self.acknowledged = found.last_contact_at, found.acknowledged
        self._is_silent = found.is_silent
        self._frames.largest, self._frames.may_fragment = LARGEST_REPORT, True
        seconds = self._lines.proof_seconds
        self._proof_ends = self._clock.monotonic() + seconds
        if is_first:
            self.beats.begin(self._clock.now(), self._clock.monotonic())
            self._lines.admit(self, found.generations, self._place.group)
        welcome = Welcome(
            secrets.token_urlsafe(16),
            self.acknowledged,
            self._lines.come_back_seconds,
            int(seconds),
            self._clock.now(),
            dict(islice(self.generations.items(), MOST_WELCOMED)),
        )
        if is_first:
            self._send_beat(welcome)
        else:
            self.send(welcome)
        self._place.end_turn()
        if is_first:
            self.tell_trust()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

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
        now = self._clock.monotonic()
        if now >= self._proof_ends:
            self.end(CloseCode.PROOF_ENDED, "The agent did not renew its proof in time.")
        elif self.has_stalled(now):
            self._transport.abort()
        elif not (self.is_paused or self._is_over):
            self._send_beat()
            if now >= self._proof_ends - RENEW_BEFORE and not self._challenge:
                self._send_challenge()
            if self._is_woken:  # reading it failed
                self.look()

    def _send_beat(self, *before: Welcome) -> None:
        """And where the record ends, if that moved."""
        number = self.beats.next(self._clock.now(), self._clock.monotonic())
        head = self._lines.head
        news, self._told_head = (b"" if self._told_head is head else head), head
        self.send(*before, Beat(number, self.generations), last=news)

    # -- news, asks and reports ---------------------------------------------------------

    def expect(self) -> None:
        """Something of its machines may move in a moment: have the agent get ready."""
        if not self.is_paused:
            self.say(_EXPECT)

    def look(self) -> None:
        """Something of this point or its machines may have moved: read it and tell."""
        self._is_woken = True
        if not (self._is_looking or self._is_over or self.is_paused):
            self._is_looking = True
            self._lines.begin_task(self._look())

    async def _look(self) -> None:
        try:
            while self._is_woken and not self._is_over and not self.is_paused:
                self._is_woken = False
                await tell_news(self._lines, self)
        except use.NewerLineError:
            self._lines.replace(self)
        except AuthenticationFailed:
            self.refuse_key()
        except BasculeError as error:
            self._is_woken = True  # the next beat looks again
            log.warning("changes were not sent to an agent", point=self.uid, why=error.message)
        except Exception:  # a row that somebody damaged, a fault of ours: news is not forgotten
            self._is_woken = True
            log.exception("changes were not sent to an agent", point=self.uid)
        finally:
            self._is_looking = False

    def _work_on(self) -> None:
        if self._waiting and not (self._is_working or self._is_over):
            self._is_working = True
            self._lines.begin_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting and not self._is_over and not self.is_paused:
                message, received, size = self._waiting.popleft()
                await answer(self._lines, self, message, received)
                if not self._is_over:
                    self._unanswered -= size
                    self.count()
        finally:
            self._is_working = False

    def was_told(self, machine_uid: str, generation: int) -> None:
        """The agent was told this generation of a machine of its own. What was read before a newer
        one was told says nothing.
        """
        if self.generations.get(machine_uid, generation) < generation:
            self.generations = {**self.generations, machine_uid: generation}
