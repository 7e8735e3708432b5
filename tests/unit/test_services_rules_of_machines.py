"""One set of rules for several machines: all or none, and a policy is written once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.events import PolicyChanged, PolicyCreated, fact_name
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix
from bascule.domain.policy import PortRule, RuleProtocol
from bascule.errors import InvalidInput, NotFound, PreconditionFailed
from bascule.interfaces import EventFilter
from bascule.services.policies import put_rules_of_machines, rules_tag
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


def test_what_is_wrong_with_another_machine_is_not_put_at_a_port_of_ours(world: World) -> None:
    """Learnt only after its rules were set: its host's range for outbound connections."""
    world.put(rules(world.db, 40000, on_expiry=OnExpiry.KILL))
    point = world.see(lambda reader: reader.enforcement_point(world.db.uid))
    assert point is not None
    ranged = replace(point, local_port_range=(32768, 60999))
    world.do(lambda tx, _: tx.put_enforcement_point(ranged))
    ours = {world.web.id: ""}
    with pytest.raises(InvalidInput) as caught:
        world.do(lambda tx, act: put_rules_of_machines(tx, act, ANNA, ours, (port(22),), "default"))
    (problem,) = caught.value.problems
    assert "db-1" in problem.message
    assert problem.target == "properties.virtualMachines[0].id"


def test_a_machine_that_is_not_known_changes_nothing(world: World) -> None:
    wanted = {world.web.id: "", world.machine_id("no-such"): ""}
    with pytest.raises(NotFound):
        world.do(
            lambda tx, act: put_rules_of_machines(tx, act, ANNA, wanted, (port(22),), "default")
        )
    assert numbers(world) == []
