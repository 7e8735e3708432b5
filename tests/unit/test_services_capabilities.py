"""What an enforcement point cannot do is said where it matters, and nothing is assumed of it.

The agent here runs the shipped fake, with one ability missing at a time, against the real use
cases: what is asserted is what the server then says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bascule.api.wire.fleet import point_properties_json
from bascule.api.wire.requests import request_json
from bascule.domain.capabilities import ABILITIES, HOST, Capabilities
from bascule.domain.decide import Denied
from bascule.domain.facts.grants import GrantClosed
from bascule.domain.lifecycle import GrantState
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.record import EventFilter
from bascule.protocol.report import Report
from bascule.reconcile.reconciler import Reconciler
from bascule.services.fleet import state_for
from bascule.services.reports import take_report
from bascule.services.sweep import sweep
from bascule.services.views import view_request
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import World, rules
from tests.unit.test_reconcile import Memory

SSH = PortKey(TransportProtocol.TCP, 22)
ANNA_S = "192.0.2.1"


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22))
    yield made
    made.close()


def lacking(ability: str) -> Capabilities:
    return replace(HOST, **{ability: False})  # type: ignore[arg-type]  # reason: each is a bool


class Agent:
    """Passes of an agent of web-1: it asks, makes it so, reads back and reports."""

    def __init__(self, world: World, abilities: Capabilities) -> None:
        self._world = world
        self.packets = FakeFirewall(world.clock, abilities)
        self.driver = FakeDriver(self.packets)
        self._reconciler = Reconciler(self.driver, Memory(), world.clock)
        self._reconciler.restore(None)

    def passes(self) -> None:
        world, uid = self._world, self._world.web.uid
        began = world.clock.boottime()
        state = world.see(lambda tx: state_for(tx, uid, world.clock.now()))[1]
        self._reconciler.take(state, began)
        outcome = self._reconciler.reconcile()
        report = Report(
            outcome.generation,
            outcome.in_force,
            blocked_attempts=outcome.observed.blocked_attempts,
            sessions=self._reconciler.count_sessions(),
            closed=self._reconciler.kept_closed(outcome.observed),
            refused=self._reconciler.refused,
            driver="fake",
            capabilities=self.driver.capabilities,
        )
        world.do(lambda tx, act: take_report(tx, act, uid, report), None)


def test_a_point_that_ends_no_lease_is_asked_for_none(world: World) -> None:
    """Its agent could die, and the port would stay open. The refusal says so."""
    Agent(world, lacking("ends_leases")).passes()
    answer = world.ask(world.web)
    assert isinstance(answer, Denied)
    (reason,) = answer.reasons
    assert reason.code == "LeasesNotEnded"
    assert "stay open" in reason.message


def test_whoever_waits_when_a_point_turns_out_to_end_no_lease_is_told_at_once(
    world: World,
) -> None:
    """Another driver took the place of the one that could: nothing opens, and nobody waits."""
    agent = Agent(world, lacking("ends_leases"))
    grant = world.granted(world.web)
    agent.passes()
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "cannot end an opening by itself" in failed.failure
    assert not agent.packets.reaches(ANNA_S, SSH)
    assert world.see(lambda tx: state_for(tx, world.web.uid, world.clock.wall))[1].leases == ()


def test_what_was_open_before_is_ended_and_never_told_as_ending_by_itself(world: World) -> None:
    grant = world.granted(world.web)
    Agent(world, HOST).passes()
    assert world.grant(grant).state is GrantState.OPEN
    after = Agent(world, lacking("ends_leases"))  # another firewall, and nothing open in it
    after.passes()
    assert world.grant(grant).state in {GrantState.CLOSING, GrantState.CLOSED}
    assert not after.packets.reaches(ANNA_S, SSH)


def test_a_report_that_says_nothing_of_leases_withdraws_who_waits(world: World) -> None:
    """It is the server that refuses here: the agent named no grant."""
    grant = world.granted(world.web)
    world.report(world.web, capabilities=lacking("ends_leases"))
    assert world.grant(grant).state is GrantState.FAILED


def test_before_a_point_has_said_anything_a_request_waits_for_it(world: World) -> None:
    """As for a machine that is away (A20); it opens only what its own driver can end."""
    assert world.see(lambda tx: tx.enforcement_point(world.web.uid)).capabilities is None  # type: ignore[union-attr]  # reason: it is there
    assert world.granted(world.web).state is GrantState.OPENING


@pytest.mark.parametrize("ability", ["", "counts_sessions", "ends_sessions"])
def test_sessions_are_counted_or_called_unknown(world: World, ability: str) -> None:
    agent = Agent(world, lacking(ability) if ability else HOST)
    grant = world.granted(world.web, seconds=60)
    agent.passes()
    assert agent.packets.connect(ANNA_S, SSH) is not None
    world.clock.pass_time(61)
    world.do(sweep, None)
    agent.passes()
    rows = world.see(lambda tx: tx.events(EventFilter(kinds=(GrantClosed.__name__,))))
    closed = [event.fact for _, event in rows if isinstance(event.fact, GrantClosed)]
    counted = ability != "counts_sessions"
    assert [each.sessions_alive for each in closed] == [1 if counted else None]
    view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
    assert view is not None
    (told,) = (
        port["bascule"]
        for machine in request_json(view)["virtualMachines"]
        for port in machine["ports"]
    )
    assert told.get("sessionsAlive") == (1 if counted else None)
    lacks = {"counts_sessions": ["countsSessions"], "ends_sessions": ["endsSessions"]}
    assert told.get("pointLacks") == lacks.get(ability)


@pytest.mark.parametrize("ability", ["", *ABILITIES])
def test_a_point_s_abilities_are_kept_and_told(world: World, ability: str) -> None:
    agent = Agent(world, lacking(ability) if ability else HOST)
    agent.passes()
    assert not agent.packets.reaches(ANNA_S, SSH)
    agent.passes()
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    told = point_properties_json(point, world.web.id, 1, world.clock.wall)
    assert told["driver"] == "fake"
    missing = [name for name, has in told["capabilities"].items() if has is False]
    assert len(missing) == bool(ability)
    assert told["blockedAttempts"] == (None if ability == "sees_blocked" else 1)
