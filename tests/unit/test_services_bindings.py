"""Machines bound to points (EDGES F3): how it might open too much, and that it does not.

``db-1`` is guarded by its own agent; ``web-1``'s agent is the point that it may be bound to as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.bindings import MOST_FORMER, Whereabouts
from bascule.domain.capabilities import HOST, Capabilities
from bascule.domain.decide import Denied
from bascule.domain.desired import CUT_FOR
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort, EnforcementPoint, Machine, OnExpiry
from bascule.domain.net import Address, PortKey, TransportProtocol
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyRequests
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.protocol.report import LocalOpening, Report
from bascule.services import bindings, doubt, fleet, guarded, live_requests, machines, reports
from bascule.services.act import IN_PROCESS_KEY, Act
from bascule.services.grants import end_grants
from bascule.services.left_behind import settle_left
from bascule.services.notes import OPENINGS_PER_SPAN
from bascule.services.sweep import close_orphans, sweep
from bascule.services.views import view_machine, view_request
from tests.unit.services_world import ANNA, World, rules

SSH = PortKey(TransportProtocol.TCP, 22)
SHUT = frozenset({ClosedPort(SSH)})


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22), rules(made.db, 22))
    yield made
    made.close()


@pytest.fixture
def bound(world: World) -> World:
    """``db-1`` is bound to web-1's point, and both have read it back closed."""
    assert bind(world)
    tell(world, world.db, closed=SHUT)
    tell(world, world.web, closed=SHUT)
    return world


def bind(world: World, point: Machine | None = None) -> bool:
    uid = (point or world.web).uid
    return world.do(lambda tx, act: bindings.bind(tx, act, ANNA, world.db.id, uid))


def unbind(world: World) -> bool:
    return world.do(lambda tx, act: bindings.unbind(tx, act, ANNA, world.db.id, world.web.uid))


def tell(world: World, point: Machine, *in_force: str, **more: object) -> int:
    """A report of db-1 by a point."""
    known = world.see(lambda tx: tx.generation(world.db.uid))
    more.setdefault("generation", known)
    report = Report(in_force=frozenset(in_force), **more)  # type: ignore[arg-type]  # reason: passed through
    return world.do(
        lambda tx, act: reports.take_report(tx, act, point.uid, report, world.db.uid),
        speaker(point),
    )


def opened(world: World) -> Grant:
    grant = world.granted(world.db)
    tell(world, world.db, grant.id, closed=SHUT)
    tell(world, world.web, grant.id, closed=SHUT)
    return grant


def point_of(world: World, machine: Machine) -> EnforcementPoint:
    found = world.see(lambda tx: tx.enforcement_point(machine.uid))
    assert found is not None
    return found


def everything(world: World) -> object:
    """What a report could change."""
    return world.see(
        lambda tx: (
            [tx.generation(each.uid) for each in (world.web, world.db)],
            [tx.agent_of(each.uid) for each in (world.web, world.db)],
            list(tx.bindings_of(world.db.uid)),
            list(tx.live_grants()),
            tx.held_rules([world.db.uid]),
            len(tx.events(EventFilter())),
        )
    )


# -- who may speak of a machine --------------------------------------------------------------


def test_a_report_of_a_machine_that_is_not_bound_is_refused_whole(world: World) -> None:
    """A stolen credential of one point reaches what is bound to that point, and nothing else."""
    grant = world.granted(world.db)
    before = everything(world)
    with pytest.raises(Forbidden, match="does not guard"):
        tell(world, world.web, grant.id, closed=SHUT, notes=("I was here",), blocked_attempts=9)
    assert everything(world) == before
    assert world.grant(grant).state is GrantState.OPENING


def test_the_state_of_a_machine_that_is_not_bound_is_not_told(world: World) -> None:
    world.granted(world.db)
    for uid in (world.db.uid, "no-machine"):
        with pytest.raises(Forbidden, match="does not guard"):
            world.see(lambda tx, uid=uid: fleet.state_for(tx, world.web.uid, world.clock.wall, uid))  # type: ignore[misc]  # reason: bound now


def test_a_point_hears_of_what_is_bound_to_it_and_its_own(bound: World) -> None:
    grant = bound.granted(bound.db)
    now = bound.clock.wall
    machine, state = bound.see(lambda tx: fleet.state_for(tx, bound.web.uid, now, bound.db.uid))
    assert machine == bound.db
    assert [each.grant_id for each in state.leases] == [grant.id]
    _, own = bound.see(lambda tx: fleet.state_for(tx, bound.web.uid, now))
    assert own.leases == ()


def test_no_report_binds(world: World) -> None:
    world.report(world.web, closed=SHUT, generation=7)
    assert world.see(lambda tx: tx.bindings_of(world.db.uid)) == []


# -- open needs all, closed needs all ---------------------------------------------------------


@pytest.mark.parametrize("first", ["web", "db"])
def test_a_grant_is_open_when_it_is_in_force_at_every_point(bound: World, first: str) -> None:
    one, other = (bound.web, bound.db) if first == "web" else (bound.db, bound.web)
    grant = bound.granted(bound.db)
    tell(bound, one, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPENING
    tell(bound, other, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPENING
    tell(bound, other, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPEN


def test_a_grant_is_closed_when_it_is_in_force_at_no_point(bound: World) -> None:
    grant = opened(bound)
    live = bound.grant(grant)
    bound.do(lambda tx, act: end_grants(tx, act, [live], StatusReason.USER_REQUESTED, "a test"))
    tell(bound, bound.db, closed=SHUT)
    assert bound.grant(grant).state is GrantState.CLOSING, "the other may still let it in"
    tell(bound, bound.web, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.CLOSING
    tell(bound, bound.web, closed=SHUT)
    assert bound.grant(grant).state is GrantState.CLOSED


def test_a_stale_report_of_one_point_vouches_for_no_other(bound: World) -> None:
    """Its own number is behind: it has not heard of the grant, whatever it has in force."""
    behind = bound.see(lambda tx: tx.generation(bound.db.uid))
    grant = bound.granted(bound.db)
    tell(bound, bound.db, grant.id, closed=SHUT)
    tell(bound, bound.web, grant.id, closed=SHUT, generation=behind)
    assert bound.grant(grant).state is GrantState.OPENING


def test_a_grant_that_one_point_has_lost_is_ended_at_all(bound: World) -> None:
    grant = opened(bound)
    tell(bound, bound.web, closed=SHUT)
    assert bound.grant(grant).state is GrantState.CLOSING


def test_a_port_is_read_back_closed_when_every_point_says_so(bound: World) -> None:
    def read_back() -> frozenset[PortKey]:
        return bound.see(lambda tx: view_machine(tx, bound.db, bound.clock.wall)).read_back

    assert read_back() == {SSH}
    tell(bound, bound.web, closed=frozenset())
    assert read_back() == frozenset()
    tell(bound, bound.db, closed=SHUT)
    assert read_back() == frozenset()
    tell(bound, bound.web, closed=SHUT)
    assert read_back() == {SSH}


def test_a_point_that_was_just_bound_stands_for_nothing_yet(world: World) -> None:
    tell(world, world.db, closed=SHUT)
    bind(world)
    tell(world, world.db, closed=SHUT)
    view = world.see(lambda tx: view_machine(tx, world.db, world.clock.wall))
    assert view.read_back == frozenset()
    assert view.point is not None
    assert view.point.last_contact_at is None, "of that machine it was never heard"


def test_a_point_that_can_enforce_nothing_settles_nothing(bound: World) -> None:
    grant = opened(bound)
    tell(bound, bound.web, generation=0, weaknesses=(NOT_ENFORCED(problem="x"),))
    tell(bound, bound.db, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPEN
    view = bound.see(lambda tx: view_request(tx, grant.request_id, bound.clock.wall))
    assert view is not None
    assert view.state == "notConfirmed"
    assert not point_of(bound, bound.db).is_enforcing
    tell(bound, bound.web, grant.id, closed=SHUT)
    assert point_of(bound, bound.db).is_enforcing


def test_a_machine_is_silent_when_one_of_its_points_is(bound: World) -> None:
    grant = opened(bound)
    bound.clock.pass_time(40)
    tell(bound, bound.db, grant.id, closed=SHUT)
    view = bound.see(lambda tx: view_request(tx, grant.request_id, bound.clock.wall))
    assert view is not None
    assert view.state == "notConfirmed"


def test_a_waiting_request_fails_everywhere_when_one_point_does_not_open_it(bound: World) -> None:
    grant = bound.granted(bound.db)
    tell(bound, bound.db, grant.id, closed=SHUT)
    bound.clock.pass_time(61)
    bound.do(sweep, None)
    assert bound.grant(grant).state is GrantState.FAILED
    now = bound.clock.wall
    for point in (bound.db, bound.web):
        _, state = bound.see(
            lambda tx, uid=point.uid: fleet.state_for(tx, uid, now, bound.db.uid)  # type: ignore[misc]  # reason: bound now
        )
        assert state.leases == ()


def test_what_one_point_cannot_do_the_machine_cannot(bound: World) -> None:
    tell(bound, bound.db, closed=SHUT)
    bound.report(bound.web, capabilities=Capabilities(counts_sessions=True))
    answer = bound.ask(bound.db)
    assert isinstance(answer, Denied)
    assert [each.code for each in answer.reasons] == ["LeasesNotEnded"]
    bound.report(bound.web, capabilities=HOST)
    assert bound.granted(bound.db).state is GrantState.OPENING


def test_a_kill_port_takes_that_every_point_ends_connections(bound: World) -> None:
    """A machine's own agent that can does not stand for a gateway that cannot."""
    bound.put(rules(bound.web, 22), rules(bound.db, 22, on_expiry=OnExpiry.KILL))
    tell(bound, bound.db, closed=frozenset({ClosedPort(SSH, OnExpiry.KILL)}))
    bound.report(bound.web, knows=KNOWN - {Feature.KILL})
    answer = bound.ask(bound.db)
    assert isinstance(answer, Denied)
    (reason,) = answer.reasons
    assert reason.code == "AgentTooOld"
    assert "ending connections when access ends" in str(reason.message)
    bound.put(rules(bound.web, 22), rules(bound.db, 22))
    assert bound.granted(bound.db).state is GrantState.OPENING, "keep takes less"


# -- binding and unbinding --------------------------------------------------------------------


def test_binding_ends_what_is_open(world: World) -> None:
    """Nobody asked that point: what was granted is granted anew, by all of them."""
    grant = world.granted(world.db)
    tell(world, world.db, grant.id)
    assert world.grant(grant).state is GrantState.OPEN
    assert bind(world)
    assert world.grant(grant).state is GrantState.CLOSING
    assert not bind(world), "it is bound already"


def test_unbinding_ends_the_grants_and_releases_nothing(bound: World) -> None:
    grant = opened(bound)
    closed = bound.see(lambda tx: tx.closed_ports(bound.db.uid))
    assert unbind(bound)
    assert bound.grant(grant).state is GrantState.CLOSING
    assert bound.see(lambda tx: tx.closed_ports(bound.db.uid)) == closed
    assert bound.see(lambda tx: tx.released_ports(bound.db.uid)) == {}
    with pytest.raises(Forbidden, match="does not guard"):
        tell(bound, bound.web, grant.id)
    assert bound.see(lambda tx: tx.bindings_of(bound.db.uid)) == [], "its own agent alone"
    assert not unbind(bound)
    assert bound.kinds().count("MachineUnbound") == 1


# -- what a point may hold that guards the machine no more --------------------------------------


def left(world: World, grant: Grant) -> tuple[str, tuple[str, ...]]:
    """What is told of it, and the points that may hold it."""
    view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
    assert view is not None
    shown = view.shown(world.grant(grant))
    return shown.state, shown.left_at


def settled(world: World) -> int:
    return world.do(settle_left, None)


def test_what_an_unbound_point_had_open_is_closed_when_it_has_heard_of_it(bound: World) -> None:
    grant = opened(bound)
    unbind(bound)
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closing", ("web-1",))
    assert settled(bound) == 0, "it has said nothing since"
    known = bound.see(lambda tx: tx.generation(bound.web.uid))
    bound.report(bound.web, generation=known - 1)
    assert settled(bound) == 0, "its pass began before"
    bound.report(bound.web)
    assert settled(bound) == 1
    assert settled(bound) == 0
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closed", ())


def test_a_silent_point_that_is_unbound_may_hold_it_to_its_end(bound: World) -> None:
    """Even if the machine's own agent, which may have a way round it, has closed it."""
    grant = opened(bound)
    unbind(bound)
    tell(bound, bound.db, closed=SHUT)
    bound.clock.pass_time(599)
    assert settled(bound) == 0
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closing", ("web-1",))
    bound.clock.pass_time(2)
    assert settled(bound) == 1
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closed", ())


def test_a_silent_point_may_not_have_heard_of_a_shorter_end(bound: World) -> None:
    bound.put(rules(bound.web, 22), rules(bound.db, 22, longest=timedelta(hours=2)))
    grant = bound.granted(bound.db, seconds=7200)
    for point in (bound.db, bound.web):
        tell(bound, point, grant.id, closed=SHUT)
    bound.put(rules(bound.web, 22), rules(bound.db, 22, longest=timedelta(minutes=10)))
    unbind(bound)
    bound.clock.pass_time(7199)
    assert settled(bound) == 0
    bound.clock.pass_time(1)
    assert settled(bound) == 1


def test_what_was_revoked_before_and_not_read_back_is_held_too(bound: World) -> None:
    """The usual order: the gateway does not answer, so it is taken out."""
    grant = opened(bound)
    revoked(bound, grant)
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closing", ())
    unbind(bound)
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closing", ("web-1",))


def test_what_it_had_read_back_closed_before_is_closed(bound: World) -> None:
    grant = opened(bound)
    revoked(bound, grant)
    tell(bound, bound.web, closed=SHUT)
    unbind(bound)
    assert left(bound, grant) == ("closing", ())
    tell(bound, bound.db, closed=SHUT)
    assert left(bound, grant) == ("closed", ())


def test_another_agent_that_is_enrolled_there_since_speaks_for_itself_alone(bound: World) -> None:
    grant = opened(bound)
    unbind(bound)
    bound.clock.pass_time(1)
    bound.enrol(bound.web, "key-2", replaces=True)
    bound.report(bound.web)
    assert settled(bound) == 0
    assert left(bound, grant) == ("closing", ("web-1",))


def test_a_point_that_cannot_enforce_anything_has_closed_nothing(bound: World) -> None:
    grant = opened(bound)
    unbind(bound)
    bound.report(bound.web, generation=0, weaknesses=(NOT_ENFORCED(why="no nftables"),))
    assert settled(bound) == 0
    assert left(bound, grant) == ("closing", ("web-1",))


def test_a_point_that_is_bound_again_has_to_read_it_back(bound: World) -> None:
    grant = opened(bound)
    unbind(bound)
    bind(bound)
    tell(bound, bound.db, closed=SHUT)
    bound.report(bound.web)
    settled(bound)
    assert bound.grant(grant).state is GrantState.CLOSING
    tell(bound, bound.web, closed=SHUT)
    assert bound.grant(grant).state is GrantState.CLOSED


def test_a_machine_whose_own_agent_is_removed_ends_with_its_gateway_and_by_time(
    bound: World,
) -> None:
    """Whoever has the host's key could keep its agent running."""
    grant = opened(bound)
    bound.do(lambda tx, act: fleet.remove_point(tx, act, ANNA, bound.db.uid))
    tell(bound, bound.web, closed=SHUT)
    assert settled(bound) == 0
    assert left(bound, grant) == ("closing", ("db-1",))
    bound.clock.pass_time(601)
    assert settled(bound) == 1
    tell(bound, bound.web, closed=SHUT)
    assert left(bound, grant) == ("closed", ())


def test_a_machine_that_is_deleted_after_its_unbinding_ends_by_time(bound: World) -> None:
    grant = opened(bound)
    unbind(bound)
    bound.do(lambda tx, act: machines.delete_machine(tx, act, bound.db.id))
    bound.clock.pass_time(599)
    assert (settled(bound), bound.do(close_orphans, None)) == (0, 0)
    bound.clock.pass_time(2)
    assert settled(bound) == 1
    assert bound.do(close_orphans, None) == 1
    assert bound.grant(grant).state is GrantState.CLOSED


def revoked(world: World, grant: Grant) -> None:
    def work(tx: Transaction, act: Act) -> None:
        live = tx.live_grants([grant.machine_uid])
        end_grants(tx, act, live, StatusReason.USER_REQUESTED, "a revocation")

    world.do(work)


def test_a_request_beside_an_unbinding_is_ended_or_never_told_to_it(bound: World) -> None:
    """Both are in the one writer: whichever is first, no lease is left at the point that goes."""
    grant = bound.granted(bound.db)
    unbind(bound)
    assert not bound.grant(grant).is_live
    later = bound.granted(bound.db)
    with pytest.raises(Forbidden):
        bound.see(lambda tx: fleet.state_for(tx, bound.web.uid, bound.clock.wall, bound.db.uid))
    tell(bound, bound.db, later.id)
    assert bound.grant(later).state is GrantState.OPEN


def test_an_unbinding_that_is_cut_off_changes_nothing(bound: World) -> None:
    grant = opened(bound)
    before = everything(bound)

    def killed(tx: Transaction, act: Act) -> None:
        bindings.unbind(tx, act, ANNA, bound.db.id, bound.web.uid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bound.do(killed)
    assert everything(bound) == before
    assert bound.grant(grant).state is GrantState.OPEN


def test_a_machine_without_an_agent_may_have_a_point_alone(world: World) -> None:
    made = world.add_machine("app-1", "10.0.0.3")
    world.put(rules(made, 22), name="of-app")
    world.do(lambda tx, act: bindings.bind(tx, act, ANNA, made.id, world.web.uid))
    grant = world.granted(made, policy="of-app")

    def say(*in_force: str) -> None:
        known = world.see(lambda tx: tx.generation(made.uid))
        report = Report(known, frozenset(in_force), closed=SHUT)
        world.do(
            lambda tx, act: reports.take_report(tx, act, world.web.uid, report, made.uid), None
        )

    say(grant.id)
    assert world.grant(grant).state is GrantState.OPEN
    with pytest.raises(Forbidden):
        world.report(made)  # it has no credential of its own
    world.do(lambda tx, act: bindings.unbind(tx, act, ANNA, made.id, world.web.uid))
    assert world.grant(grant).state is GrantState.CLOSING, "the point may let it in until its end"
    world.clock.pass_time(599)
    assert world.do(close_orphans, None) == 0
    world.clock.pass_time(2)
    assert world.do(close_orphans, None) == 1
    assert world.see(lambda tx: tx.enforcement_point(made.uid)) is None


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_point_that_goes_takes_the_access_of_its_machines_along(
    bound: World, *, is_deleted: bool
) -> None:
    grant = opened(bound)
    if is_deleted:
        bound.do(lambda tx, act: machines.delete_machine(tx, act, bound.web.id))
    else:
        bound.do(lambda tx, act: fleet.remove_point(tx, act, ANNA, bound.web.uid))
    assert bound.grant(grant).state is GrantState.CLOSING
    assert bound.see(lambda tx: tx.bindings_of(bound.db.uid)) == []
    assert bound.see(lambda tx: tx.closed_ports(bound.db.uid)) == SHUT


def test_a_new_agent_at_the_point_has_read_back_nothing(bound: World) -> None:
    """Whoever has the new key inherits the bindings, and no word of the one before."""
    grant = opened(bound)
    bound.enrol(bound.web, "key-2", replaces=True)
    assert point_of(bound, bound.db).last_contact_at is None
    tell(bound, bound.db, grant.id, closed=SHUT)
    view = bound.see(lambda tx: view_machine(tx, bound.db, bound.clock.wall))
    assert view.read_back == frozenset()


def test_a_new_agent_at_the_point_is_told_of_cuts_that_the_old_one_missed(bound: World) -> None:
    """Else connections through a gateway whose agent was away live on after they were cut (A24)."""
    grant = opened(bound)
    request_id = bound.grant(grant).request_id
    bound.do(
        lambda tx, act: live_requests.revoke(
            tx, act, request_id, None, kills_sessions=True, subject=ANNA
        )
    )
    bound.clock.pass_time((CUT_FOR + timedelta(hours=1)).total_seconds())
    bound.enrol(bound.web, "key-2", replaces=True)
    now = bound.clock.wall
    _, state = bound.see(lambda tx: fleet.state_for(tx, bound.web.uid, now, bound.db.uid))
    assert [each.grant_id for each in state.cuts] == [grant.id]


def test_a_new_own_agent_joins_the_points_that_are_there(bound: World) -> None:
    bound.enrol(bound.db, "key-2", replaces=True)
    grant = bound.granted(bound.db)
    tell(bound, bound.web, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPENING
    tell(bound, bound.db, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPEN


def test_a_point_from_the_future_ends_what_is_open_there_alone(bound: World) -> None:
    """A8 for each machine and point: a number that is ahead opens nothing, anywhere."""
    elsewhere = bound.granted(bound.web)
    bound.report(bound.web, elsewhere.id)
    grant = opened(bound)
    ahead = bound.see(lambda tx: tx.generation(bound.db.uid)) + 5
    assert tell(bound, bound.web, grant.id, generation=ahead, closed=SHUT) > ahead
    assert bound.grant(grant).state is GrantState.CLOSING
    assert bound.grant(elsewhere).state is GrantState.OPEN


def test_what_cannot_be_bound(world: World) -> None:
    with pytest.raises(Conflict):
        bind(world, world.db)
    with pytest.raises(NotFound):
        world.do(lambda tx, act: bindings.bind(tx, act, ANNA, world.db.id, "no-point"))
    with pytest.raises(Conflict):
        world.do(lambda tx, act: bindings.unbind(tx, act, ANNA, world.db.id, world.db.uid))


def test_lists_tell_of_the_worst_of_a_machine_s_points(bound: World) -> None:
    rows = bound.see(lambda tx: guarded.points_at(tx, bound.db.id))
    assert [each.point_uid for each, _, _, _ in rows] == [bound.db.uid, bound.web.uid]
    (alone,) = bound.see(lambda tx: guarded.points_at(tx, bound.web.id))
    assert alone[0].point_uid == bound.web.uid
    assert timedelta(0) <= bound.clock.wall - (alone[1].enrolled_at)


# -- what one point does to the trust in another --------------------------------------------


def speaker(point: Machine) -> Subject:
    return Subject(point.uid, PrincipalKind.AGENT, point.id.name, "192.0.2.9")


def is_doubted(world: World, machine: Machine) -> bool:
    """The point by itself."""
    agent = world.see(lambda tx: tx.agent_of(machine.uid))
    return agent is not None and agent.doubted_since is not None


def test_after_a_restore_no_point_is_doubted_for_what_another_knew(bound: World) -> None:
    """A server from a backup is behind all points of a machine, and not by as much (A8, E7)."""
    known = bound.see(lambda tx: tx.generation(bound.db.uid))
    tell(bound, bound.db, generation=known + 2, closed=SHUT)
    tell(bound, bound.web, generation=known + 20, closed=SHUT)
    assert bound.kinds().count("GenerationOvertaken") == 2
    assert "AgentDoubted" not in bound.kinds()
    assert bound.see(lambda tx: tx.generation(bound.db.uid)) > known + 20
    tell(bound, bound.web, generation=known + 100, closed=SHUT)
    assert bound.kinds().count("AgentDoubted") == 1, "the same point a second time"


def test_what_one_point_tells_without_end_casts_no_doubt_on_another(
    bound: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief of the key of one point must not have the machine's own agent disbelieved."""
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 40)
    for _ in range(3):
        tell(bound, bound.web, closed=SHUT, notes=tuple(f"note {n}" for n in range(30)))
        bound.clock.pass_time(90)
    assert bound.kinds().count("AgentDoubted") == 1
    assert is_doubted(bound, bound.web)
    tell(bound, bound.db, closed=SHUT, notes=("something of its own",))
    assert not is_doubted(bound, bound.db)


def test_a_full_history_of_a_shared_machine_is_not_gone_on_with_and_casts_no_doubt(
    bound: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows may be any point's doing: root of one machine must not have a gateway disbelieved."""
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 40)
    for _ in range(30):
        with suppress(TooManyRequests):
            tell(bound, bound.db, closed=frozenset())
            tell(bound, bound.db, closed=SHUT)
    grant = bound.granted(bound.db)
    tell(bound, bound.db, grant.id, closed=SHUT)
    with pytest.raises(TooManyRequests, match="within an hour"):
        tell(bound, bound.web, grant.id, closed=SHUT)
    assert bound.grant(grant).state is GrantState.OPENING
    assert "AgentDoubted" not in bound.kinds()
    own = bound.granted(bound.web)
    bound.report(bound.web, own.id, closed=SHUT)
    assert bound.grant(own).state is GrantState.OPEN, "other machines of that point go on"

    bound.clock.pass_time(3700)
    later = opened(bound)
    assert bound.grant(later).state is GrantState.OPEN


def test_what_one_point_tells_takes_no_room_of_another_s_notes(bound: World) -> None:
    """Root's own openings stay on record while a thief at another point fills its minute."""
    many = tuple(LocalOpening("22/tcp", ("192.0.2.7",), 60, f"local-{n}") for n in range(64))
    for _ in range(11):
        tell(bound, bound.web, closed=SHUT, local_openings=many)
    before = bound.kinds().count("OpenedLocally")
    tell(bound, bound.db, closed=SHUT, local_openings=many[:1])
    assert bound.kinds().count("OpenedLocally") == before + 1
    assert before == OPENINGS_PER_SPAN


def test_what_root_opened_at_one_point_is_kept_until_that_point_says_otherwise(
    bound: World,
) -> None:
    """Neither the machine's own agent nor another gateway can speak for it."""
    one, two = (
        LocalOpening(f"{number}/tcp", ("192.0.2.7",), 60, f"local-{number}") for number in (22, 23)
    )

    def kept() -> set[tuple[str, str]]:
        held = bound.see(lambda r: r.held_rules([bound.db.uid]))[bound.db.uid]
        return {(each.id, each.gateway) for each in held.local}

    tell(bound, bound.web, "local-22", closed=SHUT, local_openings=(one,), held_locally=(one,))
    assert kept() == {("local-22", bound.web.id.name)}
    tell(bound, bound.db, "local-23", closed=SHUT, local_openings=(two,), held_locally=(two,))
    assert kept() == {("local-22", bound.web.id.name), ("local-23", "")}
    tell(bound, bound.db, closed=SHUT)
    assert kept() == {("local-22", bound.web.id.name)}
    tell(bound, bound.web, closed=SHUT)
    assert kept() == set()
    assert bound.kinds().count("OpenedLocally") == 2


def test_what_one_point_keeps_closed_of_its_own_is_noted_once(bound: World) -> None:
    """What another does not keep closed too was news with every report."""
    more = SHUT | {ClosedPort(PortKey(TransportProtocol.TCP, 9999))}
    for _ in range(4):
        for point, closed in ((bound.web, more), (bound.db, SHUT)):
            tell(bound, point, closed=closed)
        bound.clock.pass_time(10)
    assert bound.kinds().count("AgentReported") == 1
    for _ in range(3):
        for point, closed in ((bound.web, SHUT), (bound.db, more)):
            tell(bound, point, closed=closed)
    assert bound.kinds().count("AgentReported") == 2


# -- what a point that lies makes of the machine ----------------------------------------------


def closing(world: World) -> Grant:
    """Ended, and in force until both points have closed it."""
    grant = opened(world)
    live = world.grant(grant)
    world.do(lambda tx, act: end_grants(tx, act, [live], StatusReason.USER_REQUESTED, "a test"))
    return grant


def sessions_told(world: World, grant: Grant) -> int | None:
    view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
    assert view is not None
    return view.shown(view.grants[0]).sessions_alive


def test_connections_that_the_host_counts_are_not_hidden_by_another_point(bound: World) -> None:
    """The last report settles the grant: a gateway that says 0 knows nothing of the host's own."""
    grant = closing(bound)
    tell(bound, bound.db, closed=SHUT, sessions={grant.id: 3})
    tell(bound, bound.web, closed=SHUT, sessions={grant.id: 0})
    assert bound.grant(grant).state is GrantState.CLOSED
    assert sessions_told(bound, grant) is None, "not known, which is not 0"


def test_the_host_s_own_count_is_told_when_it_settles_the_grant(bound: World) -> None:
    grant = closing(bound)
    tell(bound, bound.web, closed=SHUT, sessions={grant.id: 0})
    tell(bound, bound.db, closed=SHUT, sessions={grant.id: 3})
    assert sessions_told(bound, grant) == 3


def test_a_point_fills_no_row_with_grants_that_it_makes_up(bound: World) -> None:
    """A report may name 100,000 ids, and its row is written with each of them."""
    grant = opened(bound)
    tell(bound, bound.web, grant.id, *(f"made up {n}" for n in range(1000)), closed=SHUT)
    kept = {
        each.point_uid: each.in_force for each in bound.see(lambda tx: tx.bindings_of(bound.db.uid))
    }
    assert kept[bound.web.uid] == {grant.id}
    assert bound.grant(grant).state is GrantState.OPEN


def test_a_point_that_says_that_it_enforces_nothing_stands_for_nothing(bound: World) -> None:
    """Whatever generation it names, and whatever it says is closed and in force."""
    grant = bound.granted(bound.db)
    tell(bound, bound.db, grant.id, closed=SHUT)
    tell(bound, bound.web, grant.id, closed=SHUT, weaknesses=(NOT_ENFORCED(problem="x"),))
    assert bound.grant(grant).state is GrantState.OPENING
    assert not point_of(bound, bound.db).is_enforcing


# -- where a machine is behind a gateway -----------------------------------------------------

HERE, THERE, HERE6 = map(ip_address, ("10.1.0.10", "10.1.0.11", "fd01::10"))


def place(world: World, *addresses: Address, machine: Machine | None = None) -> bool:
    machine_id = (machine or world.db).id
    return world.do(
        lambda tx, act: bindings.bind(tx, act, ANNA, machine_id, world.web.uid, addresses)
    )


def where(world: World, point: Machine, machine: Machine | None = None) -> Whereabouts | None:
    uid, now = (machine or world.db).uid, world.clock.wall
    return world.see(lambda tx: fleet.state_for(tx, point.uid, now, uid))[1].where


def test_a_point_is_told_where_it_forwards_to(world: World) -> None:
    """And nobody else: of its own machine no agent is told an address."""
    assert place(world, HERE, HERE6)
    assert where(world, world.web) == Whereabouts((HERE, HERE6))
    assert where(world, world.db) is None
    assert where(world, world.web, world.web) is None
    assert not place(world, HERE, HERE6)
    assert world.kinds().count("MachinePlaced") == 1, "what is so already is no event"


def test_another_address_ends_the_grants_and_the_former_stays_closed(bound: World) -> None:
    """EDGES G2: in that commit; also when a new agent holds nothing at the point."""
    assert not place(bound, HERE)
    tell(bound, bound.db, closed=SHUT)
    tell(bound, bound.web, closed=SHUT)
    grant = opened(bound)
    before = bound.see(lambda tx: tx.generation(bound.db.uid))
    place(bound, THERE)
    assert bound.grant(grant).state is GrantState.CLOSING
    assert where(bound, bound.web) == Whereabouts((THERE,), frozenset({HERE}))
    assert bound.see(lambda tx: tx.generation(bound.db.uid)) > before
    bound.enrol(bound.web, "key-2", replaces=True)
    assert where(bound, bound.web) == Whereabouts((THERE,), frozenset({HERE}))
    place(bound)
    assert where(bound, bound.web) == Whereabouts((), frozenset({HERE, THERE}))
    place(bound, HERE)
    assert where(bound, bound.web) == Whereabouts((HERE,), frozenset({THERE}))


def test_the_same_addresses_end_nothing_and_a_silent_binding_leaves_them(bound: World) -> None:
    place(bound, HERE)
    grant = opened(bound)
    place(bound, HERE)
    bind(bound)
    assert bound.grant(grant).state is GrantState.OPEN
    assert where(bound, bound.web) == Whereabouts((HERE,))


@pytest.mark.parametrize(
    "addresses",
    [
        ("10.1.0.10", "10.1.0.11"),
        ("127.0.0.1",),
        ("::1",),
        ("224.0.0.1",),
        ("0.0.0.0",),
        ("fe80::1",),
        ("169.254.0.1",),
    ],
)
def test_no_gateway_forwards_there(bound: World, addresses: tuple[str, ...]) -> None:
    before = everything(bound)
    with pytest.raises(InvalidInput):
        place(bound, *map(ip_address, addresses))
    assert everything(bound) == before


def test_an_address_belongs_to_one_machine_of_a_point(bound: World) -> None:
    """Else a grant for one would open the other. At another gateway it may be another's."""
    other = bound.add_machine("app-1", "10.0.0.9")
    place(bound, HERE)
    with pytest.raises(Conflict, match="another machine"):
        place(bound, HERE, machine=other)
    assert bound.see(lambda tx: tx.bindings_of(other.uid)) == []
    place(bound, THERE)
    place(bound, HERE, machine=other)
    assert where(bound, bound.web, other) == Whereabouts((HERE,))


def test_addresses_take_the_rights_that_binding_takes(bound: World) -> None:
    place(bound, HERE)
    carl = Subject(
        "cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3"
    )
    with pytest.raises(Forbidden):
        bound.do(
            lambda tx, act: bindings.bind(tx, act, carl, bound.db.id, bound.web.uid, [THERE]), carl
        )
    assert where(bound, bound.web) == Whereabouts((HERE,))


def test_a_machine_has_not_been_at_more_addresses_than_a_point_is_told(bound: World) -> None:
    for number in range(MOST_FORMER + 1):
        place(bound, ip_address(f"10.2.0.{number + 1}"))
    with pytest.raises(Conflict, match="other addresses"):
        place(bound, HERE)
    assert where(bound, bound.web) is not None


# -- former addresses ------------------------------------------------------------------------


def let_go(world: World, *addresses: Address) -> list[Address]:
    return list(
        world.do(
            lambda tx, act: bindings.release_addresses(
                tx, act, ANNA, world.db.id, world.web.uid, addresses
            )
        )
    )


def test_a_former_address_is_released_by_name_and_once(bound: World) -> None:
    """EDGES G2: at a generation, as a port; it counts for no point that has come further."""
    place(bound, HERE)
    place(bound, THERE)
    before = bound.see(lambda tx: tx.generation(bound.db.uid))
    assert let_go(bound) == [HERE]
    number = bound.see(lambda tx: tx.generation(bound.db.uid))
    assert number > before
    assert where(bound, bound.web) == Whereabouts((THERE,), frozenset(), {HERE: number})
    assert let_go(bound) == [], "there is no other"
    assert bound.kinds().count("AddressReleased") == 1
    place(bound, HERE)
    assert where(bound, bound.web) == Whereabouts((HERE,), frozenset({THERE})), (
        "a release of before is void"
    )


def test_a_new_agent_hears_of_no_release_of_an_address(bound: World) -> None:
    """What it finds closed there is let go anew, by name."""
    place(bound, HERE)
    place(bound, THERE)
    let_go(bound)
    bound.enrol(bound.web, "key-2", replaces=True)
    assert where(bound, bound.web) == Whereabouts((THERE,))
    assert let_go(bound, HERE) == [HERE], "of which the point alone may know"


def test_where_a_machine_is_no_release_opens(bound: World) -> None:
    """Nor where another is."""
    other = bound.add_machine("app-1", "10.0.0.9")
    place(bound, HERE)
    place(bound, THERE, machine=other)
    before = everything(bound)
    for address in (HERE, THERE):
        with pytest.raises(Conflict, match="not a former one"):
            let_go(bound, address)
    assert everything(bound) == before


def test_releasing_an_address_takes_the_rights_that_binding_takes(bound: World) -> None:
    place(bound, HERE)
    place(bound, THERE)
    carl = Subject(
        "cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3"
    )
    with pytest.raises(Forbidden):
        bound.do(
            lambda tx, act: bindings.release_addresses(
                tx, act, carl, bound.db.id, bound.web.uid, ()
            ),
            carl,
        )
    assert where(bound, bound.web) == Whereabouts((THERE,), frozenset({HERE}))


def test_no_more_releases_of_addresses_are_told_than_a_point_takes(bound: World) -> None:
    for number in range(MOST_FORMER + 8):
        let_go(bound, ip_address(f"10.2.0.{number + 1}"))
    told = where(bound, bound.web)
    assert told is not None
    assert len(told.released) == MOST_FORMER
    assert ip_address(f"10.2.0.{MOST_FORMER + 8}") in told.released


# -- what is said ----------------------------------------------------------------------------


def test_who_waited_in_vain_hears_which_point_was_silent(bound: World) -> None:
    """The machine's own agent was not: nobody is to look there."""
    grant = bound.granted(bound.db)
    bound.clock.pass_time(61)
    bound.report(bound.db)
    tell(bound, bound.db, grant.id, closed=SHUT)
    bound.do(sweep, None)
    failed = bound.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "The agent of web-1 has been away since" in failed.failure
    assert "db-1" not in failed.failure


def test_a_machine_that_only_a_gateway_guards_is_closed_there(bound: World) -> None:
    """EDGES G7: its own link reaches it. With an agent of its own it is closed there too."""
    alone = bound.add_machine("app-1", "10.0.0.9")
    place(bound, HERE, machine=alone)
    now = bound.clock.wall
    for machine, closed_at in ((alone, ("web-1",)), (bound.db, ()), (bound.web, ())):
        view = bound.see(lambda tx, each=machine: view_machine(tx, each, now))  # type: ignore[misc]  # reason: bound now
        assert view.closed_at == closed_at
    point = point_of(bound, alone)
    assert (point.gateways, point.has_own) == ((bound.web.uid,), False)
    both = point_of(bound, bound.db)
    assert (both.gateways, both.has_own) == ((bound.web.uid,), True)


def test_a_point_guards_no_more_machines_than_a_message_names(
    bound: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that no beat names would lose its leases without end."""
    monkeypatch.setattr(bindings, "MOST_BEHIND", 1)
    other = bound.add_machine("app-1", "10.0.0.9")
    with pytest.raises(Conflict, match="at most 1 other"):
        place(bound, THERE, machine=other)
    assert not place(bound, HERE), "which is bound already"


def test_the_server_s_own_agent_is_no_gateway(world: World) -> None:
    """Its loop holds its own host alone: nothing would be closed."""

    def enrol_here(tx: Transaction, act: Act) -> None:
        tx.put_enforcement_point(EnforcementPoint(world.web.uid, IN_PROCESS_KEY, act.now))

    world.do(enrol_here)
    with pytest.raises(Conflict, match="guards no other machine"):
        bind(world)
