"""Databases of each earlier revision, brought up to date with what they held."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import ASSIGNMENT_WRITE
from bascule.domain.chain import ChainHead, link_after
from bascule.domain.roles import NO_RIGHTS
from bascule.domain.scopes import subscription_scope
from bascule.identity.authenticate import find_principal, name_of_proof
from bascule.identity.secrets import sha256_hex
from bascule.interfaces import EventFilter, Reader
from bascule.services.rights import rights_of
from bascule.store import open as opening
from bascule.store import tables as t
from bascule.store.columns import to_microseconds
from bascule.store.connections import connect
from bascule.store.open import open_store
from bascule.testing.store_contract.samples import SUBSCRIPTION, an_event


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


def test_an_administrator_of_before_roles_still_signs_in_and_is_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever could do everything could; a client that was switched off stays so."""
    path = tmp_path / "bascule.db"
    made_at(path, "0002", monkeypatch)
    client, disabled = (f"0000000{n}-0000-4000-8000-000000000000" for n in "ab")
    at = to_microseconds(datetime(2030, 1, 1, tzinfo=UTC))
    with connect(path) as raw:
        raw.execute(
            text("INSERT INTO installation VALUES (1, 'tenant', :whole, 'local', :at)"),
            {"whole": SUBSCRIPTION, "at": at},
        )
        for client_id, is_enabled in ((client, True), (disabled, False)):
            raw.execute(
                text(
                    "INSERT INTO credentials (client_key, client_id, secret_hash, display_name, "
                    "is_enabled) VALUES (:id, :id, :hash, 'administrator', :enabled)"
                ),
                {"id": client_id, "hash": sha256_hex("secret"), "enabled": is_enabled},
            )
    store = open_store(path)
    now = datetime(2030, 1, 2, tzinfo=UTC)
    whole = subscription_scope(SUBSCRIPTION)

    def look(reader: Reader) -> None:
        principal = find_principal(reader, PrincipalKind.SERVICE, client, now)
        assert principal is not None
        assert principal.name == "administrator"
        assert name_of_proof(sha256_hex("secret")) in principal.proofs
        assert rights_of(reader, client, now).may(ASSIGNMENT_WRITE, whole)
        assert find_principal(reader, PrincipalKind.SERVICE, disabled, now) is None
        assert rights_of(reader, disabled, now) == NO_RIGHTS

    async def run() -> None:
        await store.read(look)

    asyncio.run(run())
    store.close()
