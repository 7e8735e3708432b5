"""What lists of machines keep follows the use cases: who was let in, who fell silent, what is old."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bascule.domain.classify import MachineState
from bascule.domain.lifecycle import NOT_CONFIRMED
from bascule.domain.machine import ClosedPort
from bascule.domain.machine_access import AccessState
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.pricing import Tier
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.interfaces.listing import ListFilter
from bascule.services.listing import MachineRow, count_tabs, list_machines
from bascule.services.machines import delete_machine
from bascule.services.plans import put_plan
from bascule.services.sweep import forget_old_requests, note_silence
from bascule.services.views import view_request
from bascule.services.watch import _recent_round
from tests.unit.services_world import World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22))
    yield made
    made.close()


def names(world: World, tab: MachineState | None = None, **more: object) -> list[str]:
    wanted = ListFilter(**more)  # type: ignore[arg-type]  # reason: passed through
    now = world.clock.now()
    rows = world.see(lambda reader: list_machines(reader, wanted, tab, now))
    return [row.machine.id.name for row in rows]


def row(world: World) -> MachineRow:
    now = world.clock.now()
    rows = world.see(lambda reader: list_machines(reader, ListFilter(), None, now))
    return next(each for each in rows if each.listed.machine.uid == world.web.uid)


def test_who_is_let_in_is_kept_when_the_port_is_read_back_open(world: World) -> None:
    grant = world.granted(world.web)
    assert row(world).listed.last_access_at is None  # decided, not open
    assert row(world).listed.recent_requests == 1
    world.clock.pass_time(3)
    world.report(world.web, grant.id)
    seen = row(world)
    assert seen.listed.last_access_at == world.clock.now()
    assert (seen.listed.last_user, seen.listed.last_user_id) == ("anna", grant.requestor_id)
    assert seen.state is AccessState.OPEN


def test_the_filter_and_the_row_agree_on_who_is_silent(world: World) -> None:
    for machine in (world.web, world.db):
        world.report(machine)
    assert names(world, state=AccessState.OFFLINE) == []
    world.clock.pass_time(31)
    world.report(world.db)
    world.do(lambda tx, act: note_silence(tx, act, None))
    assert names(world, state=AccessState.OFFLINE) == ["web-1"]
    assert row(world).state is AccessState.OFFLINE
    world.report(world.web)
    assert names(world, state=AccessState.OFFLINE) == []
    assert row(world).state is AccessState.CLOSED


def test_an_agent_that_can_enforce_nothing_is_never_called_closed(world: World) -> None:
    """It is heard and says so: what holds there nobody knows, as of one that is away."""
    fault = (NOT_ENFORCED(problem="EPERM"),)
    closed = frozenset({ClosedPort(PortKey(TransportProtocol.TCP, 22))})
    world.put(rules(world.web, 22), rules(world.db, 22))
    for machine in (world.web, world.db):
        world.report(machine, closed=closed)
    assert row(world).state is AccessState.CLOSED
    world.clock.pass_time(1)
    world.report(world.web, generation=0, weaknesses=fault)
    assert row(world).state is AccessState.OFFLINE
    assert names(world, state=AccessState.CLOSED) == ["db-1"]
    assert names(world, state=AccessState.OFFLINE) == ["web-1"]
    assert names(world, is_silent=False, is_behind=False) == ["db-1"]
    world.report(world.web, closed=closed)
    assert row(world).state is AccessState.CLOSED
    assert names(world, state=AccessState.OFFLINE) == []
    assert names(world, is_silent=False, is_behind=False) == ["db-1", "web-1"]


def test_an_opening_where_nothing_can_be_enforced_is_not_confirmed(world: World) -> None:
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    began = world.clock.now()
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EPERM"),))
    world.clock.pass_time(12)
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EBUSY"),))
    assert row(world).state is AccessState.NOT_CONFIRMED
    now = world.clock.now()
    view = world.see(lambda reader: view_request(reader, grant.request_id, now))
    assert view is not None
    shown = view.shown(world.grant(grant))
    assert shown.state == NOT_CONFIRMED
    assert shown.not_confirmed_since == began, "since it says so, not its last word"


def test_requests_grow_old_by_the_minute(world: World) -> None:
    world.granted(world.web)
    world.clock.pass_time(timedelta(days=7).total_seconds() + 1)
    assert row(world).listed.recent_requests == 1
    asyncio.run(_recent_round(world.services))
    assert row(world).listed.recent_requests == 0
    assert not world.do(forget_old_requests)


def test_a_plan_that_is_switched_off_moves_every_machine(world: World) -> None:
    for machine in (world.web, world.db):
        world.report(machine)
    counted = world.see(lambda reader: count_tabs(reader, None))
    assert counted[MachineState.CONFIGURED] == counted[MachineState.NOT_CONFIGURED] == 1
    world.do(lambda tx, act: put_plan(tx, act, "", Tier.FREE))
    assert names(world, MachineState.UNSUPPORTED) == ["db-1", "web-1"]
    assert names(world, MachineState.CONFIGURED) == []
    assert world.see(lambda reader: count_tabs(reader, None))[MachineState.UNSUPPORTED] == 2


def test_a_deleted_machine_is_in_no_list(world: World) -> None:
    world.do(lambda tx, act: delete_machine(tx, act, world.web.id))
    assert names(world) == ["db-1"]
