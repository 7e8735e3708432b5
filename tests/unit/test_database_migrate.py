"""``bascule admin database migrate``: what a start does, by hand; shown before, and done once."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import inspect, text

from bascule.bootstrap import migrating
from bascule.bootstrap.admin import admin
from bascule.bootstrap.data_directory import open_data_directory
from bascule.bootstrap.database import Record
from bascule.config import parse_database
from bascule.errors import BasculeError, ConfigurationError
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import ALIVE_FOR, Replica
from bascule.store import open as opening
from bascule.store import upgrade
from bascule.store.long_work import commit, holding, reading
from bascule.store.open import REVISION
from bascule.store.replicas import ReplicaWrites
from tests.contracts.store.samples import NOW, write
from tests.support import postgresql

LATER = '''"""Machines have a note."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{newest}"
def upgrade():
    op.add_column("machines", sa.Column("note", sa.String(), nullable=True))
'''
MADE = Installation("tenant", "subscription", "local", NOW)
KINDS = [
    "sqlite",
    pytest.param(
        "postgresql",
        marks=pytest.mark.skipif(
            postgresql.programs() is None, reason="PostgreSQL's server is missing"
        ),
    ),
]


@pytest.fixture(params=KINDS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An installation of today's revision."""
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    name = ""
    settings = None
    if request.param == "postgresql":
        name = postgresql.cluster().make()
        address = postgresql.cluster().address(name)
        settings = parse_database(address, None, may_be_unverified=False)
    record = Record(made, settings)
    store = record.open(is_server=True, may_begin=True)
    write(store, lambda tx: tx.create_installation(MADE))
    store.close()
    if name:
        record.take_over(MADE.tenant_id, 1, {})
    yield made
    if name:
        postgresql.cluster().drop(name)


@pytest.fixture
def later(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this program a later one."""
    migrations = tmp_path / "migrations"
    shutil.copytree(upgrade._MIGRATIONS, migrations)
    (migrations / "versions" / "r9999_later.py").write_text(LATER.format(newest=REVISION))
    monkeypatch.setattr(upgrade, "_MIGRATIONS", migrations)
    monkeypatch.setattr(opening, "REVISION", "9999")
    if Record(data).kind == "PostgreSQL":
        monkeypatch.setattr("bascule.store.postgresql_open.REVISION", "9999")


def _run(data: Path, *more: str) -> Result:
    return CliRunner().invoke(admin, ["database", "migrate", "--data", str(data), *more])


def _has_note(data: Path) -> bool:
    with reading(Record(data).where) as connection:
        return "note" in [each["name"] for each in inspect(connection).get_columns("machines")]


def test_nothing_is_to_be_done(data: Path) -> None:
    assert "There is nothing to do" in _run(data).output


@pytest.mark.usefixtures("later")
def test_it_is_shown_and_then_done(data: Path) -> None:
    shown = _run(data, "--dry-run")
    assert "To be run: 9999  Machines have a note." in shown.output
    assert not _has_note(data)
    done = _run(data)
    assert done.exit_code == 0, done.output
    assert _has_note(data)
    assert "There is nothing to do" in _run(data).output


@pytest.mark.usefixtures("later")
def test_of_two_at_once_one_waits(data: Path) -> None:
    failed: list[BaseException] = []

    def one() -> None:
        try:
            migrating.migrate(data)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=one) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not failed
    assert _has_note(data)


@pytest.mark.usefixtures("later")
def test_a_server_that_runs_is_not_migrated_under(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "PATIENCE", 0.0)
    held = open_data_directory(data)
    done = _run(data)
    assert isinstance(done.exception, BasculeError)
    assert "Another server runs" in done.exception.message
    assert not _has_note(data)
    os.close(held)


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.usefixtures("later")
def test_a_newer_program_does_not_start_beside_an_older_server(data: Path) -> None:
    """Of another host, whose lock nobody sees here; until it was silent for long enough."""
    record = Record(data)
    older = Replica("r-1", "b.example", "https://b.example:8443", "1.0")
    with holding(record.where) as connection:
        ReplicaWrites(connection).see_replica(older)
        commit(connection)
    with pytest.raises(ConfigurationError) as caught:
        record.open(is_server=True)
    assert "b.example (https://b.example:8443)" in caught.value.message
    assert "Stop all servers" in caught.value.advice
    assert not _has_note(data)
    with holding(record.where) as connection:
        age = {"age": (ALIVE_FOR.seconds + 1) * 1_000_000}
        connection.execute(text("UPDATE replicas SET seen_at = seen_at - :age"), age)
        commit(connection)
    record.open(is_server=True).close()
    assert _has_note(data)


def test_a_newer_database_is_left_as_it_is(data: Path) -> None:
    with holding(Record(data).where) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        commit(connection)
    done = _run(data)
    assert isinstance(done.exception, BasculeError)
    assert "newer version of Bascule" in done.exception.message
