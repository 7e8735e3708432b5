"""A call that an agent signs, where it has no line and a proxy ends its TLS (EDGES I1).

The header is ``Authorization: Bascule-Agent PROOF``, PROOF being the ``CallProof`` as JSON, base64url. The
agent signs the method, the target with its query, the SHA-256 of the body, the time, a nonce and its own
public key. The answer has the server's signature (``signed.Kind.ANSWER``) over the nonce and that key: a
refusal of a key is true of the key that it names, whoever asked.

A nonce counts once where a call changes something; there, the time is the server's, as its last signed
state told it. What is not here: who verifies (``api.agent_calls``, ``agent.http_link``).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Final

from bascule.errors import InvalidInput
from bascule.protocol.codec import decode, encode
from bascule.protocol.enrolment import LONGEST_KEY, LONGEST_PROOF, base64url
from bascule.protocol.shape import Most
from bascule.protocol.shapes import LONGEST_ID

SCHEME: Final = "Bascule-Agent"
LONGEST_HEADER = 1024  # characters
CLOCKS_DIFFER = 300  # seconds at most between the time in a call and the server's


@dataclass(frozen=True, slots=True)
class CallProof:
    public_key: Annotated[str, Most(LONGEST_KEY, 43)]  # of the agent, raw Ed25519, base64url
    time: Annotated[int, Most(2**53 - 1)]  # seconds since 1970
    nonce: Annotated[str, Most(LONGEST_ID, 16)]
    digest: Annotated[str, Most(LONGEST_ID, 64)]  # SHA-256 of the body, hex
    signature: Annotated[str, Most(LONGEST_PROOF)]

    @property
    def question(self) -> str:
        """What the answer is signed for, in place of a nonce alone."""
        return f"{self.nonce}.{self.public_key}"


def call_text(
    tenant_id: str, machine_uid: str, method: str, target: str, proof: CallProof
) -> bytes:
    """What the agent signs; the proof's signature is no part of it."""
    parts = ("bascule-call 1", tenant_id, machine_uid, method, target)
    told = (proof.public_key, str(proof.time), proof.nonce, proof.digest)
    return json.dumps((*parts, *told), separators=(",", ":")).encode()


def digest_of_body(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def write_header(proof: CallProof) -> str:
    return f"{SCHEME} {base64url(json.dumps(encode(proof), separators=(',', ':')).encode())}"


def read_header(text: str) -> CallProof | None:
    """None: it is of another scheme. Raises InvalidInput for what is no proof."""
    scheme, _, rest = text.partition(" ")
    if scheme != SCHEME:
        return None
    try:
        if len(rest) > LONGEST_HEADER:
            raise ValueError
        content = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True)
        return decode(CallProof, json.loads(content))
    except (ValueError, RecursionError):
        raise InvalidInput("The proof of an agent's call cannot be read.") from None
