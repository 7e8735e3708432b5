"""The recovery key of an installation: backups are sealed to it, and it signs what a restore says.

The key is 16 bytes from the system's source of randomness, written as six groups of five letters and
digits (Crockford's base 32, which has no I, L, O, U): 128 bits of the key and 22 of a checksum. Two key
pairs come from it by HKDF (RFC 5869): X25519 (RFC 7748), to which backups are sealed, and Ed25519
(RFC 8032), which signs. The installation keeps their public halves alone, as one text.
What is not here: backups (``backup_file``), and what is signed (``domain.restoration``).
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bascule.domain.restoration import Restoration
from bascule.errors import ConfigurationError, InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS, GROUP = 6, 5
KEY_BYTES = 16
CHECK_BITS = GROUPS * GROUP * 5 - KEY_BYTES * 8
_RAW = 32  # bytes of each public half
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})


@dataclass(frozen=True, slots=True)
class PublicRecoveryKey:
    """What the installation, its backups and its agents have of it."""

    sealing: bytes  # X25519
    signing: bytes  # Ed25519

    @property
    def text(self) -> str:
        """86 characters, base64url: both halves."""
        return base64.urlsafe_b64encode(self.sealing + self.signing).decode().rstrip("=")

    @property
    def fingerprint(self) -> str:
        """16 hex digits, for people who compare."""
        return hashlib.sha256(self.sealing + self.signing).hexdigest()[:16]

    def seals_to(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.sealing)

    def has_signed(self, restoration: Restoration) -> bool:
        try:
            raw = base64.urlsafe_b64decode(restoration.signature + "==")
            Ed25519PublicKey.from_public_bytes(self.signing).verify(raw, restoration.statement())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As it is printed, once."""
        number = int.from_bytes(self.secret) << CHECK_BITS | _checksum(self.secret)
        signs = [ALPHABET[number >> 5 * at & 31] for at in reversed(range(GROUPS * GROUP))]
        groups = ("".join(signs[at : at + GROUP]) for at in range(0, len(signs), GROUP))
        return "-".join(groups)

    @property
    def public(self) -> PublicRecoveryKey:
        opening, signing = self.opens(), self._signs()
        return PublicRecoveryKey(
            opening.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
            signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        )

    def opens(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._derive("sealing"))

    def sign(self, restoration: Restoration) -> Restoration:
        raw = self._signs().sign(restoration.statement())
        return replace(restoration, signature=base64.urlsafe_b64encode(raw).decode().rstrip("="))

    def _signs(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._derive("signing"))

    def _derive(self, purpose: str) -> bytes:
        info = f"Bascule/recovery-key/1/{purpose}".encode()
        return HKDF(SHA256(), _RAW, salt=None, info=info).derive(self.secret)


def new_recovery_key() -> RecoveryKey:
    return RecoveryKey(os.urandom(KEY_BYTES))


def parse_recovery_key(text: str) -> RecoveryKey:
    """As somebody typed it: case, spaces and dashes do not matter, nor O for 0, I and L for 1.

    Raises InvalidInput, which never repeats what was typed.
    """
    typed = "".join(text.split()).replace("-", "").upper().translate(_ALIKE)
    if len(typed) != GROUPS * GROUP or not set(typed) <= set(ALPHABET):
        raise InvalidInput(
            "This is no recovery key: it has six groups of five letters and digits.",
            target="recovery key",
            advice="Type it as it was printed. Case, spaces and dashes do not matter.",
        )
    number = 0
    for sign in typed:
        number = number << 5 | ALPHABET.index(sign)
    secret = (number >> CHECK_BITS).to_bytes(KEY_BYTES)
    if number & (1 << CHECK_BITS) - 1 != _checksum(secret):
        raise InvalidInput(
            "The recovery key is mistyped: its checksum does not fit.",
            target="recovery key",
            advice="Compare it with what was printed, and type it again.",
        )
    return RecoveryKey(secret)


def parse_public_recovery_key(text: str) -> PublicRecoveryKey:
    """Raises ConfigurationError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 2 * _RAW:
        raise ConfigurationError(
            "The public half of the recovery key is damaged.",
            advice="Make a new recovery key: bascule admin recovery-key --data DIR --replace",
        )
    return PublicRecoveryKey(raw[:_RAW], raw[_RAW:])


def _checksum(secret: bytes) -> int:
    digest = hashlib.sha256(b"Bascule/recovery-key/1/" + secret).digest()
    return int.from_bytes(digest[:4]) >> 32 - CHECK_BITS
