"""Access tokens by client credentials, and the file that remembers one between commands.

Source: RFC 6749 section 4.4, at Entra's ``/{tenant}/oauth2/v2.0/token`` with a ``.default``
scope (CLIENTS 1.3). A token is used until a minute before its end. The file is readable by
its owner alone; without a file, or with a damaged one, a token is simply asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bascule.client.private_file import write_private
from bascule.client.reading import Data, number, text
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import AuthenticationFailed, BasculeError, InvalidInput

RENEW_BEFORE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A service principal's; the secret never shows in a repr."""

    tenant_id: str
    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.tenant_id!r}, {self.client_id!r})"

    @property
    def token_path(self) -> str:
        return f"/{self.tenant_id}/oauth2/v2.0/token"

    def form(self, endpoint: str) -> Mapping[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": f"{endpoint}/.default",
        }

    def key(self, endpoint: str) -> str:
        """What a cached token belongs to: another server, principal or secret misses."""
        parts = json.dumps([endpoint, self.tenant_id, self.client_id, self.client_secret])
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    expires_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now < self.expires_at - RENEW_BEFORE

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One token on disk; a None path remembers nothing."""

    path: Path | None

    def load(self, key: str) -> Token | None:
        if self.path is None:
            return None
        try:
            data = json.loads(self.path.read_text())
            if data["key"] != key:
                return None
            return Token(str(data["access_token"]), parse_instant(data["expires_at"]))
        except (OSError, ValueError, KeyError, TypeError, InvalidInput):
            return None

    def save(self, key: str, token: Token) -> None:
        """Keep it for the next command; a disk that will not is no reason to fail this one."""
        if self.path is None:
            return
        data = {
            "key": key,
            "access_token": token.value,
            "expires_at": format_utc(token.expires_at),
        }
        try:
            write_private(self.path, json.dumps(data))
        except OSError:
            return

    def forget(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def read_token(status: int, answer: Data, asked_at: datetime) -> Token:
    """The token of an answer; raises AuthenticationFailed with the server's own words."""
    if status == 200:
        return Token(
            text(answer, "access_token"),
            asked_at + timedelta(seconds=number(answer, "expires_in")),
        )
    words = str(answer.get("error_description") or answer.get("error") or f"HTTP {status}")
    if status >= 500:
        raise BasculeError(f"The server gave no token: {words}")
    raise AuthenticationFailed(
        f"The server did not accept these credentials: {words}",
        code=str(answer.get("error") or ""),
        advice="Check the client id and its secret and sign in again: bascule login.",
    )
