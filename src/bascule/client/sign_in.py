"""How a person signs in from the command line: a device code, or a browser on this machine.

RFC 8628 for the first; RFC 8252 with PKCE (RFC 7636) for the second: the browser comes back
to a port on this machine's loopback that we listen on for one answer, which counts only with
the ``state`` that we gave. What is not here: where the tokens are kept (``client.tokens``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from bascule.client.https import Https, HttpsFailure, Response
from bascule.client.reading import Data, mapping, number, text
from bascule.domain.clients import BASCULE_CLI
from bascule.errors import AuthenticationFailed, BasculeError

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
BROWSER_SECONDS = 300.0
_SLOWER = 5.0
_DONE = b"""<!doctype html><meta charset="utf-8"><title>Bascule</title>
<p>Signed in. Go back to your terminal; this page can be closed."""


class NoDeviceCode(AuthenticationFailed):
    """The server has no code to give, or the one that it gave went to others (EDGES E6)."""


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to sign in at."""

    https: Https
    endpoint: str
    tenant_id: str

    @property
    def scope(self) -> str:
        return f"{self.endpoint}/.default offline_access openid profile"

    def post(self, path: str, form: Mapping[str, str]) -> tuple[int, Data]:
        """The answer; raises HttpsFailure."""
        address = f"/{self.tenant_id}/oauth2/v2.0/{path}"
        return read_page(
            self.https.request("POST", address, form={"client_id": BASCULE_CLI, **form})
        )


def by_device_code(
    server: Server,
    tell: Callable[[str, str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Data:
    """Have a code approved elsewhere; ``tell`` gets the page and the code. The tokens' answer.

    Raises NoDeviceCode where another way of signing in may work.
    """
    status, begun = server.post("devicecode", {"scope": server.scope})
    if status == 429:
        raise NoDeviceCode(
            "The server cannot issue a device code, because too many are in use.",
            advice="Sign in with a browser on this computer (bascule login --browser), or try "
            "again in a few minutes.",
        )
    if status != 200:
        raise _refused(begun, status)
    tell(text(begun, "verification_uri"), text(begun, "user_code"))
    interval, left = float(number(begun, "interval")), float(number(begun, "expires_in"))
    form = {"grant_type": DEVICE_CODE, "device_code": text(begun, "device_code")}
    while left > 0:
        pause(interval)
        left -= interval
        try:
            status, answer = server.post("token", form)
        except HttpsFailure:  # away for a moment: the code still waits
            continue
        error = str(answer.get("error") or "")
        if status == 200:
            return answer
        if error == "slow_down":
            interval += _SLOWER
        elif error == "bad_verification_code":
            raise NoDeviceCode(
                "The device code is no longer valid, because too many others were requested.",
                advice="Sign in with a browser on this computer (bascule login --browser), or "
                "start again.",
            )
        elif error != "authorization_pending":
            raise _refused(answer, status)
    raise AuthenticationFailed(
        "Nobody approved the code in time.", advice="Start again: bascule login."
    )


def by_browser(server: Server, open_page: Callable[[str], None]) -> Data:
    """Have a browser on this machine come back with a code. The tokens' answer."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    digest = hashlib.sha256(verifier.encode()).digest()
    with _Listener(("127.0.0.1", 0), state) as listener:
        redirect_uri = f"http://127.0.0.1:{listener.server_address[1]}"
        query = {
            "client_id": BASCULE_CLI,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": server.scope,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "prompt": "select_account",
        }
        address = f"{server.endpoint}/{server.tenant_id}/oauth2/v2.0/authorize"
        open_page(f"{address}?{urlencode(query)}")
        answer = listener.wait(BROWSER_SECONDS)
    if "code" not in answer:
        raise _refused(answer, 400)
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    status, tokens = server.post("token", form)
    if status != 200:
        raise _refused(tokens, status)
    return tokens


def user_name(tokens: Data) -> str:
    """Who signed in. The id token came over TLS from its issuer itself (OIDC Core 3.1.3.7)."""
    part = text(tokens, "id_token").split(".")[1]
    claims = mapping(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    return text(claims, "preferred_username")


class _Listener(http.server.HTTPServer):
    """Waits for the browser; whatever does not bring our state is told nothing."""

    timeout = 1.0

    def __init__(self, address: tuple[str, int], state: str) -> None:
        super().__init__(address, _Visit)
        self.state = state
        self.answer: Mapping[str, str] = {}

    def wait(self, seconds: float) -> Mapping[str, str]:
        ends_at = time.monotonic() + seconds
        while not self.answer and time.monotonic() < ends_at:
            self.handle_request()
        if not self.answer:
            raise AuthenticationFailed(
                "The sign-in in the browser was not completed in time.",
                advice="Start again: bascule login --browser, or without a browser: bascule login.",
            )
        return self.answer

    def handle_error(self, request: object, client_address: object) -> None:
        """Somebody hung up: wait for the next."""


class _Visit(http.server.BaseHTTPRequestHandler):
    server: _Listener
    timeout = 5.0  # a visitor who says nothing does not hold us up

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        fields = dict(parse_qsl(parts.query))
        is_ours = hmac.compare_digest(fields.get("state", "").encode(), self.server.state.encode())
        if parts.path != "/" or not is_ours:
            self.send_error(404)
            return
        self.server.answer = fields
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_DONE)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_DONE)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # reason: its name in the base class
        """Say nothing on the terminal: the URL holds a code."""


def read_page(response: Response) -> tuple[int, Data]:
    """An OAuth page's status and JSON; a body that is none is empty."""
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = {}
    return response.status, answer if isinstance(answer, dict) else {}


def _refused(answer: Mapping[str, object], status: int) -> BasculeError:
    words = str(answer.get("error_description") or answer.get("error") or f"HTTP {status}")
    return AuthenticationFailed(
        f"The sign-in was refused: {words}",
        code=str(answer.get("error") or ""),
        advice="Start again: bascule login.",
    )
