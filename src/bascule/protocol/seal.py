"""A sealed line: its messages are of its two ends, whoever ends TLS in between (EDGES I1).

Each end makes an X25519 key (RFC 7748) for this connection alone. The agent sends its own in the Proof,
signed by its key; the server answers with ``Sealed``, signed by its trust key. From then on each message
begins with HMAC-SHA256 (RFC 2104) of its number and text, base64url, by a key of its direction. Numbers
count up from 0. So what was changed, repeated, left out, exchanged, or is of another connection does
not open; whoever is in between can read, delay and cut.

What is not here: what is signed by whom (``line``), and when times count (``line``, A8).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from bascule.errors import InvalidInput
from bascule.protocol.enrolment import base64url

TAG = 43  # characters before each text


class NotSealed(InvalidInput):
    """Somebody on the way changed, repeated or left out a message."""

    code = "ChangedOnTheWay"


class Seal:
    """One end. Numbers and order must agree: whoever sends from several threads locks around ``close``
    and the sending.
    """

    def __init__(self, shared: bytes, transcript: bytes, *, is_agent: bool) -> None:
        """``transcript``: all that was signed; another one gives other keys."""
        bound = hashlib.sha256(transcript).digest()
        agent, server = (
            hmac.digest(shared, b"bascule-seal 1 of the " + end + bound, "sha256")
            for end in (b"agent", b"server")
        )
        self._own, self._other = (agent, server) if is_agent else (server, agent)
        self._sent = self._heard = 0

    def close(self, text: bytes) -> bytes:
        """The message as it is sent next."""
        tag = _tag(self._own, self._sent, text)
        self._sent += 1
        return tag + text

    def open(self, message: bytes) -> bytes:
        """The text of the next message; raises NotSealed."""
        text = message[TAG:]
        if not hmac.compare_digest(message[:TAG], _tag(self._other, self._heard, text)):
            raise NotSealed("A message was changed, repeated or left out on its way.")
        self._heard += 1
        return text


class Ephemeral:
    """A key for one connection."""

    def __init__(self) -> None:
        # What names forms is slow to load, and few agents come through a proxy.
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # reason: as above
            Encoding,
            PublicFormat,
        )

        self._private = X25519PrivateKey.generate()
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64url(raw)

    def seal(self, other: str, transcript: bytes, *, is_agent: bool) -> Seal:
        """``other``: the other end's public half, base64url. Raises NotSealed for what is none."""
        try:
            raw = base64.b64decode(other + "=" * (-len(other) % 4), altchars=b"-_", validate=True)
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(raw))
        except (ValueError, binascii.Error):
            raise NotSealed("The key of this connection is not an X25519 public key.") from None
        return Seal(shared, transcript, is_agent=is_agent)


def _tag(key: bytes, number: int, text: bytes) -> bytes:
    digest = hmac.digest(key, number.to_bytes(8, "big") + text, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
