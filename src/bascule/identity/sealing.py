"""What is kept or handed out sealed: AES-256-GCM (NIST SP 800-38D) by a key of this installation.

For one-time passwords' secrets in the database and for tickets that a browser brings back.
The key lives in the data directory beside the others, not in the database: a copy of the
database alone gives no second factor. A seal is for one purpose and opens for no other.
A key that was lost is replaced at the next start; whoever had a secret under it enrols anew,
until then by a recovery code.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, write_atomically
from bascule.identity.files import read_if_present

SEALING_KEY = "sign-in-sealing.key"
KEY_BYTES = 32
NONCE_BYTES = 12  # chance: at one key, safe for 2**32 seals (SP 800-38D section 8.3)


class Sealer:
    def __init__(self, source: Path | bytes) -> None:
        """``source``: a data directory, whose key is made on the first start; or another key.

        Raises ConfigurationError.
        """
        self._key = source if isinstance(source, bytes) else _read_or_make(source / SEALING_KEY)
        self._cipher = AESGCM(self._key)

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, the same each time (HKDF, RFC 5869)."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(self._key)

    def seal(self, purpose: str, content: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, content, purpose.encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, purpose: str, sealed: str) -> bytes | None:
        """What was sealed for this purpose; None when it was not, or not by this key."""
        try:
            raw = base64.urlsafe_b64decode(sealed.encode("ascii") + b"=" * (-len(sealed) % 4))
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            return None


def new_key() -> bytes:
    return AESGCM.generate_key(KEY_BYTES * 8)


def _read_or_make(path: Path) -> bytes:
    found = read_if_present(path)
    if found is None:
        found = new_key()
        write_atomically(path, found, PRIVATE)
    if len(found) != KEY_BYTES:
        raise ConfigurationError(
            f"{path} is damaged: it has {len(found)} bytes instead of {KEY_BYTES}.",
            advice="Restore it from a backup. If there is none, remove it: the next start makes a "
            "new one, and users of one-time passwords must enrol again.",
        )
    return found
