"""Secrets that must be used again, kept sealed: what is in the database alone is no use.

AES-256-GCM with a key of its own in the data directory, 96 bits of chance for each nonce.
What a secret is for goes into the seal (associated data), so that one that was moved to
another row does not open. What is not here: secrets that are only compared; those are kept
as hashes (``secrets``).
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present

KEY_FILE = "provider-secrets.key"
KEY_BYTES = 32
NONCE_BYTES = 12


class SealedBox:
    """Seals and opens with one key."""

    def __init__(self, data_dir: Path) -> None:
        """Read the key, made on the first start; raise ConfigurationError."""
        self._cipher = AESGCM(_read_or_make_key(data_dir / KEY_FILE))

    def seal(self, text: str, purpose: str) -> str:
        """Base64url of the sealed text; ``purpose`` must be the same when it is opened."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, purpose: str) -> str | None:
        """The text; None when it was not sealed for this purpose with this key."""
        try:
            data = base64.b64decode(sealed, altchars=b"-_", validate=True)
            nonce, rest = data[:NONCE_BYTES], data[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, purpose.encode()).decode()
        except (binascii.Error, ValueError, InvalidTag):
            return None


def _read_or_make_key(path: Path) -> bytes:
    text = read_if_present(path)
    if text is None:
        key = os.urandom(KEY_BYTES)
        write_atomically(path, base64.urlsafe_b64encode(key) + b"\n", PRIVATE)
        return key
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{path} is damaged.",
            advice="Remove it: the next start makes a new one, and the client secrets of "
            "external providers must be set again (bascule provider change NAME --secret-file).",
        )
    return key
