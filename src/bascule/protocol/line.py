"""What is said on the line: the one connection between an enforcement point and its server.

A WebSocket (``frames``) at ``GET /bascule/points/{uid}/line``; each message is one JSON object, its
``kind`` first. The server challenges, the agent proves, the server beats; the agent echoes a beat
once it has read its firewall back, asks for states and reports what is news.

* An echo counts as contact at the moment when its number was *sent*: what a proxy or a paused server
  kept back is not fresh. A pass that fails echoes nothing.
* Times in a state that is pushed count from when the agent sent the nonce that the state answers
  (EDGES A8). A push is the delayed answer to a standing question: one that is doubled, reordered,
  replayed or held back lengthens nothing.
* A proof is over this connection's challenge, and good for that challenge alone.
* Of an agent that comes through a proxy which ends TLS, the proof brings a key, and the line is sealed
  (``seal``) before anything else is said.

A kind that a reader does not know is passed over (EDGES F4). ``machine`` names a machine that is
bound to the point; empty: the point's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from bascule.domain.bindings import MOST_BEHIND
from bascule.domain.desired import STALE_AFTER
from bascule.errors import InvalidInput
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import Report
from bascule.protocol.shape import Crop, Json, Most
from bascule.protocol.shapes import LONGEST_ID, LONGEST_NOTE, Knows
from bascule.protocol.state import LONGEST_HASH, State
from bascule.protocol.trust import Trust

BEAT_SECONDS = 10.0  # between two beats of one line
SILENCE_SECONDS = 25.0  # without any frame: the agent gives the line up
NUMBERS_REMEMBERED = 3  # beats whose echo still counts
FRESH_SECONDS = STALE_AFTER  # age at most of a number that counts, and of a nonce that is answered
NO_BEAT = 2**53 - 1  # the number of a report whose pass began before its line was proved
LARGEST_PUSH = 16 * 1024  # bytes of a state that is pushed; a larger one is only hinted at
LARGEST_UNPROVED = 4 * 1024  # bytes of a message, in either direction, before the proof
LARGEST_REPORT = 1024 * 1024  # bytes of a message from the agent afterwards
LARGEST_STATE = 8 * 1024 * 1024  # bytes of a message from the server afterwards (EDGES E4)
LONGEST_COMING_BACK = 60  # seconds
MOST_TOLD = MOST_BEHIND + 1  # machines whose generations one message tells

Uid = Annotated[str, Most(LONGEST_ID)]
Number = Annotated[int, Most(2**53 - 1)]
Nonce = Annotated[str, Most(LONGEST_ID, 16)]
Digest = Annotated[str, Most(LONGEST_ID)]  # empty: none
Key = Annotated[str, Most(LONGEST_ID)]  # 32 bytes, base64url; empty: none
Generations = Annotated[Mapping[Uid, Number], Most(MOST_TOLD)]  # by machine uid


# -- from the server


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be signed (``signed_text``): the first message of a connection, and before a proof ends."""

    text: Annotated[str, Most(LONGEST_ID, 32)]  # random, base64url


@dataclass(frozen=True, slots=True)
class Sealed:
    """The server's part of a seal; whatever follows, in either direction, is sealed."""

    key: Key  # X25519, of this connection
    signature: Annotated[str, Most(LONGEST_HASH)]  # by the trust key, of ``seal_text``


@dataclass(frozen=True, slots=True)
class Welcome:
    """The proof was accepted; after each proof."""

    connection: Annotated[str, Most(LONGEST_ID, 1)]  # random
    acknowledged: Digest  # of the last report of this point that the server took
    # Within how many seconds to come back after a loss, at a random moment. Agents that hold leases
    # use the first tenth of it.
    come_back_seconds: Annotated[int, Most(LONGEST_COMING_BACK, 1)]
    proof_seconds: Annotated[int, Most(86_400, 1)]  # for which the proof holds
    server_time: datetime | None = None
    # An agent that holds these, and whose digest is ``acknowledged``, has nothing to ask or report.
    generations: Generations = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beat:
    """Read your firewall back and echo this number."""

    number: Number  # counts up from a random start, per connection
    generations: Generations  # of all machines of the point


@dataclass(frozen=True, slots=True)
class Hint:
    """Something is newer than was told: ask for the state, or send a full report."""

    machine: Uid = ""
    generation: int | None = None  # None: nothing newer than was told
    report: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """A change is being written, and may be told in a moment: read your firewall meanwhile. It says
    nothing of what is or will be: the change may fail, and then nothing follows.
    """


@dataclass(frozen=True, slots=True)
class Told:
    """A machine's state: the answer to an Ask, or a push after a change.

    What remains of leases and cuts counts from when the agent sent this nonce.
    """

    machine: Uid
    nonce: Nonce
    state: State


@dataclass(frozen=True, slots=True)
class Taken:
    """A report was taken."""

    id: Annotated[str, Most(LONGEST_ID)]
    generation: Number  # the server's, of that machine


@dataclass(frozen=True, slots=True)
class Refused:
    """A report (its id), an Ask (its nonce) or a proof (empty) was refused; as an HTTP answer."""

    id: Annotated[str, Most(LONGEST_ID)]
    status: Annotated[int, Most(599, 400)]
    code: Annotated[str, Crop(LONGEST_ID)]
    message: Annotated[str, Crop(LONGEST_NOTE)] = ""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a record ends."""

    position: Number
    hash: Annotated[str, Most(LONGEST_HASH)]


@dataclass(frozen=True, slots=True)
class Record:
    """Where the server's record ends now; at least once a minute while it moves."""

    head: Head


# -- from the agent


@dataclass(frozen=True, slots=True)
class Proof:
    """Answers a Challenge."""

    signature: Annotated[str, Most(LONGEST_HASH)]  # Ed25519 of ``signed_text``, base64url
    agent_version: Annotated[str, Crop(64)] = ""
    knows: Knows = frozenset()
    # Of an agent whose line is to be sealed: its X25519 key of this connection, and the public half of
    # the key that signs, so that a refusal of that key is true whoever asks.
    key: Key = ""
    public_key: Key = ""


@dataclass(frozen=True, slots=True)
class Echo:
    """The first whole pass that began after a beat came is over: observed, applied, read back."""

    number: Number  # of that beat
    nonce: Nonce  # fresh and random; the state may be pushed in answer to it for FRESH_SECONDS
    generations: Generations  # that hold
    read: Digest  # of what was read back (``digest_of``)
    acknowledged: Digest  # of the last report that the server took, on any connection


@dataclass(frozen=True, slots=True)
class Ask:
    """Tell me the state."""

    nonce: Nonce
    machine: Uid = ""
    seen: Number = 0  # the last position of the record that was verified
    told: Number = 0  # the newest that Record messages told, unverified; 0: none
    knows: Knows = frozenset()


@dataclass(frozen=True, slots=True)
class Reported:
    """What was read back."""

    id: Annotated[str, Most(LONGEST_ID, 1)]
    # Of the newest beat that came before the pass began. 0: none came yet on this line, which was proved
    # before the pass began; NO_BEAT: it was proved later, and the report is no contact.
    number: Number
    report: Report
    machine: Uid = ""


@dataclass(frozen=True, slots=True)
class Trusting:
    """The agent has taken this change of trust, and no newer one. Answers a Trust."""

    number: Number


FromServer = (
    Trust | Challenge | Sealed | Welcome | Beat | Hint | Expect | Told | Taken | Refused | Record
)
FromAgent = Trusting | Proof | Echo | Ask | Reported

# By the ``kind`` of a message.
FROM_SERVER: Final[Mapping[str, type[FromServer]]] = {
    "challenge": Challenge,
    "sealed": Sealed,
    "welcome": Welcome,
    "beat": Beat,
    "hint": Hint,
    "expect": Expect,
    "state": Told,
    "taken": Taken,
    "refused": Refused,
    "record": Record,
    "trust": Trust,
}
FROM_AGENT: Final[Mapping[str, type[FromAgent]]] = {
    "proof": Proof,
    "echo": Echo,
    "ask": Ask,
    "report": Reported,
    "trusting": Trusting,
}
_KINDS: Final = {kind: name for name, kind in (*FROM_SERVER.items(), *FROM_AGENT.items())}


def write(message: FromServer | FromAgent) -> bytes:
    """A message as the content of a text frame."""
    told = {"kind": _KINDS[type(message)], **encode(message)}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def from_server(told: Json) -> FromServer | None:
    """The message that a JSON object is; None for a kind of a newer server. Raises InvalidInput."""
    kind = FROM_SERVER.get(_kind_of(told))
    return None if kind is None else decode(kind, told)


def from_agent(told: Json) -> FromAgent | None:
    """The message that a JSON object is; None for a kind of a newer agent. Raises InvalidInput."""
    kind = FROM_AGENT.get(_kind_of(told))
    return None if kind is None else decode(kind, told)


def _kind_of(told: Json) -> str:
    kind = told.get("kind") if isinstance(told, dict) else None
    if not isinstance(kind, str):
        raise InvalidInput("A message is an object with its kind.", target="kind")
    return kind


def signed_text(tenant_id: str, point_uid: str, challenge: str) -> bytes:
    """What a Proof signs."""
    return f"bascule-line 1\n{tenant_id}\n{point_uid}\n{challenge}".encode()


def sealed_text(tenant_id: str, point_uid: str, challenge: str, public_key: str, key: str) -> bytes:
    """What the Proof of a line that is to be sealed signs. It counts for no other line."""
    parts = ("bascule-line 2", tenant_id, point_uid, challenge, public_key, key)
    return json.dumps(parts, separators=(",", ":")).encode()


def seal_text(sealed_text: bytes, key: str) -> bytes:
    """What the trust key signs of it, with the server's ``key``; and what keys are bound to."""
    return sealed_text + b"\n" + key.encode()


def digest_of(report: Report) -> str:
    """Of what a report settles by: 64 hex digits. Two reports that differ in it are news.

    Left out is what moves by itself or is told once: counters, times, notes, what was healed. An
    agent makes it and a server compares it; a server never makes one of a report that it read,
    because it may know less than the agent (EDGES F4).
    """
    told = encode(report)
    settled: dict[str, Any] = {key: told[key] for key in _SETTLES if key in told}
    settled["sessions"] = (
        None
        if report.sessions is None
        else sorted(each for each, count in report.sessions.items() if count)
    )
    settled["ends"] = sorted(report.ends)
    settled["heldLocally"] = sorted(each.id for each in report.held_locally)
    text = json.dumps(settled, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_SETTLES: Final = (
    "generation",
    "inForce",
    "localPortRange",
    "weaknesses",
    "flushedBy",
    "agentVersion",
    "closed",
    "guard",
    "driver",
    "capabilities",
    "knows",
    "refused",
    "past",
    "answeredBy",
)
