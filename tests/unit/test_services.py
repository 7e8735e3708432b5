"""Use cases on a real store: what opens, what ends, what stays shut (EDGES A8 to A16)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.api.wire.places import path_of_target
from bascule.domain.access import Subject
from bascule.domain.decide import Denied
from bascule.domain.desired import CUT_FOR, DesiredState
from bascule.domain.facts.grants import SessionsCut
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, Status, StatusReason
from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol, TransportProtocol
from bascule.domain.policy import Policy
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import (
    AuthenticationFailed,
    Conflict,
    Forbidden,
    InvalidInput,
    PreconditionFailed,
)
from bascule.interfaces.record import EventFilter
from bascule.services import (
    fleet,
    live_requests,
    machine_rules,
    machines,
    policies,
    reports,
    requests,
    unnamed_ports,
)
from bascule.services.claims import claimed_ports
from bascule.services.sweep import close_orphans, next_due, sweep
from tests.unit.services_world import ANNA, BERT, World, rules

SSH = PortKey(TransportProtocol.TCP, 22)
DNS = PortKey(TransportProtocol.UDP, 53)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def closed(world: World, machine: Machine) -> frozenset[PortKey]:
    return frozenset(each.port for each in world.see(lambda tx: tx.closed_ports(machine.uid)))


def state(world: World, machine: Machine) -> DesiredState:
    return world.see(lambda tx: fleet.state_for(tx, machine.uid, world.clock.wall))[1]


def extend(world: World, grant: Grant, seconds: float) -> Denied | None:
    ends = world.clock.wall + timedelta(seconds=seconds)
    text = format_utc(ends)
    return world.do(
        lambda tx, act: live_requests.extend(tx, act, grant.request_id, ends, text, ANNA)
    )


# -- closing and releasing ----------------------------------------------------------------


def test_a_policy_shuts_what_it_names(world: World) -> None:
    world.put(rules(world.web, 22))
    assert closed(world, world.web) == {SSH}
    assert closed(world, world.db) == frozenset()
    assert state(world, world.web).leases == ()


def test_udp_is_always_kill(world: World) -> None:
    """A UDP flow under "established" would never end (EDGES A4)."""
    world.put(rules(world.web, 53, protocol=RuleProtocol.ALL))
    shut = world.see(lambda tx: tx.closed_ports(world.web.uid))
    assert ClosedPort(DNS, OnExpiry.KILL) in shut
    assert ClosedPort(PortKey(TransportProtocol.TCP, 53), OnExpiry.KEEP) in shut


@pytest.mark.parametrize("omit", ["port", "machine", "everything"])
def test_a_port_that_a_put_stops_naming_stays_shut(world: World, omit: str) -> None:
    """Nothing opens by omission (EDGES A10)."""
    world.put(rules(world.web, 22, 3389), rules(world.db, 22))
    if omit == "port":
        world.put(rules(world.web, 3389), rules(world.db, 22))
    elif omit == "machine":
        world.put(rules(world.db, 22))
    else:
        world.put()
    assert SSH in closed(world, world.web)
    assert not state(world, world.web).released
    assert "PortLeftPolicies" in world.kinds()


def test_deleting_a_policy_opens_what_it_alone_names(world: World) -> None:
    world.put(rules(world.web, 22, 3389))
    world.put(rules(world.web, 22), name="other")
    assert world.do(lambda tx, act: policies.delete_policy(tx, act, ANNA, world.policy_id()))
    assert closed(world, world.web) == {SSH}
    assert set(state(world, world.web).released) == {PortKey(TransportProtocol.TCP, 3389)}


def test_deleting_a_policy_leaves_what_the_others_say_of_a_port(world: World) -> None:
    """What it alone had killed is kept from then on, and nothing of it opens meanwhile."""
    world.put(rules(world.web, 22, on_expiry=OnExpiry.KILL))
    world.put(rules(world.web, 22), name="other")
    before = state(world, world.web)
    world.do(lambda tx, act: policies.delete_policy(tx, act, ANNA, world.policy_id()))
    after = state(world, world.web)
    assert before.closed == {ClosedPort(SSH, OnExpiry.KILL)}
    assert after.closed == {ClosedPort(SSH, OnExpiry.KEEP)}
    assert after.generation > before.generation
    assert not {"PortLeftPolicies", "PortReleased"} & set(world.kinds())


def test_deleting_a_policy_does_not_open_what_it_once_named(world: World) -> None:
    """Only what it names at that moment opens."""
    world.put(rules(world.web, 22))
    world.put()
    world.do(lambda tx, act: policies.delete_policy(tx, act, ANNA, world.policy_id()))
    assert SSH in closed(world, world.web)


def test_release_by_name_and_not_of_what_a_policy_names(world: World) -> None:
    world.put(rules(world.web, 22, 3389))
    world.put(rules(world.web, 3389))
    released = world.do(
        lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None)
    )
    assert released == (SSH,)
    with pytest.raises(Conflict, match="A policy still names"):
        world.do(
            lambda tx, act: unnamed_ports.release_ports(
                tx, act, ANNA, world.web.id, {PortKey(TransportProtocol.TCP, 3389)}
            )
        )


def test_removing_a_machines_rules_opens_them_and_nobody_elses(world: World) -> None:
    world.put(rules(world.web, 22), rules(world.db, 22))
    assert world.do(lambda tx, act: machine_rules.delete_machine_rules(tx, act, ANNA, world.web.id))
    assert closed(world, world.web) == frozenset()
    assert closed(world, world.db) == {SSH}


def test_where_two_policies_differ_the_stricter_expiry_holds(world: World) -> None:
    world.put(rules(world.web, 22))
    world.put(rules(world.web, 22, on_expiry=OnExpiry.KILL), name="strict")
    assert world.see(lambda tx: tx.closed_ports(world.web.uid)) == {ClosedPort(SSH, OnExpiry.KILL)}


def test_a_kill_port_in_the_hosts_own_range_is_refused(world: World) -> None:
    """It would cut the host's own outbound connections (EDGES A4)."""
    world.report(world.web, local_port_range=(32768, 60999))
    with pytest.raises(InvalidInput, match="ip_local_port_range"):
        world.put(rules(world.web, 40000, on_expiry=OnExpiry.KILL))
    with pytest.raises(InvalidInput, match="UDP"):
        world.put(rules(world.web, 40000, protocol=RuleProtocol.UDP))
    world.put(rules(world.web, 40000))


def test_an_old_etag_writes_nothing(world: World) -> None:
    """Two writers cannot undo each other."""
    world.put(rules(world.web, 22))
    stored = world.see(lambda tx: tx.policy(world.policy_id()))
    assert stored is not None
    world.put(rules(world.web, 22, 3389))
    late = Policy(world.policy_id(), "Basic", (rules(world.web, 80),))
    with pytest.raises(PreconditionFailed):
        world.do(
            lambda tx, act: policies.put_policy(
                tx, act, ANNA, late, precondition=policies.Precondition(stored.etag)
            )
        )
    assert PortKey(TransportProtocol.TCP, 80) not in closed(world, world.web)


# -- requests ------------------------------------------------------------------------------


def test_a_grant_is_open_when_it_was_read_back_and_not_before(world: World) -> None:
    """Said means seen (ARCHITECTURE rule 4)."""
    world.put(rules(world.web, 22))
    old = world.see(lambda tx: tx.generation(world.web.uid))
    grant = world.granted(world.web)
    assert grant.status is Status.INITIATING
    world.report(world.web, generation=old)
    assert world.grant(grant).state is GrantState.OPENING
    world.report(world.web)
    assert world.grant(grant).state is GrantState.OPENING  # right generation, not in force
    world.report(world.web, grant.id)
    assert world.grant(grant).state is GrantState.OPEN


def test_a_denial_leaves_an_event_and_no_grant(world: World) -> None:
    world.put(rules(world.web, 22, sources="10.0.0.0/8"))
    answer = world.ask(world.web, number=23)
    assert isinstance(answer, Denied)
    assert world.kinds()[-1] == "AccessDenied"
    assert not state(world, world.web).leases


def test_the_same_requestors_newer_request_takes_the_olders_place(world: World) -> None:
    world.put(rules(world.web, 22))
    first = world.granted(world.web)
    world.report(world.web, first.id)
    second = world.granted(world.web, seconds=60)
    old = world.grant(first)
    assert (old.status, old.reason) == (Status.REVOKED, StatusReason.NEWER_REQUEST_INITIATED)
    assert [lease.grant_id for lease in state(world, world.web).leases] == [second.id]


def test_another_persons_grant_of_the_same_opening_is_his_own(world: World) -> None:
    """One ending never closes another's."""
    world.put(rules(world.web, 22))
    anna = world.granted(world.web)
    bert = world.granted(world.web, subject=BERT)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, anna.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    assert [lease.grant_id for lease in state(world, world.web).leases] == [bert.id]


def test_a_revoked_grant_is_closed_when_it_was_read_back_shut(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
        )
    )
    assert world.grant(grant).state is GrantState.CLOSING
    world.report(world.web, grant.id)  # it was still in force
    assert world.grant(grant).state is GrantState.CLOSING
    world.report(world.web, sessions={grant.id: 2})
    assert world.grant(grant).state is GrantState.CLOSED


def test_revoke_with_kill_names_the_cut_for_two_minutes(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=True, subject=ANNA
        )
    )
    (cut,) = state(world, world.web).cuts
    assert cut.grant_id == grant.id
    world.report(world.web)
    world.clock.pass_time(119)
    (cut,) = state(world, world.web).cuts
    assert cut.remaining == timedelta(seconds=1)
    world.clock.pass_time(2)
    assert state(world, world.web).cuts == ()


@pytest.mark.parametrize("is_long_over", [False, True])
def test_a_cut_waits_for_an_agent_that_is_away(world: World, is_long_over: bool) -> None:
    """However long: else a kept session would live on. What it has heard of is over in time."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    if is_long_over:
        world.do(
            lambda tx, act: live_requests.revoke(
                tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
            )
        )
        world.report(world.web, sessions={grant.id: 1})
        assert world.grant(grant).state is GrantState.CLOSED
    heard = world.see(lambda tx: tx.generation(world.web.uid))
    cut(world, grant)
    world.clock.pass_time(86_400)
    for _ in range(2):
        told = [(each.grant_id, each.remaining) for each in state(world, world.web).cuts]
        assert told == [(grant.id, CUT_FOR)]
        world.report(world.web, generation=heard)  # it has not taken it in
    world.report(world.web)
    assert state(world, world.web).cuts == ()


def test_a_cut_that_the_old_agent_missed_is_told_to_the_new(world: World) -> None:
    """And none of those that it has heard of: others' sessions would go with an old source."""
    world.put(rules(world.web, 22))
    heard, missed = (world.granted(world.web, source=f"192.0.2.{n}") for n in (1, 2))
    cut(world, heard)
    world.report(world.web, missed.id)
    cut(world, missed)
    world.clock.pass_time(600)
    world.enrol(world.web, "key-2", replaces=True)
    told = [(each.grant_id, each.remaining) for each in state(world, world.web).cuts]
    assert told == [(missed.id, CUT_FOR)]
    world.report(world.web)
    world.clock.pass_time(121)
    assert state(world, world.web).cuts == ()


def cut(world: World, grant: Grant, subject: Subject = ANNA) -> None:
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=True, subject=subject
        ),
        subject,
    )


@pytest.mark.parametrize("ended_ago", [30, 300, 86_400])
def test_a_cut_after_the_end_lasts_two_minutes_from_itself(world: World, ended_ago: int) -> None:
    """A session of a keep port outlives its grant, and may be cut long after (EDGES A24)."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=5)
    world.report(world.web, grant.id)
    world.clock.pass_time(5)
    world.do(sweep)
    world.report(world.web, sessions={grant.id: 1})
    world.clock.pass_time(ended_ago)
    before = state(world, world.web)
    assert before.cuts == ()
    cut(world, grant)
    told = state(world, world.web)
    assert [(each.grant_id, each.remaining) for each in told.cuts] == [(grant.id, CUT_FOR)]
    assert told.generation > before.generation, "the agent is told of it"
    world.clock.pass_time(119)
    cut(world, grant)
    (again,) = state(world, world.web).cuts
    assert again.remaining == CUT_FOR, "it begins anew"
    world.report(world.web)
    world.clock.pass_time(120)
    assert state(world, world.web).cuts == ()


def test_a_cut_after_the_end_is_on_record_with_who_did_it(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    cut(world, grant)
    assert "SessionsCut" not in world.kinds(), "the end itself says that it kills"
    cut(world, grant, BERT)
    found = world.see(lambda tx: tx.events(EventFilter(kinds=("SessionsCut",))))
    ((_, event),) = found
    assert event.fact == SessionsCut(grant.id, grant.request_id, str(world.web.id))
    assert (event.actor.name, event.resource_id) == ("bert", str(world.web.id))


def test_extending_is_decided_like_a_new_request(world: World) -> None:
    world.put(rules(world.web, 22, longest=timedelta(hours=1)))
    grant = world.granted(world.web, seconds=600)
    ends = world.clock.wall + timedelta(minutes=50)
    world.do(
        lambda tx, act: live_requests.extend(
            tx, act, grant.request_id, ends, "2030-01-01T12:50:00Z", ANNA
        )
    )
    (lease,) = state(world, world.web).leases
    assert (lease.extension, lease.remaining) == (1, timedelta(minutes=50))
    denied = extend(world, grant, 7200)
    assert isinstance(denied, Denied)
    assert "at most 1 h" in denied.reasons[0].message
    assert path_of_target(denied.reasons[0].target) == "endTimeUtc"
    assert world.kinds()[-1] == "AccessDenied"


def test_an_extension_is_decided_whole_before_any_of_it_is_written(world: World) -> None:
    """Two machines, one of which allows it: neither is moved, and all reasons are told once."""
    short = timedelta(minutes=30)
    world.put(rules(world.db, 22), rules(world.web, 22, 80, longest=short))
    ends = world.clock.wall + timedelta(minutes=5)
    asked = tuple(
        RequestedMachine(
            machine.id,
            tuple(
                RequestedPort(number, (AddressPrefix.parse("192.0.2.1"),), ends, "x")
                for number in numbers
            ),
        )
        for machine, numbers in ((world.db, (22,)), (world.web, (22, 80)))
    )
    made = world.do(
        lambda tx, act: requests.initiate(tx, act, world.policy_id(), asked, None, ANNA)
    )
    assert isinstance(made, requests.Initiated)
    before = [world.grant(grant) for grant in made.grants]
    denied = extend(world, made.grants[0], 3600)
    assert isinstance(denied, Denied)
    assert [reason.code for reason in denied.reasons] == ["DurationTooLong"] * 2
    assert [world.grant(grant) for grant in made.grants] == before
    assert world.kinds().count("AccessDenied") == 1
    assert "GrantExtended" not in world.kinds()
    assert extend(world, made.grants[0], 1800) is None
    assert world.kinds().count("GrantExtended") == 3


def test_an_extension_does_not_shorten(world: World) -> None:
    """An earlier end is no extension: who wants it revokes."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=600)
    before = world.grant(grant)
    with pytest.raises(
        Conflict, match=r"already granted until 2030-01-01T12:10:00\.0000000Z"
    ) as refused:
        extend(world, grant, 599)
    assert refused.value.specific_code == "EndTimeEarlier"
    assert "revoke" in refused.value.advice
    assert world.grant(grant) == before
    assert "GrantExtended" not in world.kinds()
    assert extend(world, grant, 600) is None  # the same end is not earlier


def test_a_shorter_maximum_cuts_to_start_plus_maximum(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=7200)
    world.report(world.web, grant.id)
    world.clock.pass_time(60)
    world.put(rules(world.web, 22, longest=timedelta(minutes=10)))
    (lease,) = state(world, world.web).leases
    assert lease.remaining == timedelta(minutes=9)
    assert world.grant(grant).ends_at_text == "2030-01-01T12:10:00.0000000Z"


@pytest.mark.parametrize("extensions", [1, 3])
def test_an_extension_is_cut_by_a_maximum_shorter_than_its_own(
    world: World, extensions: int
) -> None:
    """Its end was allowed by the longer maximum; that the grant began under a third one, shorter
    than both, protects nothing (EDGES A11).
    """
    world.put(rules(world.web, 22, longest=timedelta(hours=1)))
    grant = world.granted(world.web, seconds=3600)
    world.put(rules(world.web, 22, longest=timedelta(hours=24)))
    for _ in range(extensions):
        world.clock.pass_time(300)
        assert extend(world, grant, 24 * 3600) is None
    world.put(rules(world.web, 22, longest=timedelta(hours=2)))
    assert world.grant(grant).ends_at_text == "2030-01-01T14:00:00.0000000Z"
    assert world.kinds().count("GrantShortened") == 1


def test_an_extension_is_not_cut_by_the_maximum_that_allowed_it(world: World) -> None:
    """Two rules of one port allow what the shorter of them does; to write the same again, to
    lengthen a maximum and to take that back moves no end.
    """
    tcp = rules(world.web, 53, longest=timedelta(hours=1))
    udp = rules(world.web, 53, longest=timedelta(hours=3), protocol=RuleProtocol.UDP)
    longer = rules(world.web, 53, longest=timedelta(hours=24), protocol=RuleProtocol.UDP)
    world.put(replace(udp, ports=udp.ports + tcp.ports))
    made = world.ask(world.web, 53, seconds=3600)
    assert isinstance(made, requests.Initiated)
    world.report(world.web, *(each.id for each in made.grants))
    world.clock.pass_time(3000)
    assert extend(world, made.grants[0], 3600) is None
    for rule in (udp, longer, udp):
        world.put(replace(udp, ports=rule.ports + tcp.ports), rules(world.db, 22))
    assert len(made.grants) == 2
    for grant in made.grants:
        assert world.grant(grant).ends_at_text == "2030-01-01T13:50:00.0000000Z"
    assert "GrantShortened" not in world.kinds()


@pytest.mark.parametrize("longest", [timedelta(hours=1), timedelta(hours=24)])
def test_another_on_expiry_moves_no_end(world: World, longest: timedelta) -> None:
    """Extended past its start plus the maximum, and still within what the policy allows."""
    world.put(rules(world.web, 22, longest=timedelta(hours=1)))
    grant = world.granted(world.web, seconds=3600)
    world.report(world.web, grant.id)
    world.clock.pass_time(3000)
    assert extend(world, grant, 3600) is None
    world.clock.pass_time(1200)
    world.put(rules(world.web, 22, longest=longest, on_expiry=OnExpiry.KILL))
    world.put(rules(world.web, 22, longest=timedelta(hours=1), on_expiry=OnExpiry.KEEP))
    world.put(rules(world.web, 22, longest=timedelta(hours=1), on_expiry=OnExpiry.KILL))
    now = world.grant(grant)
    assert (now.state, now.on_expiry) == (GrantState.OPEN, OnExpiry.KILL)
    assert now.ends_at_text == "2030-01-01T13:50:00.0000000Z"
    (lease,) = state(world, world.web).leases
    assert lease.remaining == timedelta(minutes=40)
    assert not {"GrantShortened", "GrantEnded"} & set(world.kinds())


def test_a_shorter_maximum_moves_no_end_into_the_past(world: World) -> None:
    """What start plus the new maximum has left behind ends now, and is recorded as ended."""
    world.put(rules(world.web, 22, longest=timedelta(hours=1)))
    grant = world.granted(world.web, seconds=3600)
    world.report(world.web, grant.id)
    world.clock.pass_time(3000)
    assert extend(world, grant, 3600) is None
    world.clock.pass_time(1200)
    world.put(rules(world.web, 22, longest=timedelta(minutes=59), on_expiry=OnExpiry.KILL))
    ended = world.grant(grant)
    assert (ended.status, ended.reason) == (Status.REVOKED, StatusReason.USER_REQUESTED)
    assert ended.ended_at == world.clock.wall
    assert ended.ends_at_text == "2030-01-01T13:50:00.0000000Z"
    assert "GrantEnded" in world.kinds()
    assert "GrantShortened" not in world.kinds()


@pytest.mark.parametrize(
    "narrower", ["machine gone", "port gone", "source gone", "policy deleted", "machine deleted"]
)
def test_narrowing_ends_what_it_no_longer_allows(world: World, narrower: str) -> None:
    """In the same commit (EDGES A11)."""
    world.put(rules(world.web, 22), rules(world.db, 22))
    grant = world.granted(world.web)
    kept = world.granted(world.db)
    if narrower == "machine gone":
        world.put(rules(world.db, 22))
    elif narrower == "port gone":
        world.put(rules(world.web, 3389), rules(world.db, 22))
    elif narrower == "source gone":
        world.put(rules(world.web, 22, sources="10.0.0.0/8"), rules(world.db, 22))
    elif narrower == "policy deleted":
        world.do(lambda tx, act: policies.delete_policy(tx, act, ANNA, world.policy_id()))
    else:
        world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    ended = world.grant(grant)
    assert (ended.status, ended.reason) == (Status.REVOKED, StatusReason.USER_REQUESTED)
    assert world.grant(kept).is_live == (narrower != "policy deleted")


@pytest.mark.parametrize("spans", [(1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("expiries", [("keep", "kill"), ("kill", "keep"), ("keep", "keep")])
def test_one_rule_written_as_two_ends_nothing_that_both_allow(
    world: World, spans: tuple[int, int], expiries: tuple[str, str]
) -> None:
    """All of it is still allowed (EDGES A11): no longer than by the shorter maximum."""
    world.put(rules(world.web, 53, protocol=RuleProtocol.ALL))
    grant = world.granted(world.web, 53, seconds=3 * 3600)
    tcp, udp = (
        rules(world.web, 53, protocol=of, longest=timedelta(hours=span), on_expiry=OnExpiry(each))
        for of, span, each in zip(
            (RuleProtocol.TCP, RuleProtocol.UDP), spans, expiries, strict=True
        )
    )
    world.put(replace(tcp, ports=tcp.ports + udp.ports))
    now = world.grant(grant)
    assert now.is_live
    assert now.ends_at - now.started_at == timedelta(hours=min(spans))
    assert (now.on_expiry is OnExpiry.KILL) is ("kill" in expiries)
    world.clock.pass_time(60)
    assert extend(world, now, min(spans) * 3600) is None


@pytest.mark.parametrize("lost", ["TCP", "UDP", "TCP's source", "UDP's source"])
def test_a_grant_of_both_ends_when_one_half_is_lost(world: World, lost: str) -> None:
    world.put(rules(world.web, 53, protocol=RuleProtocol.ALL))
    grant = world.granted(world.web, 53)
    halves = [
        rules(
            world.web,
            53,
            protocol=each,
            sources="10.0.0.0/8" if lost.startswith(f"{each}'") else "*",
        )
        for each in (RuleProtocol.TCP, RuleProtocol.UDP)
        if each != lost
    ]
    world.put(replace(halves[0], ports=tuple(port for half in halves for port in half.ports)))
    assert not world.grant(grant).is_live


# -- time ----------------------------------------------------------------------------------


def test_the_end_comes_by_the_sweep_and_is_closed_by_the_report(world: World) -> None:
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=5)
    world.report(world.web, grant.id)
    world.clock.pass_time(4.9)
    assert world.do(sweep) == 0
    world.clock.pass_time(0.1)
    assert world.do(sweep) == 1
    ended = world.grant(grant)
    assert (ended.state, ended.reason) == (GrantState.CLOSING, StatusReason.EXPIRED)
    world.report(world.web)
    assert world.grant(grant).state is GrantState.CLOSED


def test_what_did_not_open_in_a_minute_never_opens(world: World) -> None:
    """It is withdrawn with the reason, and no later report brings it back (EDGES A20)."""
    machine = world.add_machine("quiet-1", "10.0.0.9")
    world.put(rules(machine, 22))
    grant = world.granted(machine)
    world.clock.pass_time(60)
    world.do(sweep)
    failed = world.grant(grant)
    assert (failed.state, failed.status, failed.reason) == (
        GrantState.FAILED,
        Status.REVOKED,
        StatusReason.EXPIRED,
    )
    assert "has no agent" in failed.failure
    assert "is open until" not in failed.failure, "nobody could have had it"
    world.enrol(machine)
    world.report(machine, grant.id)
    assert world.grant(grant).state is GrantState.FAILED
    assert state(world, machine).leases == ()


def test_what_did_not_open_in_a_minute_is_leased_no_more_before_any_sweep(world: World) -> None:
    """While nothing can be written no sweep withdraws it, and to read its state takes no write."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    world.clock.pass_time(59)
    (lease,) = state(world, world.web).leases
    assert lease.grant_id == grant.id
    world.clock.pass_time(1)
    assert state(world, world.web).leases == ()
    assert world.grant(grant).state is GrantState.OPENING


def test_a_clock_set_back_gives_what_never_opened_no_more_time(world: World) -> None:
    """Else it would open an hour later, by surprise, with all its time left."""
    machine = world.add_machine("quiet-1", "10.0.0.9")
    world.put(rules(machine, 22))
    grant = world.granted(machine)
    world.clock.pass_time(-3600)
    now = world.clock.wall
    assert world.see(lambda reader: next_due(reader, now)) == now
    world.do(sweep)
    assert world.grant(grant).state is GrantState.FAILED


def test_a_withdrawal_says_that_an_agent_cut_off_in_time_may_hold_it_open(world: World) -> None:
    """Said means seen: "failed" alone would say of a port that it is shut (ARCHITECTURE)."""
    world.put(rules(world.web, 22), rules(world.db, 22))
    told, short = world.granted(world.web, seconds=600), world.granted(world.db, seconds=60)
    world.clock.pass_time(60)
    world.do(sweep)
    failed = world.grant(told)
    assert failed.state is GrantState.FAILED
    assert f"the port is open until {told.ends_at_text}" in failed.failure
    assert "is open until" not in world.grant(short).failure, "its end is over"
    assert state(world, world.web).leases == (), "and none is told to open it any more"


def test_an_agent_ahead_of_the_server_ends_what_lives(world: World) -> None:
    """The server is from an older backup (EDGES A8)."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    generation = world.report(world.web, grant.id, generation=500)
    assert generation > 500
    assert not world.grant(grant).is_live
    assert "GenerationOvertaken" in world.kinds()


@pytest.mark.parametrize("ahead", [0, 1, 450], ids=["grown past it", "by one", "far ahead"])
def test_a_release_of_an_older_backup_opens_nothing(world: World, ahead: int) -> None:
    """Let go, backed up, shut again, restored: what the agent keeps shut is shut (A8, A10)."""
    world.put(rules(world.web, 22))
    world.put()
    world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None))
    assert SSH in state(world, world.web).released
    known = world.see(lambda reader: reader.generation(world.web.uid))
    world.report(world.web, generation=known + ahead, closed=frozenset({ClosedPort(SSH)}))
    assert world.see(lambda tx: claimed_ports(tx, world.web.uid)) == {ClosedPort(SSH)}
    assert not state(world, world.web).released
    released = world.do(
        lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None)
    )
    assert released == (SSH,), "and by name it is let go again"
    world.report(world.web)
    assert SSH in state(world, world.web).released


def test_an_agent_that_has_not_heard_of_a_release_yet_does_not_undo_it(world: World) -> None:
    world.put(rules(world.web, 22))
    world.put()
    before = world.see(lambda reader: reader.generation(world.web.uid))
    world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None))
    world.report(world.web, generation=before, closed=frozenset({ClosedPort(SSH)}))
    assert SSH in state(world, world.web).released


def test_a_new_agent_releases_nothing_that_was_said_to_the_old(world: World) -> None:
    """EDGES A12: a new enrolment, and then a release."""
    world.put(rules(world.web, 22))
    world.put()
    world.do(lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, None))
    world.enrol(world.web, "key-2", replaces=True)
    assert not state(world, world.web).released


def test_a_stolen_agents_key_shuts_no_host(world: World) -> None:
    """What it says to be shut is listed, and reaches no agent, neither this one nor the next."""
    world.put(rules(world.web, 22))
    many = frozenset(ClosedPort(PortKey(TransportProtocol.TCP, n)) for n in range(1000, 1600))
    for _ in range(2):
        world.report(world.web, closed=many)
    assert state(world, world.web).closed == {ClosedPort(SSH)}
    world.enrol(world.web, "key-2", replaces=True)
    assert state(world, world.web).closed == {ClosedPort(SSH)}
    assert world.kinds().count("PortClosed") == 1


def test_a_generation_that_no_backup_explains_is_not_believed(world: World) -> None:
    """Else one report of a stolen agent's key would leave no number for those after it."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    before = world.see(lambda reader: reader.generation(world.web.uid))
    with pytest.raises(Forbidden) as refused:
        world.report(world.web, grant.id, generation=before + reports.MOST_AHEAD + 1)
    assert refused.value.specific_code == "GenerationTooFarAhead"
    assert world.see(lambda reader: reader.generation(world.web.uid)) == before
    assert world.grant(grant).state is GrantState.OPENING, "nothing was settled by it"
    assert world.report(world.web, generation=before + reports.MOST_AHEAD) > before


def test_what_was_opening_where_no_agent_is_is_closed_when_it_is_ended(world: World) -> None:
    """Nothing could be open there, and nobody would ever report it shut."""
    machine = world.add_machine("quiet-1", "10.0.0.9")
    world.put(rules(machine, 22), rules(world.web, 22))
    alone, told = world.granted(machine), world.granted(world.web)
    for grant in (alone, told):
        world.do(
            lambda tx, act, grant=grant: live_requests.revoke(  # type: ignore[misc]  # reason: mypy infers no default
                tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
            )
        )
    assert world.grant(alone).state is GrantState.CLOSED
    assert world.kinds().count("GrantClosed") == 1
    assert world.grant(told).state is GrantState.CLOSING  # its agent may have opened it already


def test_what_ended_with_its_machine_is_closed_at_its_end(world: World) -> None:
    """The kernel of a machine that was deleted shuts each opening by itself, at its end."""
    world.put(rules(world.web, 22), rules(world.db, 22))
    grant, kept = world.granted(world.web, seconds=600), world.granted(world.db, seconds=600)
    world.report(world.web, grant.id)
    world.report(world.db, kept.id)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    world.clock.pass_time(599)
    assert world.do(close_orphans) == 0
    assert world.grant(grant).state is GrantState.CLOSING
    world.clock.pass_time(1)
    world.do(sweep)
    assert world.do(close_orphans) == 1
    assert world.grant(grant).state is GrantState.CLOSED
    assert world.kinds()[-1] == "GrantClosed"
    assert world.grant(kept).state is GrantState.CLOSING  # its agent is there to say so


def test_a_deleted_machine_may_not_have_heard_of_a_shorter_end(world: World) -> None:
    """What its kernel holds ends when it was first told: only then it is called closed."""
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, seconds=7200)
    world.report(world.web, grant.id)
    world.put(rules(world.web, 22, longest=timedelta(minutes=10)))
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    world.clock.pass_time(7199)
    assert world.do(close_orphans) == 0
    world.clock.pass_time(1)
    assert world.do(close_orphans) == 1


# -- machines and agents -------------------------------------------------------------------


def test_a_new_machine_of_an_old_name_inherits_nothing(world: World) -> None:
    world.put(rules(world.web, 22))
    world.granted(world.web)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    again = world.add_machine("web-1", "10.0.0.1")
    assert again.uid != world.web.uid
    assert closed(world, again) == frozenset()
    assert world.see(lambda tx: tx.live_grants([again.uid])) == []
    policy = world.see(lambda tx: tx.policy(world.policy_id()))
    assert policy is not None
    assert policy.policy.machines == ()
    with pytest.raises(AuthenticationFailed):
        state(world, world.web)


def test_an_enrolment_token_works_once(world: World) -> None:
    machine = world.add_machine("new-1", "10.0.0.5")
    world.do(
        lambda tx, act: fleet.create_enrolment(
            tx, act, machine.id, lambda _: "secret", timedelta(minutes=1), replaces=False
        )
    )
    first = world.do(lambda tx, act: fleet.enrol(tx, act, "secret", "key-a", "1"))
    assert isinstance(first, Machine)
    same = world.do(lambda tx, act: fleet.enrol(tx, act, "secret", "key-a", "1"))
    assert isinstance(same, Machine)  # the same key: it was killed before it read the answer
    second = world.do(lambda tx, act: fleet.enrol(tx, act, "secret", "key-b", "1"))
    assert isinstance(second, fleet.Refused)
    assert world.kinds()[-1] == "EnrolmentRefused"


def test_enrolling_over_a_live_key_needs_replace(world: World) -> None:
    """One that could only be refused is not made; one made before the agent enrolled is refused."""
    machine = world.add_machine("new-1", "10.0.0.5")

    def make(name: str, *, replaces: bool = False) -> None:
        world.do(
            lambda tx, act: fleet.create_enrolment(
                tx, act, machine.id, lambda _: name, timedelta(minutes=5), replaces=replaces
            )
        )

    make("first")
    make("second")
    assert isinstance(
        world.do(lambda tx, act: fleet.enrol(tx, act, "first", "key-1", "1")), Machine
    )
    late = world.do(lambda tx, act: fleet.enrol(tx, act, "second", "key-2", "1"))
    assert isinstance(late, fleet.Refused)
    made = world.kinds().count("EnrolmentCreated")
    with pytest.raises(Conflict) as caught:
        make("third")
    assert caught.value.specific_code == "AgentEnrolled"
    assert "machine enrol new-1 --replace" in caught.value.advice
    assert world.kinds().count("EnrolmentCreated") == made
    make("fourth", replaces=True)
    assert isinstance(
        world.do(lambda tx, act: fleet.enrol(tx, act, "fourth", "key-3", "1")), Machine
    )


def test_an_expired_token_is_refused(world: World) -> None:
    machine = world.add_machine("new-1", "10.0.0.5")
    world.do(
        lambda tx, act: fleet.create_enrolment(
            tx, act, machine.id, lambda _: "secret", timedelta(hours=9), replaces=False
        )
    )
    world.clock.pass_time(15 * 60)  # nine hours were asked for, fifteen minutes is the most
    answer = world.do(lambda tx, act: fleet.enrol(tx, act, "secret", "k", "1"))
    assert answer == fleet.Refused("the token has expired")
