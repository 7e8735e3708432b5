"""One set of rules for several machines: all or none, and a policy is written once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.events import PolicyChanged, PolicyCreated, fact_name
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix
from bascule.domain.policy import PortRule, RuleProtocol
from bascule.errors import InvalidInput, NotFound, PreconditionFailed
from bascule.interfaces import EventFilter, Transaction
from bascule.services.act import Act, ServerPlace
from bascule.services.machines import MachineDraft, put_machine
from bascule.services.policies import put_machine_rules, put_rules_of_machines, rules_tag
from bascule.services.rehearsal import rehearse
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
    assert problem.target.startswith("properties.virtualMachines[1]")
    with pytest.raises(InvalidInput, match="db-1"):
        world.put(kill, name="another")


def test_a_machine_that_is_not_known_changes_nothing(world: World) -> None:
    wanted = {world.web.id: "", world.machine_id("no-such"): ""}
    with pytest.raises(NotFound):
        world.do(
            lambda tx, act: put_rules_of_machines(tx, act, ANNA, wanted, (port(22),), "default")
        )
    assert numbers(world) == []
