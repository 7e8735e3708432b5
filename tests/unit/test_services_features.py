"""An agent is sent only what its version knows, and no policy asks more of it (EDGES F4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.decide import Denied
from bascule.domain.desired import DesiredState
from bascule.domain.features import BASELINE, KNOWN, Feature, version_for
from bascule.domain.machine import ClosedPort, EnforcementPoint, OnExpiry
from bascule.domain.net import PortKey, RuleProtocol, TransportProtocol
from bascule.domain.weaknesses import AGENT_TOO_OLD
from bascule.errors import InvalidInput
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import Report
from bascule.services.fleet import state_for
from tests.samples import SSH
from tests.unit.services_world import World, rules

DNS = PortKey(TransportProtocol.UDP, 53)
OLD = KNOWN - {Feature.UDP, Feature.KILL, Feature.CUTS}


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def told(world: World, knows: frozenset[Feature] | None = None) -> DesiredState:
    uid, now = world.web.uid, world.clock.wall
    return world.see(lambda tx: state_for(tx, uid, now, knows=knows))[1]


def point(world: World) -> EnforcementPoint:
    found = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert found is not None
    return found


def test_a_policy_that_takes_more_of_the_agent_is_refused_with_the_version_that_would_do(
    world: World,
) -> None:
    world.report(world.web, knows=OLD)
    for beyond in (
        rules(world.web, 22, on_expiry=OnExpiry.KILL),
        rules(world.web, 53, protocol=RuleProtocol.UDP),
    ):
        with pytest.raises(InvalidInput) as caught:
            world.put(beyond, rules(world.db, 22))
        assert caught.value.specific_code == "AgentTooOld"
        assert "agent of web-1" in caught.value.message
        assert f"Version {version_for(OLD ^ KNOWN)} or later" in caught.value.message
    world.put(rules(world.web, 22), rules(world.db, 22, on_expiry=OnExpiry.KILL))


def test_an_agent_that_has_become_older_keeps_its_ports_closed_and_opens_nothing_there(
    world: World,
) -> None:
    """Somebody installed the version before: what was stored is not what it knows."""
    kill = rules(world.web, 22, on_expiry=OnExpiry.KILL)
    world.put(kill, name="kill")
    world.put(rules(world.web, 80), name="plain")
    world.put(rules(world.web, 53, protocol=RuleProtocol.UDP), name="udp")
    grants = [
        world.granted(world.web, number, policy=name)
        for number, name in ((22, "kill"), (80, "plain"), (53, "udp"))
    ]
    assert {each.grant_id for each in told(world).leases} == {each.id for each in grants}

    asked = told(world, OLD)
    assert ClosedPort(SSH, OnExpiry.KEEP) in asked.closed, "closed as it knows how"
    assert DNS not in {each.port for each in asked.closed}, "and sent no word that it cannot read"
    assert [each.grant_id for each in asked.leases] == [grants[1].id]

    world.report(world.web, knows=OLD)
    assert told(world) == asked, "what it said last counts when it asks without a word"
    (weakness,) = point(world).weaknesses
    assert weakness.is_of(AGENT_TOO_OLD)
    assert weakness.arguments["ports"] == "22/tcp, 53/udp"

    refused = world.ask(world.web, 22, policy="kill", source="192.0.2.2")
    assert isinstance(refused, Denied)
    assert [each.code for each in refused.reasons] == ["AgentTooOld"]
    world.granted(world.web, 80, policy="plain", source="192.0.2.2")

    world.report(world.web)
    assert point(world).weaknesses == ()
    world.granted(world.web, 22, policy="kill", source="192.0.2.2")


def test_an_agent_without_cuts_is_sent_none(world: World) -> None:
    knows = KNOWN - {Feature.CUTS}
    world.put(rules(world.web, 22, on_expiry=OnExpiry.KILL))
    assert told(world, knows).closed == told(world).closed


def test_words_of_a_newer_agent_count_for_nothing_and_none_is_the_baseline() -> None:
    body = encode(Report(1, frozenset()))
    assert decode(Report, {**body, "knows": ["udp", "quic"]}).knows == {Feature.UDP}
    del body["knows"]
    assert decode(Report, body).knows == BASELINE
