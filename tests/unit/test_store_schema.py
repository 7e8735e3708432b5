"""What the database itself holds to: the moves of a grant, the revisions, the indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Executable, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from bascule.domain.lifecycle import (
    GRANT_TRANSITIONS,
    REQUEST_TRANSITIONS,
    REQUEST_UNSETTLED,
    RequestState,
)
from bascule.store import grants, inventory, policies, requests, upgrade
from bascule.store import tables as t
from bascule.store.connections import connect
from bascule.store.migrations import REVISION
from bascule.store.open import open_store
from bascule.store.transaction import SqlTransaction
from tests.contracts.store.samples import NOW, a_grant, a_request

RANDOM_WORDS = {
    "keys": ["k"],
    "uids": ["u"],
    "ids": ["i"],
    "key": "k",
    "wanted": "w",
    "uid": "u",
    "since": NOW,
    "beyond": 0,
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    path = tmp_path / "bascule.db"
    open_store(path).close()
    opened = connect(path)
    yield opened
    opened.close()


def test_the_newest_revision_is_the_one_that_open_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(upgrade._MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_the_database_holds_the_domains_table_of_moves(connection: Connection) -> None:
    """When this fails, the domain's table changed: a new database has it, others need a revision."""
    rows = connection.execute(select(t.grant_transitions))
    assert {(row.from_state, row.to_state) for row in rows} == {
        (str(old), str(new)) for old, new in GRANT_TRANSITIONS
    }


def test_every_name_follows_the_convention_and_fits_postgresql() -> None:
    for table in t.metadata.sorted_tables:
        named = [*table.constraints, *table.indexes]
        for name in (str(each.name) for each in named):  # type: ignore[attr-defined]  # reason: both have one
            assert re.match(r"(pk|fk|uq|ck|ix)_", name), name
            assert len(name) <= 63


def test_every_table_and_index_can_be_said_to_postgresql() -> None:
    for table in t.metadata.sorted_tables:
        CreateTable(table).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]  # reason: SQLAlchemy's
        for index in table.indexes:
            CreateIndex(index).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]  # reason: SQLAlchemy's
    live = next(index for index in t.grants.indexes if index.name == "ix_grants_live")
    said = str(CreateIndex(live).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # reason: SQLAlchemy's
    assert "WHERE state IN ('opening', 'open')" in said


def _prepared(connection: Connection) -> Connection:
    """A grant that is open: opening, then open."""
    tx = SqlTransaction(connection)
    tx.add_request(a_request())
    tx.add_grant(a_grant())
    moved = {"previous_state": "opening", "state": "open"}
    connection.execute(update(t.grants).values(**moved))
    return connection


@pytest.mark.parametrize(
    "illegal",
    [
        {"state": "closed"},
        {"state": "nonsense"},
        {"previous_state": "open", "state": "opening"},
        {"previous_state": "open", "state": "open"},
        {"previous_state": "open", "state": "closed"},
        {"previous_state": "closed", "state": "open"},
        {"previous_state": None},
        {"previous_state": None, "state": "closing"},
    ],
)
def test_a_raw_update_cannot_make_a_move_that_is_not_in_the_table(
    connection: Connection, illegal: dict[str, str | None]
) -> None:
    """Whoever writes: another tool, a later version, a mistake of ours."""
    _prepared(connection)
    with pytest.raises(IntegrityError):
        connection.execute(update(t.grants).values(**illegal))
    state = connection.execute(select(t.grants.c.previous_state, t.grants.c.state)).one()
    assert tuple(state) == ("opening", "open")


def test_a_raw_update_can_make_a_move_that_is(connection: Connection) -> None:
    _prepared(connection)
    connection.execute(update(t.grants).values(previous_state="open", state="closing"))
    assert connection.execute(select(t.grants.c.state)).scalar_one() == "closing"


def test_a_raw_insert_must_begin_opening(connection: Connection) -> None:
    _prepared(connection)
    row = dict(connection.execute(select(t.grants)).one()._mapping)
    del row["sequence"]
    wrong = {**row, "id": "g2", "previous_state": None, "state": "open"}
    with pytest.raises(IntegrityError):
        connection.execute(insert(t.grants).values(**wrong))


def _plan(connection: Connection, statement: Executable, **values: object) -> str:
    compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]  # reason: a select
    rows = connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}".replace(":", r"\:")))
    assert not values
    return "; ".join(row.detail for row in rows)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (inventory._MACHINE, "uq_machines_id_key"),
        (policies._NAMING, "ix_policy_machines_machine_key_policy_key"),
        (policies._PORTS, "sqlite_autoindex_policy_ports_1"),
        (requests._REQUEST, "sqlite_autoindex_requests_1"),
        (grants._ALL_LIVE, "ix_grants_live"),
        (grants._LIVE, "ix_grants_machine_uid_state"),
        (grants._OF_REQUESTS, "ix_grants_request_id"),
        (grants._CUT_OF, "ix_grants_cut (machine_uid=? AND cut_at>?)"),
    ],
)
def test_what_is_asked_often_is_looked_up_not_searched(
    connection: Connection, statement: Executable, index: str
) -> None:
    said = _plan(connection, statement.params(RANDOM_WORDS))  # type: ignore[attr-defined]  # reason: a select
    if index.startswith("uq_"):
        index = "sqlite_autoindex_machines"
    assert index in said
    assert "SCAN policies" not in said


@pytest.mark.parametrize(
    ("states", "index"),
    [
        (REQUEST_UNSETTLED, "ix_requests_unsettled"),
        ([RequestState.REFUSED], "ix_requests_refused"),
    ],
)
def test_few_requests_are_found_without_reading_the_others(
    connection: Connection, states: Sequence[RequestState], index: str
) -> None:
    """Pages list them beside a quarter of a million that are over."""
    newest = (t.requests.c.started_at.desc(), t.requests.c.id.desc())
    some = select(t.requests).where(t.is_request_in_state(states)).order_by(*newest).limit(400)
    assert f"USING INDEX {index}" in _plan(connection, some)
    assert "TEMP B-TREE" not in _plan(connection, some)


@pytest.mark.parametrize(
    "illegal",
    [
        {"previous_state": None, "state": "open"},
        {"previous_state": "closed", "state": "open"},
        {"previous_state": "refused", "state": "opening"},
        {"previous_state": "opening", "state": "refused"},
        {"state": "nonsense"},
    ],
)
def test_a_raw_update_cannot_move_a_request_against_the_table(
    connection: Connection, illegal: dict[str, str | None]
) -> None:
    _prepared(connection)
    with pytest.raises(IntegrityError):
        connection.execute(update(t.requests).values(**illegal))


def test_the_database_holds_the_moves_of_requests(connection: Connection) -> None:
    rows = connection.execute(select(t.request_transitions))
    assert {(row.from_state, row.to_state) for row in rows} == {
        (str(old), str(new)) for old, new in REQUEST_TRANSITIONS
    }
