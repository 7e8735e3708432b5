"""One set of rules for several machines: all or none, and a policy is written once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.api.wire.places import path_of_target
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.fact import fact_name
from bascule.domain.facts.policies import PolicyChanged, PolicyCreated
from bascule.domain.machine import ClosedPort, Machine, OnExpiry
from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    RuleProtocol,
    TransportProtocol,
    parse_address,
)
from bascule.domain.policy import PortRule
from bascule.domain.weaknesses import SERVER_PORT_CLOSED, SOCKETS_KEPT, Weakness
from bascule.errors import InvalidInput, NotFound, PreconditionFailed
from bascule.interfaces.record import EventFilter
from bascule.interfaces.replicas import Replica
from bascule.interfaces.store import Transaction
from bascule.protocol.report import Report
from bascule.services.act import Act, ServerPlace
from bascule.services.machine_rules import put_machine_rules, put_rules_of_machines, rules_tag
from bascule.services.machines import MachineDraft, put_machine
from bascule.services.rehearsal import rehearse
from bascule.services.reports import take_report
from tests.unit.services_world import ANNA, World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


ANYWHERE = (AddressPrefix.parse("*"),)


def port(number: int, on_expiry: OnExpiry = OnExpiry.KEEP) -> PortRule:
    return PortRule(number, RuleProtocol.TCP, ANYWHERE, timedelta(hours=3), on_expiry)


def put(world: World, *ports: PortRule, tags: tuple[str, str] = ("", "")) -> None:
    wanted = {world.web.id: tags[0], world.db.id: tags[1]}
    world.do(lambda tx, act: put_rules_of_machines(tx, act, ANNA, wanted, ports, "default"))


def numbers(world: World) -> list[list[int]]:
    stored = world.see(lambda reader: reader.policy(world.policy_id()))
    return (
        [[rule.number for rule in each.ports] for each in stored.policy.machines] if stored else []
    )


def changes(world: World) -> list[str]:
    kinds = (PolicyCreated.__name__, PolicyChanged.__name__)
    found = world.see(lambda reader: reader.events(EventFilter(kinds=kinds)))
    return [fact_name(event.fact) for _, event in found]


def test_several_machines_are_one_change_of_their_policy(world: World) -> None:
    put(world, port(22), port(80))
    assert numbers(world) == [[22, 80], [22, 80]]
    assert changes(world) == ["PolicyCreated"]
    closed = world.see(lambda reader: reader.closed_ports(world.db.uid))
    assert {each.port.number for each in closed} == {22, 80}


def test_one_that_was_changed_meanwhile_stops_all(world: World) -> None:
    world.put(rules(world.db, 443))
    with pytest.raises(PreconditionFailed, match="db-1"):
        put(world, port(22))
    assert numbers(world) == [[443]]
    tag = world.see(lambda reader: rules_tag(reader, world.db, "default"))
    put(world, port(22), tags=("", tag))
    assert sorted(numbers(world)) == [[22], [22]]


def test_a_tag_follows_its_own_machine_alone(world: World) -> None:
    world.put(rules(world.web, 22), rules(world.db, 22))

    def tag() -> str:
        return world.see(lambda reader: rules_tag(reader, world.web, "default"))

    before = tag()
    world.put(rules(world.web, 22), rules(world.db, 80))
    assert tag() == before
    world.put(rules(world.web, 23), rules(world.db, 80))
    assert tag() not in ("", before)
    assert world.see(lambda reader: rules_tag(reader, world.web, "other")) == ""


def _learn(world: World, what: str) -> None:
    """After db-1's rules were set: its host's range for outbound connections, that the server
    listens on that host, or that it stands elsewhere.
    """
    if what == "range":
        world.report(world.db, local_port_range=(32768, 60999))
    elif what == "server":
        place = ServerPlace(frozenset({40000}), lambda each: each in world.db.addresses)
        world.services = replace(world.services, place=place)
    else:
        draft = MachineDraft(location="elsewhere")
        world.do(lambda tx, act: put_machine(tx, act, world.db.id, draft, "local"))


@pytest.mark.parametrize("what", ["range", "server", "location"])
def test_what_is_learnt_later_of_a_machine_blocks_its_own_rules_alone(
    world: World, what: str
) -> None:
    """Whoever may write web-1 alone can still narrow it, and is told nothing of db-1 (EDGES A4)."""
    kill = rules(world.db, 40000, on_expiry=OnExpiry.KILL)
    world.put(rules(world.web, 22, 80), kill)
    _learn(world, what)

    def narrow(tx: Transaction, act: Act) -> None:
        tags = {world.web.id: rules_tag(tx, world.web, "default")}
        put_rules_of_machines(tx, act, ANNA, tags, (port(80),), "default")

    preview = asyncio.run(rehearse(world.services, narrow, ANNA))
    assert [each.port for each in preview.leaves] == ["22/TCP"]
    world.do(narrow)
    assert numbers(world) == [[80], [40000]]
    only = (port(443),)
    world.do(lambda tx, act: put_machine_rules(tx, act, ANNA, world.web.id, only, "default", ()))
    world.put(rules(world.web, 22), kill)
    assert numbers(world) == [[22], [40000]]
    with pytest.raises(InvalidInput, match="db-1") as caught:
        world.put(rules(world.web, 22), replace(kill, ports=(*kill.ports, port(80))))
    (problem,) = caught.value.problems
    assert path_of_target(problem.target).startswith("properties.virtualMachines[1]")
    with pytest.raises(InvalidInput, match="db-1"):
        world.put(kill, name="another")


SERVER = parse_address("10.0.0.9")


@pytest.fixture(params=["this", "other", "stopped"])
def beside(world: World, request: pytest.FixtureRequest) -> World:
    """Where a server listens on port 8443 of 10.0.0.9, and policies name it for other hosts."""
    listen(world, SERVER, request.param)
    world.put(rules(world.web, 22), rules(world.db, 22, 8443))
    return world


def listen(world: World, address: Address, server: str) -> None:
    """That is this server, or another one on the same database, which may have been stopped."""
    if server == "this":
        place = ServerPlace(frozenset({8443}), lambda each: each == address)
    else:
        place = ServerPlace(frozenset({443}), lambda _: False, is_alone=False)
        there = Replica(
            "r", "b.example", "https://a:1", "1", "0100", frozenset({8443}), frozenset({address})
        )
        world.do(lambda tx, _: tx.see_replica(there))
        if server == "stopped":
            world.do(lambda tx, _: tx.stop_replica("r"))
    world.services = replace(world.services, place=place)


@pytest.mark.parametrize("server", ["this", "other", "stopped"])
def test_no_policy_closes_the_port_of_a_server_on_its_host(world: World, server: str) -> None:
    """EDGES A4: whichever server of the database is asked. Another port, and the same elsewhere, may be."""
    listen(world, world.db.addresses[0], server)
    for refused in (rules(world.db, 8443), rules(world.db, 22, 8443, 443)):
        with pytest.raises(InvalidInput, match="port 8443 of db-1") as caught:
            world.put(rules(world.web, 22), refused)
        (problem,) = caught.value.problems
        assert problem.code == "PortOfServer"
        assert ("Another server of this installation" in problem.message) == (server != "this")
        assert "b.example" not in problem.message, "whose name is nobody's business"
    world.put(rules(world.web, 8443), rules(world.db, 22, 443))
    assert numbers(world) == [[8443], [22, 443]]


def test_a_server_that_is_alone_looks_for_no_other(world: World) -> None:
    listen(world, world.db.addresses[0], "other")
    alone = replace(world.services.place, is_alone=True)
    world.services = replace(world.services, place=alone)
    world.put(rules(world.db, 8443))


def _move(world: World, machine: Machine, *addresses: Address) -> None:
    draft = MachineDraft(addresses=(*machine.addresses, *addresses))
    world.do(lambda tx, act: put_machine(tx, act, machine.id, draft, "local"))


def test_a_machine_whose_policy_would_shut_the_server_does_not_become_its_host(
    beside: World,
) -> None:
    """EDGES A4: as the policy would be refused for a machine with that address."""
    with pytest.raises(InvalidInput, match=r"10\.0\.0\.9 is .*port 8443") as caught:
        _move(beside, beside.db, SERVER)
    assert "b.example" not in caught.value.message
    assert "bascule policy remove db-1" in caught.value.advice
    _move(beside, beside.db, parse_address("10.0.0.10"))
    _move(beside, beside.web, SERVER)
    beside.put(rules(beside.web, 22), rules(beside.db, 22))
    _move(beside, beside.db, SERVER)


def test_what_is_learnt_of_the_servers_host_does_not_keep_it_from_being_changed(
    world: World,
) -> None:
    """It has the address already, and the server listens elsewhere since."""
    world.put(rules(world.db, 8443))
    own = world.db.addresses
    place = ServerPlace(frozenset({8443}), lambda each: each in own)
    world.services = replace(world.services, place=place)
    _move(world, world.db, parse_address("10.0.0.10"))


@pytest.mark.parametrize(
    ("address", "shut", "is_told"),
    [
        ("10.0.0.9", "TCP", True),
        ("10.0.0.2", "TCP", False),
        ("", "TCP", False),
        ("10.0.0.9", "UDP", False),
    ],
)
def test_an_agent_beside_the_server_that_shuts_it_off_is_a_weakness(
    beside: World, address: str, shut: str, is_told: bool
) -> None:
    """EDGES A4: learnt when it calls from there, the port is closed and the machine says so."""
    port = PortKey(TransportProtocol(shut), 8443)
    agent = Subject(beside.db.uid, PrincipalKind.AGENT, "db-1", address)

    def told(*closed: ClosedPort) -> list[Weakness]:
        report = Report(1, frozenset(), weaknesses=(SOCKETS_KEPT(),), closed=frozenset(closed))
        beside.do(lambda tx, act: take_report(tx, act, beside.db.uid, report), agent)
        point = beside.see(lambda reader: reader.enforcement_point(beside.db.uid))
        assert point is not None
        return list(point.weaknesses)

    first, *more = told(ClosedPort(port, OnExpiry.KEEP))
    assert first == SOCKETS_KEPT()
    assert [each.is_of(SERVER_PORT_CLOSED) for each in more] == [True] * is_told
    assert all("8443" in each.text for each in more)
    assert told() == [SOCKETS_KEPT()], "when it is open again, it is said no more"


def test_a_machine_that_is_not_known_changes_nothing(world: World) -> None:
    wanted = {world.web.id: "", world.machine_id("no-such"): ""}
    with pytest.raises(NotFound):
        world.do(
            lambda tx, act: put_rules_of_machines(tx, act, ANNA, wanted, (port(22),), "default")
        )
    assert numbers(world) == []
