"""A row that the database refuses: what conflicts is said in our words, the rest is logged."""

from __future__ import annotations

import asyncio
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bascule.errors import Conflict
from bascule.interfaces.store import Store, Transaction
from bascule.store.failures import THINGS
from bascule.store.open import open_store
from bascule.store.rows import Rows
from bascule.store.tables import metadata
from tests.contracts.store.samples import a_grant, a_point, a_request


@pytest.fixture
def store() -> Iterator[Store]:
    made = open_store(None)
    yield made
    made.close()


def add_twice(tx: Transaction) -> None:
    tx.add_request(a_request())
    tx.add_request(a_request())


def add_unreal_port(tx: Transaction) -> None:
    tx.add_request(a_request())
    tx.add_grant(replace(a_grant(), number=0))


@pytest.mark.parametrize(
    ("work", "said", "logged"),
    [
        (add_twice, "Such a request already exists.", "UNIQUE"),
        (
            lambda tx: tx.put_enforcement_point(a_point("nobody")),
            "Something that this refers to does not exist, or does not allow the change.",
            "FOREIGN KEY",
        ),
        (add_unreal_port, "A value of this thing cannot be stored.", "CHECK"),
    ],
)
def test_a_refusal(
    store: Store, work: Callable[[Transaction], Any], said: str, logged: str
) -> None:
    """A table's name tells a stranger of the inside and its owner nothing that he can do."""
    with capture_logs() as lines, pytest.raises(Conflict) as refused:
        asyncio.run(store.write(work))  # type: ignore[arg-type]  # reason: a store awaits what it likes
    assert refused.value.message == said
    assert refused.value.advice
    assert logged in lines[0]["why"]


def test_no_value_is_in_an_error_of_a_statement(store: Store) -> None:
    """The log has its traceback, and whoever helps is sent the log."""

    def wrong(tx: Transaction) -> None:
        cast("Rows", tx)._run(text("SELECT * FROM never_made WHERE a = :a"), {"a": "hunter2"})

    with pytest.raises(sqlite3.OperationalError) as raised:
        asyncio.run(store.write(wrong))  # type: ignore[arg-type]  # reason: a store awaits what it likes
    logged = "".join(traceback.format_exception(raised.value))
    assert "never_made WHERE" in logged
    assert "parameters: ('hunter2'" not in logged


def test_every_thing_is_a_table() -> None:
    assert set(THINGS) <= set(metadata.tables)
