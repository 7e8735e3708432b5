"""The one-time token by which a host becomes a replica of an installation (EDGES H7).

It says where the installation answers, pins its CA, and holds a secret of 256 bits. The database has
the secret's SHA-256 and its end, sealed by the wrapping key: a row that somebody wrote into the
database without that key admits nobody.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bascule.domain.times import format_utc, parse_instant
from bascule.errors import BasculeError, InvalidInput
from bascule.identity.sealing import Sealer
from bascule.identity.secrets import is_same_secret, sha256_hex

PREFIX = "bascule-join."
MAKE_ONE = (
    "To make a token, run on a host with a replica: bascule admin replica invite --data DATA."
)


@dataclass(frozen=True, slots=True)
class JoinToken:
    invite_id: str
    secret: str = field(repr=False)
    ca_fingerprint: str
    endpoints: tuple[str, ...]  # of replicas, in the order in which they are tried

    @property
    def text(self) -> str:
        content = {
            "i": self.invite_id,
            "s": self.secret,
            "c": self.ca_fingerprint,
            "e": list(self.endpoints),
        }
        compact = json.dumps(content, separators=(",", ":")).encode()
        return PREFIX + base64.urlsafe_b64encode(compact).decode().rstrip("=")


def parse_join_token(text: str) -> JoinToken:
    """Raise InvalidInput when it is not one."""
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        body = text.removeprefix(PREFIX)
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        endpoints: Sequence[object] = found["e"]
        texts = (found["i"], found["s"], found["c"], *endpoints)
        if not endpoints or not all(isinstance(each, str) and each for each in texts):
            raise ValueError
        return JoinToken(found["i"], found["s"], found["c"], tuple(map(str, endpoints)))
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            "That is not a token for joining an installation.",
            advice=MAKE_ONE,
        ) from None


def seal_invite(
    sealer: Sealer, tenant_id: str, invite_id: str, secret: str, expires_at: datetime
) -> str:
    content = {"hash": sha256_hex(secret), "expires_at": format_utc(expires_at)}
    return sealer.seal(_purpose(tenant_id, invite_id), json.dumps(content).encode())


def end_of_invite(
    sealer: Sealer, tenant_id: str, invite_id: str, sealed: str, secret: str
) -> datetime | None:
    """When the invitation ends; None: the secret is another, or it was not sealed for this one."""
    content = sealer.open(_purpose(tenant_id, invite_id), sealed)
    if content is None:
        return None
    try:
        said = json.loads(content)
        if not is_same_secret(secret, str(said["hash"])):
            return None
        return parse_instant(str(said["expires_at"]))
    except (ValueError, KeyError, TypeError, BasculeError):
        return None


def _purpose(tenant_id: str, invite_id: str) -> str:
    return f"replica-invite/{tenant_id}/{invite_id}"
