"""A database that is away, full, crowded or read-only: 503 at once with words, nothing half done, and
on again without a restart (EDGES H1, H5). A real cluster, on a small disk where this is root.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from bascule.errors import Unavailable
from bascule.interfaces.store import Transaction, Unsettled
from bascule.services.act import Act, Services
from bascule.services.hub import Hub
from bascule.store import readers, sql_store
from bascule.store.postgresql import driver_of, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql
from tests.support.postgresql import Cluster

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
MANY = 200
AT_ONCE = 10.0  # seconds, on a busy machine; no time limit of ours is reached by then


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster({"max_connections": "12", "superuser_reserved_connections": "2"})
    made.do("CREATE ROLE ours LOGIN")
    made.do("CREATE DATABASE ours OWNER ours")
    yield made
    made.remove()


@pytest.fixture
def store(cluster: Cluster) -> Iterator[SqlStore]:
    opened = open_postgresql(place_of(cluster.address("ours", "ours")))
    yield opened
    close(opened)


def _advance(store: SqlStore) -> int:
    return write(store, lambda tx: tx.advance_generation("u"))


def _generation(store: SqlStore) -> int:
    return read(store, lambda r: r.generation("u"))


def _refused(store: SqlStore) -> str:
    """Both are refused at once, in words for strangers; what those of the write are."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as wrote:
        _advance(store)
    assert time.monotonic() - began < AT_ONCE
    return f"{wrote.value.message} {wrote.value.advice}"


def _until_it_works(store: SqlStore) -> int:
    found = 0

    def works() -> bool:
        nonlocal found
        with suppress(Unavailable):
            found = _advance(store)
        return found > 0

    postgresql.wait(works)
    return found


def _postmaster(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def _end(cluster: Cluster) -> None:
    """-9, also of what it started: else the next start waits for these."""
    pid = _postmaster(cluster)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    postgresql.wait(lambda: not Path(f"/proc/{pid}").exists())


def test_killed_and_started_again(store: SqlStore, cluster: Cluster) -> None:
    kept = _advance(store)
    _end(cluster)
    assert "cannot be written" in _refused(store)
    with pytest.raises(Unavailable, match="cannot be read"):
        _generation(store)
    with pytest.raises(Unavailable):
        asyncio.run(store.check_writable())
    cluster.start()
    assert _until_it_works(store) == kept + 1, "what was acknowledged is there, and no more"
    assert _generation(store) == kept + 1


def test_no_connection_left(store: SqlStore, cluster: Cluster) -> None:
    """The writer has its own; what is not connected yet is refused, and comes when there is room."""
    kept = _advance(store)
    with ExitStack() as others:
        with suppress(psycopg.OperationalError):
            while True:
                others.enter_context(psycopg.connect(cluster.address("ours", "ours")))
        assert _advance(store) == kept + 1
        store._readers.make_anew()  # type: ignore[union-attr]  # reason: PostgreSQL has some
        with pytest.raises(Unavailable) as refusal:
            _generation(store)
        assert "no connection left" in refusal.value.message
        assert "max_connections" in refusal.value.advice
    postgresql.wait(lambda: _can_read(store))
    assert _generation(store) == kept + 1


def _can_read(store: SqlStore) -> bool:
    with suppress(Unavailable):
        return _generation(store) > 0
    return False


def test_a_primary_that_turns_read_only(store: SqlStore, cluster: Cluster) -> None:
    kept = _advance(store)

    def set_to(value: str) -> None:
        cluster.do(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        cluster.do("SELECT pg_reload_conf()")
        postgresql.wait(lambda: cluster.do("SHOW default_transaction_read_only") == [(value,)])

    set_to("on")
    said = _refused(store)
    assert "read-only" in said or "cannot be used" in said
    with psycopg.connect(cluster.address(), autocommit=True) as owner:
        owner.execute("SET default_transaction_read_only = off")
        owner.execute("ALTER SYSTEM SET default_transaction_read_only = off")
        owner.execute("SELECT pg_reload_conf()")
    assert _until_it_works(store) == kept + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a small disk is mounted")
def test_a_disk_that_is_full() -> None:
    disk = Path(tempfile.mkdtemp(prefix="bascule-disk-"))  # others than root must get there
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=220m,mode=755", "tmpfs", disk], check=True)
    try:
        made = Cluster({"max_wal_size": "32MB", "min_wal_size": "32MB"}, disk)
        try:
            _fill_and_free(made, disk)
        finally:
            made.remove()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        disk.rmdir()


def _fill_and_free(cluster: Cluster, disk: Path) -> None:
    cluster.do("CREATE DATABASE ours")
    store = open_postgresql(place_of(cluster.address("ours")))
    try:
        kept = _advance(store)
        ballast = disk / "ballast"
        with ballast.open("wb") as file, suppress(OSError):
            while True:
                file.write(b"x" * 2**20)
                file.flush()
        done = _until_it_fails(store, kept)
        ballast.unlink()
        if not Path(f"/proc/{_pid(cluster)}").exists():  # a log that cannot be written ends it
            cluster.start()
        found = _until_it_works(store)
        assert found in (done + 1, done + MANY + 1), "what had no answer may have been kept"
    finally:
        close(store)


def _pid(cluster: Cluster) -> str:
    with suppress(OSError):
        return (cluster.data / "postmaster.pid").read_text().splitlines()[0]
    return "none"


def _until_it_fails(store: SqlStore, done: int) -> int:
    """The last generation that was acknowledged."""

    def advance() -> None:
        nonlocal done
        for _ in range(100_000):
            done = write(store, lambda tx: [tx.advance_generation("u") for _ in range(MANY)][-1])

    with pytest.raises(Unavailable, match=r"disk|server"):
        advance()
    return done


# -- what stands still -----------------------------------------------------------------------------


def _services(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> tuple[Services, list[str]]:
    """And whose agents were woken."""
    assert store.clock is not None
    woken: list[str] = []
    monkeypatch.setattr(sql_store, "ANSWER_WITHIN", 2.0)
    monkeypatch.setattr(Hub, "wake", lambda _, machines, __: woken.extend(machines))
    return Services(store, store.clock, Hub()), woken


def _touch(tx: Transaction, act: Act) -> None:
    tx.advance_generation("u")
    act.touched.add("u")


async def _two_in_vain(services: Services) -> None:
    """The first is under way and stands still; the second waits behind it."""
    first = asyncio.create_task(services.perform(_touch))
    await asyncio.sleep(0.5)
    second = asyncio.create_task(services.perform(_touch))
    with pytest.raises(Unsettled, match="not known whether it is kept"):
        await first
    with pytest.raises(Unavailable, match="did not begin this change") as refusal:
        await second
    assert "Nothing was changed" in refusal.value.message


def test_a_commit_that_waits_for_a_standby_keeps_nobody_waiting(
    store: SqlStore, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept when the standby is there, and the agents hear of it then; what waited behind it
    was given up and never comes."""
    services, woken = _services(store, monkeypatch)
    kept = _advance(store)

    def set_to(value: str) -> None:
        cluster.do(f"ALTER SYSTEM SET synchronous_standby_names = '{value}'")
        cluster.do("SELECT pg_reload_conf()")
        postgresql.wait(lambda: cluster.do("SHOW synchronous_standby_names") == [(value,)])

    async def run() -> None:
        await _two_in_vain(services)
        assert not woken, "no agent hears of what may not be kept"
        await asyncio.to_thread(set_to, "")
        for _ in range(200):
            if woken:
                return
            await asyncio.sleep(0.05)

    set_to("nobody")
    try:
        asyncio.run(run())
    finally:
        set_to("")
    assert woken == ["u"]
    assert _generation(store) == kept + 1


def test_a_backend_that_stands_still_keeps_nobody_waiting(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has begun there, and nothing comes when it goes on."""
    services, woken = _services(store, monkeypatch)
    kept = _advance(store)
    pid = store._writer._driver.info.backend_pid  # type: ignore[attr-defined]  # reason: psycopg's
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(Unavailable, match="did not begin this change"):
                asyncio.run(services.perform(_touch))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert _until_it_works(store) == kept + 1, "without a restart"
    assert not woken


def test_a_read_that_does_not_end_keeps_neither_its_caller_nor_a_stop_waiting(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_store, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(readers, "CLOSE_WITHIN", 0.5)
    assert _generation(store) == _generation(store)
    (idle,) = store._readers._idle  # type: ignore[union-attr]  # reason: PostgreSQL has some
    pid = driver_of(idle).info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="did not answer"):
            _generation(store)
        close(store)
        left = [each for each in threading.enumerate() if each.name == "bascule-reader"]
        assert left, "it is still there"
        assert all(each.daemon for each in left), "exit does not wait for it"
        with pytest.raises(Unavailable, match="is stopping"):
            _generation(store)
    finally:
        os.kill(pid, signal.SIGCONT)
