"""Access tokens of programs and people, and the file that remembers them between commands.

Source: RFC 6749 sections 4.4 and 6, at Entra's ``/{tenant}/oauth2/v2.0/token`` with a
``.default`` scope (CLIENTS 1.3). A token is used until a minute before its end. The file is
readable by its owner alone. A program without a file, or with a damaged one, simply asks for
a token; a person signs in again, since the refresh token stands there and nowhere else. Two
commands at once may bring one refresh token: the server gives both the same successor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bascule.client.failures import failure
from bascule.client.private_file import write_private
from bascule.client.reading import Data, number, text
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import AuthenticationFailed, InvalidInput

RENEW_BEFORE = timedelta(seconds=60)


# Python makes these classes sooner than dataclasses, and every command waits for that. What holds a
# secret is no tuple: a logger would write all of a tuple.
class Credentials:
    """A service principal's; the secret never shows in a repr."""

    __slots__ = ("client_id", "client_secret", "tenant_id")

    def __init__(self, tenant_id: str, client_id: str, client_secret: str) -> None:
        self.tenant_id = tenant_id
        self.client_id = client_id
        self.client_secret = client_secret

    def __repr__(self) -> str:
        return f"Credentials({self.tenant_id!r}, {self.client_id!r})"

    @property
    def token_path(self) -> str:
        return f"/{self.tenant_id}/oauth2/v2.0/token"

    def form(self, endpoint: str, refresh_token: str = "") -> Mapping[str, str]:  # noqa: ARG002  # reason: as Person has it
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


class Person(NamedTuple):
    """Somebody who signed in by a browser or a device code."""

    tenant_id: str
    client_id: str
    name: str

    @property
    def token_path(self) -> str:
        return f"/{self.tenant_id}/oauth2/v2.0/token"

    def form(self, endpoint: str, refresh_token: str = "") -> Mapping[str, str]:
        """Raises AuthenticationFailed when there is nothing to go by any more."""
        if not refresh_token:
            raise AuthenticationFailed(
                f"{self.name} is no longer signed in.",
                code="NotSignedIn",
                advice="Sign in again: bascule login.",
            )
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": refresh_token,
            "scope": f"{endpoint}/.default offline_access openid profile",
        }

    def key(self, endpoint: str) -> str:
        parts = json.dumps([endpoint, self.tenant_id, self.client_id, "person", self.name])
        return hashlib.sha256(parts.encode()).hexdigest()


class Token:
    """An access token, and until when it is taken; no repr shows it."""

    __slots__ = ("expires_at", "refresh_token", "value")

    def __init__(self, value: str, expires_at: datetime, refresh_token: str = "") -> None:
        self.value = value
        self.expires_at = expires_at
        self.refresh_token = refresh_token  # a person's; a program has none

    def is_fresh(self, now: datetime) -> bool:
        return now < self.expires_at - RENEW_BEFORE

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"


class TokenFile(NamedTuple):
    """One token on disk; a None path remembers nothing."""

    path: Path | None

    def load(self, key: str) -> Token | None:
        if self.path is None:
            return None
        try:
            data = json.loads(self.path.read_text())
            if data["key"] != key:
                return None
            return Token(
                str(data["access_token"]),
                parse_instant(str(data["expires_at"])),
                str(data.get("refresh_token", "")),
            )
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
        if token.refresh_token:
            data["refresh_token"] = token.refresh_token
        try:
            write_private(self.path, json.dumps(data))
        except OSError:
            return

    def forget(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def read_token(status: int, answer: Data, asked_at: datetime) -> Token:
    """The token of an answer; raises AuthenticationFailed with the server's own words, or what a server
    that is in trouble answered to any call.
    """
    if status == 200:
        return Token(
            text(answer, "access_token"),
            asked_at + timedelta(seconds=number(answer, "expires_in")),
            text(answer, "refresh_token", ""),
        )
    if status >= 500:
        raise failure(status, answer)
    words = str(answer.get("error_description") or answer.get("error") or f"HTTP {status}")
    raise AuthenticationFailed(
        f"The server did not accept these credentials: {words}",
        code=str(answer.get("error") or ""),
        advice="Check the client id and secret, and sign in again: bascule login.",
    )
