"""The key that signs the record's checkpoints: Ed25519 (RFC 8032), of this installation.

It is made at the first start in the data directory, like the others. Its public half is
served and stands in every export. A key that was lost is replaced at the next start;
what it signed stays valid for whoever kept its public half.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present

RECORD_KEY = "record-signing.key"


class RecordKey:
    """Signs; ``key_id`` is the beginning of the public key's SHA-256."""

    def __init__(self, data_dir: Path) -> None:
        """Read the key, made on the first start; raise ConfigurationError."""
        self._key = _read_or_make(data_dir / RECORD_KEY)
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
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


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    pem = read_if_present(path)
    if pem is None:
        key = Ed25519PrivateKey.generate()
        written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(path, written, PRIVATE)
        return key
    try:
        found = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise _damaged(path, "it contains another kind of key")
    return found


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is damaged: {why}.",
        advice="Restore it from a backup. If there is none, remove it: the next start makes a new "
        "one, and verifying earlier checkpoints needs the old public key.",
    )
