"""A gateway that something else manages: machines behind it are unsupported, and nothing opens (EDGES G9)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.classify import MachineState
from bascule.domain.decide import Denied
from bascule.domain.facts.enrolments import GatewayManaged
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.weaknesses import (
    BRIDGED,
    FLOW_TABLES_UNREAD,
    FLOWS_OFFLOADED,
    Weakness,
)
from bascule.errors import Forbidden, InvalidInput, NotFound
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.record import EventFilter
from bascule.protocol.report import Report
from bascule.services import bindings, fleet, managed, reports
from bascule.services.listing import list_machines
from bascule.services.views import view_machine
from tests.unit.services_world import ANNA, World, rules
from tests.unit.test_services_bindings import SHUT, SSH, opened, point_of, speaker, tell

DB_AT, APP_AT = ip_address("10.1.0.10"), ip_address("10.1.0.11")
FLOW = FLOWS_OFFLOADED(tables="inet filter fast")


def bridge(address: object = DB_AT) -> Weakness:
    return BRIDGED(port=f"22/tcp of {address}", rule="br0")


@pytest.fixture
def world() -> Iterator[World]:
    """db-1, with an agent too, and app-1 behind web-1."""
    made = World()
    made.put(rules(made.web, 22), rules(made.db, 22))
    app = made.add_machine("app-1", "10.1.0.11")
    for machine, address in ((made.db, DB_AT), (app, APP_AT)):
        made.do(
            lambda tx, act, m=machine, at=address: bindings.bind(  # type: ignore[misc]  # reason: bound now
                tx, act, ANNA, m.id, made.web.uid, (at,)
            )
        )
    tell(made, made.db, closed=SHUT)
    tell(made, made.web, closed=SHUT)
    yield made
    made.close()


def manage(world: World, by: str, subject: Subject = ANNA) -> tuple[str, bool]:
    return world.do(lambda tx, act: managed.manage(tx, act, subject, world.web.id, by))


def find(world: World, *found: Weakness) -> None:
    """web-1's agent reports of its own machine."""
    number = world.see(lambda tx: tx.generation(world.web.uid))
    report = Report(number, frozenset(), weaknesses=found)
    world.do(
        lambda tx, act: reports.take_report(tx, act, world.web.uid, report), speaker(world.web)
    )


def state(world: World, machine: Machine) -> tuple[MachineState, list[str]]:
    """By the page of the machine, which the row in lists agrees with."""
    view = world.see(lambda tx: view_machine(tx, machine, world.clock.wall))
    now = world.clock.wall
    rows = world.see(lambda tx: list_machines(tx, ListFilter(), None, now))
    (listed,) = [each for each in rows if each.machine.uid == machine.uid]
    assert listed.classification.state is view.classification.state
    assert listed.classification.reasons == view.classification.reasons
    return view.classification.state, [str(each.code) for each in view.classification.reasons]


def refused(world: World) -> list[str]:
    answer = world.ask(world.db)
    return [each.code for each in answer.reasons] if isinstance(answer, Denied) else []


def test_no_access_to_what_is_behind_it_is_requested_or_configured(world: World) -> None:
    assert manage(world, " FortiManager ") == ("FortiManager", True)
    assert state(world, world.db) == (MachineState.UNSUPPORTED, ["ManagedElsewhere"])
    assert state(world, world.web)[0] is MachineState.CONFIGURED, "the gateway's own ports are ours"
    assert refused(world) == ["ManagedElsewhere"]
    with pytest.raises(InvalidInput, match="managed by something other than Bascule"):
        world.put(rules(world.web, 22), rules(world.db, 22, 3389))
    world.put(rules(world.web, 22, 3389), rules(world.db, 22))  # what stays as it was stops nobody
    world.put(rules(world.web, 22))  # and may be taken out
    assert manage(world, "") == ("", True)
    world.put(rules(world.web, 22), rules(world.db, 22, 3389))


def test_what_is_open_lasts_and_what_is_closed_stays_closed(world: World) -> None:
    """Nobody's session ends by a word about a gateway; its end comes as it was granted."""
    grant = opened(world)
    manage(world, "FortiManager")
    assert world.grant(grant).state is GrantState.OPEN
    tell(world, world.db, grant.id, closed=SHUT)
    tell(world, world.web, grant.id, closed=SHUT)
    assert world.grant(grant).state is GrantState.OPEN
    now = world.clock.wall
    for point in (world.db, world.web):
        _, told = world.see(
            lambda tx, uid=point.uid: fleet.state_for(tx, uid, now, world.db.uid)  # type: ignore[misc]  # reason: bound now
        )
        assert {each.port for each in told.closed} == {SSH}
        assert len(told.leases) == 1


def test_it_is_on_record_with_what_it_was(world: World) -> None:
    manage(world, "FortiManager")
    assert manage(world, "FortiManager") == ("FortiManager", False)
    assert manage(world, "bascule") == ("Bascule", True)
    wanted = EventFilter(world.web.id.key, (GatewayManaged.__name__,))
    found = [event.fact for _, event in world.see(lambda tx: tx.events(wanted))]
    told = [(each.by, each.before) for each in found if isinstance(each, GatewayManaged)]
    assert told == [("Bascule", "FortiManager"), ("FortiManager", "")]


def test_what_its_agent_finds_for_certain_says_the_same(world: World) -> None:
    find(world, FLOW)
    assert state(world, world.db) == (MachineState.UNSUPPORTED, ["ManagedElsewhere"])
    assert refused(world) == ["ManagedElsewhere"]
    find(world)
    assert state(world, world.db)[0] is MachineState.CONFIGURED
    assert refused(world) == []


@pytest.mark.parametrize(
    "found",
    [
        (FLOW_TABLES_UNREAD(problem="refused"),),
        (Weakness("ManagedByNewerThings", {"port": "22/tcp of 10.1.0.10"}),),
        (bridge(APP_AT),),
    ],
    ids=["cannot be read", "of a newer agent", "about another machine"],
)
def test_what_is_not_certain_or_about_others_takes_no_machine_out(
    world: World, found: tuple[Weakness, ...]
) -> None:
    find(world, *found)
    assert state(world, world.db)[0] is MachineState.CONFIGURED
    assert refused(world) == []


def test_a_bridge_takes_out_the_machine_that_it_leads_to_alone(world: World) -> None:
    find(world, bridge())
    assert state(world, world.db)[1] == ["ManagedElsewhere"]
    app = world.see(lambda tx: tx.machine(world.machine_id("app-1")))
    assert app is not None
    assert "ManagedElsewhere" not in state(world, app)[1]


def test_who_flushes_the_rules_is_said_to_be_on_the_gateway(world: World) -> None:
    """Nobody finds that service on the machine (ADR 22)."""
    number = world.see(lambda tx: tx.generation(world.web.uid))
    report = Report(number, frozenset(), flushed_by="nftables.service")
    world.do(
        lambda tx, act: reports.take_report(tx, act, world.web.uid, report), speaker(world.web)
    )
    for machine, where in ((world.db, "web-1, in front of db-1,"), (world.web, "web-1")):
        view = world.see(lambda tx, m=machine: view_machine(tx, m, world.clock.wall))  # type: ignore[misc]  # reason: bound now
        (reason,) = view.classification.reasons
        assert reason.code == "FirewallFlushed"
        assert reason.message.startswith(f"nftables.service on {where} flushes")


def test_an_owner_s_word_counts_before_what_is_found(world: World) -> None:
    """A false finding, on many gateways too, is overruled in a word; it is shown all the same."""
    find(world, FLOW)
    manage(world, "Bascule")
    assert state(world, world.db)[0] is MachineState.CONFIGURED
    assert refused(world) == []
    assert any(each.is_of(FLOWS_OFFLOADED) for each in point_of(world, world.db).weaknesses)
    find(world)
    manage(world, "FortiManager")
    assert refused(world) == ["ManagedElsewhere"], "found or not"


def test_a_new_agent_does_not_make_it_ours(world: World) -> None:
    manage(world, "FortiManager")
    world.enrol(world.web, "key-2", replaces=True)
    point = world.see(lambda tx: tx.agent_of(world.web.uid))
    assert isinstance(point, EnforcementPoint)
    assert point.managed_by == "FortiManager"


def test_no_report_says_what_an_owner_says(world: World) -> None:
    manage(world, "FortiManager")
    find(world)
    assert refused(world) == ["ManagedElsewhere"]


def test_it_takes_the_rights_of_binding_and_a_gateway(world: World) -> None:
    carl = Subject(
        "cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3"
    )
    with pytest.raises(Forbidden):
        manage(world, "FortiManager", carl)
    with pytest.raises(InvalidInput, match="at most 64"):
        manage(world, "x" * 65)
    bare = world.add_machine("bare-1", "10.9.0.1")
    with pytest.raises(NotFound, match="no gateway"):
        world.do(lambda tx, act: managed.manage(tx, act, ANNA, bare.id, "x"))
