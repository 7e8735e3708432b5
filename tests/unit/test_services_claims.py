"""What an agent alone says (EDGES E7): claimed ports, and numbers that no backup explains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.desired import DesiredState
from bascule.domain.facts.agents import AgentDoubted, AgentReported, GenerationOvertaken
from bascule.domain.facts.machines import PortClosed
from bascule.domain.held import Held, hold
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import DOUBTED, SERVER_PORT_CLOSED, SOCKETS_KEPT
from bascule.errors import Conflict, Forbidden, InvalidInput
from bascule.interfaces.exposure import KnownMachine
from bascule.interfaces.record import EventFilter
from bascule.protocol.report import LocalOpening
from bascule.services import doubt, unnamed_ports
from bascule.services.act import ServerPlace
from bascule.services.claims import claimed_ports
from bascule.services.doubt import DOUBTED_WITHIN, believe_point
from bascule.services.fleet import state_for
from bascule.services.notes import NOTES_PER_SPAN
from bascule.services.sweep import sweep
from bascule.services.views import view_machine
from tests.unit.services_world import ANNA, BERT, World, rules

HOUR = timedelta(hours=1).total_seconds()


def tcp(*numbers: int) -> frozenset[ClosedPort]:
    return frozenset(ClosedPort(PortKey(TransportProtocol.TCP, number)) for number in numbers)


def keys(*numbers: int) -> set[PortKey]:
    return {each.port for each in tcp(*numbers)}


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def told(world: World, machine: Machine) -> DesiredState:
    return world.see(lambda tx: state_for(tx, machine.uid, world.clock.wall))[1]


def claimed(world: World, machine: Machine) -> frozenset[ClosedPort]:
    return world.see(lambda tx: claimed_ports(tx, machine.uid))


def take(world: World, *numbers: int) -> tuple[PortKey, ...]:
    wanted = keys(*numbers) or None
    return world.do(lambda tx, act: unnamed_ports.take_ports(tx, act, ANNA, world.web.id, wanted))


def release(world: World, *numbers: int) -> tuple[PortKey, ...]:
    wanted = keys(*numbers) or None
    return world.do(
        lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, wanted)
    )


# -- claimed ports ----------------------------------------------------------------------------


def test_an_agents_word_closes_nothing(world: World) -> None:
    """Whoever held an agent's key had any port of its host closed, by reporting it closed."""
    world.put(rules(world.web, 22))
    before = told(world, world.web)
    world.report(world.web, closed=tcp(22, 53, 80, 443, *range(1000, 2000)))
    after = told(world, world.web)
    assert after.closed == before.closed == tcp(22)
    assert after.generation == before.generation
    assert claimed(world, world.web) == tcp(53, 80, 443, *range(1000, 2000))
    assert "keeps 53/tcp" in " ".join(
        event.fact.what
        for _, event in world.see(lambda tx: tx.events(EventFilter(kinds=("AgentReported",))))
        if isinstance(event.fact, AgentReported)
    )
    facts = [e.fact for _, e in world.see(lambda tx: tx.events(EventFilter(kinds=("PortClosed",))))]
    assert [each.port for each in facts if isinstance(each, PortClosed)] == ["22/tcp"]


def test_claims_are_seen_where_the_machine_is(world: World) -> None:
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 80))
    view = world.see(lambda tx: view_machine(tx, world.web, world.clock.wall))
    assert view.claimed == tcp(80)
    assert view.closed == tcp(22)
    world.report(world.web, closed=tcp(22))
    assert claimed(world, world.web) == frozenset(), "it does not keep it closed any more"


def test_claims_that_change_all_the_time_are_bounded_on_record(world: World) -> None:
    world.put(rules(world.web, 22))
    for number in range(1000, 1000 + 3 * NOTES_PER_SPAN):
        world.report(world.web, closed=tcp(22, number))
    kinds = world.kinds()
    assert kinds.count("AgentReported") + kinds.count("NotesWithheld") <= NOTES_PER_SPAN + 1


def test_a_claim_voids_the_releases_before_it(world: World) -> None:
    """An agent that lost its memory would let go by an old release what was closed since (A8)."""
    world.put(rules(world.web, 22, 80))
    world.put(rules(world.web, 22))
    assert release(world, 80) == tuple(keys(80))
    generation = told(world, world.web).generation
    world.report(world.web, generation=generation - 1, closed=tcp(22, 80))
    assert claimed(world, world.web) == frozenset(), "it has not heard of the release yet"
    assert set(told(world, world.web).released) == keys(80)
    world.report(world.web, generation=generation, closed=tcp(22, 80))
    assert claimed(world, world.web) == tcp(80)
    state = told(world, world.web)
    assert state.released == {}
    lost = Held(generation=0, closed=tcp(22, 80))
    assert hold(lost, state, 0.0, 0.0).closed == tcp(22, 80), "the host keeps it closed"


def test_only_a_new_release_opens_a_claimed_port(world: World) -> None:
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 80))
    held = hold(Held(closed=tcp(22, 80)), told(world, world.web), 0.0, 0.0)
    assert held.closed == tcp(22, 80)
    assert release(world) == tuple(keys(80)), "all that no policy names"
    state = told(world, world.web)
    assert hold(held, state, 0.0, 0.0).closed == tcp(22)
    assert claimed(world, world.web) == frozenset()
    world.report(world.web, closed=tcp(22))
    assert claimed(world, world.web) == frozenset()


def test_a_claim_that_an_owner_takes_is_closed_here_too(world: World) -> None:
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 80, 443))
    generation = told(world, world.web).generation
    assert take(world, 80) == tuple(keys(80))
    assert told(world, world.web).closed == tcp(22, 80)
    assert told(world, world.web).generation > generation
    assert claimed(world, world.web) == tcp(443)
    with pytest.raises(Conflict, match="8080/tcp"):
        take(world, 443, 8080)
    assert take(world) == tuple(keys(443))
    assert take(world) == ()
    nobody = replace(BERT, principal_id="5d1f6f1e-0000-4000-8000-000000000009")
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: unnamed_ports.take_ports(tx, act, nobody, world.web.id, None))


def test_a_new_enrolment_is_not_told_of_what_the_old_one_claimed(world: World) -> None:
    """So a stolen key has the machine's next agent close nothing."""
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 80, 443))
    take(world, 443)
    world.enrol(world.web, "key-2", replaces=True)
    assert claimed(world, world.web) == frozenset()
    assert told(world, world.web).closed == tcp(22, 443)


def test_a_policy_that_names_it_closes_it_and_ends_the_claim(world: World) -> None:
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 80))
    world.put(rules(world.web, 22, 80))
    assert claimed(world, world.web) == frozenset()
    assert told(world, world.web).closed == tcp(22, 80)


def test_the_servers_own_port_is_never_taken_on_its_own_host(world: World) -> None:
    world.services = replace(
        world.services,
        place=ServerPlace(frozenset({443}), lambda address: str(address) == "10.0.0.1"),
    )
    world.put(rules(world.web, 22))
    world.report(world.web, closed=tcp(22, 443))
    assert claimed(world, world.web) == tcp(443)
    with pytest.raises(InvalidInput, match="This server itself"):
        take(world)
    assert told(world, world.web).closed == tcp(22)


def test_a_kill_port_in_the_hosts_own_range_is_not_taken(world: World) -> None:
    world.put(rules(world.web, 22))
    kill = ClosedPort(PortKey(TransportProtocol.TCP, 40_000), OnExpiry.KILL)
    world.report(world.web, closed=tcp(22) | {kill}, local_port_range=(32_768, 60_999))
    with pytest.raises(InvalidInput, match="ip_local_port_range"):
        take(world)


# -- generations ------------------------------------------------------------------------------


def overtakings(world: World) -> int:
    return world.kinds().count("GenerationOvertaken")


def test_a_second_overtaking_within_an_hour_is_not_believed(world: World) -> None:
    """908 of them in ten seconds, each an event and the end of whatever was open."""
    world.put(rules(world.web, 22))
    for ahead in range(1, 1000):
        generation = told(world, world.web).generation
        world.report(world.web, generation=generation + ahead, closed=tcp(22))
    assert overtakings(world) == 1
    assert world.kinds().count("AgentDoubted") == 1
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.doubted_since == world.clock.wall
    assert not point.is_enforcing, "nothing is called closed there"
    assert DOUBTED() in point.weaknesses


def doubted(world: World) -> None:
    world.put(rules(world.web, 22))
    for _ in range(2):
        world.report(world.web, generation=told(world, world.web).generation + 1, closed=tcp(22))
    assert "AgentDoubted" in world.kinds()


def test_nothing_that_a_doubted_agent_reports_counts(world: World) -> None:
    doubted(world)
    grant = world.granted(world.web)
    generation = told(world, world.web).generation
    world.report(world.web, grant.id, closed=tcp(22, 80), notes=("a note",))
    assert world.grant(grant).state is GrantState.OPENING, "not confirmed by its word"
    world.clock.pass_time(50)
    world.report(world.web, grant.id, closed=tcp(22, 80))
    world.clock.pass_time(10)
    world.do(sweep)
    assert "are not trusted until an owner has checked it" in world.grant(grant).failure
    assert claimed(world, world.web) == frozenset()
    assert "a note" not in str([e.fact for _, e in world.see(lambda tx: tx.events(EventFilter()))])
    generation = told(world, world.web).generation
    for ahead in (1, 1000):
        world.report(world.web, generation=generation + ahead)
    assert told(world, world.web).generation == generation
    assert world.kinds().count("AgentDoubted") == 1
    world.clock.pass_time(3 * HOUR)
    world.report(world.web, generation=generation + 1)
    assert overtakings(world) == 1, "time alone does not make it believed"
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.last_contact_at == world.clock.wall, "it is there"


def test_a_report_cannot_lift_the_doubt(world: World) -> None:
    doubted(world)
    world.report(world.web, facts={"kernel": "6"}, weaknesses=(SOCKETS_KEPT(),))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.doubted_since is not None


def test_what_the_server_alone_finds_is_not_taken_from_a_report(world: World) -> None:
    world.report(world.web, weaknesses=(DOUBTED(), SERVER_PORT_CLOSED(ports=8443), SOCKETS_KEPT()))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.weaknesses == (SOCKETS_KEPT(),)
    assert (point.believed_since, point.doubted_since) == (None, None)


def test_an_owner_has_it_believed_again(world: World) -> None:
    doubted(world)
    world.clock.pass_time(60)
    assert world.do(lambda tx, act: believe_point(tx, act, ANNA, world.web.id))
    assert not world.do(lambda tx, act: believe_point(tx, act, ANNA, world.web.id))
    assert world.kinds().count("AgentBelieved") == 1
    ahead = told(world, world.web).generation + 5
    world.clock.pass_time(1)
    world.report(world.web, generation=ahead, closed=tcp(22))
    assert told(world, world.web).generation > ahead, "it may be ahead once more"
    world.report(world.web, closed=tcp(22))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.is_enforcing
    assert point.weaknesses == ()
    world.report(world.web, generation=told(world, world.web).generation + 1)
    assert world.kinds().count("AgentDoubted") == 2, "and no more than once"


def test_who_may_not_enrol_it_has_nothing_believed(world: World) -> None:
    doubted(world)
    nobody = replace(BERT, principal_id="5d1f6f1e-0000-4000-8000-000000000009")
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: believe_point(tx, act, nobody, world.web.id))


def test_a_new_enrolment_is_believed(world: World) -> None:
    doubted(world)
    world.enrol(world.web, "key-2", replaces=True)
    grant = world.granted(world.web)
    world.report(world.web, grant.id, closed=tcp(22))
    assert world.grant(grant).state is GrantState.OPEN


def test_two_overtakings_an_hour_apart_are_two_backups(world: World) -> None:
    world.put(rules(world.web, 22))
    for _ in range(3):
        world.report(world.web, generation=told(world, world.web).generation + 1, closed=tcp(22))
        world.clock.pass_time(DOUBTED_WITHIN.total_seconds() + 1)
    assert overtakings(world) == 3
    assert "AgentDoubted" not in world.kinds()


def test_what_follows_a_restore_is_not_counted(world: World) -> None:
    """A server from a backup is a server that was started anew; each start explains one."""
    world.put(rules(world.web, 22))
    world.report(world.web, generation=told(world, world.web).generation + 1, closed=tcp(22))
    for _ in range(3):
        world.clock.pass_time(60)
        world.services = replace(world.services, serving_since=world.clock.wall)
        world.clock.pass_time(1)
        world.report(world.web, generation=told(world, world.web).generation + 1, closed=tcp(22))
    assert overtakings(world) == 4
    assert "AgentDoubted" not in world.kinds()
    world.report(world.web, generation=told(world, world.web).generation + 1, closed=tcp(22))
    assert overtakings(world) == 4
    assert "AgentDoubted" in world.kinds()


def test_a_start_by_a_clock_that_was_ahead_explains_nothing(world: World) -> None:
    world.services = replace(world.services, serving_since=world.clock.wall + timedelta(days=1))
    doubted(world)


def test_one_agent_is_doubted_and_the_others_are_not(world: World) -> None:
    doubted(world)
    world.put(rules(world.web, 22), rules(world.db, 22))
    world.report(world.db, generation=told(world, world.db).generation + 1, closed=tcp(22))
    grant = world.granted(world.db)
    world.report(world.db, grant.id, closed=tcp(22))
    assert world.grant(grant).state is GrantState.OPEN
    events = world.see(lambda tx: tx.events(EventFilter(kinds=("AgentDoubted",))))
    assert [e.fact.machine for _, e in events if isinstance(e.fact, AgentDoubted)] == [
        str(world.web.id)
    ]
    assert GenerationOvertaken.__name__ in world.kinds()


# -- changes without end ----------------------------------------------------------------------


def kind_of(world: World, machine: Machine) -> int:
    """Rows of the history that its agent's word has made."""
    known = KnownMachine(machine.id, machine.uid)
    return world.see(lambda tx: tx.count_told(known, machine.created_at, 1_000_000))


def swing(world: World, times: int) -> None:
    """A thief has a thousand ports closed and opened by turns."""
    for turn in range(times):
        world.report(world.web, closed=tcp(22, *range(1000, 1000 + 1000 * (turn % 2))))


def test_an_agent_that_tells_of_changes_without_end_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a row that is kept as long as the record: a stolen key filled the disk."""
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 3000)
    world.put(rules(world.web, 22))
    swing(world, 20)
    assert 3000 <= kind_of(world, world.web) <= 4001
    assert world.kinds().count("AgentDoubted") == 1
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert DOUBTED() in point.weaknesses
    assert not point.is_enforcing, "nothing is called closed there"
    world.report(world.db, closed=tcp(22))
    assert kind_of(world, world.db) < 10, "another machine is another's"

    assert world.do(lambda tx, act: believe_point(tx, act, ANNA, world.web.id))
    world.clock.pass_time(1)
    world.report(world.web, closed=tcp(22))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.is_enforcing, "what was told before an owner looked does not count"


def test_what_root_opens_without_end_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 300)
    world.put(rules(world.web, 22))
    for turn in range(20):
        ids = [f"local-{turn}-{n}" for n in range(64)]
        held = tuple(LocalOpening("22/TCP", ("192.0.2.9",), 900, each) for each in ids)
        world.report(world.web, *ids, closed=tcp(22), held_locally=held)
    assert 300 <= kind_of(world, world.web) <= 400
    assert world.kinds().count("AgentDoubted") == 1


def test_what_is_on_record_by_an_agents_word_counts_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the minute alone it is a gigabyte a day, which the record's floor keeps for ninety."""
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 500)
    world.put(rules(world.web, 22))
    roots = tuple(LocalOpening("22/TCP", ("192.0.2.9",), 900, f"local-{n}") for n in range(50))
    for _ in range(40):
        world.report(world.web, closed=tcp(22), local_openings=roots)
        world.clock.pass_time(10)
    assert world.kinds().count("OpenedLocally") <= 500
    assert world.kinds().count("AgentDoubted") == 1


def test_what_changes_in_many_hours_is_a_hosts_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 3000)
    world.put(rules(world.web, 22))
    for _ in range(3):
        swing(world, 2)
        world.clock.pass_time(DOUBTED_WITHIN.total_seconds() + 1)
    assert kind_of(world, world.web) > 3000
    assert "AgentDoubted" not in world.kinds()
