"""Statements that run again are the driver's, and say the same as SQLAlchemy's first run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    select,
    tuple_,
    update,
)

from bascule.store import prepared
from bascule.store.columns import Instant, Json, Span
from bascule.store.connections import SQLITE, connect
from bascule.store.rows import Rows
from tests.unit.services_world import SetClock

NOW = SetClock().now()
things = Table(
    "things",
    MetaData(),
    Column("name", String, primary_key=True),
    Column("number", Integer),
    Column("at", Instant),
    Column("long", Span),
    Column("more", Json),
)
made_here = Table(
    "made_here",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("n", String, default="x"),
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    opened = connect(None)
    for table in (things, made_here):
        table.create(opened)
    yield opened
    opened.close()


@pytest.fixture
def rows(connection: Connection) -> Rows:
    made = Rows(connection)
    add = things.insert()
    for n in range(3):
        made._run(
            add,
            {"name": f"t{n}", "number": n, "at": NOW, "long": timedelta(n), "more": {"n": [n]}},
        )
    return made


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ran without SQLAlchemy."""
    seen: list[str] = []
    real = prepared.on_driver

    def noted(driver: Any, text: str, values: Any, *, is_many: bool) -> Any:
        seen.append(text)
        return real(driver, text, values, is_many=is_many)

    monkeypatch.setattr(prepared, "on_driver", noted)
    return seen


def test_rows_are_the_same_at_each_run(rows: Rows, driven: list[str]) -> None:
    every = select(things).order_by(things.c.name)
    first, second, third = (rows._all(every) for _ in range(3))
    assert list(map(tuple, first)) == list(map(tuple, second)) == list(map(tuple, third))
    assert (second[1].name, second[1].at, second[1].long) == ("t1", NOW, timedelta(1))
    assert second[1].more == {"n": [1]}
    assert len(driven) == 2, "all but the first"


def test_lists_of_any_length(rows: Rows, driven: list[str]) -> None:
    """Two of them, and a value of the statement's own between."""
    wanted = (
        select(things.c.name)
        .where(
            things.c.name.in_(bindparam("names", expanding=True)),
            things.c.number < 2,
            things.c.number.in_(bindparam("numbers", expanding=True)),
        )
        .order_by(things.c.name)
    )

    def found(names: list[str], numbers: list[int]) -> list[str]:
        return [row.name for row in rows._all(wanted, {"names": names, "numbers": numbers})]

    del driven[:]
    for _ in range(2):
        assert found(["t0", "t1", "t2"], [2, 1, 0]) == ["t0", "t1"]
        assert found(["t0", "t1"], [1]) == ["t1"]
        assert found(["t1"], [0, 1]) == ["t1"]
        assert found([], [0, 1]) == []
        assert found(["t2", "t0"], [0]) == ["t0"]
    assert len(driven) == 9, "all but the first"


def test_a_value_is_not_kept_from_run_to_run(rows: Rows) -> None:
    change = (
        update(things)
        .where(things.c.name == bindparam("here"))
        .values({"number": bindparam("number")})
    )
    assert [rows._run(change, {"here": f"t{n}", "number": 10 + n}) for n in range(3)] == [1, 1, 1]
    assert rows._run(change, {"here": "nobody", "number": 1}) == 0
    assert [row.number for row in rows._all(select(things.c.number))] == [10, 11, 12]


def test_many_rows_and_fewer_columns(rows: Rows) -> None:
    add = things.insert()
    for start in (10, 20, 30):
        many = [{"name": f"t{start + n}", "at": NOW} for n in range(2)]
        assert rows._run(add, many) == 2
        rows._run(add, {"name": f"t{start + 5}", "number": start})
    found = rows._all(select(things.c.number, things.c.at).where(things.c.name == "t31"))
    assert [tuple(row) for row in found] == [(None, NOW)]
    found = rows._all(select(things.c.number, things.c.at).where(things.c.name == "t35"))
    assert [tuple(row) for row in found] == [(30, None)]


def test_a_row_that_cannot_be_read_stops_no_other(rows: Rows, connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE things SET more = 'no json' WHERE name = 't1'")
    every = select(things).order_by(things.c.name)
    for _ in range(3):
        made, wrong = rows._readable(every, None, lambda row: row.name)
        assert (made, len(wrong)) == (["t0", "t2"], 1)


@pytest.mark.parametrize("run", range(3))
def test_what_sqlalchemy_must_do_itself(rows: Rows, driven: list[str], run: int) -> None:
    """Values that Python makes, and lists of pairs."""
    del driven[:]
    add, pair = made_here.insert(), tuple_(things.c.name, things.c.number)
    pairs = select(things.c.name).where(pair.in_(bindparam("pairs", expanding=True)))
    for number in range(run + 1):
        rows._run(add, {"id": number})
        assert [row.name for row in rows._all(pairs, {"pairs": [("t1", 1), ("t2", 1)]})] == ["t1"]
    assert {row.n for row in rows._all(select(made_here))} == {"x"}
    assert driven == []


def test_nothing_is_kept_of_a_statement_that_is_gone() -> None:
    once = select(things.c.name).where(things.c.name.in_(bindparam("names", expanding=True)))
    forms = [SQLITE.forms.of(once, {"names": ["t1"]}) for _ in range(3)]
    assert forms[0] is None
    assert forms[1] is forms[2] is not None
    gone = weakref.ref(once)
    del once
    gc.collect()
    assert gone() is None
