"""What an agent sends with an enrolment token."""

from __future__ import annotations

import base64
import json
from typing import Any

from bascule.protocol.enrolment import base64url
from bascule.protocol.signed import enrolment_text, token_key, token_public

NONCE = "n" * 24


def uid_in(token: str) -> str:
    """The machine that a token names; empty where it is none."""
    content = token.partition(".")[2]
    try:
        return str(json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))["u"])
    except (ValueError, KeyError, TypeError):
        return ""


def enrol_body(token: str, public_key: str, **more: Any) -> dict[str, Any]:
    """The body of an enrolment by whoever holds the token."""
    uid = uid_in(token)
    proof = token_key(token).sign(enrolment_text(uid, public_key, NONCE))
    return {
        "tokenKey": token_public(token),
        "machineUid": uid,
        "publicKey": public_key,
        "nonce": NONCE,
        "proof": base64url(proof),
        "agentVersion": "0.1",
        **more,
    }
