"""The writing thread: one commit for many, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bascule.errors import Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader, Transaction
from bascule.store import connections
from bascule.store.connections import driver_of
from bascule.store.open import open_store
from bascule.store.sqlite import SqliteStore
from bascule.store.writer import GROUP_LIMIT, MAY_WAIT_LIMIT
from tests.contracts.store.samples import an_event, close

Outcome = int | BaseException


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bascule.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = open_store(path)
    yield opened
    close(opened)


def _driver(store: SqliteStore) -> sqlite3.Connection:
    return driver_of(store._writer._connection)


def _advance(tx: Transaction) -> int:
    return tx.advance_generation("u")


def _generation(reader: Reader) -> int:
    return reader.generation("u")


def _together(
    store: SqliteStore,
    units: list[Callable[[Transaction], int]],
    meanwhile: Callable[[], None],
    may_wait: int = 0,
) -> list[Outcome]:
    """Queue units behind one that waits, so that all are of one group; do something; let go.

    The first ``may_wait`` of them may wait.
    """
    started, go = threading.Event(), threading.Event()

    def first(tx: Transaction) -> int:
        started.set()
        assert go.wait(10)
        return _advance(tx)

    async def run() -> list[Outcome]:
        leader = asyncio.ensure_future(store.write(first))
        await asyncio.to_thread(started.wait, 10)
        rest = [
            asyncio.ensure_future(store.write(unit, may_wait=number < may_wait))
            for number, unit in enumerate(units)
        ]
        await asyncio.sleep(0)
        meanwhile()
        go.set()
        return await asyncio.gather(leader, *rest, return_exceptions=True)

    return asyncio.run(run())


def _alone(store: SqliteStore, unit: Callable[[Transaction], int]) -> int:
    async def run() -> int:
        return await store.write(unit)

    return asyncio.run(run())


def _seen(store: SqliteStore) -> int:
    async def run() -> int:
        return await store.read(_generation)

    return asyncio.run(run())


def _refuse(tx: Transaction) -> int:
    _advance(tx)
    raise LookupError("mine")


def test_what_waits_is_committed_at_once_up_to_the_limit(store: SqliteStore) -> None:
    said: list[str] = []
    results = _together(
        store,
        [_advance] * (GROUP_LIMIT + 5),
        lambda: _driver(store).set_trace_callback(said.append),
    )
    assert results == list(range(1, GROUP_LIMIT + 7))
    assert said.count("COMMIT") == 2


def test_a_group_that_takes_long_takes_no_more(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other servers on the database wait meanwhile."""
    monkeypatch.setattr("bascule.store.writer.GROUP_SECONDS", 0.0)
    said: list[str] = []
    results = _together(
        store, [_advance] * 5, lambda: _driver(store).set_trace_callback(said.append)
    )
    assert results == list(range(1, 7))
    assert said.count("COMMIT") == 6


def test_what_may_wait_is_done_after_others_and_few_in_one_commit(store: SqliteStore) -> None:
    said: list[str] = []
    waiting = MAY_WAIT_LIMIT + 1
    results = _together(
        store,
        [_advance] * (waiting + 2),
        lambda: _driver(store).set_trace_callback(said.append),
        may_wait=waiting,
    )
    assert results == [1, *range(4, 4 + waiting), 2, 3]
    assert said.count("COMMIT") == 2


def test_what_may_wait_is_done_before_the_end(store: SqliteStore) -> None:
    waiting = 3 * MAY_WAIT_LIMIT
    closing = threading.Thread(target=store._writer.close)
    results = _together(store, [_advance] * waiting, closing.start, may_wait=waiting)
    closing.join(10)
    assert results == list(range(1, waiting + 2))


def test_a_database_elsewhere_that_does_not_answer_holds_up_no_stop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.store.writer.CLOSE_WITHIN", 0.05)
    monkeypatch.setattr(store._writer, "_reconnect", pytest.fail)
    started, go = threading.Event(), threading.Event()

    def stuck(_: Connection) -> None:
        started.set()
        assert go.wait(10)

    waiting = store._writer.submit(stuck)
    assert started.wait(10)
    store._writer.close()
    assert not waiting.done()
    go.set()
    waiting.result(10)
    store._writer._thread.join(10)


def test_what_may_wait_is_done_while_others_keep_coming(store: SqliteStore) -> None:
    """A few with each commit, so that a server that is never idle drops no report."""
    writer, most, done = store._writer, 10 * GROUP_LIMIT, 0

    def again(_: Connection) -> None:
        nonlocal done
        done += 1
        if done < most:
            writer.submit(again)  # there is always one more

    def begin(connection: Connection) -> None:
        waiting.append(writer.submit(lambda _: done, may_wait=True))
        again(connection)

    waiting: list[Future[int]] = []
    writer.submit(begin).result(10)
    assert waiting[0].result(10) < GROUP_LIMIT


def test_a_commit_that_fails_fails_all_of_its_group_and_keeps_nothing(store: SqliteStore) -> None:
    def deny(action: int, word: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and word == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    results = _together(
        store, [_advance, _refuse, _advance], lambda: _driver(store).set_authorizer(deny)
    )
    assert [type(result) for result in results] == [
        Unavailable,
        Unavailable,
        LookupError,
        Unavailable,
    ]
    assert len({id(result) for result in results}) == 4, "an exception each"
    assert _seen(store) == 0
    _driver(store).set_authorizer(None)
    assert _alone(store, _advance) == 1, "and the next is served"


def test_a_full_disk_is_said_and_is_survived(store: SqliteStore) -> None:
    pages = _driver(store).execute("PRAGMA page_count").fetchone()[0]

    def fill(tx: Transaction) -> int:
        for number in range(5000):
            tx.record(an_event(f"e{number}"))
        return 0

    results = _together(
        store,
        [_advance, fill, _advance],
        lambda: None,
    )
    assert results == [1, 2, 0, 3]
    _driver(store).execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="the disk is full") as refusal:
        _alone(store, fill)
    assert "Nothing was changed" in refusal.value.advice
    _driver(store).execute("PRAGMA max_page_count = 1000000")
    assert _alone(store, _advance) == 4


def test_a_database_held_by_another_process_is_unavailable_and_comes_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT", 0.05)
    store = open_store(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="cannot be written: another process holds it"):
        _alone(store, _advance)
    assert _seen(store) == 0, "reads go on"
    other.execute("ROLLBACK")
    other.close()
    assert _alone(store, _advance) == 1
    close(store)


def test_a_write_that_was_given_up_before_its_turn_is_not_done(store: SqliteStore) -> None:
    async def run() -> None:
        started, go = threading.Event(), threading.Event()

        def first(_: Transaction) -> None:
            started.set()
            go.wait(10)

        leader = asyncio.ensure_future(store.write(first))
        await asyncio.to_thread(started.wait, 10)
        given_up = asyncio.ensure_future(store.write(_advance))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        go.set()
        await leader
        assert await store.write(_advance) == 1

    asyncio.run(run())


def test_work_that_ends_the_transaction_itself_fails_and_is_not_kept(store: SqliteStore) -> None:
    """As SQLite may on an error of the disk; whoever swallows that must not be told "done"."""

    def swallow(tx: Transaction) -> int:
        _driver(store).execute("ROLLBACK")
        return 1

    results = _together(store, [_advance, swallow, _advance], lambda: None)
    assert all(isinstance(result, Unavailable) for result in results[:3])
    assert _seen(store) in {0, 1}, "the last may have been of the next group"
    assert _seen(store) == sum(isinstance(result, int) for result in results)
    before = _seen(store)
    assert _alone(store, _advance) == before + 1


KILLED = """
import asyncio, pathlib, sys
from bascule.store.open import open_store
from tests.contracts.store.samples import a_request, an_event

async def client(store, number):
    count = 0
    while True:
        name = f"{number}-{count}"
        def unit(tx):
            tx.add_request(a_request(name))
            tx.record(an_event(name))
        await store.write(unit)
        print(name, flush=True)
        count += 1

async def main():
    store = open_store(pathlib.Path(sys.argv[1]))
    await asyncio.gather(*(client(store, number) for number in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40, 333])
def test_kill_9_in_the_middle_of_writes_loses_nothing_that_was_acknowledged(
    path: Path, lines: int
) -> None:
    """And keeps nothing half: a request has its event, an event its request."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += child.stdout.read().split("\n")[:-1]  # a last piece may be cut
    store = open_store(path)

    def read(reader: Reader) -> tuple[set[str], set[str]]:
        requests = {request.id for request in reader.requests(limit=10**6)}
        return requests, {event.id for _, event in reader.events(EventFilter(), limit=10**6)}

    async def run() -> tuple[set[str], set[str]]:
        return await store.read(read)

    requests, events = asyncio.run(run())
    assert len(acknowledged) >= lines
    assert set(acknowledged) <= requests
    assert requests == events
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
    assert _alone(store, _advance) == 1
    close(store)
