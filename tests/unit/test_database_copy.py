"""``bascule admin database copy``, ``check`` and ``undo-copy``: an installation moves whole, or stays."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, Table, text

from bascule.bootstrap import moving
from bascule.bootstrap.admin import admin
from bascule.bootstrap.data_directory import open_data_directory
from bascule.bootstrap.database import Record
from bascule.bootstrap.keys import keys_out_of
from bascule.clocks import SystemClock
from bascule.config import parse_database
from bascule.domain.facts.installation import InstallationMoved
from bascule.errors import BasculeError
from bascule.identity.signing_keys import SIGNING_KEY, SigningKeys
from bascule.interfaces.inventory import Installation
from bascule.interfaces.record import EventFilter
from bascule.interfaces.replicas import Replica
from bascule.store import moving as store_moving
from bascule.store import whole
from bascule.store.lineage import Timeline
from bascule.store.long_work import commit, holding, reading
from bascule.store.open import open_store
from bascule.store.postgresql_open import open_postgresql
from bascule.store.transaction import SqlReader
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql
from tests.unit.filled_installation import fill

has_postgresql = pytest.mark.skipif(
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


def _checked(data: Path) -> dict[str, object]:
    done = _run("check", "--data", data, "-o", "json")
    found: dict[str, object] = json.loads(done.stdout)
    assert done.exit_code == (0 if found["isSound"] else 1)
    return found


def _but_for_the_move(sums: dict[str, whole.Sum]) -> dict[str, whole.Sum]:
    """What a move changes: whose turn it is, the event that says so, and the keys' seals."""
    changed = ("installation", "events", "sealed_keys")
    return {key: each for key, each in sums.items() if key not in changed}


@has_postgresql
def test_an_installation_goes_to_postgresql_and_back_whole(data: Path, address: str) -> None:
    source = Record(data)
    before, made = _sums(source), _installation(source)
    done = _copy(data, address)
    assert done.exit_code == 0, done.output
    there = Record(data)
    assert there.kind == "PostgreSQL"
    assert _but_for_the_move(_sums(there)) == _but_for_the_move(before)
    assert _sums(there)["events"].rows == before["events"].rows + 1
    assert _installation(there).number == made.number + 1
    assert not _installation(there).is_arriving
    assert _checked(data)["isSound"]
    done = _copy(data, "sqlite")
    assert done.exit_code == 0, done.output
    back = Record(data)
    assert back.kind == "SQLite"
    assert _but_for_the_move(_sums(back)) == _but_for_the_move(before)
    assert _installation(back).number == made.number + 2
    assert _checked(data)["isSound"]
    store = open_store(data / "bascule.db")
    moves = read(store, lambda r: r.events(EventFilter(kinds=("InstallationMoved",))))
    store.close()
    assert [each.fact for _, each in moves] == [
        InstallationMoved("SQLite", made.number + 2),
        InstallationMoved("PostgreSQL", made.number + 1),
    ]
    assert (data / "bascule.db.retired-1").exists(), "nothing is deleted"


@has_postgresql
def test_numbers_go_on_after_the_highest_that_was_given(data: Path, address: str) -> None:
    """Even of rows that are not there any more: the number of an event is never used again."""
    _change(Record(data), "UPDATE sqlite_sequence SET seq = 700 WHERE name = 'events'")
    assert _copy(data, address).exit_code == 0
    with reading(Record(data).where) as connection:
        events = whole.tables()[[each.name for each in whole.tables()].index("events")]
        column = whole.numbered(events)
        assert column is not None
        assert whole.next_given(connection, events, column) == 702, "the event of the move has 701"
    assert _copy(data, "sqlite").exit_code == 0
    with reading(Record(data).where) as connection:
        assert whole.next_given(connection, events, column) == 703


@has_postgresql
def test_the_old_place_is_retired_and_says_so(data: Path, address: str) -> None:
    assert _copy(data, address).exit_code == 0
    (data / "database.json").unlink()
    record = Record(data)
    made = _installation(record)
    assert made.number == 1
    with pytest.raises(BasculeError, match="is retired") as caught:
        record.check_current(made)
    assert "undo-copy" in caught.value.advice
    assert "is retired" in _refusal(_copy(data, address)).message


# Where a run is killed: the object that has the step, and its name there.
STEPS: dict[str, tuple[object, str]] = {
    "filled": (store_moving, "compare"),
    "compared": (moving, "_verify"),
    "verified": (moving, "_note"),
    "target is there": (Record, "take_over"),
    "taken over": (Record, "_keep"),
    "moved": (moving, "_arrive"),
    "arrived": (moving, "_mark_retired"),
    "retired": (Record, "forget_retiring"),
}
HAS_MOVED = ("moved", "arrived", "retired")


def _killed_at(step: str, *arguments: str) -> None:
    """Run the command in a process of its own that ends without a word before this step."""
    child = os.fork()
    if child == 0:
        try:
            holder, attribute = STEPS[step]
            setattr(holder, attribute, lambda *_, **__: os._exit(9))
            CliRunner().invoke(admin, ["database", *arguments])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@has_postgresql
@pytest.mark.parametrize("to_sqlite", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_has_changed_nothing_or_is_finished_by_the_next(
    data: Path, name: str, address: str, step: str, to_sqlite: bool
) -> None:
    if to_sqlite:
        assert _copy(data, address).exit_code == 0
    source = Record(data)
    to = "sqlite" if to_sqlite else address
    before, number = _sums(source), _installation(source).number
    seen = _seen(data)
    _killed_at(step, "copy", "--data", str(data), "--to", to)
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    now = Record(data)
    now.check_current(_installation(now))  # a server starts where the record is
    if step not in HAS_MOVED:
        assert now.is_at(source)
        assert _sums(source) == before
        assert _seen(data) == seen, "what was seen of the cluster counts still"
    else:
        assert not now.is_at(source)
        assert _installation(now).number == number + 1
    if step in ("target is there", "taken over") and not to_sqlite:
        target = Record(data, parse_database(to, None, may_be_unverified=False))
        with pytest.raises(BasculeError, match="not finished"):
            target.check_current(_installation(target))
    done = _copy(data, to)
    assert done.exit_code == 0, done.output
    moved = Record(data)
    assert not moved.is_at(source)
    assert not moved.is_retiring
    made = _installation(moved)
    assert (made.number, made.is_arriving, made.moved_to) == (number + 1, False, "")
    assert _but_for_the_move(_sums(moved)) == _but_for_the_move(before)
    assert not list(data.glob("*.copying*"))
    retired = moved.before
    assert retired is not None
    assert _installation(retired).moved_to
    assert _checked(data)["isSound"]


def _seen(data: Path) -> str:
    file = data / "timeline.json"
    return file.read_text() if file.exists() else ""


@has_postgresql
def test_a_target_that_has_a_record_is_left_as_it_is(
    data: Path, address: str, tmp_path: Path
) -> None:
    """Of another installation, or of this one."""
    other = tmp_path / "other"
    fill(other)
    assert _copy(other, address).exit_code == 0
    there = _sums(Record(other))
    assert "another installation" in _refusal(_copy(data, address)).message
    assert _sums(Record(other)) == there
    assert Record(data).kind == "SQLite"
    assert _copy(other, "sqlite").exit_code == 0
    assert "retired record" in _refusal(_copy(other, address)).message


@has_postgresql
def test_a_database_in_use_is_not_copied(data: Path, address: str) -> None:
    held = open_data_directory(data)
    assert "Another server runs" in _refusal(_copy(data, address)).message
    os.close(held)
    assert _copy(data, address).exit_code == 0
    where = Record(data).where
    assert not isinstance(where, Path)
    server = open_postgresql(where)
    assert "uses the database" in _refusal(_copy(data, "sqlite")).message
    close(server)


@has_postgresql
def test_it_is_not_copied_while_a_server_was_seen_that_has_no_connection_now(
    data: Path, address: str
) -> None:
    """Such as one that is cut off. One that was killed has not stopped where the record goes."""
    assert _copy(data, address).exit_code == 0
    where = Record(data).where
    assert not isinstance(where, Path)
    server = open_postgresql(where)
    elsewhere = Replica("r", "b.example", "https://b.example:8443", "1", "0100")
    write(server, lambda tx: tx.see_replica(elsewhere))
    close(server)
    assert "b.example (https://b.example:8443)" in _refusal(_copy(data, "sqlite")).message
    _change(Record(data), "UPDATE replicas SET seen_at = seen_at - 16000000")
    assert _copy(data, "sqlite").exit_code == 0
    listed = CliRunner().invoke(admin, ["replicas", "--data", str(data)])
    assert (listed.exit_code, listed.stdout) == (0, "")


@has_postgresql
def test_no_log_of_the_old_file_is_taken_for_that_of_the_new(data: Path, address: str) -> None:
    """Somebody has the retired file open, and a log is beside it."""
    assert _copy(data, address).exit_code == 0
    with contextlib.closing(sqlite3.connect(data / "bascule.db", isolation_level=None)) as other:
        other.execute("UPDATE machines SET location = 'changed in the retired file'")
        assert (data / "bascule.db-wal").stat().st_size
        assert "has the database" in _refusal(_copy(data, "sqlite")).message
    assert Record(data).kind == "PostgreSQL"
    assert _copy(data, "sqlite").exit_code == 0
    assert _checked(data)["isSound"]
    assert not list(data.glob("*-wal"))


@has_postgresql
def test_what_was_accepted_and_is_not_on_record_yet_goes_along(data: Path, address: str) -> None:
    assert _copy(data, address).exit_code == 0
    lineage = Record(data).lineage
    assert lineage is not None
    lineage.accept(Timeline(json.loads((data / "timeline.json").read_text())["system"], 1))
    assert _copy(data, "sqlite").exit_code == 0
    store = open_store(data / "bascule.db")
    found = read(store, lambda r: r.events(EventFilter(kinds=("DatabaseAccepted",))))
    store.close()
    assert len(found) == 1


@has_postgresql
def test_a_move_has_the_time_of_the_database(
    data: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock of this host is, all times of the record there are of that one."""

    class Wrong(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(days=3)

    with monkeypatch.context() as patch:
        for place in ("bascule.bootstrap.moving.SystemClock", "bascule.clocks.SystemClock"):
            patch.setattr(place, Wrong)
        assert _copy(data, address).exit_code == 0
    with reading(Record(data).where) as connection:
        ((_, event),) = SqlReader(connection).events(EventFilter(kinds=("InstallationMoved",)))
    assert abs(event.at - SystemClock().now()) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("to", "refusal"),
    [
        ("", "The address of the database is empty"),
        (" ", "The address of the database is empty"),
        ("SQLite", "--to is not an address"),
        ("postgresql://h/d?sslmode=disable", "--to has sslmode=disable"),
    ],
)
def test_an_address_that_is_none_is_refused(data: Path, to: str, refusal: str) -> None:
    """An empty one is that of a variable that is not set: nothing is there already."""
    assert refusal in _refusal(_copy(data, to)).message
    assert not (data / "database.json").exists()


@has_postgresql
def test_a_copy_that_differs_is_not_taken(
    data: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = whole.copy_table

    def copy_wrongly(
        source: Connection, target: Connection, table: Table, on_rows: whole.OnRows
    ) -> whole.Sum:
        found = real(source, target, table, on_rows)
        if table.name == "machines":
            target.execute(text("UPDATE machines SET location = 'elsewhere'"))
        return found

    monkeypatch.setattr("bascule.store.moving.copy_table", copy_wrongly)
    assert "the table machines is not what was read" in _refusal(_copy(data, address)).message
    assert Record(data).kind == "SQLite"
    monkeypatch.undo()
    assert _copy(data, address).exit_code == 0, "nothing was left there"


@has_postgresql
def test_what_postgresql_cannot_hold_is_said(data: Path, address: str) -> None:
    _change(Record(data), "UPDATE machines SET location = 'a' || char(0) || 'b'")
    assert "The table machines cannot be copied" in _refusal(_copy(data, address)).message
    assert Record(data).kind == "SQLite"


@has_postgresql
def test_an_unsound_database_is_not_copied(data: Path, address: str) -> None:
    _change(Record(data), "UPDATE event_seals SET hash = 'wrong' WHERE position = 3")
    assert "The record is broken" in _refusal(_copy(data, address)).message


@has_postgresql
def test_the_keys_go_along(data: Path, address: str) -> None:
    """A stolen key that was forgotten on either side of a move stays forgotten after it."""
    first = SigningKeys(data).kid
    assert _copy(data, address).exit_code == 0
    assert CliRunner().invoke(admin, ["rotate-signing-key", "--data", str(data)]).exit_code == 0
    assert SigningKeys(data).kid == first, "the database says which counts, not the file"
    assert _copy(data, "sqlite").exit_code == 0
    second = SigningKeys(data).kid
    assert second != first
    assert CliRunner().invoke(admin, ["rotate-signing-key", "--data", str(data)]).exit_code == 0
    third = SigningKeys(data).kid
    postgresql.cluster().drop(name := address.partition("dbname=")[2].split()[0])
    postgresql.cluster().do(f"CREATE DATABASE {name}")
    assert _copy(data, address).exit_code == 0
    (data / SIGNING_KEY).unlink()
    with reading(Record(data).where) as connection:
        keys_out_of(data, SqlReader(connection))
    assert SigningKeys(data).kid == third not in (first, second)


@has_postgresql
def test_a_move_can_be_undone_and_the_number_goes_up(data: Path, address: str) -> None:
    """Agents have heard of the number of the place that is left."""
    assert _copy(data, address).exit_code == 0
    left = Record(data)
    done = _run("undo-copy", "--data", data, "--yes")
    assert done.exit_code == 0, done.output
    now = Record(data)
    assert now.kind == "SQLite"
    made = _installation(now)
    assert (made.number, made.moved_to, made.is_arriving) == (3, "", False)
    assert _installation(left).moved_to, "both cannot be the record"
    now.check_current(made)
    assert _checked(data)["isSound"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE event_seals SET hash = 'wrong' WHERE position = 3", "The record is broken"),
        ("DELETE FROM requests", "from grants to a missing row of requests"),
        ("UPDATE grants SET started_at = 9999999999999999999 * 1", "of grants cannot be read"),
        ("UPDATE machines SET os_type = 'CP/M'", "2 of machines cannot be read"),
        ("UPDATE events SET record = '{' WHERE sequence = 2", "1 of events cannot be read"),
        ("DROP TABLE knocks", "The table knocks is missing"),
        ("ALTER TABLE knocks DROP COLUMN last_at", "The column last_at of the table knocks"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this program"),
        ("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'events'", ""),
    ],
)
def test_a_check_finds(data: Path, statement: str, problem: str) -> None:
    record = Record(data)
    with holding(record.where) as connection:
        commit(connection)
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(statement)
    found = _checked(data)
    problems = found["problems"]
    assert isinstance(problems, list)
    assert any(problem in each for each in problems) if problem else not problems


@has_postgresql
def test_a_check_finds_numbers_that_would_be_given_again(data: Path, address: str) -> None:
    assert _copy(data, address).exit_code == 0
    assert _checked(data)["isSound"]
    _change(Record(data), "SELECT setval('events_sequence_seq', 2)")
    problems = _checked(data)["problems"]
    assert isinstance(problems, list)
    assert "The next row of events would get a number" in problems[0]


def test_a_check_writes_nothing_and_runs_beside_a_server(data: Path) -> None:
    before = _sums(Record(data))
    store = open_store(data / "bascule.db")
    held = open_data_directory(data)
    assert _run("check", "--data", data).exit_code == 0
    os.close(held)
    store.close()
    assert _sums(Record(data)) == before
    (data / "record-signing.key").unlink()
    problems = _checked(data)["problems"]
    assert isinstance(problems, list)
    assert "is missing: the record cannot be verified" in problems[0]
    assert not (data / "record-signing.key").exists(), "no other key is made"
