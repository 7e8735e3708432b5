"""The store's examination, sat by SQLite on disk and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bascule.interfaces import Store
from bascule.store.open import open_store
from bascule.testing.store_contract import (
    DurableStoreContract,
    StoreContract,
)


class TestSqliteInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        opened = open_store(None)
        yield opened
        opened.close()


class TestSqliteOnDisk(StoreContract, DurableStoreContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "bascule.db"

    @pytest.fixture
    def store(self, path: Path) -> Iterator[Store]:
        opened = open_store(path)
        yield opened
        opened.close()

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
