"""One grant that cannot be read, after somebody wrote into the database, stops no other.

It is left out of every list and so is leased no more: its own port shuts, and that is all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.interfaces.openings import OpenFilter
from bascule.interfaces.store import Reader, Store, Transaction
from bascule.services import fleet, live_requests
from bascule.services.losses import end_unheld
from bascule.services.sweep import next_due, sweep
from bascule.store.open import open_store
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_request,
)
from tests.unit.services_world import ANNA, World, rules

NONSENSE = "UPDATE grants SET on_expiry = 'nonsense' WHERE id = :id"


def damage(store: Any, grant_id: str, statement: str = NONSENSE) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text(statement), {"id": grant_id})

    store._writer.submit(work).result()


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = open_store(None if request.param == "memory" else tmp_path / "bascule.db")
    yield made
    made.close()


def _read(store: Store, work: Callable[[Reader], Any]) -> Any:
    async def run() -> Any:
        return await store.read(work)

    return asyncio.run(run())


def _fill(store: Store, state: GrantState, *ids: str) -> None:
    def work(tx: Transaction) -> None:
        tx.put_machine(a_machine())
        if state is GrantState.CLOSING:
            tx.advance_generation("uid-web-1")
        else:
            tx.put_enforcement_point(a_point())
        tx.add_request(a_request())
        for each in ids:
            tx.add_grant(a_grant(each))
        for each in ids:
            if state is not GrantState.OPENING:
                tx.update_grant(replace(a_grant(each), state=state), GrantState.OPENING)
            tx.mark_cut(each, NOW)

    async def run() -> None:
        await store.write(work)

    asyncio.run(run())


def unsettled(reader: Reader) -> Sequence[Grant]:
    found = reader.settling("uid-web-1")
    assert found is not None
    return found.unsettled


LISTS: dict[str, tuple[GrantState, Callable[[Reader], Sequence[Grant]]]] = {
    "all that live": (GrantState.OPEN, lambda r: r.live_grants()),
    "of machines": (GrantState.OPEN, lambda r: r.live_grants(["uid-web-1"])),
    "of somebody": (GrantState.OPEN, lambda r: r.live_grants_of([a_grant().requestor_id])),
    "unsettled": (GrantState.OPENING, lambda r: r.unsettled_grants("uid-web-1")),
    "unsettled, to be settled": (GrantState.OPENING, unsettled),
    "unsettled of machines": (GrantState.OPEN, lambda r: r.unsettled_grants_at(["uid-web-1"])),
    "in force": (GrantState.OPEN, lambda r: r.grants_in_force(["uid-web-1"])),
    "orphaned": (GrantState.CLOSING, lambda r: r.orphaned_grants()),
    "cut": (GrantState.OPEN, lambda r: r.cut_grants("uid-web-1", NOW)),
    "of a request": (GrantState.OPEN, lambda r: r.grants_of(["request-1"])),
    "open now": (
        GrantState.OPEN,
        lambda r: [grant for _, grant in r.open_grants(OpenFilter())],
    ),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "statement",
    [
        NONSENSE,
        "UPDATE grants SET sources = 'no JSON' WHERE id = :id",
        "UPDATE grants SET machine_id = 'x' WHERE id = :id",
        "UPDATE grants SET started_at = 'noon' WHERE id = :id",
    ],
)
def test_a_list_goes_on_without_it(store: Store, name: str, statement: str) -> None:
    """Whether a column itself cannot be read, or what it says."""
    state, read = LISTS[name]
    _fill(store, state, "first", "damaged", "last")
    damage(store, "damaged", statement)
    assert [grant.id for grant in _read(store, read)] == ["first", "last"]


def test_a_page_is_filled_all_the_same(store: Store) -> None:
    """One that ends early is taken for the last."""
    _fill(store, GrantState.OPEN, "1", "2", "3", "4", "5", "6")
    for each in ("1", "2", "5"):
        damage(store, each)

    def page(limit: int) -> list[str]:
        return [
            grant.id
            for _, grant in _read(store, lambda r: r.open_grants(OpenFilter(), None, limit))
        ]

    assert [page(limit) for limit in (1, 2, 3, 6)] == [
        ["3"],
        ["3", "4"],
        ["3", "4", "6"],
        ["3", "4", "6"],
    ]


def test_it_is_said_once_and_by_its_name(store: Store, tmp_path: Path) -> None:
    """Lists are read at every sweep and call: the log would be full of it."""
    name = str(tmp_path)  # no other test's
    _fill(store, GrantState.OPEN, "first", name)
    damage(store, name)
    with capture_logs() as lines:
        for _ in range(3):
            _read(store, lambda r: r.live_grants())
    (line,) = lines
    assert (line["log_level"], line["grant"]) == ("error", name)
    assert "nonsense" in line["why"]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def grants(world: World) -> tuple[Grant, Grant]:
    """A damaged one and a whole one, both open on web-1."""
    world.put(rules(world.web, 22))
    damaged, whole = (world.granted(world.web, source=f"192.0.2.{n}") for n in (1, 2))
    world.report(world.web, damaged.id, whole.id)
    damage(world.store, damaged.id)
    return damaged, whole


def _leased(world: World) -> list[str]:
    _, state = world.see(lambda tx: fleet.state_for(tx, world.web.uid, world.clock.wall))
    return [lease.grant_id for lease in state.leases]


def test_its_machine_hears_of_every_other(world: World, grants: tuple[Grant, Grant]) -> None:
    """What is damaged is leased no more, and a revocation reaches the host."""
    _, whole = grants
    assert _leased(world) == [whole.id]
    world.report(world.web, whole.id)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, whole.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    assert _leased(world) == []
    world.report(world.web)
    assert world.grant(whole).state is GrantState.CLOSED


def test_the_sweep_ends_the_others(world: World, grants: tuple[Grant, Grant]) -> None:
    _, whole = grants
    assert world.see(lambda tx: next_due(tx, world.clock.wall)) == whole.ends_at
    world.clock.pass_time(600)
    assert world.do(sweep) == 1
    assert world.grant(whole).reason is StatusReason.EXPIRED


def test_its_machines_policies_are_narrowed(world: World, grants: tuple[Grant, Grant]) -> None:
    _, whole = grants
    world.put(rules(world.web, 22, longest=timedelta(minutes=5)))
    assert world.grant(whole).ends_at == whole.started_at + timedelta(minutes=5)
    world.put(rules(world.web, 3389))
    assert not world.grant(whole).is_live


def test_its_requestor_is_disabled(world: World, grants: tuple[Grant, Grant]) -> None:
    def disable(tx: Transaction, act: object) -> None:
        known = tx.service_principal(ANNA.principal_id)
        assert known is not None
        tx.put_service_principal(replace(known, is_enabled=False))

    world.do(disable)
    _, whole = grants
    for whose in ([ANNA.principal_id], None):
        world.do(partial(end_unheld, principal_ids=whose, cause="disabling"))
        assert not world.grant(whole).is_live
