"""The store's examination, sat by SQLite on disk and in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bascule.interfaces.store import Store
from bascule.store.open import open_store
from tests.contracts.store import (
    DurableStoreContract,
    StoreContract,
)
from tests.contracts.store.samples import close


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
