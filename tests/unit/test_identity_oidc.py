"""Asking an external provider: whatever it answers is taken, refused or said to be unusable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from bascule.api.context import AppState
from bascule.api.oauth.external import _returned
from bascule.domain.providers import IdentityProvider
from bascule.errors import AuthenticationFailed
from bascule.identity.oidc import DISCOVERY, RelyingParty, Tokens
from bascule.identity.provider_test import examine
from bascule.identity.sealing import Sealer
from tests.samples import NOW
from tests.unit.services_world import SetClock

ISSUER = "https://login.corp.example"
RSA = RSAKey.generate_key(2048)
KEY = {**RSA.as_dict(private=False), "kid": "rsa", "use": "sig"}
CORP = IdentityProvider("p", "corp", "Corp", ISSUER, "bascule", NOW)


class Answers:
    """A provider that answers as it is told."""

    def __init__(self, status: int = 200, answer: Mapping[str, Any] | None = None) -> None:
        self.status, self.answer, self.keys = status, answer or {}, [KEY]

    async def get(self, url: str, ca: str) -> Mapping[str, Any]:
        del ca
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = {"issuer": ISSUER, **{name: f"{ISSUER}/{name}" for name in names}}
        return found if url == ISSUER + DISCOVERY else {"keys": self.keys}

    async def post(
        self, url: str, ca: str, form: Mapping[str, str], basic: tuple[str, str] | None
    ) -> tuple[int, Mapping[str, Any]]:
        del url, ca, form, basic
        return self.status, self.answer


def party(answers: Answers, folder: Path) -> RelyingParty:
    return RelyingParty(answers, Sealer(folder), SetClock())


def id_token(clock: SetClock) -> str:
    at = int(clock.now().timestamp())
    said = {"iss": ISSUER, "aud": "bascule", "sub": "anna", "iat": at, "exp": at + 300}
    return jws.serialize_compact(
        {"alg": "RS256", "kid": "rsa"}, json.dumps(said).encode(), RSA, ["RS256"]
    )


@pytest.mark.parametrize("error", [{"code": 400, "message": "no"}, ["invalid_grant"], 5, None])
def test_an_error_that_is_no_text_is_a_refusal_of_the_person(tmp_path: Path, error: object) -> None:
    """Gateways in front of a provider write errors as objects."""
    asked = party(Answers(400, {"error": error}), tmp_path)
    with pytest.raises(AuthenticationFailed, match="no reason given"):
        asyncio.run(asked.renew(CORP, "refresh", "anna"))


@pytest.mark.parametrize("said", ["\ud800", 5, [], {}], ids=repr)
def test_tokens_that_are_none_are_refused_or_not_kept(tmp_path: Path, said: object) -> None:
    token = id_token(SetClock())
    asked = party(Answers(200, {"id_token": token, "access_token": said}), tmp_path)
    with pytest.raises(AuthenticationFailed, match="access token"):
        asyncio.run(asked.renew(CORP, "before", "anna"))
    asked = party(Answers(200, {"id_token": token, "refresh_token": said}), tmp_path)
    assert asyncio.run(asked.renew(CORP, "before", "anna")).refresh_token == "before"


@pytest.mark.parametrize("subject", ["\ud800", "", 5, None, []], ids=repr)
def test_nothing_is_kept_of_whom_the_provider_does_not_name(
    tmp_path: Path, subject: object
) -> None:
    state = cast("AppState", SimpleNamespace(relying_party=party(Answers(), tmp_path)))
    found = Tokens({"sub": subject}, "a refresh token")
    assert not _returned(state, CORP, found).sealed_refresh
    assert _returned(state, CORP, Tokens({"sub": "anna"}, "a refresh token")).sealed_refresh


@pytest.mark.parametrize("key", [{"kty": []}, {"kty": "EC", "crv": {}}, {"use": []}], ids=repr)
def test_a_key_that_is_none_is_not_counted(tmp_path: Path, key: dict[str, Any]) -> None:
    answers = Answers()
    answers.keys = [key]
    examined = asyncio.run(examine(party(answers, tmp_path), CORP))
    assert examined.keys == 0
    assert "no key for" in examined.problems[0]
    answers.keys = [key, KEY]
    assert asyncio.run(examine(party(answers, tmp_path), CORP)).keys == 1
