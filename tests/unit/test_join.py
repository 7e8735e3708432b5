"""Which data directories join an installation, and what is left in them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bascule.bootstrap import join
from bascule.bootstrap.database import Record
from bascule.config import JOIN_VARIABLE, DatabaseSettings, ServeSettings
from bascule.errors import BasculeError, ConfigurationError, InvalidInput, ServerUnreachable
from bascule.files import write_atomically
from bascule.identity.join_token import JoinToken, parse_join_token
from bascule.identity.tls import CertificateKeeper
from tests.unit.test_identity_tokens import NOW

URL = "postgresql://bascule@db.example/bascule"
TOKEN = JoinToken("i-1", "secret", "a" * 64, ("https://a.example:8443",))
ANSWER = join._Joined("tenant", b"w" * 32, URL, may_be_unverified=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "token"
    made.write_text(f"{TOKEN.text}\n")
    return made


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(tmp_path / "data", (), ())


@pytest.fixture(autouse=True)
def answered(monkeypatch: pytest.MonkeyPatch) -> list[JoinToken]:
    asked: list[JoinToken] = []

    def ask(token: JoinToken) -> join._Joined:
        asked.append(token)
        return ANSWER

    monkeypatch.setattr(join, "_ask", ask)
    return asked


def test_an_empty_directory_joins_once(
    settings: ServeSettings, file: Path, answered: list[JoinToken]
) -> None:
    joined = join.join_once(settings, file)
    assert joined.database == DatabaseSettings(URL)
    assert {each.name for each in settings.data.iterdir()} == {
        "lock", "database.json", "wrapping.key",
    }  # fmt: skip
    assert (settings.data / "wrapping.key").stat().st_mode & 0o777 == 0o600
    again = join.join_once(settings, file)
    assert again.database is not None
    assert again.database.url == URL
    file.unlink()
    assert join.join_once(settings, file).database == again.database, "and without its token"
    assert answered == [TOKEN]


def test_a_way_of_its_own_to_the_database_counts(settings: ServeSettings, file: Path) -> None:
    own = DatabaseSettings("postgresql:///bascule?host=/run", Path("/etc/password"))
    assert join.join_once(replace(settings, database=own), file).database == own


def test_a_server_that_protects_its_own_host_does_not_join(
    settings: ServeSettings, file: Path, answered: list[JoinToken]
) -> None:
    with pytest.raises(ConfigurationError, match="--this-host"):
        join.join_once(replace(settings, this_host=True), file)
    assert answered == [], "the token is not used up"
    assert not settings.data.exists()


@pytest.mark.parametrize("name", ["bascule.db", "ca.key", "admin.json", "token-signing.key"])
def test_a_directory_with_anything_else_does_not_join(
    settings: ServeSettings, file: Path, name: str, answered: list[JoinToken]
) -> None:
    """Keys that are there would be lost, or be those of another installation."""
    settings.data.mkdir()
    (settings.data / name).write_bytes(b"")
    with pytest.raises(ConfigurationError):
        join.join_once(settings, file)
    assert answered == [], "the token is not used up"
    assert not (settings.data / "wrapping.key").exists()


@pytest.mark.parametrize("failure", [ServerUnreachable("away"), KeyboardInterrupt()])
def test_one_that_was_interrupted_may_join_again(
    settings: ServeSettings, file: Path, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, *content: object) -> None:
        if path.name == "wrapping.key":
            raise failure
        write_atomically(path, *content)  # type: ignore[arg-type]  # handed on

    with monkeypatch.context() as patch:
        patch.setattr(join, "write_atomically", write)
        with pytest.raises(type(failure)):
            join.join_once(settings, file)
    assert not (settings.data / "wrapping.key").exists()
    assert join.join_once(settings, file).database == DatabaseSettings(URL)


def test_one_that_was_killed_in_the_middle_of_a_file_may_join_again(
    settings: ServeSettings, file: Path
) -> None:
    settings.data.mkdir(mode=0o700)
    for name in ("database.json.new", "wrapping.key.new"):
        (settings.data / name).write_bytes(b"half")
    assert join.join_once(settings, file).database == DatabaseSettings(URL)
    assert (settings.data / "wrapping.key").read_bytes() == ANSWER.wrapping_key


def test_a_token_of_another_installation_is_refused_afterwards(
    settings: ServeSettings, file: Path
) -> None:
    join.join_once(settings, file)
    CertificateKeeper(settings.data, ()).ensure(NOW)
    file.write_text(replace(TOKEN, ca_fingerprint="b" * 64).text)
    with pytest.raises(ConfigurationError, match="another installation"):
        join.join_once(settings, file)


def test_the_token_by_which_it_joined_is_right_whatever_the_ca_is_now(
    settings: ServeSettings, file: Path
) -> None:
    """A unit may name the token at each start, and the CA may be replaced; the record may move."""
    join.join_once(settings, file)
    CertificateKeeper(settings.data, ()).ensure(NOW)  # whose fingerprint is not that of the token
    assert join.join_once(settings, file).database == DatabaseSettings(URL)
    record = Record(settings.data)
    record.take_over("tenant", 2, record.place)
    assert join.join_once(settings, file).database == DatabaseSettings(URL)


@pytest.mark.parametrize(
    "text", ["", "no token", "bascule-enrol.e30", "bascule-join.", "bascule-join.e30", "é"]
)
def test_what_is_no_token_is_refused_before_anything_is_made(
    settings: ServeSettings, file: Path, text: str
) -> None:
    file.write_text(text)
    with pytest.raises(BasculeError):
        join.join_once(settings, file)
    assert not settings.data.exists()


def test_the_token_may_be_in_the_environment_and_is_taken_out_of_it(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, answered: list[JoinToken]
) -> None:
    monkeypatch.setenv(JOIN_VARIABLE, TOKEN.text)
    join.join_once(settings, None)
    assert answered == [TOKEN]
    assert JOIN_VARIABLE not in os.environ


def test_a_token_reads_back_and_hides_its_secret() -> None:
    assert parse_join_token(TOKEN.text) == TOKEN
    assert "secret'" not in repr(TOKEN)
    with pytest.raises(InvalidInput):
        parse_join_token(replace(TOKEN, endpoints=()).text)
