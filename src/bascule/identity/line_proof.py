"""A point's proof on its line, checked: Ed25519 (RFC 8032) over a challenge of that connection."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def is_signed(public_key: str, signature: str, text: bytes) -> bool:
    """Is ``signature`` (base64url) of ``text`` by this raw key (base64url)? False for what is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(public_key))
        key.verify(_decoded(signature), text)
    except (InvalidSignature, ValueError):  # of which binascii.Error is one
        return False
    return True


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
