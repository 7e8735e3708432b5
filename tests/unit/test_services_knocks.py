"""Blocked attempts as agents tell them, and as they are asked for (EDGES C2, C3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bascule.domain.knocks import (
    JUST_NOW,
    KEPT_FOR,
    OTHERS,
    SOURCES_OF_MACHINE,
    Knock,
    hour_of,
)
from bascule.domain.machine import Machine
from bascule.domain.net import PortKey, TransportProtocol, parse_address
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.services import machines
from bascule.services.knocks import (
    KnocksView,
    forget_old_knocks,
    scopes_within,
    seen_just_now,
    view_knocks,
)
from tests.unit.services_world import World

SSH = PortKey(TransportProtocol.TCP, 22)
SECOND = timedelta(seconds=1)
STRANGER, OTHER = "198.51.100.66", "2001:db8::66"


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def knock(source: str = STRANGER, attempts: int = 1, age: timedelta = timedelta(0)) -> Knock:
    return Knock(source, SSH if source else None, attempts, age)


def view(world: World, *scopes: str, hours: int = 24) -> KnocksView:
    now = world.clock.now()
    return world.see(lambda reader: view_knocks(reader, scopes, now, hours))


def sources(seen: KnocksView) -> dict[str, int]:
    return {each.source: each.attempts for each in seen.sources}


def scopes(world: World, *keys: str) -> tuple[str, ...]:
    reach = Reach(frozenset(keys))
    subscription = world.installation.subscription_id
    return world.see(lambda reader: scopes_within(reader, reach, subscription))


def test_attempts_stand_in_the_hour_in_which_they_were_seen(world: World) -> None:
    world.clock.pass_time(600)
    told = (knock(attempts=3), knock(OTHER, 2, timedelta(minutes=30)), knock(OTHERS, 4))
    world.report(world.web, knocks=told)
    seen = view(world, world.web.uid, hours=3)
    noon = hour_of(world.clock.now())
    hour = timedelta(hours=1)
    assert seen.hours == ((noon - 2 * hour, 0), (noon - hour, 2), (noon, 7))
    assert (seen.since, seen.until, seen.attempts) == (noon - 2 * hour, world.clock.now(), 9)
    assert sources(seen) == {STRANGER: 3, OTHER: 2}
    assert seen.sources[0].ports == (SSH,)
    assert seen.sources[1].last_at == world.clock.now() - timedelta(minutes=30)


def test_one_source_alone(world: World) -> None:
    world.report(world.web, knocks=(knock(attempts=3), knock(OTHER, 2), knock(OTHERS, 4)))
    only, now = parse_address(OTHER), world.clock.now()
    seen = world.see(lambda r: view_knocks(r, [world.web.uid], now, source=only))
    assert (seen.attempts, sources(seen)) == (2, {OTHER: 2})


def test_a_machine_writes_its_own_rows_and_so_many(world: World) -> None:
    """A lying agent takes no place from another machine's, and fills no disk."""
    lies = tuple(knock(f"2001:db8::{each:x}", 2**53 - 1) for each in range(3000))
    for start in range(0, len(lies), 250):
        world.report(world.web, knocks=lies[start : start + 250])
    world.report(world.db, knocks=(knock(attempts=5),))
    count = world.see(
        lambda r: len(r.knockers([world.web.uid], hour_of(world.clock.now()), 10_000))
    )
    assert count == SOURCES_OF_MACHINE
    assert sources(view(world, world.db.uid)) == {STRANGER: 5}
    whole = subscription_scope(world.installation.subscription_id).key
    begin = hour_of(world.clock.now())
    named = world.see(lambda r: r.knockers([whole], begin, 10_000))
    assert len(named) == SOURCES_OF_MACHINE + 1, "the liar's share, and the other's all the same"
    assert STRANGER in {each.source for each in named}


def test_what_is_seen_of_all_depends_on_where_one_may_look(world: World) -> None:
    world.report(world.web, knocks=(knock(attempts=3),))
    world.report(world.db, knocks=(knock(OTHER, 2),))
    subscription = world.installation.subscription_id
    group = group_scope(subscription, "Default").key
    everywhere = world.see(lambda r: scopes_within(r, None, subscription))
    assert sources(view(world, *everywhere)) == {STRANGER: 3, OTHER: 2}
    assert sources(view(world, *scopes(world, group))) == {STRANGER: 3, OTHER: 2}
    assert sources(view(world, *scopes(world, world.web.id.key))) == {STRANGER: 3}
    both = scopes(world, world.web.id.key, world.db.id.key)
    assert sources(view(world, *both)) == {STRANGER: 3, OTHER: 2}
    for nothing in (group_scope(subscription, "other").key, world.machine_id("nobody").key):
        assert view(world, *scopes(world, nothing)).attempts == 0
    assert scopes(world) == ()
    assert view(world).attempts == 0


def test_a_policys_scope_shows_no_machine(world: World) -> None:
    world.report(world.web, knocks=(knock(),))
    assert scopes(world, world.policy_id().key) == ()


def test_who_has_just_been_seen(world: World) -> None:
    """C3: by that machine, at that address, in the last quarter of an hour."""
    world.report(world.web, knocks=(knock(), knock(OTHER, 1, timedelta(minutes=14))))
    address, at = parse_address(STRANGER), world.clock.now()

    def last(machine: Machine, text: str = STRANGER) -> object:
        wanted, now = parse_address(text), world.clock.now()
        return world.see(lambda r: seen_just_now(r, machine, wanted, now))

    assert last(world.web) == at
    assert last(world.web, f"::ffff:{address}") == at, "the same address in IPv6 clothes"
    assert last(world.web, OTHER) == at - timedelta(minutes=14)
    assert last(world.db) is None
    assert last(world.web, "198.51.100.67") is None
    world.clock.pass_time(JUST_NOW.total_seconds())
    assert last(world.web) == at
    world.clock.pass_time(1)
    assert last(world.web) is None


def test_attempts_before_the_full_hour_have_just_been_seen_after_it(world: World) -> None:
    world.clock.pass_time(3590)
    world.report(world.web, knocks=(knock(),))
    at = world.clock.now()
    world.clock.pass_time(20)
    address, now = parse_address(STRANGER), world.clock.now()
    assert world.see(lambda r: seen_just_now(r, world.web, address, now)) == at


def test_a_deleted_machines_rows_go_and_a_new_one_inherits_nothing(world: World) -> None:
    world.report(world.web, knocks=(knock(),))
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    assert view(world, world.web.uid).attempts == 0
    again = world.add_machine("web-1", "10.0.0.9")
    assert view(world, again.uid).attempts == 0
    assert view(world, *scopes(world, again.id.key)).attempts == 0


def test_after_thirty_days_it_is_forgotten(world: World) -> None:
    world.report(world.web, knocks=(knock(), knock(OTHER)))
    world.clock.pass_time((KEPT_FOR - timedelta(hours=1)).total_seconds())
    assert world.do(forget_old_knocks) == 0
    world.clock.pass_time(3600)
    world.report(world.web, knocks=(knock(attempts=7),))
    assert world.do(forget_old_knocks) == 0, "its hour began just thirty days ago"
    world.clock.pass_time(1)
    assert world.do(forget_old_knocks) == 6, "two rows of the machine, its group and the whole"
    assert world.do(forget_old_knocks) == 0
    assert view(world, world.web.uid).attempts == 7
