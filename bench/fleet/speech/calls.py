"""Calls of one agent over HTTPS, with a token from a signed assertion (RFC 7523)."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.clocks import SystemClock
from bench.fleet.agent import World, address_of, key_of, uid_of
from bench.fleet.http import Http, read_json
from bench.fleet.tls import Gone

CONNECT_SECONDS, PATIENCE = 8.0, 10.0
RENEW_BEFORE = 60.0  # seconds of a token's life
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_HEADER = {"alg": "Ed25519", "typ": "JWT"}
_CLOCK = SystemClock()


class Calls:
    """Over one kept connection; a token is asked for over another, as the real agent does."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._number = world, number
        self._uid, self._source = uid_of(number), address_of(number)
        self._loop = asyncio.get_running_loop()
        self._kept = Http(world.server, self._source, world.context)
        self._signing = asyncio.Lock()
        self._token, self._token_ends = "", 0.0

    def close(self) -> None:
        self._kept.close()

    def forget_token(self) -> None:
        self._token = ""

    async def call(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """What was answered; raises OSError, TimeoutError."""
        for is_last in (False, True):
            headers = await self.headers()
            if body:
                headers["Content-Type"] = "application/json"
            status, content = await self._kept.call(
                method, path, body, headers, connect_within=CONNECT_SECONDS, within=PATIENCE
            )
            if status == 200:
                answer: dict[str, Any] = read_json(content)
                return answer
            if status != 401 or is_last:
                raise Gone(f"{method} {path} was answered {status}")
            self._token = ""  # revoked, or over: another, once
        raise AssertionError

    async def headers(self) -> dict[str, str]:
        async with self._signing:
            if not self._token or self._loop.time() > self._token_ends - RENEW_BEFORE:
                await self._sign_in()
            return {"Authorization": f"Bearer {self._token}"}

    async def _sign_in(self) -> None:
        self._world.done["tokens"] += 1
        asked = self._loop.time()
        path = f"/{self._world.tenant_id}/oauth2/v2.0/token"
        form = {
            "grant_type": "client_credentials",
            "client_id": self._uid,
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._assertion(f"{self._world.url}{path}"),
            "scope": f"{self._world.url}/.default",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        own = Http(self._world.server, self._source, self._world.context)  # as the real agent's
        try:
            status, content = await own.call(
                "POST",
                path,
                urlencode(form).encode(),
                headers,
                connect_within=CONNECT_SECONDS,
                within=PATIENCE,
            )
        finally:
            own.close()
        if status != 200:
            raise Gone(f"no token: {status} {content[:200]!r}")
        answer = read_json(content)
        self._token, self._token_ends = answer["access_token"], asked + answer["expires_in"]

    def _assertion(self, audience: str) -> str:
        """A proof of the key, for one use (RFC 7523)."""
        now = int(_CLOCK.now().timestamp())
        claims = {"iss": self._uid, "sub": self._uid, "aud": audience, "iat": now}
        claims |= {"exp": now + 300, "jti": str(uuid.uuid4())}
        signed = f"{_part(_HEADER)}.{_part(claims)}"
        key = Ed25519PrivateKey.from_private_bytes(key_of(self._number))
        return f"{signed}.{_base64url(key.sign(signed.encode()))}"


def _part(content: Mapping[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
