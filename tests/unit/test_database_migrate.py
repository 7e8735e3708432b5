"""``bascule admin database migrate``: what a start does, by hand; shown before, and done once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import inspect, text

from bascule import __version__
from bascule.bootstrap import migrating
from bascule.bootstrap.admin import admin
from bascule.bootstrap.data_directory import open_data_directory
from bascule.bootstrap.database import Record
from bascule.config import parse_database
from bascule.errors import BasculeError, ConfigurationError
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import ALIVE_FOR, Replica
from bascule.store import postgresql_open, upgrade
from bascule.store.engine import driver_of
from bascule.store.long_work import commit, holding, reading
from bascule.store.marks import mark_of
from bascule.store.migrations import REVISION
from bascule.store.replicas import ReplicaWrites
from bascule.store.transaction import SqlReader
from tests.contracts.store.samples import NOW, read, write
from tests.support import postgresql
from tests.support.later import COMPATIBLE, INCOMPATIBLE, LAST, be

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
    """Make this program a later one, beside which this one may go on."""
    assert data.exists(), "made by this one"
    be(monkeypatch, tmp_path, COMPATIBLE)


@pytest.fixture
def much_later(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One beside which this one must not go on."""
    assert data.exists(), "made by this one"
    be(monkeypatch, tmp_path, COMPATIBLE, INCOMPATIBLE)


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
    assert "To be run: 9001  Machines have a note." in shown.output
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


@pytest.mark.usefixtures("much_later")
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


def _see(data: Path, *servers: Replica) -> None:
    with holding(Record(data).where) as connection:
        for each in servers:
            ReplicaWrites(connection).see_replica(each)
        commit(connection)


def _server(name: str, revision: str) -> Replica:
    return Replica(name, f"{name}.example", f"https://{name}.example:8443", "1.0", revision)


def _mark(data: Path) -> tuple[str, str]:
    with reading(Record(data).where) as connection:
        found = mark_of(driver_of(connection))
    return found.revision, found.oldest_program


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.usefixtures("much_later")
def test_a_newer_program_does_not_start_beside_a_server_that_must_not_go_on(data: Path) -> None:
    """Of another host, whose lock nobody sees here; until it was silent for long enough."""
    _see(data, _server("b", REVISION), _server("c", "9002"))
    with pytest.raises(ConfigurationError) as caught:
        Record(data).open(is_server=True)
    assert "b.example (https://b.example:8443)" in caught.value.message
    assert "c.example" not in caught.value.message
    assert "Stop all servers" in caught.value.advice
    assert not _has_note(data)
    assert _mark(data) == (REVISION, REVISION)
    with holding(Record(data).where) as connection:
        age = {"age": (ALIVE_FOR.seconds + 1) * 1_000_000}
        connection.execute(text("UPDATE replicas SET seen_at = seen_at - :age"), age)
        commit(connection)
    Record(data).open(is_server=True).close()
    assert _has_note(data)
    assert _mark(data) == ("9002", "9002")


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.parametrize("is_by_hand", [True, False])
@pytest.mark.usefixtures("later")
def test_servers_that_may_go_on_keep_nobody_waiting(data: Path, *, is_by_hand: bool) -> None:
    """One runs here, with the data directory of the command; one elsewhere."""
    _see(data, _server("b", REVISION))
    held = open_data_directory(data)
    if is_by_hand:
        done = _run(data)
        assert done.exit_code == 0, done.output
    else:
        Record(data).open(is_server=True).close()
    os.close(held)
    assert _has_note(data)
    assert _mark(data) == ("9001", REVISION)


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
def test_a_server_of_two_versions_ago_is_in_the_way_of_one_that_is_of_the_last(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest allows the one before, and no older."""
    with monkeypatch.context() as patch:
        be(patch, tmp_path, COMPATIBLE)
        Record(data).open(is_server=True).close()
    be(monkeypatch, tmp_path, COMPATIBLE, LAST)
    _see(data, _server("b", REVISION), _server("c", "9001"))
    with pytest.raises(ConfigurationError, match=r"beside this version: b\.example \(\S+\)\."):
        Record(data).open(is_server=True)
    assert _mark(data) == ("9001", REVISION)


def test_what_was_refused_once_stays_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last revision says that it allows all; the one before it allowed nobody."""
    with monkeypatch.context() as patch:
        be(patch, tmp_path, INCOMPATIBLE)
        Record(data).open(is_server=True).close()
    with monkeypatch.context() as patch:
        be(patch, tmp_path, INCOMPATIBLE, LAST)
        (last,) = (upgrade._MIGRATIONS / "versions").glob("r9003*.py")
        said = last.read_text()
        last.write_text(said.replace('RUNS_BESIDE = "9002"', f'RUNS_BESIDE = "{REVISION}"'))
        assert last.read_text() != said
        Record(data).open(is_server=True).close()
    assert _mark(data) == ("9003", "9002")
    with pytest.raises(ConfigurationError, match="newer version of Bascule"):
        Record(data).open(is_server=True)


@pytest.mark.usefixtures("later")
def test_an_older_program_starts_on_what_allows_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(data).exit_code == 0
    monkeypatch.undo()
    assert "There is nothing to do" in _run(data).output
    for is_server in (True, False):
        store = Record(data).open(is_server=is_server)
        write(store, lambda tx: tx.add_resource_group("made by the older one"))
        assert read(store, lambda r: r.resource_groups()) == ["made by the older one"]
        store.close()
    assert _has_note(data)
    assert _mark(data) == ("9001", REVISION)


@pytest.mark.usefixtures("much_later")
def test_an_older_program_does_not_start_on_what_refuses_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(data).exit_code == 0
    monkeypatch.undo()
    for is_server in (True, False):
        with pytest.raises(ConfigurationError, match="newer version of Bascule") as caught:
            Record(data).open(is_server=is_server)
        assert f"Install Bascule {__version__} or later" in caught.value.advice
    done = _run(data)
    assert isinstance(done.exception, ConfigurationError)
    assert _mark(data) == ("9002", "9002")


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.usefixtures("later")
def test_an_upgrade_waits_without_holding_others_up(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads a table for long. Whoever waits for it makes others wait behind: so it gives up soon,
    and tries again.
    """
    monkeypatch.setattr(postgresql_open, "LOCK_WITHIN", 1)
    where = Record(data).where
    done = threading.Event()

    def migrate() -> None:
        migrating.migrate(data)
        done.set()

    with reading(where) as long:
        SqlReader(long).machines()
        thread = threading.Thread(target=migrate)
        thread.start()
        began, longest = time.monotonic(), 0.0
        while time.monotonic() - began < 4:
            asked = time.monotonic()
            with reading(where) as short:
                SqlReader(short).machines()
            longest = max(longest, time.monotonic() - asked)
        assert not done.is_set()
    thread.join(60)
    assert done.is_set()
    assert 0.5 < longest < 3, "it did wait, and for no longer than the upgrade's own patience"
    assert _has_note(data)


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
def test_an_upgrade_that_takes_long_is_undone_beside_servers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps = "; ".join(["op.execute('SELECT pg_sleep(0.4)')"] * 12)
    slow = replace(LAST, operation=f"{sleeps}; {LAST.operation}")
    monkeypatch.setattr(postgresql_open, "BESIDE_WITHIN", 1)
    be(monkeypatch, tmp_path, slow)
    _see(data, _server("b", REVISION))
    with pytest.raises(ConfigurationError, match="longer than 1 s"):
        Record(data).open(is_server=True)
    assert _mark(data) == (REVISION, REVISION)
    tries: list[object] = []
    at_once = postgresql_open._upgrade_at_once

    def counted(*arguments: Any, **options: Any) -> None:
        tries.append(None)
        at_once(*arguments, **options)

    monkeypatch.setattr(postgresql_open, "_upgrade_at_once", counted)
    assert isinstance(_run(data).exception, ConfigurationError)
    assert len(tries) == 1, "the servers that run would wait each time"


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
def test_no_table_is_written_anew_beside_servers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a read that began before, PostgreSQL would show it empty."""
    volatile = 'op.execute("ALTER TABLE machines ADD COLUMN x text DEFAULT gen_random_uuid()")'
    be(monkeypatch, tmp_path, replace(LAST, operation=f"{volatile}; {LAST.operation}"))
    _see(data, _server("b", REVISION))
    with pytest.raises(ConfigurationError, match=r"writes tables anew \(machines\)"):
        Record(data).open(is_server=True)
    assert _mark(data) == (REVISION, REVISION)


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.usefixtures("later")
def test_a_command_that_is_refused_has_upgraded_nothing(data: Path) -> None:
    _see(data, _server("b", REVISION))
    done = CliRunner().invoke(admin, ["recover", "--data", str(data)])
    assert isinstance(done.exception, ConfigurationError), done.output
    assert not _has_note(data)
    assert _mark(data) == (REVISION, REVISION)


@pytest.mark.parametrize("data", KINDS[1:], indirect=True)
@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.usefixtures("much_later")
def test_a_start_that_is_refused_has_upgraded_nothing(
    data: Path, tmp_path: Path, *, is_moved: bool
) -> None:
    """A newer program with the address of another installation's database, or of a retired one."""
    record = Record(data)
    if is_moved:
        with holding(record.where) as connection:
            connection.execute(text("UPDATE installation SET moved_to = 'elsewhere'"))
            commit(connection)
    else:
        other = tmp_path / "another"
        other.mkdir(mode=0o700)
        record = Record(other, record.settings)
    refusal = "is retired" if is_moved else "whose keys are not in"
    with pytest.raises(ConfigurationError, match=refusal):
        record.open(is_server=True, may_begin=True)
    assert _mark(data) == (REVISION, REVISION)


def test_a_newer_database_is_left_as_it_is(data: Path) -> None:
    with holding(Record(data).where) as connection:
        newer = "UPDATE alembic_version SET version_num = '9999', oldest_program = '9999'"
        connection.execute(text(newer))
        commit(connection)
    done = _run(data)
    assert isinstance(done.exception, BasculeError)
    assert "newer version of Bascule" in done.exception.message
    assert _mark(data) == ("9999", "9999")
