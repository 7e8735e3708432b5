r"""The file of a backup: a tar, sealed to the recovery key of its installation (docs/backups.md).

    bascule-backup 1\n               the format and its version
    {...}\n                          the header, JSON in one line
    chunk, chunk, ..., chunk          each 65536 bytes sealed (65552 with its tag), the last shorter

The header has an X25519 public key that was made for this file alone. What it shares with the
recovery key becomes the key of the chunks by HKDF-SHA256. Each chunk is sealed with ChaCha20-Poly1305
(RFC 8439). Its nonce is the chunk's number, 11 bytes, and a byte that is 1 for the last chunk: no chunk
can be left out, moved or put at the end. First line and header are the additional data of each chunk.
A plain backup is the tar itself.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bascule.errors import ConfigurationError
from bascule.identity.recovery_key import PublicRecoveryKey, RecoveryKey

FIRST_LINE = b"bascule-backup 1\n"
CHUNK = 65536
TAG = 16
LONGEST_HEADER = 65536  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a sealed backup tells everybody who has the file."""

    ephemeral: bytes  # X25519, made for this file
    recovery: str  # fingerprint of the recovery key
    told: Mapping[str, Any]  # installation, time, version

    def line(self) -> bytes:
        whole = {
            **self.told,
            "ephemeral": base64.b64encode(self.ephemeral).decode(),
            "recoveryKey": self.recovery,
        }
        return json.dumps(whole, sort_keys=True).encode() + b"\n"


class Sealed(io.RawIOBase):
    """Writes chunks to ``file``. ``finish`` writes the last one; without it the file is cut off."""

    def __init__(self, file: IO[bytes], key: PublicRecoveryKey, told: Mapping[str, Any]) -> None:
        once = X25519PrivateKey.generate()
        public = once.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.header = Header(public, key.fingerprint, told)
        self.content_key = _content_key(once.exchange(key.seals_to()), public, key.sealing)
        self._file = file
        self._chunks = Chunks(self.content_key, FIRST_LINE + self.header.line())
        self._waiting = bytearray()
        file.write(FIRST_LINE + self.header.line())

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401  # reason: io's buffer
        self._waiting += data
        while len(self._waiting) > CHUNK:  # one byte at least is left for the last chunk
            self._file.write(self._chunks.seal(bytes(self._waiting[:CHUNK]), is_last=False))
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        self._file.write(self._chunks.seal(bytes(self._waiting), is_last=True))
        self._waiting.clear()


class Opened(io.RawIOBase):
    """Reads what ``Sealed`` wrote, after its header. Raises ConfigurationError where it was changed
    or cut off, so that nothing is read which was not written.
    """

    def __init__(self, file: IO[bytes], content_key: bytes, header: Header) -> None:
        self._file = file
        self._chunks = Chunks(content_key, FIRST_LINE + header.line())
        self._clear = memoryview(b"")
        self._next = file.read(CHUNK + TAG)
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # reason: io's buffer
        while not self._clear and not self._is_over:
            chunk, self._next = self._next, self._file.read(CHUNK + TAG)
            self._is_over = not self._next
            self._clear = memoryview(self._chunks.open(chunk, is_last=self._is_over))
        count = min(len(buffer), len(self._clear))
        buffer[:count] = self._clear[:count]
        self._clear = self._clear[count:]
        return count


class Chunks:
    def __init__(self, key: bytes, beside: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._beside = beside
        self._number = 0

    def seal(self, clear: bytes, *, is_last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(is_last=is_last), clear, self._beside)

    def open(self, sealed: bytes, *, is_last: bool) -> bytes:
        number = self._number
        try:
            return self._cipher.decrypt(self._nonce(is_last=is_last), sealed, self._beside)
        except InvalidTag:
            raise ConfigurationError(
                f"The backup is damaged or cut off, at its part {number + 1} of {CHUNK} bytes. "
                "Nothing of it was used.",
                advice="Use another copy of this backup, or another backup.",
            ) from None

    def _nonce(self, *, is_last: bool) -> bytes:
        self._number += 1
        return (self._number - 1).to_bytes(11) + bytes([is_last])


def read_header(file: IO[bytes]) -> Header | None:
    """At its beginning; None: it is no sealed backup, and is to be read from its beginning again.

    Raises ConfigurationError where it has another version, or is damaged.
    """
    begin = file.read(len(FIRST_LINE))
    if begin != FIRST_LINE:
        if begin.startswith(b"bascule-backup "):
            raise ConfigurationError(
                "The backup has a format that this program does not know.",
                advice="Restore it with the version of Bascule that made it, or a later one.",
            )
        return None
    line = file.readline(LONGEST_HEADER)
    try:
        told = json.loads(line)
        once = base64.b64decode(told.pop("ephemeral"), validate=True)
        found = Header(once, str(told.pop("recoveryKey")), told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = None
    if found is None or found.line() != line or len(found.ephemeral) != 32:
        raise ConfigurationError(
            "The backup is damaged or cut off, in its header. Nothing of it was used.",
            advice="Use another copy of this backup, or another backup.",
        )
    return found


def content_key_of(header: Header, key: RecoveryKey) -> bytes:
    """Raises ConfigurationError where the backup is sealed to another key."""
    public = key.public
    if public.fingerprint != header.recovery:
        raise ConfigurationError(
            f"This is not the recovery key of this backup: the backup is sealed to "
            f"{header.recovery}, and the key that was given is {public.fingerprint}.",
            advice="Give the recovery key that was printed for the installation when, or before, the "
            "backup was made.",
        )
    try:
        shared = key.opens().exchange(X25519PublicKey.from_public_bytes(header.ephemeral))
    except ValueError:  # a public key that gives no secret
        shared = bytes(32)
    return _content_key(shared, header.ephemeral, public.sealing)


def _content_key(shared: bytes, ephemeral: bytes, recovery: bytes) -> bytes:
    info = b"Bascule/backup/1/" + ephemeral + recovery
    return HKDF(SHA256(), 32, salt=None, info=info).derive(shared)
