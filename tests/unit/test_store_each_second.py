"""What runs all the time, with nothing to do: each statement is answered by an index.

What an idle server uses with so many agents is measured by ``bench.fleet``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.knocks import forget_old_knocks
from bascule.services.seal import is_checkpoint_due
from bascule.services.sweep import end_due, next_due, note_silence
from bascule.store.connections import connect, driver_of
from bascule.store.open import open_store
from bascule.store.transaction import SqlTransaction
from tests.contracts.store.samples import NOW

ROUNDS: dict[str, Callable[[Transaction], object]] = {
    "when something is due": lambda tx: next_due(tx, NOW),
    "ending what is due": lambda tx: end_due(tx, Act(NOW)),
    "noting who fell silent": lambda tx: note_silence(tx, Act(NOW), NOW - timedelta(minutes=1)),
    "forgetting knocks": lambda tx: forget_old_knocks(tx, Act(NOW)),
    "sealing": lambda tx: tx.unsealed(1),
    "a checkpoint": lambda tx: is_checkpoint_due(tx, NOW),
    "delivering": lambda tx: (
        tx.sinks(),
        tx.sink_progress("sink"),
        tx.chain_begin(),
        tx.chain(7, 100),
    ),
    "finding people and programs": lambda tx: (
        tx.users("a", 10),
        tx.groups("a", 10),
        tx.service_principals_by_name(("a", ""), 10),
        tx.service_principals_called("a"),
    ),
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    path = tmp_path / "bascule.db"
    open_store(path).close()
    opened = connect(path)
    yield opened
    opened.close()


def plans(connection: Connection, work: Callable[[Transaction], object]) -> list[str]:
    """How SQLite answers each statement of ``work``."""
    driver = driver_of(connection)
    said: list[str] = []
    driver.set_trace_callback(said.append)
    try:
        work(SqlTransaction(connection))
    finally:
        driver.set_trace_callback(None)
    reads = [each for each in said if each.lstrip().upper().startswith("SELECT")]
    assert reads
    return [
        f"{each}: {row[3]}"
        for each in reads
        for row in driver.execute(f"EXPLAIN QUERY PLAN {each}")
    ]


def is_scan(plan: str) -> bool:
    """A table is read from end to end; one that holds a single row is not meant."""
    detail = plan.rpartition(": ")[2]
    return detail.startswith("SCAN") and "INDEX" not in detail


@pytest.mark.parametrize("what", ROUNDS)
def test_no_round_reads_a_table_from_end_to_end(connection: Connection, what: str) -> None:
    found = plans(connection, ROUNDS[what])
    assert [plan for plan in found if is_scan(plan)] == []
    assert not any("TEMP B-TREE" in plan for plan in found if "grants" in plan)
