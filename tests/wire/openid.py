"""A real OpenID provider beside the tests, and somebody with a browser who signs in by it.

The provider is npm's oidc-provider, started with Node.js on loopback with a certificate of a
CA made for the run; ``tools/install.sh`` fetches it. The browser keeps cookies, follows
redirects between the provider and the house, and fills in forms as they are.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from starlette.testclient import TestClient

from bascule.clocks import SystemClock
from bascule.identity.tls import CertificateKeeper
from tests.wire.house import BASE, House

FOLDER = Path(__file__).parent / "oidc_provider"
SECRET = "the client secret of the house, which no answer holds"
CLIENT = "bascule"
RETURN = f"{BASE}/signin/return"
MOST_STEPS = 20

Json = dict[str, Any]


def missing() -> str:
    """Why the provider cannot be run here; empty when it can."""
    if shutil.which("node") is None:
        return "needs Node.js 18 or newer (node)"
    if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        return "needs npm's oidc-provider (make install-dev fetches it)"
    return ""


class RealProvider:
    """One process; ``accounts`` says what it claims of whom."""

    def __init__(self, folder: Path, accounts: Json) -> None:
        keeper = CertificateKeeper(folder, ("localhost",))
        keeper.ensure(SystemClock().now())
        self.ca = keeper.ca_file.read_text()
        self.ca_file = keeper.ca_file
        log = (folder / "provider.log").open("wb")
        self._process = subprocess.Popen(
            ["node", "provider.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        client = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [RETURN],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid offline_access email profile groups",
        }
        settings = {
            "tls": (folder / "server.pem").read_text(),
            "clients": [client],
            "accounts": accounts,
        }
        self.port = int(self.order(settings)["port"])
        self.issuer = f"https://127.0.0.1:{self.port}"

    def order(self, what: Json) -> Json:
        """Tell it something, and read its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the provider ended; its log stands beside its certificate"
        answer: Json = json.loads(line)
        return answer

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Person:
    """Somebody at a browser; ``steps`` are the addresses that it went through."""

    def __init__(self, house: House, provider: RealProvider, name: str) -> None:
        self.house, self.name = house, name
        self.here: TestClient = house.client_of(None)
        trust = ssl.create_default_context(cafile=str(provider.ca_file))
        self.there = httpx2.Client(verify=trust, trust_env=False, timeout=60)
        self.steps: list[str] = []

    def close(self) -> None:
        self.there.close()

    def ask(self, method: str, url: str, data: Mapping[str, str] | None = None) -> Any:
        """One request, no redirect followed; to the house or to the provider."""
        self.steps.append(url)
        if url.startswith((BASE, "/")):
            return self.here.request(method, url, data=data, follow_redirects=False)
        return self.there.request(method, url, data=data)

    def leave(self, provider: str = "corp", leads_to: str = "/signin/you") -> str:
        """Press the provider's button; where it sends the browser."""
        answer = self.ask("GET", f"/signin/with/{provider}?next={leads_to}")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def sign_in_there(self, url: str) -> str:
        """Fill in the provider's forms; the address that it sends the browser back to."""
        answer = self.ask("GET", url)
        for _ in range(MOST_STEPS):
            if answer.status_code in (302, 303):
                url = urljoin(url, answer.headers["location"])
                if url.startswith(BASE):
                    return url
                answer = self.ask("GET", url)
                continue
            assert answer.status_code == 200, (url, answer.text)
            url, fields = form_of(answer.text, url)
            fields |= {"login": self.name, "password": "x"} if fields["prompt"] == "login" else {}
            answer = self.ask("POST", url, fields)
        raise AssertionError(self.steps)

    def sign_in(self, provider: str = "corp", leads_to: str = "/signin/you") -> Any:
        """The whole way; the house's last answer."""
        return self.ask("GET", self.sign_in_there(self.leave(provider, leads_to)))


def form_of(page: str, url: str) -> tuple[str, dict[str, str]]:
    """The first form's address and hidden fields."""
    form = re.search(r"<form[^>]*\baction=\"([^\"]*)\"[^>]*>(.*?)</form>", page, re.DOTALL)
    assert form is not None, page
    fields = {}
    for field in re.findall(r"<input[^>]*>", form[2]):
        name, value = re.search(r'name="([^"]*)"', field), re.search(r'value="([^"]*)"', field)
        if name is not None:
            fields[unescape(name[1])] = unescape(value[1]) if value else ""
    return urljoin(url, unescape(form[1])), fields


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
