"""The store's examination, sat by SQLite on disk and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bascule.testing.store_contract")

from bascule.interfaces import Store  # noqa: E402  # reason: after the line above
from bascule.store.open import open_store  # noqa: E402  # reason: after the line above
from bascule.testing.store_contract import (  # noqa: E402  # reason: after the line above
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
