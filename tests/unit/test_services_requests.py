"""Several requests at once, one a policy: all of them, or none with every reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.decide import Denied
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.facts.grants import AccessDenied
from bascule.domain.facts.kinds import places_of
from bascule.domain.ids import machine_id
from bascule.domain.lifecycle import RequestState
from bascule.domain.machine import Machine
from bascule.domain.net import AddressPrefix
from bascule.domain.request import (
    LONGEST_REASON,
    MAXIMUM_JUSTIFICATION,
    MOST_KEPT,
    MOST_REASONS,
    AccessRequest,
    RequestedMachine,
    RequestedPort,
    refused,
)
from bascule.domain.roles import Reach
from bascule.domain.scopes import subscription_scope
from bascule.domain.times import format_utc
from bascule.errors import Conflict, Forbidden, Problem
from bascule.interfaces.record import EventFilter
from bascule.services import live_requests, request_denials, requests
from bascule.services.denials import RECORDED_PER_SOURCE
from bascule.services.request_rights import Sight
from bascule.services.requests import Denial, Initiated, PolicyRequest
from bascule.services.views import view_policy, view_request
from tests.unit.services_world import ANNA, BERT, World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def asked(world: World, policy: str, machine: Machine, number: int = 22) -> PolicyRequest:
    ends = world.clock.wall + timedelta(minutes=10)
    port = RequestedPort(number, (AddressPrefix.parse("192.0.2.1"),), ends, format_utc(ends))
    return PolicyRequest(world.policy_id(policy), (RequestedMachine(machine.id, (port,)),))


def two_policies(world: World) -> None:
    world.put(rules(world.web, 22), name="a")
    world.put(rules(world.db, 22), name="b")


def initiate(world: World, *wanted: PolicyRequest) -> tuple[Initiated, ...] | tuple[Denial, ...]:
    return world.do(lambda tx, act: requests.initiate_all(tx, act, wanted, "why", ANNA))


def test_each_policy_has_its_request(world: World) -> None:
    two_policies(world)
    made = initiate(world, asked(world, "a", world.web), asked(world, "b", world.db))
    assert [each.request.policy_id.name for each in made if isinstance(each, Initiated)] == [
        "a",
        "b",
    ]
    assert len(world.see(lambda r: r.live_grants())) == 2


def test_one_denial_keeps_all_shut_and_stands_on_record(world: World) -> None:
    two_policies(world)
    answers = initiate(
        world,
        asked(world, "a", world.web),
        asked(world, "b", world.db, 23),
        asked(world, "b", world.web),
    )
    assert [each.policy_id.name for each in answers if isinstance(each, Denial)] == ["b", "b"]
    assert [each.denied.reasons[0].code for each in answers if isinstance(each, Denial)] == [
        "PortNotInPolicy",
        "MachineNotInPolicy",
    ]
    assert world.see(lambda r: r.live_grants()) == []
    assert world.see(lambda r: r.requests()) == []
    denied = world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))
    assert len(denied) == 2


def test_a_denial_is_bounded_in_bytes(world: World) -> None:
    """Many ports of many sources against as many: some kilobytes of record."""
    allowed = [f"2001:db8:ffff:ffff:ffff:ffff:ffff:{n:x}" for n in range(100)]
    world.put(rules(world.web, 22, sources=",".join(allowed)))
    ends = world.clock.wall + timedelta(minutes=10)
    outside = tuple(AddressPrefix.parse(each.replace("db8", "db9")) for each in allowed)
    asked_for = (RequestedPort(22, outside, ends, ""),) * 100
    machines = (RequestedMachine(world.web.id, asked_for),)
    denied = world.do(
        lambda tx, act: requests.initiate(tx, act, world.policy_id(), machines, None, ANNA)
    )
    assert isinstance(denied, Denied)
    ((_, event),) = world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))
    assert isinstance(event.fact, AccessDenied)
    assert len(event.fact.reasons) == MOST_REASONS + 1
    assert event.fact.reasons[0].startswith(f"SourceNotAllowed: Source {outside[0]}, ")
    assert {len(each) for each in event.fact.reasons[:-1]} == {LONGEST_REASON}
    assert event.fact.reasons[-1] == f"and {100 - MOST_REASONS} more"
    error = request_denials.denial(denied, world.policy_id())
    assert error.problems == denied.reasons[:MOST_REASONS]
    assert error.message.endswith("(100 reasons, the first 20 in details)")
    assert max(len(each.message) for each in error.problems) < 1_000


def test_a_reason_that_is_denied_for_its_length_is_cut_on_record(world: World) -> None:
    """What is on record stays for the record's floor: nobody fills a disk by being refused."""
    world.put(rules(world.web, 22))
    assert isinstance(world.ask(world.web, why="é" * 1_000_000), Denied)
    ((_, event),) = world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))
    assert isinstance(event.fact, AccessDenied)
    assert event.fact.justification == "é" * MAXIMUM_JUSTIFICATION


@pytest.mark.parametrize("count", [1, 2, MOST_REASONS])
def test_few_reasons_are_all_on_record_and_in_the_answer(world: World, count: int) -> None:
    reasons = tuple(Problem("Code", f"because of {n}") for n in range(count))
    error = request_denials.denial(Denied(reasons), world.policy_id())
    assert error.problems == reasons
    assert ("see details" in error.message) is (count > 1)
    world.put(rules(world.web, 22))
    ends = world.clock.wall + timedelta(minutes=10)
    asked_for = tuple(
        RequestedPort(23, (AddressPrefix.parse(f"192.0.2.{n}"),), ends, "") for n in range(count)
    )
    machines = (RequestedMachine(world.web.id, asked_for),)
    world.do(lambda tx, act: requests.initiate(tx, act, world.policy_id(), machines, None, ANNA))
    ((_, event),) = world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))
    assert isinstance(event.fact, AccessDenied)
    assert len(event.fact.reasons) == count


def test_a_machine_without_the_right_keeps_all_shut(world: World) -> None:
    two_policies(world)
    stranger = replace(BERT, principal_id="cccccccc-0000-4000-8000-000000000003")
    with pytest.raises(Forbidden):
        world.do(
            lambda tx, act: requests.initiate_all(
                tx, act, [asked(world, "a", world.web)], None, stranger
            )
        )
    assert world.see(lambda r: r.live_grants()) == []


def test_limits_hold_for_all_of_them_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone would be allowed: neither is kept, and the one that is too many is told of."""
    monkeypatch.setattr("bascule.domain.limits.MAXIMUM_LIVE_PER_REQUESTOR", 1)
    world.put(rules(world.web, 22), name="a")
    world.put(rules(world.web, 23), name="b")
    (answer,) = initiate(world, asked(world, "a", world.web), asked(world, "b", world.web, 23))
    assert isinstance(answer, Denial)
    assert answer.policy_id.name == "b"
    assert "2 live grants" in answer.denied.reasons[0].message
    assert world.see(lambda r: r.live_grants()) == []
    assert len(world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))) == 1


def test_the_same_opening_by_two_policies_is_the_newer_ones(world: World) -> None:
    world.put(rules(world.web, 22), name="a")
    world.put(rules(world.web, 22), name="b")
    initiate(world, asked(world, "a", world.web), asked(world, "b", world.web))
    (live,) = world.see(lambda r: r.live_grants())
    assert live.policy_id.name == "b"


def test_a_denial_says_for_which_machines_and_what_was_asked(world: World) -> None:
    """EDGES E10: the log of the machine had nothing, and the event did not say which it was."""
    world.put(rules(world.web, 22))
    assert isinstance(world.ask(world.web, 23, why="deploy"), Denied)
    ((_, event),) = world.see(
        lambda r: r.events(EventFilter(kinds=("AccessDenied",), resource_id=world.web.id.key))
    )
    assert isinstance(event.fact, AccessDenied)
    assert event.resource_id == str(world.policy_id()), "one event, about the policy"
    assert event.fact.machines == (str(world.web.id),)
    assert (event.fact.ports, event.fact.justification) == (("23",), "deploy")
    assert event.fact.sources


def test_a_denial_names_the_first_machines_and_how_many_more(world: World) -> None:
    world.put(rules(world.web, 22))
    asked = [
        machine_id(world.installation.subscription_id, "default", f"m-{n}")
        for n in range(MOST_PLACES + 7)
    ]
    ends = world.clock.wall + timedelta(minutes=10)
    port = RequestedPort(22, (AddressPrefix.parse("192.0.2.7"),), ends, "")
    machines = tuple(RequestedMachine(each, (port,)) for each in asked)
    world.do(lambda tx, act: requests.initiate(tx, act, world.policy_id(), machines, None, ANNA))
    ((_, event),) = world.see(lambda r: r.events(EventFilter(kinds=("AccessDenied",))))
    assert isinstance(event.fact, AccessDenied)
    assert len(event.fact.machines) == MOST_PLACES
    assert event.fact.more_machines == 7
    assert places_of(event.fact) == (event.fact.machines, MOST_PLACES + 7)


def refused_ones(world: World) -> list[AccessRequest]:
    return list(world.see(lambda r: r.requests(states=[RequestState.REFUSED])))


def test_a_refused_request_is_kept_with_its_reasons(world: World) -> None:
    world.put(rules(world.web, 22))
    assert isinstance(world.ask(world.web, 23, why="deploy"), Denied)
    (kept,) = refused_ones(world)
    assert [each.code for each in kept.reasons] == ["PortNotInPolicy"]
    assert (kept.requestor_id, kept.justification) == (ANNA.principal_id, "deploy")
    assert [each.number for each in kept.machines[0].ports] == [23]
    view = world.see(lambda r: view_request(r, kept.id, world.clock.wall))
    assert view is not None
    assert (view.state, view.grants) == ("refused", ())


def test_a_refused_request_opens_nothing(world: World) -> None:
    """No grant, nothing told to the host, nothing to extend or revoke, no place in the policy."""
    world.put(rules(world.web, 22))
    before = world.see(lambda r: r.generation(world.web.uid))
    world.ask(world.web, 23)
    (kept,) = refused_ones(world)
    assert world.see(lambda r: r.grants_of([kept.id])) == []
    assert world.see(lambda r: r.live_grants()) == []
    assert world.see(lambda r: r.generation(world.web.uid)) == before
    with pytest.raises(Conflict, match="refused"):
        world.do(
            lambda tx, act: live_requests.revoke(
                tx, act, kept.id, None, kills_sessions=True, subject=ANNA
            )
        )
    later = world.clock.wall + timedelta(hours=1)
    with pytest.raises(Conflict, match="refused"):
        world.do(lambda tx, act: live_requests.extend(tx, act, kept.id, later, "", ANNA))
    stored = world.see(lambda r: r.policy(world.policy_id()))
    assert stored is not None
    sight = Sight(ANNA.principal_id, everywhere(world))
    seen = world.see(lambda r: view_policy(r, stored, world.clock.wall, sight))
    assert seen.requests == (), "Azure's clients are shown what was granted"


def test_refusals_do_not_fill_the_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as their events in a minute, and of one requestor a bounded number for ever."""
    world.put(rules(world.web, 22))
    for _ in range(3 * RECORDED_PER_SOURCE):
        world.ask(world.web, 23)
    assert len(refused_ones(world)) == RECORDED_PER_SOURCE
    monkeypatch.setattr(requests, "MOST_REFUSED", 7)
    made = world.ask(world.web, 22)
    assert isinstance(made, Initiated)
    for _ in range(4):
        world.clock.pass_time(60)
        for _ in range(RECORDED_PER_SOURCE):
            world.ask(world.web, 23)
    kept = refused_ones(world)
    assert len(kept) == 7
    assert kept[0].started_at == world.clock.wall, "the newest stay"
    assert world.see(lambda r: r.request(made.request.id)) is not None


def test_a_refused_request_has_a_bounded_size(world: World) -> None:
    world.put(rules(world.web, 22))
    ends = world.clock.wall + timedelta(minutes=5)
    sources = tuple(AddressPrefix.parse(f"192.0.2.{n}") for n in range(200))
    ports = tuple(RequestedPort(n, sources, ends, format_utc(ends)) for n in range(1000, 1003))
    asked = tuple(RequestedMachine(world.machine_id(f"m-{n}"), ports) for n in range(MOST_KEPT + 7))
    why = "x" * (MAXIMUM_JUSTIFICATION + 1)
    world.do(lambda tx, act: requests.initiate(tx, act, world.policy_id(), asked, why, ANNA))
    (kept,) = refused_ones(world)
    assert (len(kept.machines), kept.left_out) == (MOST_KEPT, 7)
    assert sum(len(each.ports) for each in kept.machines) == MOST_KEPT
    assert max(len(p.sources) for m in kept.machines for p in m.ports) == MOST_KEPT
    assert len(kept.justification or "") == MAXIMUM_JUSTIFICATION
    assert len(kept.reasons) <= MOST_REASONS
    assert max(len(each.message) for each in kept.reasons) <= LONGEST_REASON


@pytest.mark.parametrize(
    ("reach", "sees"),
    [
        (("web-1", "db-1"), True),
        (("web-1",), False),
        ((), False),
    ],
)
def test_who_sees_what_another_was_refused(
    world: World, reach: tuple[str, ...], sees: bool
) -> None:
    """The right at each machine that was asked for; one's own always."""
    names = {"web-1": world.web, "db-1": world.db}
    sight = Sight(BERT.principal_id, Reach(frozenset(names[each].id.key for each in reach)))
    asked = tuple(RequestedMachine(each.id, ()) for each in names.values())
    whole = AccessRequest(
        "r", world.policy_id(), ANNA.principal_id, ANNA.name, None, world.clock.wall, asked
    )
    kept = refused(whole, [Problem("PortsRequired", "No.")], "id")
    assert sight.sees_request(kept) is sees
    assert replace(sight, principal_id=ANNA.principal_id).sees_request(kept)


@pytest.mark.parametrize("count", [0, MOST_KEPT + 1])
def test_where_not_every_machine_is_known_it_takes_the_right_everywhere(
    world: World, count: int
) -> None:
    """No machine, or more than are kept: a right at those that are there says nothing of the others."""
    ids = [world.machine_id(f"m-{n}") for n in range(count)]
    asked = tuple(RequestedMachine(each, ()) for each in ids)
    whole = AccessRequest(
        "r", world.policy_id(), ANNA.principal_id, ANNA.name, None, world.clock.wall, asked
    )
    kept = refused(whole, [Problem("MachineNotFound", "No.")], "id")
    at_all = Reach(frozenset(each.key for each in (*ids, world.policy_id())))
    assert not Sight(BERT.principal_id, at_all).sees_request(kept)
    assert Sight(BERT.principal_id, everywhere(world)).sees_request(kept)


def everywhere(world: World) -> Reach:
    return Reach(frozenset({subscription_scope(world.installation.subscription_id).key}))
