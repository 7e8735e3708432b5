"""Several servers go by the clock of their database, whatever their own hosts' clocks say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from bascule.bootstrap.serve import serve
from bascule.clocks import SystemClock
from bascule.errors import Unavailable
from bascule.interfaces.clock import Clock
from bascule.services import shared_clock
from bascule.services.act import Services
from bascule.services.hub import Hub
from bascule.store.postgresql import Place
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read
from tests.support import postgresql

pytestmark = [
    pytest.mark.sockets,  # a start has its port before it makes anything
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]
APART = timedelta(minutes=10)
NEAR = timedelta(seconds=5)  # this machine may be busy


class _Off(SystemClock):
    """A host's clock that is wrong."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def place(name: str) -> Place:
    return postgresql.cluster().place(name)


@pytest.fixture
def ahead(place: Place) -> Iterator[SqlStore]:
    """Of a server whose own clock is ahead."""
    opened = open_postgresql(place, own=_Off(APART))
    yield opened
    close(opened)


def _services(store: SqlStore) -> Services:
    assert store.clock is not None
    return Services(store, store.clock, Hub())


def _true() -> datetime:
    ((told,),) = postgresql.cluster().do("SELECT clock_timestamp()")
    assert isinstance(told, datetime)
    return told


def test_servers_whose_own_clocks_are_apart_have_one_time(ahead: SqlStore, place: Place) -> None:
    behind = open_postgresql(place, is_server=False, own=_Off(-APART))
    try:
        times = [_services(each).clock.now() for each in (ahead, behind)]
        times += [_true(), _services(ahead).clock.now()]
        assert max(times) - min(times) < NEAR
        assert times[0].tzinfo is UTC
    finally:
        close(behind)


def test_a_host_whose_clock_is_wrong_is_told_so(ahead: SqlStore, place: Place) -> None:
    assert "ahead of the database's" in shared_clock.apart_words(_services(ahead))
    right = open_postgresql(place, is_server=False)
    assert not shared_clock.apart_words(_services(right))
    close(right)


def test_without_the_database_the_time_goes_on(
    ahead: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is wrong with the clock is said once, not every three seconds."""
    services, rounds = _services(ahead), 0

    async def no_pause(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise asyncio.CancelledError

    async def away() -> None:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(ahead, "measure_clock", away)
    monkeypatch.setattr("bascule.services.shared_clock.asyncio.sleep", no_pause)
    before = services.clock.now()
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        asyncio.run(shared_clock.follow_clock(services))
    assert timedelta() < services.clock.now() - before < NEAR
    assert len([line for line in lines if "s ahead of" in line.get("what", "")]) == 1
    assert len([line for line in lines if line.get("why") == "The database is away."]) == 3


def test_it_is_measured_again(ahead: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was moved to a host with another time is followed."""
    clock = _services(ahead).clock
    right = clock.now()
    ahead.clock.note(right + APART, clock.boottime(), clock.boottime())  # type: ignore[union-attr]  # reason: a FollowedClock
    assert clock.now() - right > APART / 2
    asyncio.run(ahead.measure_clock())
    assert clock.now() - _true() < NEAR


def test_it_is_measured_again_after_tables_were_not_there(
    ahead: SqlStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as while somebody restores them: that is no failure of the database."""
    monkeypatch.setattr(shared_clock, "MEASURE_SECONDS", 0.01)
    services, cluster = _services(ahead), postgresql.cluster()

    async def run() -> None:
        following = asyncio.create_task(shared_clock.follow_clock(services))
        # In threads: each waits for a lock until the loop has ended the transaction that reads the clock.
        await asyncio.to_thread(cluster.do, "ALTER TABLE alembic_version RENAME TO away", name)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.do, "ALTER TABLE away RENAME TO alembic_version", name)
        assert not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def test_a_server_goes_by_the_databases_clock(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its whole start: what it gives to whoever asks for the time."""
    given: list[datetime] = []

    def run_server(*_: object, clock: Clock, **__: object) -> int:
        given.extend([clock.now(), _true()])
        return 0

    monkeypatch.setattr("bascule.api.server.run_server", run_server)
    monkeypatch.setattr("bascule.bootstrap.serve.set_up_logging", lambda: None)
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: real(clock) - APART)
    address = postgresql.cluster().address(postgresql.cluster().make(name))
    options = ["--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--database", address]
    assert CliRunner().invoke(serve, options, obj=None).exit_code == 0
    assert abs(given[0] - given[1]) < NEAR


def test_what_is_stored_has_the_databases_time(ahead: SqlStore) -> None:
    at = asyncio.run(_services(ahead).perform(lambda _, act: act.now))
    assert abs(at - _true()) < NEAR
    assert read(ahead, lambda reader: reader.installation()) is None
