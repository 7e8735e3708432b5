"""Databases of each earlier revision, brought up to date with what they held."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert

from bascule.domain.chain import ChainHead, link_after
from bascule.interfaces import EventFilter, Reader
from bascule.store import open as opening
from bascule.store import tables as t
from bascule.store.connections import connect
from bascule.store.open import open_store
from bascule.testing.store_contract.samples import an_event


def made_at(path: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database as the program of that revision made it."""
    with monkeypatch.context() as older:
        older.setattr(opening, "REVISION", revision)
        open_store(path).close()


def test_events_of_before_the_chain_are_sealed_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bascule.db"
    made_at(path, "0001", monkeypatch)
    event = an_event("old")
    with connect(path) as raw:
        row = {"id": event.id, "at": event.at, "kind": "GrantCreated", "principal_id": "ada"}
        raw.execute(insert(t.events).values(**row, resource_key="", record=event.record()))

    store = open_store(path)

    def look(reader: Reader) -> tuple[list[str], list[str], ChainHead]:
        told = [each.id for _, each in reader.events(EventFilter())]
        waiting = [link_after(ChainHead(), record).hash for _, record in reader.unsealed()]
        return told, waiting, reader.chain_head()

    async def run() -> tuple[list[str], list[str], ChainHead]:
        return await store.read(look)

    told, waiting, head = asyncio.run(run())
    store.close()
    assert told == ["old"]
    assert waiting == [link_after(ChainHead(), event.record()).hash]
    assert head == ChainHead()
