"""How the activity log is read: along which index, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Select, text

from bascule.domain.roles import Reach
from bascule.interfaces import EventFilter
from bascule.interfaces.activity import ActivityFilter
from bascule.store.connections import connect, driver_of
from bascule.store.open import open_store
from bascule.store.transaction import SqlReader, SqlTransaction
from bascule.testing.store_contract.samples import SUBSCRIPTION, an_event, an_id

NOW = datetime(2030, 1, 31, tzinfo=UTC)
SINCE = NOW - timedelta(days=90)
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/default"
AT, KIND = "ix_events_at_kind (at>?", "ix_events_kind_at (kind=? AND at>?"
PERSON = "ix_events_principal_id_at_kind (principal_id=? AND at>?"
PLACE = "ix_events_resource_key_at_kind (resource_key"
SEALED = "USING INTEGER PRIMARY KEY (rowid>?)"


@pytest.fixture
def connection(tmp_path: Any) -> Iterator[Connection]:
    path = tmp_path / "bascule.db"
    open_store(path).close()
    opened = connect(path)
    yield opened
    opened.close()


class Plans(SqlReader):
    """Notes how each statement about events would be run."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.noted: list[str] = []

    def _all(self, statement: Any, parameters: Any = None) -> Any:
        if isinstance(statement, Select):
            said = statement.compile(self._connection, compile_kwargs={"literal_binds": True})
            rows = self._connection.execute(text(f"EXPLAIN QUERY PLAN {said}".replace(":", r"\:")))
            self.noted += [row.detail for row in rows if " events" in row.detail]
        return super()._all(statement, parameters)


@pytest.mark.parametrize(
    ("wanted", "page", "counts"),
    [
        (ActivityFilter(), {AT}, {SEALED}),
        (ActivityFilter(since=SINCE, until=NOW), {AT}, {SEALED}),
        (
            ActivityFilter(sorts=("AccessDenied", "GrantFailed"), since=SINCE, until=NOW),
            {KIND},
            {SEALED},
        ),
        (ActivityFilter(principal_ids=("p",)), {PERSON}, {SEALED}),
        (
            ActivityFilter(principal_ids=("p",), sorts=("A",), since=SINCE, until=NOW),
            {PERSON},
            {SEALED},
        ),
        (ActivityFilter(resources=(an_id("web-1").key,), since=SINCE, until=NOW), {PLACE}, {PLACE}),
        (
            ActivityFilter(resources=(an_id("web-1").key,), principal_ids=("p",), sorts=("A",)),
            {PLACE},
            {PLACE},
        ),
        (
            ActivityFilter(within=Reach(frozenset({GROUP})), since=SINCE, until=NOW),
            {AT, PLACE},
            {SEALED},
        ),
        (
            ActivityFilter(within=Reach(frozenset({an_id(f"m-{n}").key for n in range(250)}))),
            {PLACE},
            {PLACE},
        ),
        (
            ActivityFilter(within=Reach(frozenset({GROUP})), principal_ids=("p",)),
            {AT, PERSON},
            {PERSON},
        ),
    ],
)
def test_no_question_reads_the_whole_record(
    connection: Connection, wanted: ActivityFilter, page: set[str], counts: set[str]
) -> None:
    """Each is entered by what narrows it most; the planner, which knows nothing of how the rows
    are spread, is left no other way.
    """
    asks: list[tuple[Callable[[Plans], object], set[str]]] = [
        (lambda reader: reader.activity(wanted, None, 51), page),
        (lambda reader: reader.activity_by_day(wanted), counts),
        (lambda reader: reader.activity_since(wanted, 7, 100), {SEALED}),
    ]
    for ask, ways in asks:
        reader = Plans(connection)
        ask(reader)
        searched = [each for each in reader.noted if "event_" not in each]
        assert searched
        for each in searched:
            assert any(way in each for way in ways), (each, ways)


@pytest.mark.parametrize("asked", [EventFilter(caller="x"), EventFilter(correlation_id="x")])
@pytest.mark.parametrize("after", [0, 1500])
def test_a_search_costs_the_same_however_long_the_record_is(
    connection: Connection, asked: EventFilter, after: int
) -> None:
    """The database's own steps are counted; where an index serves as well, it is not taken."""
    wanted = replace(asked, kinds=("GrantCreated",), resource_id=GROUP, since=SINCE)
    writer, costs = SqlTransaction(connection), []
    for _ in range(2):
        for number in range(1000):
            writer.record(an_event(f"e{number}", an_id("web-1")))
        costs.append(steps(connection, lambda: writer.events_page(wanted, after, 10, 100)))
    assert costs[1] < costs[0] * 1.2
    whole = steps(connection, lambda: writer.events(wanted, after, 10))
    assert costs[1] < whole / 5


def steps(connection: Connection, work: Callable[[], object]) -> int:
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    driver = driver_of(connection)
    driver.set_progress_handler(count, 1)
    work()
    driver.set_progress_handler(None, 1)
    return taken


def test_a_damaged_event_is_left_out_and_the_page_is_full(connection: Connection) -> None:
    """A page that ended early would be taken for the last; one that cannot be shown, for a fault."""
    for number in range(6):
        SqlTransaction(connection).record(an_event(at=NOW + timedelta(seconds=number)))
    connection.exec_driver_sql("UPDATE events SET record = '{' WHERE sequence IN (3, 5, 6)")
    found = SqlReader(connection).activity(ActivityFilter(), None, 2)
    assert [sequence for sequence, _ in found] == [4, 2]
    last = (found[-1][1].at, found[-1][0])
    assert [each for each, _ in SqlReader(connection).activity(ActivityFilter(), last, 2)] == [1]
