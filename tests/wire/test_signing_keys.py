"""Rotating the key that signs tokens: by the API, and offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.bootstrap import HostParts
from bascule.bootstrap.admin import admin
from bascule.cli.main import invoke
from tests.wire.house import BASCULE, House

ROTATE = "/providers/Microsoft.Authorization/signingKeys/current/rotate"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    """A house with keys of its own."""
    house = House(tmp_path)
    yield house
    house.close()


def test_what_the_old_key_signed_stays_good_and_the_new_one_signs(own: House) -> None:
    answer = own.call("POST", ROTATE)
    assert answer.status_code == 200, answer.text
    said = answer.json()["properties"]
    keys = own.client_of(None).get("/common/discovery/v2.0/keys").json()["keys"]
    assert [key["kid"] for key in keys] == [said["keyId"], said["previousKeyId"]]
    assert own.call("GET", "/resourceGroups").status_code == 200  # by the old key's token
    own.client = own.client_of(own.service_token())
    assert own.call("GET", "/resourceGroups").status_code == 200
    assert own.events("SigningKeyRotated") == ["SigningKeyRotated"]


def test_a_stolen_key_is_forgotten_at_once(own: House) -> None:
    assert own.call("POST", ROTATE, {"forget": True}).status_code == 200
    assert own.call("GET", "/resourceGroups").status_code == 401
    own.client = own.client_of(own.service_token())
    assert own.call("GET", "/resourceGroups").status_code == 200


def test_it_needs_the_right_to(own: House) -> None:
    from tests.wire.browsing import Browser, Program, add_user

    add_user(own)
    token = Program(own).signed_in(Browser(own))["access_token"]
    path, params = own.subscription + ROTATE, {"api-version": BASCULE}
    answer = own.client_of(token).post(path, params=params)
    assert answer.status_code == 403
    assert "signingKeys/write" in answer.text
    assert own.events("SigningKeyRotated") == []


def test_offline_where_there_is_no_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rotate-signing-key", "--data", str(tmp_path)]
    assert invoke(admin, HostParts(), arguments) == 2
    assert "no installation" in capsys.readouterr().err
