"""How an agent becomes a machine's: its one-use token for a place, its public key for good.

The token is never sent (EDGES I1): the agent signs with a key that is derived from it, so that whoever
ends TLS in between can pass that on for this very key, and for no other. The answer is signed by the
trust key that the token pins (``signed``), in the header SIGNATURE_HEADER.
"""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from bascule.domain.features import KNOWN
from bascule.errors import InvalidInput
from bascule.protocol.codec import describe
from bascule.protocol.shape import Crop, Most
from bascule.protocol.shapes import LONGEST_ID, Knows, Name

LONGEST_KEY = 64  # characters; 32 bytes have 43
LONGEST_PROOF = 128  # characters; 64 bytes have 86

SIGNATURE_HEADER = "Bascule-Signature"


@dataclass(frozen=True, slots=True)
class Enrol:
    """What an agent sends once."""

    token_key: Annotated[str, Most(LONGEST_KEY)]  # the public half of the token (``signed``)
    machine_uid: Annotated[str, Most(LONGEST_ID)]  # as the token names it
    public_key: str  # Ed25519, raw 32 bytes, base64url without padding
    nonce: Annotated[str, Most(LONGEST_ID, 16)]  # random; the answer is for it
    proof: Annotated[str, Most(LONGEST_PROOF)]  # of ``enrolment_text``, by the token's key
    agent_version: Annotated[str, Crop(64)] = ""
    knows: Knows = KNOWN  # what its version knows (EDGES F4)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who the agent is from now on."""

    machine_uid: Name
    machine_id: Name
    tenant_id: Name
    server_time: datetime | None = None


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _with_key(told: Enrol) -> Enrol:
    """With its public key in one form: raw Ed25519 (RFC 8032)."""
    text = told.public_key
    with contextlib.suppress(ValueError):  # of which binascii.Error is one
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(key) == 32 and text.rstrip("=") == base64url(key):
            return replace(told, public_key=base64url(key))
    raise InvalidInput(
        "must be a raw Ed25519 public key, 32 bytes as base64url.",
        code="InvalidPublicKey",
        target="publicKey",
    )


describe(Enrol, _with_key)
