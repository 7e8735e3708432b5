"""A user who signs in with a password at the server's pages, as a browser does, for a token.

The authorization code flow with PKCE; nothing listens at the address that the code is sent to.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from bascule.client.tokens import Token, read_token
from bascule.clocks import SystemClock
from bascule.domain.clients import BASCULE_CLI
from bascule.errors import AuthenticationFailed, ServerUnreachable
from tests.wire.browsing import forms

_BACK = "http://127.0.0.1:9"
_PAGES = 8  # at most, from the first to the address that the code is sent to


def sign_in(endpoint: str, tenant: str, trust: ssl.SSLContext, name: str, password: str) -> Token:
    """Raises AuthenticationFailed, ServerUnreachable."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    scope = f"{endpoint}/.default offline_access openid profile"
    query = {
        "client_id": BASCULE_CLI,
        "response_type": "code",
        "redirect_uri": _BACK,
        "scope": scope,
        "state": "faults",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    try:
        with httpx2.Client(base_url=endpoint, verify=trust, timeout=30) as client:
            path = f"/{tenant}/oauth2/v2.0/authorize?{urlencode(query)}"
            code = _code(client, path, {"name": name, "password": password, "answer": "allow"})
            form = {
                "grant_type": "authorization_code",
                "client_id": BASCULE_CLI,
                "code": code,
                "redirect_uri": _BACK,
                "code_verifier": verifier,
                "scope": scope,
            }
            answer = client.post(f"/{tenant}/oauth2/v2.0/token", data=form)
            return read_token(answer.status_code, answer.json(), SystemClock().now())
    except (httpx2.HTTPError, ValueError) as error:
        raise ServerUnreachable(f"{name} could not sign in: {error!r}") from error


def _code(client: httpx2.Client, path: str, known: dict[str, str]) -> str:
    answer = client.get(path)
    for _ in range(_PAGES):
        location = answer.headers.get("location", "")
        if location.startswith(_BACK):
            return dict(parse_qsl(urlsplit(location).query)).get("code", "")
        if location:
            answer = client.get(location)
            continue
        if answer.status_code >= 500:
            raise ServerUnreachable(f"HTTP {answer.status_code}")
        found = forms(answer)
        if not found:
            break
        form = found[0]
        answer = client.post(form.action, data={**form.fields, **known})
        if answer.status_code < 300 and "password" in form.fields:
            break  # not taken: the same page again
    raise AuthenticationFailed(f"the sign-in of {known['name']} was refused: {answer.status_code}")
