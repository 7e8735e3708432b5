"""EDGES J14: what a server has points hold of grants whose connections may stay beyond their end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.bounds import Guard
from bascule.domain.capabilities import HOST
from bascule.domain.decide import Denied
from bascule.domain.desired import DesiredState, Drain
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import Grant
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.policy import MachineRules
from bascule.domain.runs import Run
from bascule.errors import InvalidInput
from bascule.interfaces.store import Transaction
from bascule.services import live_requests, machines, sweep
from bascule.services.act import Act
from bascule.services.fleet import state_for
from bascule.services.losses import end_unheld
from tests.samples import SSH
from tests.unit.services_world import ANNA, BERT, World, rules

STAY = timedelta(minutes=10)
TEN = 600.0  # seconds of a request


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def draining(
    world: World, *, stay: timedelta | None = STAY, end: OnExpiry = OnExpiry.DRAIN
) -> MachineRules:
    made = rules(world.web, 22, on_expiry=end)
    return replace(made, ports=tuple(replace(each, drain_for=stay) for each in made.ports))


def told(world: World, knows: frozenset[Feature] | None = None) -> DesiredState:
    uid, now = world.web.uid, world.clock.wall
    return world.see(lambda tx: state_for(tx, uid, now, knows=knows))[1]


def left(world: World) -> list[float]:
    """Seconds for which connections may stay, from now on."""
    return [each.remaining.total_seconds() for each in told(world).drains]


def opened(world: World, seconds: float = TEN, source: str = "192.0.2.1") -> Grant:
    grant = world.granted(world.web, 22, seconds, source)
    world.report(world.web, grant.id)
    return world.grant(grant)


def pass_time(world: World, seconds: float) -> None:
    world.clock.wall += timedelta(seconds=seconds)
    world.do(sweep.sweep, None)


def test_it_is_told_with_the_lease_and_goes_on_after_it(world: World) -> None:
    """To the agent the port is one that kills."""
    world.put(draining(world))
    grant = opened(world)
    state = told(world)
    assert state.closed == {ClosedPort(SSH, OnExpiry.KILL)}
    assert state.drains == (
        Drain(grant.id, (SSH,), grant.sources, timedelta(seconds=TEN) + STAY, 0),
    )
    pass_time(world, TEN - 1)
    assert left(world) == [601]
    pass_time(world, 1)
    assert not told(world).leases
    assert left(world) == [600]
    world.report(world.web)
    assert world.grant(grant).state == "closed"
    pass_time(world, 599)
    assert left(world) == [1]
    pass_time(world, 1)
    assert left(world) == []


def test_a_revocation_ends_it_at_once(world: World) -> None:
    """Who revokes expects that access ends: nothing drains, neither before the end nor after."""
    world.put(draining(world))
    grant = opened(world)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    assert left(world) == []
    assert world.grant(grant).drained_at is None
    pass_time(world, TEN + 1)
    assert left(world) == []


def test_the_end_of_the_last_run_begins_it(world: World) -> None:
    """Of ``bascule ssh --close``: nobody new is let in, and connections stay for the port's time."""
    world.put(draining(world))
    grant = opened(world)
    run = Run(grant.request_id, grant.id, grant.requestor_id, world.clock.wall)
    world.do(lambda tx, _: tx.put_run(run))
    world.do(sweep.sweep)
    assert not told(world).leases
    assert left(world) == [STAY.total_seconds()]
    ended = world.grant(grant)
    assert (ended.reason, ended.cut_at, ended.ends_at) == ("Expired", None, grant.ends_at)


def test_connections_that_stay_are_cut_when_somebody_says_so(world: World) -> None:
    world.put(draining(world))
    grant = opened(world)
    pass_time(world, TEN)
    world.report(world.web)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=True, subject=ANNA
        )
    )
    state = told(world)
    assert state.drains == ()
    assert [each.grant_id for each in state.cuts] == [grant.id]


def draining_rows(world: World) -> list[str]:
    return [each.id for each in world.see(lambda tx: tx.draining_grants_of(None, world.clock.wall))]


def test_a_cut_leaves_nothing_that_drains(world: World) -> None:
    """Neither in what is told nor in what is kept."""
    world.put(draining(world))
    grant = opened(world)
    pass_time(world, TEN)
    assert draining_rows(world) == [grant.id]
    revoke(world, grant, kills_sessions=True)
    assert draining_rows(world) == []


def revoke(world: World, grant: Grant, *, kills_sessions: bool = False) -> None:
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=kills_sessions, subject=ANNA
        )
    )


@pytest.mark.parametrize("has_closed", [True, False])
def test_a_revocation_ends_what_an_earlier_grant_left(world: World, has_closed: bool) -> None:
    """Else who was revoked would go on by the time of her first grant."""
    world.put(draining(world))
    first = opened(world)
    pass_time(world, TEN)
    if has_closed:
        world.report(world.web)
    second = opened(world)
    assert {each.grant_id for each in told(world).drains} == {first.id, second.id}
    before = told(world).generation
    revoke(world, second)
    assert told(world).generation == before + 1
    assert left(world) == []
    assert draining_rows(world) == []
    assert world.grant(first).drained_at is None
    assert "SessionsCut" in world.kinds()
    pass_time(world, 1)
    assert left(world) == []


def test_a_revocation_leaves_what_others_left(world: World) -> None:
    """Of another source, or of another person behind one address."""
    world.put(draining(world))
    elsewhere = opened(world, source="192.0.2.2")
    other = world.granted(world.web, 22, subject=BERT)
    world.report(world.web, elsewhere.id, other.id)
    pass_time(world, TEN)
    revoke(world, opened(world))
    assert set(draining_rows(world)) == {elsewhere.id, other.id}


def test_time_and_a_newer_request_end_no_earlier_one(world: World) -> None:
    world.put(draining(world))
    first = opened(world)
    pass_time(world, TEN)
    opened(world, 30)
    second = opened(world, 30)
    pass_time(world, 30)
    assert set(draining_rows(world)) == {first.id, second.id}


@pytest.mark.parametrize("whose", [[BERT.principal_id], None])
def test_a_lost_right_ends_what_drains(world: World, whose: list[str] | None) -> None:
    world.put(draining(world))
    kept, lost = opened(world), world.granted(world.web, 22, subject=BERT)
    world.report(world.web, kept.id, lost.id)
    pass_time(world, TEN)
    world.report(world.web)
    assert set(draining_rows(world)) == {kept.id, lost.id}
    world.do(lambda tx, act: end_unheld(tx, act, whose, "nothing was lost"))
    assert set(draining_rows(world)) == {kept.id, lost.id}
    before = told(world).generation

    def lose(tx: Transaction, act: Act) -> None:
        for each in tx.role_assignments_of([BERT.principal_id]):
            tx.delete_role_assignment(each.id)
        assert end_unheld(tx, act, whose, "removal of an assignment") == []

    world.do(lose)
    assert draining_rows(world) == [kept.id]
    assert [each.grant_id for each in told(world).drains] == [kept.id]
    assert told(world).generation == before + 1
    assert "SessionsCut" in world.kinds()


def test_a_lost_right_where_the_machine_is_gone(world: World) -> None:
    world.put(draining(world))
    grant = opened(world)
    pass_time(world, TEN)
    world.report(world.web)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))

    def lose(tx: Transaction, act: Act) -> None:
        for each in tx.role_assignments_of([ANNA.principal_id]):
            tx.delete_role_assignment(each.id)
        end_unheld(tx, act, [ANNA.principal_id], "removal of an assignment")

    world.do(lose)
    assert world.grant(grant).drained_at is None


def test_a_newer_request_replaces_it(world: World) -> None:
    world.put(draining(world))
    opened(world)
    newer = world.granted(world.web, 22, 300)
    assert [each.grant_id for each in told(world).drains] == [newer.id]


def test_an_extension_moves_its_end_too(world: World) -> None:
    world.put(draining(world))
    grant = opened(world)
    ends = world.clock.wall + timedelta(seconds=2 * TEN)
    world.do(
        lambda tx, act: live_requests.extend(
            tx, act, grant.request_id, ends, ends.isoformat(), ANNA
        )
    )
    (drain,) = told(world).drains
    assert drain.remaining == timedelta(seconds=2 * TEN) + STAY
    assert drain.extension == 1


def test_one_that_did_not_open_in_time_has_none(world: World) -> None:
    world.put(draining(world))
    world.granted(world.web, 22)
    assert left(world) == [1200]
    world.clock.wall += timedelta(minutes=2)
    assert left(world) == [], "before the sweep as well"
    pass_time(world, 0)
    assert left(world) == []


@pytest.mark.parametrize(
    ("end", "stay", "seconds"),
    [
        (OnExpiry.KILL, None, []),
        (OnExpiry.KEEP, None, [1200]),
        (OnExpiry.DRAIN, timedelta(minutes=1), [1200]),
    ],
)
def test_of_several_policies_the_strictest_setting_of_a_port_counts(
    world: World, end: OnExpiry, stay: timedelta | None, seconds: list[float]
) -> None:
    """Each grant has the time of the policy by which it was requested, unless another one kills."""
    world.put(draining(world))
    opened(world)
    world.put(draining(world, end=end, stay=stay), name="other")
    assert left(world) == seconds


@pytest.mark.parametrize(
    ("end", "stay", "seconds"),
    [
        (OnExpiry.KILL, None, []),
        (OnExpiry.KEEP, None, []),
        (OnExpiry.DRAIN, timedelta(minutes=1), [660]),
        (OnExpiry.DRAIN, timedelta(minutes=20), [1200]),
    ],
)
def test_a_changed_policy_reaches_live_grants(
    world: World, end: OnExpiry, stay: timedelta | None, seconds: list[float]
) -> None:
    """Its time becomes shorter, and never longer: its point would not take a longer one (EDGES A8)."""
    world.put(draining(world))
    grant = opened(world)
    world.put(draining(world, end=end, stay=stay))
    assert left(world) == seconds
    promised = world.grant(grant).drained_at
    ends = [] if promised is None else [(promised - world.clock.wall).total_seconds()]
    assert ends == seconds


def test_a_client_that_does_not_know_it_keeps_it(world: World) -> None:
    (rule,) = draining(world).ports
    (plain,) = rules(world.web, 22).ports
    assert plain.with_additions_of([rule]) == rule
    shorter = replace(rule, drain_for=timedelta(minutes=1))
    assert plain.with_additions_of([rule, shorter]) == shorter
    assert (
        plain.with_additions_of([rule, replace(plain, on_expiry=OnExpiry.KILL)]).drain_for is None
    )


def test_an_agent_or_firewall_that_cannot_is_refused_it(world: World) -> None:
    """EDGES F4 and F5: with the reason, at the policy and at the request."""
    plain = rules(world.web, 22)
    for more, code in (
        ({"knows": KNOWN - {Feature.DRAIN}}, "AgentTooOld"),
        ({"capabilities": replace(HOST, drains=False)}, "CannotDrain"),
    ):
        world.report(world.web, **more)
        with pytest.raises(InvalidInput) as caught:
            world.put(draining(world))
        assert caught.value.specific_code == code
        world.report(world.web)
        world.put(draining(world))
        world.report(world.web, **more)
        refused = world.ask(world.web, 22)
        assert isinstance(refused, Denied)
        assert [each.code for each in refused.reasons] == [code]
        world.put(plain)
        world.report(world.web)


def test_a_guard_that_admits_less_is_refused_it(world: World) -> None:
    world.put(draining(world))
    world.report(world.web, guard=Guard(max_drain=timedelta(minutes=9)))
    refused = world.ask(world.web, 22)
    assert isinstance(refused, Denied)
    assert [each.code for each in refused.reasons] == ["DrainTooLong"]
    assert "9 min" in str(refused.reasons[0].message)
    world.report(world.web, guard=Guard(max_drain=STAY))
    world.granted(world.web, 22)


@pytest.mark.parametrize(
    ("end", "stay", "code"),
    [
        (OnExpiry.DRAIN, None, "DrainTimeRequired"),
        (OnExpiry.DRAIN, timedelta(0), "InvalidDrain"),
        (OnExpiry.DRAIN, timedelta(hours=8, seconds=1), "InvalidDrain"),
        (OnExpiry.KEEP, STAY, "DrainNotAsked"),
        (OnExpiry.KILL, STAY, "DrainNotAsked"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    world: World, end: OnExpiry, stay: timedelta | None, code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.put(draining(world, end=end, stay=stay))
    assert caught.value.specific_code == code


def test_the_longest_and_the_shortest_time(world: World) -> None:
    for stay in (timedelta(seconds=1), timedelta(hours=8)):
        world.put(draining(world, stay=stay))
