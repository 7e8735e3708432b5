"""``bascule admin database undo-copy``, and what a move and a check refuse: one record lives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from bascule.bootstrap import moving
from bascule.bootstrap.admin import admin
from bascule.bootstrap.database import Record
from bascule.clocks import SystemClock
from bascule.config import parse_database
from bascule.errors import BasculeError
from bascule.identity.signing_keys import SigningKeys
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import Replica
from bascule.store import whole
from bascule.store.long_work import commit, holding, reading
from bascule.store.postgresql_open import is_away, open_postgresql
from bascule.store.transaction import SqlReader
from tests.contracts.store.samples import close, write
from tests.support import postgresql
from tests.unit.filled_installation import fill

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample") / "data"
    fill(made)
    return made


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "data"))


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make()
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def address(name: str) -> str:
    return postgresql.cluster().address(name)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(admin, ["database", *map(str, arguments)])


def _copy(data: Path, to: str) -> Result:
    return _run("copy", "--data", data, "--to", to)


def _refusal(done: Result) -> BasculeError:
    assert isinstance(done.exception, BasculeError), done.output
    return done.exception


def _sums(where: Record) -> dict[str, whole.Sum]:
    with reading(where.where) as connection:
        return {each.name: whole.sum_of(connection, each) for each in whole.tables()}


def _installation(where: Record) -> Installation:
    with reading(where.where) as connection:
        made = SqlReader(connection).installation()
    assert made is not None
    return made


def _change(where: Record, statement: str) -> None:
    with holding(where.where) as connection:
        connection.execute(text(statement))
        commit(connection)


def _undo(data: Path) -> Result:
    return _run("undo-copy", "--data", data, "--yes")


def test_a_move_is_not_undone_while_a_server_goes_on_where_the_record_is(
    data: Path, name: str, address: str
) -> None:
    """It would go on granting. One that was seen and has no connection now comes back."""
    assert _copy(data, address).exit_code == 0
    place = Record(data).where
    assert not isinstance(place, Path)
    server = open_postgresql(place)
    write(server, lambda tx: tx.see_replica(Replica("r", "b", "https://b.example:8443", "1")))
    assert "uses the database" in _refusal(_undo(data)).message
    close(server)
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "b (https://b.example:8443)" in _refusal(_undo(data)).message
    assert Record(data).kind == "PostgreSQL"
    retired = Record(data).before
    assert retired is not None
    assert _installation(retired).moved_to, "nothing was changed"
    _change(Record(data), "DELETE FROM replicas")
    _change(Record(data), "UPDATE installation SET moved_to = 'elsewhere'")
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "moved to elsewhere" in _refusal(_undo(data)).message, "from another data directory"
    _change(Record(data), "UPDATE installation SET moved_to = ''")
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert _undo(data).exit_code == 0


def test_a_move_is_undone_without_a_database_that_is_away(
    data: Path, name: str, address: str
) -> None:
    """Nobody can use it now; it is retired by the next run that finds it."""
    assert _copy(data, address).exit_code == 0
    left = Record(data)
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    nobody = parse_database(
        address.replace("user=bascule", "user=nobody"), None, may_be_unverified=False
    )
    assert not isinstance(there := Record(data, nobody).where, Path)
    assert not is_away(there), "a server that refuses us is there"
    postgresql.cluster().do(f"ALTER DATABASE {name} RENAME TO {name}_gone")
    done = _undo(data)
    postgresql.cluster().do(f"ALTER DATABASE {name}_gone RENAME TO {name}")
    assert done.exit_code == 0, done.output
    assert "No server may use it" in done.stderr
    assert "rotate-signing-key --now" in done.stderr
    assert Record(data).kind == "SQLite"
    assert Record(data).is_retiring
    assert not _installation(left).moved_to
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "there already" in _copy(data, "sqlite").stderr
    assert _installation(left).moved_to
    assert not Record(data).is_retiring


def test_a_key_that_was_forgotten_since_a_move_does_not_come_back_with_its_undoing(
    data: Path, name: str, address: str
) -> None:
    stolen = SigningKeys(data).kid
    assert _copy(data, address).exit_code == 0
    rotate = ["rotate-signing-key", "--data", str(data), "--now"]
    assert CliRunner().invoke(admin, rotate).exit_code == 0
    assert SigningKeys(data).kid == stolen, "the files are not changed by it"
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    done = _undo(data)
    assert done.exit_code == 0, done.output
    assert SigningKeys(data).kid != stolen
    assert SigningKeys(data).find(stolen, SystemClock().now()) is None


def test_a_primary_that_was_replaced_is_neither_checked_nor_moved(
    data: Path, name: str, address: str, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("none is asked for")
    password.chmod(0o600)
    done = _run("copy", "--data", data, "--to", address, "--database-password-file", password)
    assert f"--database-password-file {password}" in done.stderr.splitlines()[-1]
    seen = data / "timeline.json"
    known = json.loads(seen.read_text())
    seen.write_text(json.dumps({**known, "timeline": 99}))
    before = _sums(Record(data))
    for command in (
        ["check", "--data", data],
        ["migrate", "--data", data],
        ["copy", "--data", data, "--to", "sqlite"],
        ["undo-copy", "--data", data, "--yes"],
    ):
        assert "was on 99" in _refusal(_run(*command)).message, command
    assert Record(data).kind == "PostgreSQL"
    assert _sums(Record(data)) == before
    done = CliRunner().invoke(admin, ["accept-database", "--data", str(data)])
    assert done.exit_code == 0, done.output
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert _copy(data, "sqlite").exit_code == 0


def test_a_source_that_was_lost_meanwhile_has_the_record_still(
    data: Path, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may have written to it, once it was not held any more."""
    assert _copy(data, address).exit_code == 0
    with holding(Record(data).where) as connection:
        asked = connection.execute(text("SHOW idle_in_transaction_session_timeout"))
        assert asked.scalar_one() == "0"
    real = moving._note

    def lose(*given: Any, **named: Any) -> None:  # reason: of what is replaced
        real(*given, **named)
        postgresql.cluster().do(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # reason: a name of ours
        )

    monkeypatch.setattr(moving, "_note", lose)
    _refusal(_copy(data, "sqlite"))
    assert Record(data).kind == "PostgreSQL"
    monkeypatch.undo()
    assert _copy(data, "sqlite").exit_code == 0
