"""A person's own choice of mail, by the whole HTTP face and the command line."""

from __future__ import annotations

# ruff: noqa: F811  # reason: the fixture of that name
from typing import Any

import pytest

from bascule.domain.access import PrincipalKind
from bascule.services import mail_choices
from bascule.services.mail_codes import take_code
from tests.wire.browsing import add_user
from tests.wire.house import BASCULE, House
from tests.wire.test_cli_approvals import signed_in
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture

PATH = "/providers/Bascule.Identity/me/mail"


def settle(house: House, user: str, address: str, **more: Any) -> Any:
    """Give an address, and the code that is sent there."""
    call(house, user, "PUT", {"properties": {"address": address, **more}})
    letter = house.do(take_code)
    assert letter is not None
    client = house.client_of(house.token(user, PrincipalKind.USER, f"{user}/0"))
    path = f"{house.subscription}{PATH}/confirm"
    made = client.post(path, json={"code": letter.code}, params={"api-version": BASCULE})
    assert made.status_code == 200, made.text
    return made


def call(house: House, user: str, method: str, body: Any = None) -> Any:
    client = house.client_of(house.token(user, PrincipalKind.USER, f"{user}/0"))
    more = {} if body is None else {"json": body}
    return client.request(
        method, house.subscription + PATH, params={"api-version": BASCULE}, **more
    )


def test_everybody_chooses_for_themselves_alone(house: House) -> None:
    anna, ben = (add_user(house, f"{name}@example.com").id for name in ("anna", "ben"))
    assert call(house, anna, "GET").json()["properties"]["address"] is None
    settle(house, anna, "anna@home.example", own=False)
    kept = call(house, anna, "GET").json()["properties"]
    assert (kept["address"], kept["asked"], kept["own"]) == ("anna@home.example", True, False)
    assert call(house, ben, "GET").json()["properties"]["address"] is None
    assert call(house, ben, "DELETE").status_code == 204
    assert call(house, anna, "DELETE").status_code == 200
    assert call(house, anna, "GET").json()["properties"]["address"] is None


def test_the_address_before_hears_too_and_that_is_said(house: House) -> None:
    anna = add_user(house).id
    settle(house, anna, "a@old.example")
    moved = settle(house, anna, "a@new.example").json()
    assert moved["properties"]["previousAddress"] == "a@old.example"
    again = call(house, anna, "PUT", {"properties": {"language": "fr"}}).json()["properties"]
    assert (again["address"], again["previousAddress"]) == ("a@new.example", "a@old.example")


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, "MissingField"),
        ({"address": "nobody"}, "InvalidMailAddress"),
        ({"address": "a@b.example\r\nBcc: c@d"}, "InvalidMailAddress"),
        ({"address": "a@b.example", "language": "xx"}, "InvalidLanguage"),
    ],
)
def test_what_is_refused(house: House, properties: Any, code: str) -> None:
    answer = call(house, add_user(house).id, "PUT", {"properties": properties})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == code


def test_a_program_gets_no_mail(house: House) -> None:
    for method, body in (("GET", None), ("PUT", {"properties": {"address": "a@b.example"}})):
        assert house.call(method, PATH, body).status_code == 403


def test_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = add_user(cli.house).id
    assert cli("mail").code == 4, "the administrator is a program"
    with signed_in(cli, anna, monkeypatch):
        assert "You get no mail" in cli.done("mail").out
        said = cli.done("mail", "anna@home.example", "--language", "fr").out
        assert "anna@home.example gets nothing but a code until you give it" in said
        letter = cli.house.do(take_code)
        assert letter is not None
        assert cli("mail", "confirm").code == 2
        assert cli("mail", "confirm", letter.code, "--own").code == 2
        assert cli("mail", "confirm", "BCDF-GHJK").code == 2
        assert "anna@home.example (fr)" in cli.done("mail", "confirm", letter.code).out
        assert "requests that wait for you" in cli.done("mail", "--no-own").out
        assert cli.json("mail")["own"] is False
        assert cli("mail", "--off", "--own").code == 2
        assert "You get no mail" in cli.done("mail", "--off").out
    assert mail_choices.LANGUAGES == ("en", "fr")
