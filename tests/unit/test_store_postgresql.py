"""What PostgreSQL adds: several connections that write, connections that are lost, servers that are
not fit. ``tests/contracts/test_store.py`` has what it has in common with SQLite.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from bascule.domain.facts.calls import DenialsCounted
from bascule.errors import ConfigurationError, Conflict, Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services
from bascule.services.denials import RECORDED_PER_SOURCE, Denials
from bascule.services.hub import Hub
from bascule.services.tokens import rotate_signing_key
from bascule.store import postgresql as ours
from bascule.store import writer
from bascule.store.migrations import BASELINE, REVISION
from bascule.store.postgresql import Place, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.rows import Rows
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import (
    a_grant,
    a_machine,
    a_request,
    an_enrolment,
    an_event,
    close,
    read,
    write,
)
from tests.support import postgresql
from tests.unit.services_world import SetClock

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
T = TypeVar("T")
STOLEN = "UPDATE machine_generations SET generation = generation + 100 WHERE machine_uid = 'u'"


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def place(name: str) -> Place:
    return postgresql.cluster().place(name)


@pytest.fixture
def store(place: Place) -> Iterator[SqlStore]:
    opened = open_postgresql(place)
    yield opened
    close(opened)


@pytest.fixture
def other(place: Place, store: SqlStore) -> Iterator[SqlStore]:
    """Another process: ``bascule admin`` beside the server."""
    assert store is not None
    opened = open_postgresql(place, is_server=False)
    yield opened
    close(opened)


def test_the_log_has_no_row_that_was_refused(store: SqlStore) -> None:
    """PostgreSQL's detail has the whole row, or the key that is there already."""
    request = replace(a_request(), justification="mother is ill")

    def unreal(tx: Transaction) -> None:
        tx.add_request(request)
        tx.add_grant(replace(a_grant(), number=0))

    def twice(tx: Transaction) -> None:
        tx.add_request(request)
        tx.add_request(request)

    for work in (unreal, twice):
        with capture_logs() as lines, pytest.raises(Conflict):
            write(store, work)
        assert "constraint" in lines[0]["why"]
        assert "DETAIL" not in lines[0]["why"]
        assert request.id not in str(lines)


def test_no_value_is_in_an_error_of_a_statement(store: SqlStore) -> None:
    def wrong(tx: Transaction) -> None:
        cast("Rows", tx)._run(text("SELECT * FROM never_made WHERE a = :a"), {"a": "hunter2"})

    with pytest.raises(ProgrammingError) as raised:
        write(store, wrong)
    logged = "".join(traceback.format_exception(raised.value))
    assert "never_made WHERE" in logged
    assert "parameters: {'a': 'hunter2'" not in logged


def _together(
    first: SqlStore, work: Callable[[Transaction], T], second: SqlStore
) -> tuple[T, bool, T]:
    """Both do it. The second begins when the first has done its part and has not committed yet;
    was the second done before the first committed?
    """
    is_done, go = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> T:
        found = work(tx)
        is_done.set()
        assert go.wait(10)
        return found

    async def run() -> tuple[T, bool, T]:
        leading = asyncio.ensure_future(first.write(slow))
        await asyncio.to_thread(is_done.wait, 10)
        following = asyncio.ensure_future(second.write(work))
        done, _ = await asyncio.wait({following}, timeout=0.3)
        go.set()
        return await leading, bool(done), await following

    return asyncio.run(run())


def test_generations_of_two_processes_are_each_given_once(store: SqlStore, other: SqlStore) -> None:
    found = _together(store, lambda tx: tx.advance_generation("u"), other)
    assert found == (1, False, 2)
    assert (store._writer.retries, other._writer.retries) == (0, 0), "they took turns"


def test_moves_of_all_machines_are_counted_in_the_order_of_commits(
    store: SqlStore, other: SqlStore
) -> None:
    uids = iter(("a", "b"))
    _together(store, lambda tx: tx.advance_generation(next(uids)), other)
    moves = postgresql.cluster().do(
        "SELECT machine_uid FROM machine_generations ORDER BY move", postgresql.database_of(store)
    )
    assert moves == [("a",), ("b",)]


def test_numbers_of_events_follow_the_commits(store: SqlStore, other: SqlStore) -> None:
    """Else an event with a lower number could be committed after a higher one was sealed."""
    ids = iter(("first", "second"))
    _together(store, lambda tx: tx.record(an_event(next(ids))), other)
    events = read(store, lambda r: r.events(EventFilter()))
    assert [event.id for _, event in events] == ["second", "first"], "newest first"


def test_what_may_be_used_once_is_used_once(store: SqlStore, other: SqlStore) -> None:
    enrolment = an_enrolment()
    write(store, lambda tx: tx.put_machine(a_machine()))
    write(store, lambda tx: tx.add_enrolment(enrolment))

    def use(tx: Transaction) -> bool:
        return tx.consume_enrolment(enrolment.id, enrolment.expires_at)

    assert _together(store, use, other) == (True, False, False)


def test_reads_go_on_while_another_process_writes(store: SqlStore, other: SqlStore) -> None:
    seen: list[int] = []

    def work(tx: Transaction) -> None:
        tx.advance_generation("u")
        with psycopg.connect(
            postgresql.cluster().address(postgresql.database_of(store))
        ) as reading:
            seen.append(len(reading.execute("SELECT 1 FROM machine_generations").fetchall()))

    write(other, work)
    assert seen == [0]


class _Stealing:
    """A unit of work between whose look and write another program, that takes no turn, writes."""

    def __init__(self, database: str, times: int) -> None:
        self._database = database
        self._times = times
        self.runs = 0

    def __call__(self, tx: Transaction) -> int:
        self.runs += 1
        tx.generation("u")
        if self.runs <= self._times:
            postgresql.cluster().do(STOLEN, self._database)
        return tx.advance_generation("u")


@pytest.mark.parametrize("times", [1, 3])
def test_work_that_others_were_in_the_way_of_is_done_again(store: SqlStore, times: int) -> None:
    write(store, lambda tx: tx.advance_generation("u"))
    unit = _Stealing(postgresql.database_of(store), times)
    assert write(store, unit) == 2 + 100 * times, "nothing of theirs is lost"
    assert unit.runs == times + 1
    assert store._writer.retries == times


def test_work_is_not_done_again_without_end(store: SqlStore) -> None:
    write(store, lambda tx: tx.advance_generation("u"))
    unit = _Stealing(postgresql.database_of(store), 1000)
    with pytest.raises(Unavailable, match="other transactions were in the way") as refusal:
        write(store, unit)
    assert "Nothing was changed" in refusal.value.advice
    assert unit.runs == writer.TRIES
    assert read(store, lambda r: r.generation("u")) == 1 + 100 * writer.TRIES
    assert write(store, lambda tx: tx.advance_generation("u")) == 2 + 100 * writer.TRIES


def test_what_a_run_took_in_memory_is_there_for_the_next(store: SqlStore) -> None:
    """Counts of denials are taken by the unit that records them: once, whatever its runs."""
    write(store, lambda tx: tx.advance_generation("u"))
    clock, denials = SetClock(), Denials()
    services = Services(store, clock, Hub(), denials=denials)
    denials.give_back([DenialsCounted("192.0.2.1", "2030-01-01T12:00:00Z", 7)])
    stealing = _Stealing(postgresql.database_of(store), 1)
    touched: list[set[str]] = []

    def work(tx: Transaction, act: Act) -> None:
        act.record_counts(tx, denials)
        act.touched.add(f"run-{stealing.runs}")
        stealing(tx)
        touched.append(act.touched)

    asyncio.run(services.perform(work))
    events = read(store, lambda r: r.events(EventFilter()))
    assert [type(event.fact) for _, event in events] == [DenialsCounted]
    assert touched == [{"run-1"}], "what the first run touched is forgotten"
    assert denials.take_counts() == ()


@pytest.mark.parametrize("times", [writer.TRIES - 1, writer.TRIES])
def test_a_denial_is_counted_once_however_often_it_runs(store: SqlStore, times: int) -> None:
    """Else the last run would find its subject's share of events used up by the runs before."""
    write(store, lambda tx: tx.advance_generation("u"))
    clock, denials = SetClock(), Denials()
    services = Services(store, clock, Hub(), denials=denials)
    stealing = _Stealing(postgresql.database_of(store), times)

    def work(tx: Transaction, act: Act) -> bool:
        is_recorded = act.is_denial_recorded()
        stealing(tx)
        return is_recorded

    is_kept = times < writer.TRIES
    if is_kept:
        assert asyncio.run(services.perform(work))
    else:
        with pytest.raises(Unavailable):
            asyncio.run(services.perform(work))
    again = [denials.is_recorded("", clock.now()) for _ in range(RECORDED_PER_SOURCE)]
    assert again.count(True) == RECORDED_PER_SOURCE - is_kept


def test_a_key_is_made_once_however_often_its_record_runs(store: SqlStore) -> None:
    write(store, lambda tx: tx.advance_generation("u"))
    services = Services(store, SetClock(), Hub())
    stealing = _Stealing(postgresql.database_of(store), 2)
    made: list[str] = []

    def rotate(_: datetime) -> tuple[str, str]:
        made.append(f"key-{len(made) + 1}")
        return "key-0", made[-1]

    def perform(work: Callable[[Transaction, Act], T]) -> Awaitable[T]:
        def both(tx: Transaction, act: Act) -> T:
            found = work(tx, act)
            stealing(tx)
            return found

        return services.perform(both)

    async def run() -> tuple[str, str]:
        return await rotate_signing_key(perform, rotate, is_forgotten=False)

    done = asyncio.run(run())
    assert (done, made) == (("key-0", "key-1"), ["key-1"])
    assert stealing.runs == 3


def test_a_failure_that_is_passed_over_fails_its_unit_alone(store: SqlStore) -> None:
    """SQLite would go on; PostgreSQL undoes what was before it."""

    def work(tx: Transaction) -> str:
        tx.advance_generation("u")
        with contextlib.suppress(Exception):
            cast("Rows", tx)._run(text("nonsense"))
        return "done"

    async def both() -> list[object]:
        units = (store.write(work), store.write(lambda tx: tx.advance_generation("v")))
        return list(await asyncio.gather(*units, return_exceptions=True))

    failed, fine = asyncio.run(both())
    assert fine == 1
    assert isinstance(failed, Unavailable)
    assert "was passed over" in failed.message
    assert read(store, lambda r: (r.generation("u"), r.generation("v"))) == (0, 1)


def test_a_database_that_is_held_says_so(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_SET", "SELECT set_config('lock_timeout', '50ms', false)")
    postgresql.end_connections(store)  # the next one has it
    with psycopg.connect(postgresql.cluster().address(postgresql.database_of(store))) as holding:
        holding.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="another process holds it"):
            write(store, lambda tx: tx.advance_generation("u"))
        assert read(store, lambda r: r.generation("u")) == 0, "reads go on"
    assert write(store, lambda tx: tx.advance_generation("u")) == 1


# -- many rows by one statement ------------------------------------------------------------

_ROW = "INSERT INTO machine_generations (machine_uid, generation, move) VALUES (%s, %s, 1)"


def _add(*rows: tuple[str, int]) -> Callable[[Transaction], None]:
    """As SQLAlchemy does it: one row is no pipeline."""

    def work(tx: Transaction) -> None:
        cursor = ours.driver_of(cast("Rows", tx)._connection).cursor()
        if len(rows) == 1:
            cursor.execute(_ROW, rows[0])
        else:
            cursor.executemany(_ROW, rows)

    return work


def _prime(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection:
    """A session for whose statement psycopg looks at no failure; what is returned holds its table."""
    monkeypatch.setattr(ours, "_SET", "SELECT set_config('lock_timeout', '50ms', false)")
    postgresql.end_connections(store)  # the next one has it

    def refused(_: Transaction) -> None:
        raise Conflict("Refused.")

    with pytest.raises(Conflict):  # a ROLLBACK TO that psycopg has seen once is no longer looked at
        write(store, refused)
    write(store, _add(("first", 1)))  # nor is the preparing of a statement that it has seen
    held = psycopg.connect(postgresql.cluster().address(postgresql.database_of(store)))
    held.execute("LOCK TABLE machine_generations IN ACCESS EXCLUSIVE MODE")
    return held


def _added(store: SqlStore, *uids: str) -> list[int]:
    return [read(store, lambda r, uid=uid: r.generation(uid)) for uid in uids]  # type: ignore[misc]  # reason: mypy cannot infer it


def _backend(store: SqlStore) -> int:
    return write(store, lambda tx: ours.driver_of(cast("Rows", tx)._connection).info.backend_pid)


def test_a_statement_that_could_not_be_prepared_works_afterwards(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg would believe that the server has it, and each later use would fail."""
    with _prime(store, monkeypatch), pytest.raises(psycopg.errors.LockNotAvailable):
        write(store, _add(("a0", 1), ("a1", 1)))
    for number in range(3):
        write(store, _add((f"b{number}", 1), (f"c{number}", 2)))
    assert _added(store, "a0", "b0", "c0", "b2", "c2") == [0, 1, 2, 1, 2]


def test_other_units_of_a_group_in_which_many_rows_failed_are_kept(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _prime(store, monkeypatch)

    def after(tx: Transaction) -> None:
        held.rollback()
        _add(("b", 1), ("c", 2))(tx)

    async def both() -> list[object]:
        units = (store.write(_add(("a", 1), ("d", 1))), store.write(after))
        return list(await asyncio.gather(*units, return_exceptions=True))

    failed, fine = asyncio.run(both())
    held.close()
    assert isinstance(failed, psycopg.errors.LockNotAvailable)
    assert fine is None
    assert _added(store, "a", "b", "c", "d") == [0, 1, 2, 0]


def test_a_connection_that_is_lost_among_many_rows_is_replaced(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg may leave it open, and in a pipeline, on which no transaction begins."""
    before = _backend(store)

    def left_in_a_pipeline(cursor: psycopg.Cursor, *_: object, **__: object) -> None:
        sent = cursor.connection.pgconn
        sent.enter_pipeline_mode()
        sent.send_query_params(b"SELECT 1", None)
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "executemany", left_in_a_pipeline)
        with pytest.raises(Unavailable):
            write(store, _add(("a", 1), ("b", 1)))
    write(store, _add(("c", 1), ("d", 2)))
    assert _added(store, "a", "b", "c", "d") == [0, 0, 1, 2]
    assert _backend(store) != before


def test_a_row_that_is_there_already_costs_no_connection(store: SqlStore) -> None:
    before = _backend(store)
    write(store, _add(("a", 1)))
    with pytest.raises(psycopg.errors.UniqueViolation):
        write(store, _add(("b", 1), ("a", 2)))
    assert _added(store, "a", "b") == [1, 0]
    assert _backend(store) == before


@pytest.mark.parametrize(
    ("state", "said"),
    [("XX000", "its server failed"), ("XX001", "it is damaged"), ("XX002", "it is damaged")],
)
def test_what_the_server_reports_is_said(store: SqlStore, state: str, said: str) -> None:
    """An internal error says nothing of damage, for which people restore backups."""
    raises = text(f"DO $$ BEGIN RAISE EXCEPTION 'at 192.0.2.1' USING ERRCODE = '{state}'; END $$")
    with pytest.raises(Unavailable) as failed:
        write(store, lambda tx: cast("Rows", tx)._run(raises))
    assert failed.value.message == f"The database cannot be written: {said}."


# -- what is refused at the start ----------------------------------------------------------


def test_several_servers_and_a_command_use_one_database(
    store: SqlStore, other: SqlStore, place: Place
) -> None:
    assert write(other, lambda tx: tx.advance_generation("u")) == 1
    second = open_postgresql(place)
    assert write(second, lambda tx: tx.advance_generation("u")) == 2
    assert write(store, lambda tx: tx.advance_generation("u")) == 3
    close(second)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER DATABASE {name} SET synchronous_commit = off", "synchronous_commit = off"),
        ("ALTER DATABASE {name} SET default_transaction_read_only = on", "is read-only"),
    ],
)
def test_a_database_that_would_forget_or_cannot_be_written_is_refused(
    name: str, place: Place, statement: str, said: str
) -> None:
    postgresql.cluster().do(statement.format(name=name))
    with pytest.raises(ConfigurationError, match=said):
        open_postgresql(place)


def test_a_server_without_fsync_is_refused(place: Place) -> None:
    cluster = postgresql.cluster()
    cluster.do("ALTER SYSTEM SET fsync = off")
    try:
        postgresql.reload("fsync", "off")
        with pytest.raises(ConfigurationError, match="fsync = off"):
            open_postgresql(place)
    finally:
        cluster.do("ALTER SYSTEM RESET fsync")
        postgresql.reload("fsync", "on")
    close(open_postgresql(place))


def test_a_standby_is_refused() -> None:
    standby = postgresql.Cluster()
    try:
        standby.stop("fast")
        (standby.data / "standby.signal").touch()
        standby.start()
        with pytest.raises(ConfigurationError, match="its server is a standby"):
            open_postgresql(standby.place("postgres"))
    finally:
        standby.remove()


def test_another_encoding_is_refused() -> None:
    cluster = postgresql.cluster()
    cluster.do(
        "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' "
        "LOCALE_PROVIDER libc"
    )
    with pytest.raises(ConfigurationError, match="encoding SQL_ASCII"):
        open_postgresql(cluster.place("ascii"))
    cluster.drop("ascii")


def test_another_programs_database_is_refused_and_left_as_it_is() -> None:
    cluster = postgresql.cluster()
    foreign = cluster.make()
    cluster.do("CREATE TABLE customers (n int)", foreign)
    cluster.do("CREATE TABLE alembic_version (version_num text)", foreign)
    with pytest.raises(ConfigurationError, match="another program's database"):
        open_postgresql(cluster.place(foreign))
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert cluster.do(tables, foreign) == [(2,)]
    cluster.drop(foreign)


@pytest.mark.parametrize(
    ("revision", "said"),
    [("9999", "upgraded by a newer version of Bascule"), ("0001", "from before its first release")],
)
def test_a_revision_that_is_not_ours_is_refused(
    name: str, place: Place, revision: str, said: str
) -> None:
    cluster = postgresql.cluster()
    _mark(name, revision)
    with pytest.raises(ConfigurationError, match=said):
        open_postgresql(place)
    with pytest.raises(ConfigurationError):
        open_postgresql(place, is_server=False)
    assert cluster.do("SELECT version_num FROM alembic_version", name) == [(revision,)]
    _mark(name, REVISION)
    close(open_postgresql(place))


def _mark(name: str, revision: str) -> None:
    change = f"UPDATE alembic_version SET version_num = '{revision}', oldest_program = '{revision}'"  # noqa: S608  # reason: one of ours
    postgresql.cluster().do(change, name)


def test_a_database_of_the_baseline_gets_what_is_new(name: str, place: Place) -> None:
    cluster = postgresql.cluster()
    columns = (
        "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_name = 'external_identities' ORDER BY column_name"
    )
    made = cluster.do(columns, name)
    cluster.do("ALTER TABLE external_identities DROP COLUMN named_groups", name)
    _mark(name, BASELINE)
    close(open_postgresql(place))
    assert cluster.do(columns, name) == made
    marks = "SELECT version_num, oldest_program FROM alembic_version"
    assert cluster.do(marks, name) == [(REVISION, BASELINE)], "programs of the baseline may go on"


def test_of_two_that_begin_with_an_empty_database_one_makes_it() -> None:
    cluster = postgresql.cluster()
    empty = cluster.make()
    place = cluster.place(empty)
    with pytest.raises(ConfigurationError, match="or is empty"):
        open_postgresql(place, is_server=False)
    found: list[object] = []

    def begin() -> None:
        try:
            found.append(open_postgresql(place))
        except ConfigurationError as error:
            found.append(error)

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    opened = [each for each in found if isinstance(each, SqlStore)]
    assert opened, found
    for made in opened:
        close(made)
    close(open_postgresql(place))
    cluster.drop(empty)


def test_a_server_that_is_not_there_is_said(tmp_path: object) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be opened: .*No such file") as refusal:
        open_postgresql(place_of(f"postgresql:///bascule?host={tmp_path}"))
    assert "Check that the database server runs" in refusal.value.advice


def test_a_wrong_password_is_said_and_not_shown(place: Place, name: str) -> None:
    cluster = postgresql.cluster()
    cluster.do("CREATE ROLE guest LOGIN PASSWORD 'right-one'")
    rules = cluster.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guest scram-sha-256\n{before}")
    try:
        cluster.do("SELECT pg_reload_conf()")
        postgresql.wait(lambda: cluster.do("SELECT count(*) FROM pg_hba_file_rules") != [(0,)])
        address = cluster.address(name, "guest")
        for password in ("", "wrong-one"):
            with pytest.raises(ConfigurationError, match="cannot be opened") as refusal:
                open_postgresql(place_of(address, password))
            assert "right password" in refusal.value.advice
            assert "wrong-one" not in f"{refusal.value.message}{refusal.value!r}"
        with pytest.raises(Unavailable, match="its role lacks a right"):
            open_postgresql(place_of(address, "right-one"))
        assert "right-one" not in repr(place_of(address, "right-one"))
    finally:
        rules.write_text(before)
        cluster.do("SELECT pg_reload_conf()")
        cluster.do("DROP ROLE guest")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:hidden@db/x", "contains a password"),
        ("host=db password=hidden", "contains a password"),
        ("postgresql://u@db/x?sslpassword=hidden", "contains a sslpassword"),
        ("mysql://db/hidden", "not an address of PostgreSQL"),
        ("postgresql://db/x?sslmode=require", "sslmode=require"),
        ("postgresql://db/x?sslmode=verify-ca", "sslmode=verify-ca"),
        ("postgresql://db/x?sslmode=disable", "sslmode=disable"),
    ],
)
def test_an_address_that_gives_something_away_is_refused(address: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        place_of(address)
    assert "hidden" not in f"{refusal.value.message} {refusal.value.advice}"


@pytest.mark.parametrize("variable", ["PGSSLMODE", "PGGSSENCMODE"])
def test_the_environment_does_not_weaken_tls(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "prefer")
    reach = psycopg.conninfo.conninfo_to_dict(place_of("postgresql://db/x").reach)
    assert reach["sslmode"] == "verify-full"
    assert reach["gssencmode"] == "disable"
    weak = place_of("postgresql://db/x?sslmode=require", may_be_unverified=True)
    assert psycopg.conninfo.conninfo_to_dict(weak.reach)["sslmode"] == "require"
