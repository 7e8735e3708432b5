"""Check Ed25519 signatures of the record by public key alone, with no server.

What is not here: what is signed (``domain.chain``), and the private key (``identity``).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bascule.errors import InvalidInput

KEY_LENGTH = 32


class RecordKeys:
    """Public keys by their ids; a ``domain.proof.SignatureCheck``."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Take raw public keys, base64url; raise InvalidInput for anything else."""
        self._keys: dict[str, Ed25519PublicKey] = {}
        for text in keys:
            raw = _decode(text)
            if raw is None or len(raw) != KEY_LENGTH:
                raise InvalidInput(
                    f"{text[:60]!r} is not a public key: 32 bytes as base64url.",
                    target="--public-key",
                    advice="bascule audit key prints it. Keep a copy outside the server.",
                )
            key_id = hashlib.sha256(raw).hexdigest()[:16]
            self._keys[key_id] = Ed25519PublicKey.from_public_bytes(raw)

    def __call__(self, key_id: str, statement: bytes, signature: str) -> bool:
        """Is the signature good, and of a key that was given? An id alone is anybody's to write."""
        key = self._keys.get(key_id)
        raw = _decode(signature)
        if key is None:
            return False
        try:
            key.verify(raw or b"", statement)
        except InvalidSignature:
            return False
        return True


def is_signed_for_recovery(public: str, statement: bytes, signature: str) -> bool:
    """Did the recovery key with this public half (86 characters; the second half signs) sign it?"""
    raw = _decode(public)
    if raw is None or len(raw) != 2 * KEY_LENGTH:
        return False
    key = Ed25519PublicKey.from_public_bytes(raw[KEY_LENGTH:])
    try:
        key.verify(_decode(signature) or b"", statement)
    except InvalidSignature:
        return False
    return True


def _decode(text: str) -> bytes | None:
    """The bytes, None unless this is their only spelling (RFC 4648 section 3.5)."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:  # of which binascii.Error is one
        return None
    return raw if base64.urlsafe_b64encode(raw).decode().rstrip("=") == text else None
