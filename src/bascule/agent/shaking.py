"""The agent's end of how a line is sealed (``protocol.seal``), and of nothing that is said on it.

Until it is sealed, whoever ends TLS in between may say anything. So before that only a challenge, the
server's part of the seal, and a refusal are heard, and a refusal means no more than that the line ends:
that the agent's key is refused counts sealed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule import __version__
from bascule.agent.answers import read_object, reason_of
from bascule.agent.link import ChangedOnTheWay, Identity
from bascule.domain.features import KNOWN
from bascule.errors import BasculeError, ServerUnreachable
from bascule.protocol.enrolment import base64url
from bascule.protocol.line import Proof, Sealed, seal_text, sealed_text
from bascule.protocol.seal import Ephemeral, NotSealed, Seal
from bascule.protocol.signed import Kind, Pinned, public_of

log = structlog.get_logger("bascule.agent")

CHANGED = "what came by the proxy was not what the server says: nothing of it was taken"
_HEARD_BEFORE = frozenset({"challenge", "sealed", "refused"})


class Shaking:
    """One connection's. ``open`` and ``take`` are for the receiving thread."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._key = Ed25519PrivateKey.from_private_bytes(identity.private_key)
        self._public = public_of(self._key)
        self._ephemeral = Ephemeral()
        self._signed = b""  # what the newest proof signed
        self._seal: Seal | None = None

    def open(self, content: bytes) -> bytes:
        """The text of a message. Raises NotSealed, and ServerUnreachable for a refusal."""
        if self._seal is not None:
            return self._seal.open(content)
        told = read_object(content)
        kind = told.get("kind")
        if kind not in _HEARD_BEFORE:
            raise NotSealed("A message came before the line was sealed.")
        if kind == "refused":
            raise ServerUnreachable(_refusal(told))
        return content

    def close(self, text: bytes) -> bytes:
        return text if self._seal is None else self._seal.close(text)

    def proof(self, challenge: str) -> Proof:
        identity, key = self._identity, self._ephemeral.public
        named = (identity.tenant_id, identity.machine_uid, challenge, self._public, key)
        text = sealed_text(*named)
        if self._seal is None:
            self._signed = text
        return Proof(base64url(self._key.sign(text)), __version__, KNOWN, key, self._public)

    def take(self, sealed: Sealed) -> None:
        """The server's part, which is to be signed by the pinned key. Raises ChangedOnTheWay."""
        text = seal_text(self._signed, sealed.key)
        pinned = Pinned(self._identity.trust_key)
        said = (Kind.LINE, self._identity.machine_uid, self._ephemeral.public, 0, text)
        if self._seal is not None or not self._signed or not pinned.is_of(*said, sealed.signature):
            raise ChangedOnTheWay(
                "Whoever answers is not the server of this agent: the signature is not by the key that "
                "was pinned at enrolment."
            )
        self._seal = self._ephemeral.seal(sealed.key, text, is_agent=True)


def note_change(
    note: Callable[[str, str], None], error: BasculeError | None
) -> BasculeError | None:
    """Have it logged, and told to the server once something gets through; returns the error."""
    if isinstance(error, ChangedOnTheWay):
        log.error(CHANGED, why=error.message)
        note(CHANGED, error.message)
    return error


def _refusal(told: Mapping[str, Any]) -> str:
    said = reason_of({"error": told}, "no reason was given")
    return f"The server, or somebody on the way to it, refused: {said}"
