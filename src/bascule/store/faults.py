"""What is wrong with a database, as its tables and rows say: for ``bascule admin database check``.

It only reads, and names a few rows of each fault. What is not here: the chain, which
``services.record`` verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    Row,
    Select,
    Table,
    and_,
    func,
    inspect,
    select,
    text,
)

from bascule.domain.event import has_form
from bascule.store import tables as t
from bascule.store.delivery import progress_of_row, sink_of_row
from bascule.store.engine import engine_of
from bascule.store.exposure import opening_of_row, span_of_row
from bascule.store.fleet import binding_of_row, point_of_row
from bascule.store.grants import grant_of_row
from bascule.store.inventory import machine_of_row
from bascule.store.plans import held_of_row, setting_of_row
from bascule.store.policies import port_rule_of_row
from bascule.store.principals import credential_of_row
from bascule.store.public_ports import claim_of_row
from bascule.store.record import RAW, event_of, record_of
from bascule.store.requests import request_of_row
from bascule.store.roles import assignment_of_row, role_of_row
from bascule.store.rows import UNREADABLE, raise_translated
from bascule.store.tokens import family_of_row
from bascule.store.whole import OnRows, highest_given, next_given, numbered

MOST_NAMED = 5  # rows of one fault
_STEP = 5000  # rows between two words about progress

Read = Callable[[Row[Any]], object]


def _span(row: Row[Any]) -> object:
    return opening_of_row(row) if row.kind == t.exposure.OPENING else span_of_row(row)


def _event(row: Row[Any]) -> object:
    record = record_of(row.raw)
    if not has_form(record):
        raise ValueError("it is no event")
    return event_of(record)


# What else the program makes of a row than its columns, by table.
_READERS: Mapping[Table, Read] = {
    t.machines: machine_of_row,
    t.policy_ports: port_rule_of_row,
    t.requests: request_of_row,
    t.grants: grant_of_row,
    t.agents: point_of_row,
    t.bindings: binding_of_row,
    t.events: _event,
    t.exposure.spans: _span,
    t.access.credentials: credential_of_row,
    t.access.role_definitions: role_of_row,
    t.access.role_assignments: assignment_of_row,
    t.delivery.sinks: sink_of_row,
    t.delivery.sink_progress: progress_of_row,
    t.plans.plans: setting_of_row,
    t.plans.held_rules: held_of_row,
    t.public_ports.public_ports: claim_of_row,
    t.tokens.token_families: family_of_row,
}


def faults_of_file(connection: Connection) -> Iterator[str]:
    """What the engine itself finds; PostgreSQL keeps no such promise to ask for."""
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.execute(text(f"PRAGMA integrity_check({MOST_NAMED})")):
        if said != "ok":
            yield f"SQLite finds the file damaged: {said}."


def faults_of_columns(connection: Connection) -> Iterator[str]:
    """Tables and columns that this program needs and that are not there."""
    found = inspect(connection)
    there = set(found.get_table_names())
    for table in t.metadata.sorted_tables:
        if table.name not in there:
            yield f"The table {table.name} is missing."
            continue
        columns = {each["name"] for each in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                yield f"The column {column.name} of the table {table.name} is missing."


def faults_of_table(connection: Connection, table: Table, on_rows: OnRows) -> Iterator[str]:
    """Rows that refer to nothing, rows that the program cannot read, and numbers given twice."""
    yield from _dangling(connection, table)
    yield from _unreadable(connection, table, on_rows)
    column = numbered(table)
    if column is None:
        return
    highest = connection.execute(select(func.max(column))).scalar_one() or 0
    if next_given(connection, table, column) <= highest:
        yield (
            f"The next row of {table.name} would get a number that was given before: its numbers "
            f"go up to {highest_given(connection, table, column)}."
        )


def _dangling(connection: Connection, table: Table) -> Iterator[str]:
    for constraint in table.constraints:
        if not isinstance(constraint, ForeignKeyConstraint):
            continue
        parent = constraint.referred_table.alias()
        pairs = [(each.parent, parent.c[each.column.name]) for each in constraint.elements]
        # As SQL has it: a row with a null in the key refers to nothing, and may.
        there = select(parent).where(and_(*(own == other for own, other in pairs))).exists()
        refers = and_(*(own.is_not(None) for own, _ in pairs))
        asked = select(func.count()).select_from(table).where(refers, ~there)
        count = connection.execute(asked).scalar_one()
        if count:
            rows = "row refers" if count == 1 else "rows refer"
            yield f"{count} {rows} from {table.name} to a missing row of {constraint.referred_table.name}."


def _wanted(table: Table) -> Select[Any]:
    if table is t.events:
        return select(t.events.c.sequence, RAW)
    if table is t.plans.held_rules:
        return select(*(each.label(f"held_{each.name}") for each in table.columns))
    return select(table)


def _unreadable(connection: Connection, table: Table, on_rows: OnRows) -> Iterator[str]:
    """Row by row: fetched together, one column that cannot be read would fail them all."""
    read = _READERS.get(table, _as_it_is)
    wrong, done, named = 0, 0, list[str]()
    engine = engine_of(connection)
    try:
        found = connection.execute(_wanted(table).execution_options(yield_per=1000))
        while True:
            done += 1
            try:
                if (row := found.fetchone()) is None:
                    break
                read(row)
            except UNREADABLE as error:
                wrong += 1
                if len(named) < MOST_NAMED:
                    named.append(f"row {done}: {_said(error)}")
            if done % _STEP == 0:
                on_rows(done)
    except engine.failures as error:
        raise_translated(engine, error, "read")
    on_rows(done - 1)
    if wrong:
        yield f"{wrong} of {table.name} cannot be read ({'; '.join(named)})."


def _as_it_is(row: Row[Any]) -> object:
    return row


def _said(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
