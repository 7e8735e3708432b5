"""What is said of a machine whose agent root has uninstalled, or that has not heard of a release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.agent.farewell import last_report
from bascule.domain.decide import Denied
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.services import machine_rules, reports, requests
from bascule.services.views import kept_closed, view_machine
from tests.samples import SSH
from tests.unit.services_world import ANNA, World, rules

SHUT = frozenset({ClosedPort(SSH)})


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22), rules(made.db, 22))
    made.report(made.web, closed=SHUT)
    yield made
    made.close()


def uninstall(world: World) -> None:
    world.do(
        lambda tx, act: reports.take_report(tx, act, world.web.uid, last_report([SSH], {})), None
    )


def shown(world: World) -> tuple[tuple[PortKey, ...], tuple[PortKey, ...]]:
    """What is still shut there although it is not to be; what its agent keeps shut in all."""
    now = world.clock.now()
    view = world.see(lambda reader: view_machine(reader, world.web, now))
    return view.still_closed, world.see(lambda reader: kept_closed(reader, world.web.uid))


def test_access_to_a_machine_without_its_agent_is_refused_at_once(world: World) -> None:
    """Nobody waits a minute to be told that somebody is away."""
    grant = world.granted(world.web)
    uninstall(world)
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED, "who waits already is told so too"
    assert failed.failure.startswith("Root has uninstalled the agent of web-1")
    answer = world.ask(world.web)
    assert isinstance(answer, Denied)
    assert [each.code for each in answer.reasons] == ["AgentUninstalled"]
    assert isinstance(world.ask(world.db), requests.Initiated)
    world.enrol(world.web, "key-2", replaces=True)
    assert isinstance(world.ask(world.web), requests.Initiated)


def test_an_agent_that_can_enforce_nothing_for_now_may_yet_open(world: World) -> None:
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EPERM"),))
    assert isinstance(world.ask(world.web), requests.Initiated)


def test_what_an_agent_keeps_shut_until_it_hears_of_a_release(world: World) -> None:
    assert shown(world) == ((), (SSH,))
    world.do(lambda tx, act: machine_rules.delete_machine_rules(tx, act, ANNA, world.web.id))
    world.clock.pass_time(3600)
    assert shown(world) == ((SSH,), (SSH,))
    world.report(world.web)
    assert shown(world) == ((), ()), "it has heard of it, and let it go"


def test_nothing_is_kept_shut_by_an_agent_that_was_uninstalled(world: World) -> None:
    uninstall(world)
    assert shown(world) == ((), ())
