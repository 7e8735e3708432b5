"""Opening the database: made, upgraded, refused; never half."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bascule.bootstrap.data_directory import check_data_directory, open_data_directory
from bascule.errors import BasculeError, ConfigurationError
from bascule.interfaces.store import Store
from bascule.store import connections, migrations, upgrade
from bascule.store import open as opening
from bascule.store.connections import connect, driver_of
from bascule.store.new import fill
from bascule.store.open import open_store

LATER = '''"""A later revision, for this test."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{newest}"
def upgrade():
    op.add_column("machines", sa.Column("note", sa.String(), nullable=True))
    with op.batch_alter_table("machines") as batch:
        batch.alter_column("os_type", new_column_name="os")
    {more}
'''
NEWEST = migrations.REVISION


def _generation(store: Store) -> int:
    async def run() -> int:
        return await store.read(lambda r: r.generation("u"))

    return asyncio.run(run())


def _advance(store: Store) -> None:
    async def run() -> None:
        await store.write(lambda tx: tx.advance_generation("u"))

    asyncio.run(run())


def _columns(path: Path) -> list[str]:
    with sqlite3.connect(path) as raw:
        names = [row[1] for row in raw.execute("PRAGMA table_info(machines)")]
    raw.close()
    return names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bascule.db"


@pytest.fixture
def older(path: Path) -> Path:
    """A database of today's revision, with a machine that has a closed port."""
    store = open_store(path)
    _advance(store)
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute(
            "INSERT INTO machines VALUES ('u', 'k', 'i', 'g', 'local', 'local', 'Linux', '[]', '{}', 0)"
        )
        raw.execute("INSERT INTO closed_ports VALUES ('u', 'TCP', 22, 'keep', 0, NULL)")
    raw.close()
    return path


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this program a later one: with one more revision; returns that revision's file."""
    migrations = tmp_path / "migrations"
    shutil.copytree(upgrade._MIGRATIONS, migrations)
    revision = migrations / "versions" / "r9999_later.py"
    revision.write_text(LATER.format(newest=NEWEST, more="pass"))
    monkeypatch.setattr(upgrade, "_MIGRATIONS", migrations)
    monkeypatch.setattr("bascule.store.migrations.REVISION", "9999")
    return revision


def test_only_the_owner_can_read_it(path: Path) -> None:
    """It holds hashes of secrets, and who could reach what."""
    before = os.umask(0)
    try:
        store = open_store(path)
        _advance(store)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        store.close()
    finally:
        os.umask(before)


def test_the_connections_are_as_durable_and_strict_as_they_should_be(path: Path) -> None:
    open_store(path).close()
    writing, reading = connect(path), connect(path, is_reader=True)
    for connection, pragma, value in (
        (writing, "journal_mode", "wal"),
        (writing, "synchronous", 2),
        (writing, "foreign_keys", 1),
        (writing, "query_only", 0),
        (reading, "journal_mode", "wal"),
        (reading, "foreign_keys", 1),
        (reading, "query_only", 1),
    ):
        assert driver_of(connection).execute(f"PRAGMA {pragma}").fetchone() == (value,)
    assert driver_of(writing).execute("PRAGMA busy_timeout").fetchone() == (5000,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        driver_of(reading).execute("DELETE FROM events")
    writing.close()
    reading.close()


def test_an_up_to_date_database_is_opened_without_alembic(path: Path) -> None:
    """Its import would be a good part of the start."""
    open_store(path).close()
    program = (
        "import sys, pathlib; from bascule.store.open import open_store; "
        f"open_store(pathlib.Path({str(path)!r})).close(); print('alembic' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_a_new_database_is_made_without_alembic(path: Path) -> None:
    program = (
        "import sys, pathlib; from bascule.store.open import open_store; "
        f"open_store(pathlib.Path({str(path)!r})).close(); print('alembic' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_an_older_database_is_upgraded_and_loses_nothing(older: Path, later: Path) -> None:
    """The machines are rebuilt by this revision; what refers to them must not go with the old ones."""
    store = open_store(older)
    assert _generation(store) == 1
    store.close()
    assert {"note", "os"} <= set(_columns(older))
    with sqlite3.connect(older) as raw:
        assert raw.execute("SELECT number FROM closed_ports").fetchall() == [(22,)]
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    raw.close()


@pytest.mark.parametrize(
    "more",
    [
        'raise RuntimeError("power cut")',
        'op.execute("DELETE FROM machines")',  # leaves a closed port that refers to nothing
    ],
)
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(
    older: Path, later: Path, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _columns(older)
    later.write_text(LATER.format(newest=NEWEST, more=more))
    with pytest.raises((RuntimeError, ConfigurationError)):
        open_store(older)
    assert _columns(older) == before
    monkeypatch.undo()
    store = open_store(older)
    assert _generation(store) == 1
    store.close()


def test_a_first_start_that_is_killed_half_way_goes_on_at_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(connection: Connection) -> None:
        fill(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(opening, "fill", killed)
    child = os.fork()
    if child == 0:
        try:
            open_store(path)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert _columns(path) == [], "nothing of it was kept"
    monkeypatch.undo()
    open_store(path).close()
    assert "uid" in _columns(path)


def _old(path: Path, *, is_killed: bool) -> None:
    """A database of an unreleased revision, as its server left it."""
    child = os.fork()
    if child == 0:
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE grants (id TEXT)")
        raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raw.execute("INSERT INTO alembic_version VALUES ('0025')")
        if not is_killed:
            raw.close()
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("may_upgrade", [False, True])
def test_a_data_directory_of_before_the_baseline_is_refused_and_left_as_it_is(
    path: Path, *, is_killed: bool, may_upgrade: bool
) -> None:
    """EDGES F1: no byte of it changes, the log of a killed server neither."""
    _old(path, is_killed=is_killed)
    (path.parent / "lock").write_bytes(b"")

    def content() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in path.parent.iterdir()}

    before = content()
    assert ("bascule.db-wal" in before) is is_killed
    with pytest.raises(ConfigurationError, match="before its first release") as refusal:
        open_store(path, may_upgrade=may_upgrade)
    assert "0025" in refusal.value.message
    assert refusal.value.advice
    with pytest.raises(ConfigurationError, match="before its first release"):
        check_data_directory(path.parent)
    with pytest.raises(ConfigurationError, match="before its first release"):
        open_data_directory(path.parent)
    assert content() == before


def test_a_database_of_a_newer_program_is_refused_and_left_alone(
    older: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(older).close()
    monkeypatch.undo()  # the older program again
    before = older.read_bytes()
    with pytest.raises(ConfigurationError, match="newer version of Bascule") as refusal:
        open_store(older)
    assert "9999" in refusal.value.message
    assert refusal.value.advice
    assert older.read_bytes() == before


def test_several_that_start_at_once_make_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 60.0)  # as long as the slowest machine takes
    barrier, failures = threading.Barrier(4), list[BaseException]()

    def start() -> None:
        barrier.wait()
        try:
            open_store(path).close()
        except BaseException as error:  # noqa: BLE001  # reason: looked at below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = open_store(path)
    _advance(store)
    store.close()


def test_somebody_elses_database_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE songs (title TEXT)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program"):
        open_store(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database at all\n" * 1000)
    with pytest.raises(ConfigurationError, match="is not a database"):
        open_store(path)
    assert path.read_bytes().startswith(b"not a database"), "and left as it was"


@pytest.mark.parametrize("bad", ["missing/bascule.db", ".", "file/bascule.db"])
def test_a_path_that_cannot_be_is_refused_with_advice(tmp_path: Path, bad: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError) as refusal:
        open_store(tmp_path / bad)
    assert str(tmp_path) in refusal.value.message
    assert "data directory" in refusal.value.advice


def test_a_database_that_another_process_holds_is_unavailable(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.05)
    other = sqlite3.connect(older, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BasculeError, match="another process holds it"):
        open_store(older)
    other.execute("ROLLBACK")
    other.close()
    open_store(older).close()


@pytest.mark.parametrize("name", ["with space.db", "a?b#c%20d.db", "ü.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    open_store(tmp_path / name).close()
    store = open_store(tmp_path / name)
    _advance(store)
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == [name], "the log is folded in at the end"
