"""The key by which agents know their server, whoever ends TLS in between (EDGES I1): Ed25519.

Enrolment pins its public half in each agent. It signs what ``protocol.signed`` writes, for one agent at
a time, so that nothing that one agent was told counts for another or for another question.

A further kind of message, such as a change of trust: a member of ``signed.Kind``; the server signs by
``TrustKey.sign(Kind.TRUST, uid, nonce, number, body)``, where ``number`` is the change's own, which only
rises; the agent checks by ``signed.Pinned(identity.trust_key).is_of(...)`` with the same five, and takes no
number that is not above the last. The file is made at the first start; with PostgreSQL it is sealed in the
database (ADR 29).
"""

from __future__ import annotations

from pathlib import Path

from bascule.identity.ed25519_file import raw_public, read_or_make
from bascule.protocol.enrolment import base64url
from bascule.protocol.signed import Kind, text_of

TRUST_KEY = "trust-signing.key"


class TrustKey:
    def __init__(self, data_dir: Path) -> None:
        """Read the key, made on the first start; raise ConfigurationError."""
        loses = "agents that come through a proxy must enrol anew"
        self._key = read_or_make(data_dir / TRUST_KEY, loses)
        self.public_key = base64url(raw_public(self._key))

    def sign(self, kind: Kind, machine_uid: str, nonce: str, number: int, body: bytes) -> str:
        """Base64url. ``nonce`` is the agent's; empty: it asked for nothing."""
        return base64url(self._key.sign(text_of(kind, machine_uid, nonce, number, body)))
