"""The store's examination, sat by SQLite on disk and in memory, and by PostgreSQL."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bascule.interfaces.store import Store
from bascule.store.open import open_store
from bascule.store.postgresql import Place
from bascule.store.postgresql_open import open_postgresql
from tests.contracts.store import (
    DurableStoreContract,
    StoreContract,
)
from tests.contracts.store.chain import ChainContract
from tests.contracts.store.grants import GrantContract
from tests.contracts.store.requests import RequestContract
from tests.contracts.store.samples import close
from tests.contracts.store.transactions import TransactionContract
from tests.support import pgbouncer, postgresql


class TestSqliteInMemory(StoreContract):
    reads_beside_a_write = False

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        opened = open_store(None)
        yield opened
        close(opened)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the revisions leave it; to run them for each test would take minutes."""
    path = tmp_path_factory.mktemp("blank") / "bascule.db"
    open_store(path).close()
    return path


class TestSqliteOnDisk(StoreContract, DurableStoreContract):
    @pytest.fixture
    def path(self, tmp_path: Path, blank: Path) -> Path:
        return Path(shutil.copy(blank, tmp_path / "bascule.db"))

    @pytest.fixture
    def store(self, path: Path) -> Iterator[Store]:
        opened = open_store(path)
        yield opened
        close(opened)

    @pytest.fixture
    def reopen(self, store: Store, path: Path) -> Iterator[Callable[[], Store]]:
        again: list[Store] = []

        def run() -> Store:
            for each in (store, *again):
                each.close()
            again.append(open_store(path))
            return again[-1]

        yield run
        for each in again:
            each.close()


@pytest.fixture(scope="session")
def databases() -> Iterator[postgresql.Databases]:
    made = postgresql.Databases()
    yield made
    made.close()


@pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing")
class TestPostgresql(StoreContract, DurableStoreContract):
    @pytest.fixture
    def place(self, databases: postgresql.Databases) -> Iterator[Place]:
        """No test of the contract changes tables, so one database serves many, emptied."""
        place, is_over = databases.make(), threading.Event()
        databases.note(place, is_over.is_set)
        yield place
        is_over.set()

    @pytest.fixture
    def store(self, place: Place) -> Iterator[Store]:
        opened = open_postgresql(place)
        yield opened
        close(opened)

    @pytest.fixture
    def reopen(self, store: Store, place: Place) -> Iterator[Callable[[], Store]]:
        again: list[Store] = []

        def run() -> Store:
            for each in (store, *again):
                each.close()
            again.append(open_postgresql(place))
            return again[-1]

        yield run
        for each in again:
            each.close()


@pytest.fixture(scope="session")
def pooler() -> Iterator[pgbouncer.PgBouncer]:
    made = pgbouncer.PgBouncer(postgresql.cluster(), {"max_prepared_statements": "200"})
    yield made
    made.remove()


@pytest.mark.skipif(
    postgresql.programs() is None or pgbouncer.program() is None,
    reason="PostgreSQL's server or PgBouncer is missing",
)
class TestThroughPooler(TransactionContract, RequestContract, GrantContract, ChainContract):
    """The parts in which order and turns count; all of it would cost more than it could show."""

    @pytest.fixture
    def store(
        self, databases: postgresql.Databases, pooler: pgbouncer.PgBouncer
    ) -> Iterator[Store]:
        place, is_over = databases.make(), threading.Event()
        databases.note(place, is_over.is_set)
        opened = open_postgresql(place, pooler=pooler.place(databases.name_of(place)))
        yield opened
        close(opened)
        is_over.set()
