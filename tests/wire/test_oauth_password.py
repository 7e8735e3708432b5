"""The password grant: off unless it is allowed, at 'adfs' alone, never past a second factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from bascule.api.app import build_app
from bascule.domain.clients import AZURE_CLI
from bascule.domain.sign_in import TotpFactor
from tests.wire.browsing import PASSWORD, SCOPE, Program, add_user
from tests.wire.house import BASE, CALLER, House
from tests.wire.test_oauth import claims_in, refused

NAME = "anna@example.com"


@pytest.fixture
def allowing(data_dir: Path) -> Iterator[House]:
    house = House(data_dir)
    house.app = build_app(replace(house.state, allows_password_grant=True))
    yield house
    house.close()


def ask(house: House, path: str = "/adfs/oauth2/token", **changes: str) -> httpx2.Response:
    client = TestClient(house.app, BASE, client=(CALLER, 40000))
    form = {
        "grant_type": "password",
        "client_id": AZURE_CLI,
        "username": NAME,
        "password": PASSWORD,
        "scope": SCOPE,
        **changes,
    }
    return client.post(path, data=form)


def test_it_is_off(house: House) -> None:
    add_user(house)
    assert refused(ask(house)) == (400, "unsupported_grant_type", 70003)


def test_it_is_taken_at_adfs_alone(allowing: House) -> None:
    anna = add_user(allowing)
    body = ask(allowing).json()
    assert claims_in(body["id_token"])["oid"] == anna.id
    assert body["refresh_token"]
    assert Program(allowing).may_call(body["access_token"]) == 200
    for tenant in ("common", "organizations", allowing.installation.tenant_id):
        answer = ask(allowing, f"/{tenant}/oauth2/v2.0/token")
        assert refused(answer) == (400, "unsupported_grant_type", 70003)
    document = TestClient(allowing.app, BASE).get("/adfs/.well-known/openid-configuration").json()
    assert "password" in document["grant_types_supported"]


def test_a_second_factor_cannot_be_walked_around(allowing: House) -> None:
    anna = add_user(allowing)
    factor = TotpFactor(anna.id, True, "sealed", allowing.clock.now())
    allowing.do(lambda tx, _: tx.put_totp(factor))
    assert refused(ask(allowing)) == (400, "interaction_required", 50076)
    assert allowing.events("SignedIn") == []
    assert refused(ask(allowing, password="x")) == (400, "invalid_grant", 50126)


def test_wrong_ones_are_alike_and_limited(allowing: House) -> None:
    add_user(allowing)
    wrong = ask(allowing, password="x")
    unknown = ask(allowing, username="nobody@example.com")
    assert refused(wrong) == refused(unknown) == (400, "invalid_grant", 50126)
    last = [ask(allowing, password="x") for _ in range(8)][-1]
    assert refused(last) == (429, "invalid_grant", 50053)
    assert int(last.headers["retry-after"]) > 0
    assert refused(ask(allowing))[0] == 429


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"username": ""}, (400, "invalid_request", 900144)),
        ({"password": ""}, (400, "invalid_request", 900144)),
        ({"scope": "https://evil.example/.default"}, (400, "invalid_scope", 70011)),
        ({"client_id": "x"}, (400, "unauthorized_client", 700016)),
    ],
)
def test_what_is_wrong_is_named(
    allowing: House, changes: dict[str, str], expected: tuple[int, str, int]
) -> None:
    assert refused(ask(allowing, **changes)) == expected
