"""A database that an earlier program made is upgraded, keeps what it held, and has today's tables.

``tests/upgrades`` holds one file for each revision, made by ``python -m tests.upgrades``
and never changed afterwards.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bascule.domain.chain import ChainHead, link_after
from bascule.domain.lifecycle import GrantState
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader, Store
from bascule.store import tables as t
from bascule.store.connections import connect
from bascule.store.migrations import BASELINE
from bascule.store.open import open_store
from tests.upgrades import FOLDER

SAMPLES = sorted(FOLDER.glob("*.db.gz"))


@pytest.fixture(params=SAMPLES, ids=lambda path: path.name.removesuffix(".db.gz"))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / "bascule.db"
    found.write_bytes(gzip.decompress(request.param.read_bytes()))
    return found


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(path)
    yield opened
    opened.close()


def see(store: Store, work: Callable[[Reader], None]) -> None:
    async def run() -> None:
        await store.read(work)

    asyncio.run(run())


def definitions(connection: Connection) -> dict[str, list[str]]:
    """Every table and index in its parts, spaces made equal, whatever the order of columns and constraints.

    A column that a revision adds stands behind the constraints.
    """
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {
        name: sorted(_parts(re.sub(r"\s+", " ", sql)))
        for name, sql in rows
        if name not in ("alembic_version", "sqlite_sequence")
    }


def _parts(sql: str) -> list[str]:
    """What stands before the outer parentheses, each part between its commas, and what follows."""
    parts, depth = [""], 0
    for letter in sql:
        depth += (letter == "(") - (letter == ")")
        is_outer = (letter == "(" and depth == 1) or (letter == ")" and depth == 0)
        if is_outer or (letter == "," and depth == 1):
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def test_there_is_one_of_the_baseline() -> None:
    assert FOLDER / f"{BASELINE}.db.gz" in SAMPLES


def test_it_has_todays_tables(path: Path, store: Store) -> None:
    """Word for word, CHECKs too, which Alembic's own comparison does not see.

    When this fails, a table was changed: write a revision, then python -m tests.upgrades.
    """
    del store
    with connect(None) as fresh, connect(path) as upgraded:
        t.metadata.create_all(fresh)
        assert definitions(upgraded) == definitions(fresh)


def test_it_keeps_what_it_held(store: Store) -> None:
    def read(reader: Reader) -> None:
        installation, machines = reader.installation(), reader.machines()
        assert installation is not None
        assert [machine.id.name for machine in machines] == ["db-1", "web-1"]
        states = [grant.state for grant in reader.live_grants()]
        assert states == [GrantState.OPEN]
        assert len(reader.requests()) == 2
        assert {point.machine_uid for point in reader.enforcement_points()} == {
            machine.uid for machine in machines
        }
        assert all(reader.closed_ports(machine.uid) for machine in machines)
        assert len(reader.policies()) == 1
        assert reader.service_principals()

    see(store, read)


def test_its_record_still_proves_itself(store: Store) -> None:
    """EDGES F1: what was recorded keeps its names and bytes, so the chain's hashes stay."""

    def read(reader: Reader) -> None:
        head = ChainHead()
        links = reader.chain()
        assert links
        for link in links:
            head = link_after(head, link.record).head
            assert head.hash == link.hash
        assert head == reader.chain_head()
        assert len(reader.events(EventFilter())) == len(links), "each is still read as an event"

    see(store, read)
