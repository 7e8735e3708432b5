"""The key that signs the record's checkpoints: Ed25519 (RFC 8032), of this installation.

It is made at the first start in the data directory, like the others. Its public half is
served and stands in every export. A key that was lost is replaced at the next start;
what it signed stays valid for whoever kept its public half.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature

from bascule.identity.ed25519_file import raw_public, read_or_make

RECORD_KEY = "record-signing.key"


class RecordKey:
    """Signs; ``key_id`` is the beginning of the public key's SHA-256."""

    def __init__(self, data_dir: Path) -> None:
        """Read the key, made on the first start; raise ConfigurationError."""
        loses = "verifying earlier checkpoints needs the old public key"
        self._key = read_or_make(data_dir / RECORD_KEY, loses)
        raw = raw_public(self._key)
        self.public_key = _base64url(raw)
        self.key_id = hashlib.sha256(raw).hexdigest()[:16]

    def sign(self, statement: bytes) -> str:
        return _base64url(self._key.sign(statement))

    def check(self, key_id: str, statement: bytes, signature: str) -> bool | None:
        """Is the signature ours and good? None: it names another key."""
        if key_id != self.key_id:
            return None
        try:
            raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
            self._key.public_key().verify(raw, statement)
        except (InvalidSignature, ValueError):
            return False
        return _base64url(raw) == signature  # the last character has bits to spare


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
