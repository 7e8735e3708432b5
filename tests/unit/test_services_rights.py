"""What is kept of somebody's rights is never older than what the store says now (EDGES B3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import INITIATE
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.principals import Group, Membership, ServicePrincipal
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.errors import Conflict
from bascule.interfaces import Transaction
from bascule.services.act import Act
from bascule.services.rights import rights_of
from tests.unit.services_world import World

CARLA = "cccccccc-0000-4000-8000-000000000003"
CREW = "dddddddd-0000-4000-8000-000000000004"
ASSIGNED = "eeeeeeee-0000-4000-8000-000000000005"


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    carla = ServicePrincipal(CARLA, "carla", True, made.clock.wall)
    made.do(lambda tx, _: tx.put_service_principal(carla))
    made.do(lambda tx, act: tx.put_group(Group(CREW, "crew", "", act.now)))
    yield made
    made.close()


def may(world: World) -> bool:
    now, scope = world.clock.now(), subscription_scope(world.installation.subscription_id)
    return world.see(lambda reader: rights_of(reader, CARLA, now).may(INITIATE, scope))


def assign(world: World, principal_id: str, kind: PrincipalKind, role_id: str = OWNER.id) -> None:
    scope = subscription_scope(world.installation.subscription_id)
    made = RoleAssignment(ASSIGNED, scope, role_id, principal_id, kind, "", world.clock.wall, "")
    world.do(lambda tx, _: tx.add_role_assignment(made))


def test_an_assignment_counts_from_its_commit_to_its_end(world: World) -> None:
    assert not may(world)
    assign(world, CARLA, PrincipalKind.SERVICE)
    assert may(world)
    assert may(world)
    world.do(lambda tx, _: tx.delete_role_assignment(ASSIGNED))
    assert not may(world)
    assign(world, CARLA, PrincipalKind.SERVICE, READER.id)
    assert not may(world)


def test_who_is_disabled_holds_nothing_at_once(world: World) -> None:
    assign(world, CARLA, PrincipalKind.SERVICE)
    assert may(world)
    disabled = ServicePrincipal(CARLA, "carla", False, world.clock.wall)
    world.do(lambda tx, _: tx.put_service_principal(disabled))
    assert not may(world)


def test_a_membership_that_ends_takes_its_rights_along_without_a_write(world: World) -> None:
    assign(world, CREW, PrincipalKind.GROUP)
    ends = world.clock.wall + timedelta(minutes=10)
    member = Membership(CREW, CARLA, PrincipalKind.SERVICE, "provider", ends)
    world.do(lambda tx, _: tx.put_membership(member))
    assert may(world)
    world.clock.pass_time(599)
    assert may(world)
    world.clock.pass_time(1)
    assert not may(world)


def test_what_was_seen_in_an_undone_transaction_is_not_kept(world: World) -> None:
    """In its own transaction a change counts; undone, it never was."""
    scope = subscription_scope(world.installation.subscription_id)
    seen: list[bool] = []

    def undone(tx: Transaction, act: Act) -> None:
        made = RoleAssignment(
            ASSIGNED, scope, OWNER.id, CARLA, PrincipalKind.SERVICE, "", act.now, ""
        )
        tx.add_role_assignment(made)
        seen.append(rights_of(tx, CARLA, act.now).may(INITIATE, scope))
        raise Conflict("no")

    with pytest.raises(Conflict):
        world.do(undone)
    assert seen == [True]
    assert not may(world)
