"""Databases of each earlier revision, brought up to date with what they held."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Connection, column, insert, table, text

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import ASSIGNMENT_WRITE
from bascule.domain.chain import ChainHead, link_after
from bascule.domain.events import GrantEnded, GrantOpened, fact_name
from bascule.domain.exposure import SpanKind, hour_of
from bascule.domain.grant import Grant, GrantState, StatusReason, confirm_open, end
from bascule.domain.machine import ClosedPort, EnforcementPoint
from bascule.domain.roles import NO_RIGHTS
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.identity.authenticate import find_principal, name_of_proof
from bascule.identity.secrets import sha256_hex
from bascule.interfaces import EventFilter, Installation, Reader
from bascule.interfaces.activity import ActivityFilter
from bascule.interfaces.listing import ListedMachine, ListFilter
from bascule.interfaces.plans import HeldRules
from bascule.services.rights import rights_of
from bascule.store import grants
from bascule.store import open as opening
from bascule.store import tables as t
from bascule.store.columns import to_microseconds
from bascule.store.connections import connect
from bascule.store.open import open_store
from bascule.store.transaction import SqlTransaction
from bascule.testing.store_contract.plans import SSH
from bascule.testing.store_contract.samples import (
    HOUR,
    NOW,
    SUBSCRIPTION,
    a_grant,
    a_machine,
    a_point,
    a_request,
    an_event,
    an_id,
)


def made_at(path: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database as the program of that revision made it."""
    with monkeypatch.context() as older:
        older.setattr(opening, "REVISION", revision)
        open_store(path).close()


def add_old_point(raw: Connection, point: EnforcementPoint) -> None:
    """An enforcement point as it was stored before 0023."""
    kept = {
        "machine_uid": point.machine_uid,
        "public_key": point.public_key,
        "enrolled_at": point.enrolled_at,
        "observed_generation": point.observed_generation,
        "agent_version": point.agent_version,
        "weaknesses": list(point.weaknesses),
        "blocked_attempts": point.blocked_attempts,
        "facts": dict(point.facts),
    }
    raw.execute(insert(t.agents).values(**kept))


def add_old_grant(raw: Connection, grant: Grant, *, is_cut: bool = False) -> None:
    """A grant as it was stored before 0021."""
    flag = column("is_cut", Boolean)
    older = table("grants", *(column(c.name, c.type) for c in t.grants.c), flag)
    values = {
        **grants._movable(grant),
        "id": grant.id,
        "request_id": grant.request_id,
        "policy_id": str(grant.policy_id),
        "machine_uid": grant.machine_uid,
        "machine_id": str(grant.machine_id),
        "requestor_id": grant.requestor_id,
        "requestor": grant.requestor,
        "number": grant.number,
        "protocol": grant.protocol,
        "sources": [str(each) for each in grant.sources],
        "started_at": grant.started_at,
        "is_source_list": False,
        "previous_state": None,
        "is_cut": is_cut,
    }
    raw.execute(insert(older).values(**values))


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


def test_lists_of_machines_know_what_happened_before_they_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was last let in and when, how many requests, and all that the tabs depend on."""
    path = tmp_path / "bascule.db"
    made_at(path, "0013", monkeypatch)
    at = to_microseconds(NOW)
    with connect(path) as raw:
        for uid, tags in (("web-1", "{}"), ("db-1", '{"bascule-managed": "false"}')):
            where = str(an_id(uid))
            raw.execute(
                text(
                    "INSERT INTO machines (uid, id_key, id, group_key, location, os_type, "
                    "addresses, tags, created_at) VALUES (:uid, :key, :id, 'default', 'local', "
                    "'Linux', '[]', :tags, :at)"
                ),
                {"uid": uid, "key": where.casefold(), "id": where, "tags": tags, "at": at},
            )
        raw.execute(
            text(
                "INSERT INTO agents VALUES ('web-1', 'key', :at, 1, NULL, '1', NULL, NULL, '[]', "
                "0, '{}')"
            ),
            {"at": at},
        )
        raw.execute(text("INSERT INTO machine_generations VALUES ('web-1', 2)"))
        raw.execute(text("INSERT INTO closed_ports VALUES ('web-1', 'TCP', 22, 'keep', 0)"))
        asked = [("r1", "g1", "ada"), ("r1", "g2", "ada"), ("r2", "g3", "bob")]
        for request_id in ("r1", "r2"):
            raw.execute(
                insert(t.requests).values(
                    id=request_id,
                    policy_key="p",
                    policy_id="p",
                    requestor_id="x",
                    requestor="X",
                    started_at=NOW,
                    machines=[],
                )
            )
        for request_id, grant_id, who in asked:
            grant = replace(a_grant(grant_id, request_id), requestor=who, requestor_id=f"{who}-id")
            add_old_grant(raw, replace(grant, machine_uid="web-1", number=22))
        for number, grant_id in enumerate(("g3", "g1")):
            event = an_event(
                f"e{number}", at=NOW + number * HOUR, fact=GrantOpened(grant_id, "r", "web-1")
            )
            raw.execute(
                insert(t.events).values(
                    id=event.id,
                    at=event.at,
                    kind="GrantOpened",
                    principal_id="",
                    resource_key="",
                    record=event.record(),
                )
            )

    store = open_store(path)

    async def run() -> Sequence[ListedMachine]:
        return await store.read(lambda reader: reader.listed_machines(ListFilter()))

    db, web = asyncio.run(run())
    store.close()
    assert (web.traits, db.traits) == (16 | 8, 0)
    assert (web.is_shut, web.is_behind, db.is_shut, db.is_behind) == (True, True, False, False)
    assert (web.recent_requests, web.last_access_at) == (2, NOW + HOUR)
    assert (web.last_user, web.last_user_id) == ("ada", "ada-id")
    assert (db.recent_requests, db.last_access_at, db.last_user) == (0, None, "")


def test_exposure_is_told_from_what_points_held_before_there_was_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shut since it was reported so, open since its event; numbers and hours begin with both."""
    path = tmp_path / "bascule.db"
    made_at(path, "0014", monkeypatch)
    web, bare = a_machine("web-1"), a_machine("old-1")
    opened, later = NOW + HOUR / 2, NOW + HOUR
    with connect(path) as raw:
        tx = SqlTransaction(raw)
        tx.create_installation(Installation("tenant", SUBSCRIPTION, "local", NOW))
        for machine in (web, bare):
            tx.put_machine(machine)
        add_old_point(raw, a_point())
        tx.put_held_rules(HeldRules(web.uid, 7, NOW, frozenset({ClosedPort(SSH)})))
        tx.add_request(a_request())
        add_old_grant(raw, replace(a_grant(), number=22))
        grant = confirm_open(replace(a_grant(), number=22))
        tx.update_grant(grant, GrantState.OPENING)
        for at, name in ((later, "another"), (opened, grant.id)):
            fact = GrantOpened(name, grant.request_id, str(web.id))
            tx.record(replace(an_event(name), at=at, resource_id=str(web.id), fact=fact))
    store = open_store(path)

    def look(reader: Reader) -> None:
        assert reader.exposure_since() == later
        (shut, some) = sorted(reader.current_spans(web.uid), key=lambda each: each.began_at)
        assert (shut.kind, shut.port, shut.began_at) == (SpanKind.SHUT, SSH, NOW)
        assert (some.kind, some.port, some.began_at) == (SpanKind.OPEN, SSH, opened)
        assert some.ends_by == grant.ends_at
        (told,) = reader.current_openings(web.uid)
        assert (told.id, told.opened_at, told.sources) == (grant.id, opened, grant.sources)
        (nothing,) = reader.current_spans(bare.uid)
        assert (nothing.kind, nothing.began_at) == (SpanKind.BARE, bare.created_at)
        whole = subscription_scope(SUBSCRIPTION).key
        wanted = {SpanKind.SHUT: 1, SpanKind.OPEN: 1, SpanKind.BARE: 1, SpanKind.KNOWN: 2}
        for scope in (whole, group_scope(SUBSCRIPTION, "default").key):
            assert reader.exposure_counts([scope]) == wanted
            (step,) = reader.exposure_steps([scope], hour_of(NOW), later)[SpanKind.OPEN]
            assert (step.change, step.moment) == (1, opened - hour_of(opened))

    async def run() -> None:
        await store.read(look)

    asyncio.run(run())
    store.close()


def test_events_of_before_are_found_and_counted_by_what_the_activity_log_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed ones are in the kept counts, ends are told apart by their reasons."""
    path = tmp_path / "bascule.db"
    made_at(path, "0015", monkeypatch)
    ended = GrantEnded("g", "r", "m", "Expired", "time")
    with connect(path) as raw:
        for number, event in enumerate(
            (an_event("a", fact=ended), an_event("b"), an_event("c", fact=ended)), 1
        ):
            row = {
                "id": event.id,
                "at": event.at,
                "kind": fact_name(event.fact),
                "principal_id": "ada",
                "resource_key": f"/subscriptions/{SUBSCRIPTION}/resourcegroups/default/x",
            }
            raw.execute(insert(t.events).values(**row, record=event.record()))
            if number < 3:  # the last is not sealed yet
                seal = {"position": number, "sequence": number, "hash": f"{number:064d}"}
                raw.execute(insert(t.event_seals).values(**seal))
    store = open_store(path)
    day = NOW.replace(hour=0, minute=0, second=0, microsecond=0)

    def look(reader: Reader) -> None:
        expired = ActivityFilter(sorts=("GrantEnded.Expired",))
        assert [event.id for _, event in reader.activity(expired)] == ["c", "a"]
        both = {(day, "GrantEnded.Expired"): 2, (day, "GrantCreated"): 1}
        group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/default"
        for wanted in (
            ActivityFilter(),
            ActivityFilter(principal_ids=("ada",)),
            ActivityFilter(resources=(group,)),
        ):
            assert reader.activity_by_day(wanted) == both
        assert len(reader.events(EventFilter(kinds=("GrantEnded",)))) == 2

    async def run() -> None:
        await store.read(look)

    asyncio.run(run())
    store.close()


def test_what_was_being_cut_goes_on_being_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its end, which is all that was kept of the moment."""
    path = tmp_path / "bascule.db"
    made_at(path, "0019", monkeypatch)
    with connect(path) as raw:
        tx = SqlTransaction(raw)
        tx.add_request(a_request())
        for name in ("cut", "plain"):
            add_old_grant(raw, a_grant(name), is_cut=name == "cut")
            ended = end(a_grant(name), StatusReason.USER_REQUESTED, NOW + HOUR)
            tx.update_grant(ended, GrantState.OPENING)
    store = open_store(path)

    def look(reader: Reader) -> None:
        (cut,) = reader.cut_grants(a_grant().machine_uid, NOW + HOUR)
        assert (cut.id, cut.cut_at) == ("cut", NOW + HOUR)
        kept = {each.id: each.cut_at for each in reader.grants_of(["request-1"])}
        assert kept == {"cut": NOW + HOUR, "plain": None}

    async def run() -> None:
        await store.read(look)

    asyncio.run(run())
    store.close()
