"""A person at a browser, and the program that sends them there: support of the sign-in tests."""

from __future__ import annotations

import re
import uuid
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from bascule.domain.clients import AZURE_CLI
from bascule.domain.principals import User
from bascule.domain.sign_in import StoredPassword
from bascule.identity.token_request import challenge_of
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.wire.house import BASE, CALLER, QUICK, House

PASSWORD = "correct horse battery staple"
VERIFIER = "v" * 43
REDIRECT = "http://localhost:51234"
SCOPE = f"{BASE}/.default offline_access openid profile"

_FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
_INPUT = re.compile(r"<input\b([^>]*)>", re.DOTALL)
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


def add_user(house: House, name: str = "anna@example.com") -> User:
    """An enabled user with PASSWORD, who holds nothing."""
    user = User(str(uuid.uuid4()), name, name.partition("@")[0].title(), True, house.clock.now())
    hashed = QUICK.hash(PASSWORD)

    def work(tx: Transaction, act: Act) -> None:
        tx.put_user(user)
        tx.put_password(StoredPassword(user.id, hashed, act.now))

    house.do(work)
    return user


class Form:
    """A form of a page, as a browser without JavaScript has it."""

    def __init__(self, attributes: str, content: str) -> None:
        self.action = unescape(dict(_ATTRIBUTE.findall(attributes)).get("action", ""))
        inputs = [dict(_ATTRIBUTE.findall(each)) for each in _INPUT.findall(content)]
        self.fields = {
            each["name"]: unescape(each.get("value", "")) for each in inputs if "name" in each
        }


def forms(answer: httpx2.Response) -> list[Form]:
    return [Form(*each) for each in _FORM.findall(answer.text)]


class Browser:
    """Follows no redirect by itself; keeps its cookies."""

    def __init__(self, house: House, address: str = CALLER) -> None:
        self.house = house
        self.client = house.client_of(None, address)

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path, follow_redirects=False)

    def post(self, path: str, data: dict[str, str], **more: Any) -> httpx2.Response:
        return self.client.post(path, data=data, follow_redirects=False, **more)

    def submit(self, page: httpx2.Response, index: int = 0, /, **fields: str) -> httpx2.Response:
        form = forms(page)[index]
        return self.post(form.action, {**form.fields, **fields})

    def sign_in(
        self, leads_to: str = "", name: str = "anna@example.com", password: str = PASSWORD
    ) -> httpx2.Response:
        """Fill in name and password; the answer is whatever comes then."""
        page = self.get(f"/signin?{urlencode({'next': leads_to})}")
        return self.submit(page, name=name, password=password)


class Program:
    """A public client that uses the code flow."""

    def __init__(self, house: House, client_id: str = AZURE_CLI) -> None:
        self.house, self.client_id = house, client_id
        self.tenant = house.installation.tenant_id
        self.client = house.client_of(None)

    def url(self, **changes: str) -> str:
        query = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": SCOPE,
            "state": "st-1",
            "nonce": "n-1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            "client_info": "1",
            **changes,
        }
        kept = {name: value for name, value in query.items() if value}
        return f"/organizations/oauth2/v2.0/authorize?{urlencode(kept)}"

    def code(self, browser: Browser, **changes: str) -> str:
        """Have a person who has signed in allow it."""
        answer = browser.submit(browser.get(self.url(**changes)), answer="allow")
        return sent_back(answer)["code"]

    def redeem(self, code: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
            "scope": SCOPE,
            **changes,
        }
        return self.ask({name: value for name, value in form.items() if value})

    def refresh(self, token: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": token,
            "scope": SCOPE,
            **changes,
        }
        return self.ask(form)

    def ask(self, form: dict[str, str], tenant: str = "") -> httpx2.Response:
        return self.client.post(f"/{tenant or self.tenant}/oauth2/v2.0/token", data=form)

    def signed_in(self, browser: Browser) -> dict[str, Any]:
        """The tokens of a person who signs in and allows it."""
        assert browser.sign_in().status_code == 303
        body: dict[str, Any] = self.redeem(self.code(browser)).json()
        return body

    def may_call(self, token: str) -> int:
        path = f"{self.house.subscription}/providers/Microsoft.Compute/virtualMachines"
        client = self.house.client_of(token)
        return int(client.get(path, params={"api-version": "2024-07-01"}).status_code)


def sent_back(answer: httpx2.Response) -> dict[str, str]:
    """What a redirect to the program carries."""
    assert answer.status_code == 303, answer.text
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}" == REDIRECT
    return dict(parse_qsl(location.query))
