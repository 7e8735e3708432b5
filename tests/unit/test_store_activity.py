"""How the activity log is read: along which index, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Select, text

from bascule.domain.event import Event
from bascule.domain.facts.agents import AgentCameBack
from bascule.domain.facts.fact import Unknown
from bascule.domain.roles import Reach
from bascule.interfaces.activity import ActivityFilter
from bascule.interfaces.record import EventFilter
from bascule.store.connections import connect, driver_of
from bascule.store.open import open_store
from bascule.store.transaction import SqlReader, SqlTransaction
from tests.contracts.store.samples import HOUR, SUBSCRIPTION, an_event, an_id

NOW = datetime(2030, 1, 31, tzinfo=UTC)
SINCE = NOW - timedelta(days=90)
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/default"
AT, KIND = "ix_events_at_kind (at>?", "ix_events_kind_at (kind=? AND at>?"
PERSON = "ix_events_principal_id_at_kind (principal_id=? AND at>?"
PLACE = "ix_events_resource_key_at_kind (resource_key"
ONE_ROW = "USING INTEGER PRIMARY KEY (rowid=?)"  # of a refusal whose number is known
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


def record(connection: Connection, event: Event) -> None:
    writer = SqlTransaction(connection)
    writer.record(event)
    writer.finish()


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
        searched = [each for each in reader.noted if "event_" not in each and ONE_ROW not in each]
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
        writer.finish()
        costs.append(steps(connection, lambda: writer.events_page(wanted, after, 10, 100)))
    assert costs[1] < costs[0] * 1.2
    whole = steps(connection, lambda: writer.events(wanted, after, 10))
    assert costs[1] < whole / 5


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        (EventFilter(an_id("rare").key), PLACE),
        (EventFilter(an_id("rare").key, since=SINCE), PLACE),
        (EventFilter(an_id("rare").key, ("GrantCreated",), SINCE, principal_id="ada"), PLACE),
        (EventFilter(kinds=("GrantEnded", "AgentCameBack")), "ix_events_kind_at (kind"),
        (EventFilter(kinds=("AgentCameBack",), since=SINCE), KIND),
        (EventFilter(GROUP, ("GrantCreated",), NOW + HOUR), "ix_events_kind_at (kind=? AND at>?"),
        (EventFilter(GROUP, since=NOW + HOUR), AT),
        (EventFilter(since=SINCE, until=NOW), "ix_events_at_kind (at>? AND at<?"),
        (EventFilter(GROUP, principal_id="bob"), "ix_events_principal_id"),
    ],
)
def test_a_search_among_few_goes_by_the_index_of_them_and_ends(
    connection: Connection, asked: EventFilter, way: str
) -> None:
    """Whatever they are few by; how many others came since is nothing to it."""
    reader, costs = Plans(connection), []
    for each in (
        an_event("1", an_id("rare"), NOW - HOUR),
        an_event("2", f"{an_id('rare')}/x", NOW + HOUR, "bob", AgentCameBack("rare")),
    ):
        record(connection, each)
    for _ in range(2):
        for number in range(150):
            record(connection, an_event(f"e{number}", an_id("web-1"), NOW))
        for words in ({"caller": "nobody"}, {"correlation_id": "none"}):
            wanted = replace(asked, **words)  # type: ignore[arg-type]  # reason: both are text
            assert reader.events_page(wanted, 0, 10, 20) == ([], 0)
        costs.append(steps(connection, lambda: reader.events_page(wanted, 0, 10, 20)))  # noqa: B023  # reason: run at once
        there = SqlReader(connection).events(asked)
        found, beyond = reader.events_page(replace(asked, caller="ada lovelace"), 0, 10, 20)
        assert ([each for _, each in found], beyond) == ([each for _, each in there], 0)
    assert costs[1] < costs[0] * 1.2
    assert any(way in each for each in reader.noted), reader.noted
    assert not [each for each in reader.noted if each.startswith("SCAN events")]


@pytest.mark.parametrize("words", [{"caller": "nobody"}, {"correlation_id": "none"}])
def test_a_search_ends_where_its_time_begins(connection: Connection, words: Any) -> None:
    """What lies before cannot be meant, however much of it there is."""
    for number in range(200):
        at = NOW + (HOUR if number >= 150 else timedelta())
        record(connection, an_event(f"e{number}", an_id("web-1"), at))
    reader, after, pages = SqlReader(connection), 0, 0
    while not pages or after:
        wanted = EventFilter(GROUP, since=NOW + HOUR, **words)
        found, after = reader.events_page(wanted, after, 10, 20)
        pages += 1
        assert not found
    assert pages == 3, "fifty, by twenty"


@pytest.mark.parametrize(
    "damaged", ["'{'", "'5'", "''", "x'ff'", "7", "'[NaN]'", "'{\"actor\": 5}'"]
)
@pytest.mark.parametrize(
    "asked", [EventFilter(caller="ADA LOVELACE"), EventFilter(correlation_id="Correlation")]
)
@pytest.mark.parametrize("kinds", [(), ("GrantCreated",)])
def test_a_damaged_event_keeps_no_other_from_being_searched_for(
    connection: Connection, damaged: str, asked: EventFilter, kinds: tuple[str, ...]
) -> None:
    """The database itself cannot look into what is no JSON."""
    for number in range(3):
        record(connection, an_event(f"e{number}"))
    connection.exec_driver_sql(f"UPDATE events SET record = {damaged} WHERE sequence = 2")  # noqa: S608  # reason: ours
    wanted = replace(asked, kinds=kinds)
    found, beyond = SqlReader(connection).events_page(wanted, 0, 10, 20)
    assert ([event.id for _, event in found], beyond) == (["e2", "e0"], 0)
    assert [event.id for _, event in SqlReader(connection).events(wanted)] == ["e2", "e0"]


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
        record(connection, an_event(at=NOW + timedelta(seconds=number)))
    connection.exec_driver_sql("UPDATE events SET record = '{' WHERE sequence IN (3, 5, 6)")
    found = SqlReader(connection).activity(ActivityFilter(), None, 2)
    assert [sequence for sequence, _ in found] == [4, 2]
    last = (found[-1][1].at, found[-1][0])
    assert [each for each, _ in SqlReader(connection).activity(ActivityFilter(), last, 2)] == [1]


def test_an_event_of_a_newer_program_is_listed_as_it_was_recorded(connection: Connection) -> None:
    """EDGES F2: a kind that is unknown here is no damage."""
    probe = Unknown("ProbeMoved", {"probe": "p", "machines": ["a"]})
    record(connection, an_event(fact=probe))
    ((_, event),) = SqlReader(connection).activity(ActivityFilter(), None, 2)
    assert event.fact == probe
    ((_, named),) = SqlReader(connection).events(EventFilter(kinds=("ProbeMoved",)))
    assert named.record() == event.record()
    (counted,) = SqlReader(connection).activity_by_day(ActivityFilter())
    assert counted[1] == "ProbeMoved"
