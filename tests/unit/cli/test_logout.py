"""logout: what is called signed out was revoked at the server, and nothing else is."""

from __future__ import annotations

import json

import pytest

from bascule.cli.connect import credentials_of
from bascule.cli.profile import load_profile
from bascule.client.https import HttpsFailure
from bascule.client.tokens import TokenFile
from tests.unit.cli.conftest import Cli, MemoryHttps
from tests.unit.cli.fake_server import CLOCK, ENDPOINT, FakeServer, Refusal, keep_person

ANNA = "anna@example.com"


@pytest.fixture(autouse=True)
def anna(cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """She is signed in, and the server knows it."""
    monkeypatch.setattr("bascule.client.https.Https", lambda *_: MemoryHttps(server))
    keep_person(cli.config, cli.token, ANNA, server)


def refuse(server: FakeServer, status: int) -> None:
    """Let the server, or the proxy in front of it, answer both ways of signing out so."""

    def answer(_: str, path: str) -> None:
        if path.endswith(("/revoke", "/signOut")):
            raise Refusal(status, "Broken", "It is broken.")

    server.on_call = answer


def lose(server: FakeServer) -> None:
    def hang_up(*_: str) -> None:
        raise HttpsFailure("gone")

    server.on_call = hang_up


def test_revoked_and_forgotten(cli: Cli) -> None:
    result = cli("logout")
    assert (result.code, result.out, result.err) == (0, f"Signed out {ANNA}\n", "")
    assert [body["token"] for body in cli.sent("POST", "/revoke")] == ["anna-refresh"]
    assert not cli.token.exists()


def test_everywhere(cli: Cli) -> None:
    result = cli("logout", "--everywhere")
    assert (result.code, result.out, result.err) == (0, f"Signed out {ANNA}\n", "")
    assert len(cli.sent("POST", "/me/signOut")) == 1
    assert not cli.token.exists()


@pytest.mark.parametrize(("status", "code"), [(302, 1), (421, 1), (429, 1), (500, 1), (502, 6)])
def test_what_was_not_revoked_is_forgotten_and_not_called_signed_out(
    cli: Cli, server: FakeServer, status: int, code: int
) -> None:
    refuse(server, status)
    result = cli("logout")
    assert (result.code, result.out) == (code, "")
    assert (
        "The tokens on this computer were deleted, but not revoked on the server: It is broken."
    ) in result.err
    assert "bascule logout --everywhere" in result.err
    assert not cli.token.exists()


def test_an_oauth_refusal_is_told_in_its_own_words(
    cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"error": "invalid_request", "error_description": "AADSTS90002: no such tenant."}
    monkeypatch.setattr(server, "_revoke_token", lambda _: (400, words))
    result = cli("logout")
    assert (result.code, result.out) == (2, "")
    assert "not revoked on the server: AADSTS90002: no such tenant." in result.err


def test_a_server_that_is_away_has_revoked_nothing(cli: Cli, server: FakeServer) -> None:
    lose(server)
    result = cli("logout")
    assert (result.code, result.out) == (6, "")
    assert (
        f"The tokens on this computer were deleted, but not revoked on the server: {ENDPOINT} "
        "cannot be"
    ) in result.err
    assert not cli.token.exists()


@pytest.mark.parametrize(("status", "code"), [(421, 1), (500, 1), (502, 6)])
def test_everywhere_keeps_the_token_to_try_again(
    cli: Cli, server: FakeServer, status: int, code: int
) -> None:
    refuse(server, status)
    before = cli.token.read_text()
    result = cli("logout", "--everywhere")
    assert (result.code, result.out) == (code, "")
    assert "You may still be signed in elsewhere: It is broken." in result.err
    assert "try again: bascule logout --everywhere" in result.err
    assert cli.token.read_text() == before
    server.on_call = None
    assert cli("logout", "--everywhere").code == 0


def test_everywhere_with_the_server_away_keeps_the_token(cli: Cli, server: FakeServer) -> None:
    lose(server)
    result = cli("logout", "--everywhere")
    assert (result.code, result.out) == (6, "")
    assert f"You may still be signed in elsewhere: {ENDPOINT} cannot be reached" in result.err
    assert cli.token.exists()


def test_everywhere_without_a_token_says_to_sign_in_first(cli: Cli) -> None:
    cli.token.unlink()
    result = cli("logout", "--everywhere")
    assert (result.code, result.out) == (5, "")
    assert f"You may still be signed in elsewhere: {ANNA} is no longer signed in." in result.err
    assert "bascule login, then bascule logout --everywhere" in result.err


def test_without_a_token_there_is_nothing_to_revoke(cli: Cli) -> None:
    cli.token.unlink()
    assert cli("logout").code == 0
    assert not cli.server.calls


def test_a_program_has_nothing_to_revoke(cli: Cli) -> None:
    profile = json.loads(cli.config.read_text())
    cli.config.write_text(json.dumps(profile | {"user": ""}))
    assert cli("logout").code == 0
    assert not cli.server.calls
    assert not cli.token.exists()


def test_the_token_that_was_put_there_is_hers(cli: Cli) -> None:
    """Guards the set-up above: a token that nobody finds would pass for signed out."""
    token = TokenFile(cli.token).load(credentials_of(load_profile()).key(ENDPOINT))
    assert token is not None
    assert token.is_fresh(CLOCK.now())
