"""What agents and servers sign for each other where somebody else may end TLS between them (EDGES I1).

A signature is Ed25519 (RFC 8032), raw, base64url without padding. What is signed names its kind, so
that no signature counts for something else, and is JSON, so that no two messages have one text.

* A server signs with its trust key, which agents pinned (``identity.trust_key``): kind, machine uid, the
  agent's nonce, a number and the SHA-256 of a body. The number is a state's generation, a change of
  trust's number, or the HTTP status of an answer.
* An agent signs with its own key: each call (``call_text``), each connection (``line``).
* Whoever holds an enrolment token signs with a key that is derived from it (``token_key``). The token
  is never sent, and what the server keeps of it proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)


class Kind(StrEnum):
    """What a trust key signs."""

    ANSWER = "answer"  # to an agent's call, or to its enrolment; the number is the HTTP status
    LINE = "line"  # the server's part of a sealed line (``seal``)
    TRUST = "trust"  # a numbered change of what an agent trusts


def text_of(kind: Kind, machine_uid: str, nonce: str, number: int, body: bytes) -> bytes:
    """What the trust key signs."""
    digest = hashlib.sha256(body).hexdigest()
    return _text("bascule-trust 1", kind, machine_uid, nonce, str(number), digest)


def enrolment_text(machine_uid: str, public_key: str, nonce: str) -> bytes:
    """What the key of an enrolment token signs: which key is to be that machine's agent's."""
    return _text("bascule-enrol 1", machine_uid, public_key, nonce)


def _text(*parts: str) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


def token_key(token: str) -> Ed25519PrivateKey:
    """The key that proves an enrolment token, which has 256 random bits."""
    seed = hashlib.sha256(b"bascule-enrol-key 1\n" + token.encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def token_public(token: str) -> str:
    """Its public half: what is sent, and what a server knows a token by."""
    return public_of(token_key(token))


def public_of(key: Ed25519PrivateKey) -> str:
    """The raw public half, base64url."""
    # What names forms is slow to load, and few agents that are enrolled have a use for it.
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # reason: as above
        Encoding,
        PublicFormat,
    )

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A trust key's public half, as an agent keeps it."""

    public_key: str  # raw, base64url

    def is_of(
        self, kind: Kind, machine_uid: str, nonce: str, number: int, body: bytes, signature: str
    ) -> bool:
        """Did its server sign exactly this? False for what is no signature."""
        return is_signed(
            self.public_key, signature, text_of(kind, machine_uid, nonce, number, body)
        )


def is_signed(public_key: str, signature: str, text: bytes) -> bool:
    """Is ``signature`` of ``text`` by this raw key? False for what is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(public_key))
        key.verify(_decoded(signature), text)
    except (InvalidSignature, ValueError):  # of which binascii.Error is one
        return False
    return True


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
