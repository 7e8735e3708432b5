"""A key holder's proof of who it is: a signed assertion for a short-lived token.

RFC 7523 section 3 (iss, sub, aud, exp, jti) signed with Ed25519 (RFC 8037; the algorithm's
name is RFC 9864's). By hand and with ``cryptography`` alone, because agents stay light.
What is not here: the check, which is the server's (``identity.assertions``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LIFE_SECONDS = 300  # the server takes at most 15 minutes; clocks may differ by nearly this much
_HEADER = {"alg": "Ed25519", "typ": "JWT"}


def make_assertion(
    private_key_bytes: bytes, machine_uid: str, audience: str, now: int, jti: str
) -> str:
    """An assertion for ``audience`` (the token endpoint), to be used once.

    ``private_key_bytes`` are the raw 32 bytes; ``now`` is in seconds since 1970.
    """
    claims = {
        "iss": machine_uid,
        "sub": machine_uid,
        "aud": audience,
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "jti": jti,
    }
    signed = f"{_part(_HEADER)}.{_part(claims)}"
    signature = Ed25519PrivateKey.from_private_bytes(private_key_bytes).sign(signed.encode())
    return f"{signed}.{_base64url(signature)}"


def _part(content: Mapping[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
