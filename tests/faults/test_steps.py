"""Agents killed and stopped at steps of a request, on the real kernel (EDGES G3): both or neither.

A few of the cases; ``make faults`` tries all of them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from bascule.client import access
from tests.e2e.lab_world import until
from tests.e2e.small_world import rule
from tests.faults.steps import LEASE, Case, PointsWorld, all_cases, arrange, try_case
from tests.netns.conftest import why_not
from tests.netns.gateway import SQL
from tests.netns.network import hammering

pytestmark = pytest.mark.root

SERIES = (
    Case(False, "a", "read back", signal.SIGSTOP),  # its own agent has to close it again
    Case(False, "sql", "apply", signal.SIGKILL),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointsWorld]:
    if why := why_not():
        pytest.skip(why)
    with PointsWorld(tmp_path_factory.mktemp("points")) as made:
        made.begin(rule(22))
        yield made


@pytest.mark.parametrize("case", SERIES, ids=str)
def test_in_series_both_open_it_or_neither(world: PointsWorld, case: Case) -> None:
    arrange(world, is_parallel=False)
    assert not try_case(world, case)


def test_in_parallel_the_other_gateway_opens_it(world: PointsWorld) -> None:
    arrange(world, is_parallel=True)
    assert not try_case(world, Case(True, "a", "read back", signal.SIGSTOP))


def test_a_gateway_that_is_cut_off_is_done_without_until_it_is_back(world: PointsWorld) -> None:
    arrange(world, is_parallel=True)
    b = world.agents["b"]
    world.b.run("ip", "link", "set", "e0", "down")
    with hammering(world.network.stranger, 22, SQL) as knocks:
        made = world.initiate(LEASE)
        assert until(lambda: world.port_of(made).state == "open", 10), world.logs()
        assert world.network.client.lets_in(22, SQL)

        def is_given_up() -> bool:
            return "withdrawn" in {each.state for each in world.port_of(made).points}

        assert until(is_given_up, 15), world.port_of(made)
        assert world.port_of(made).state == "open"
        world.b.run("ip", "link", "set", "e0", "up")
        world.b.run("ip", "route", "add", "default", "via", "10.77.0.1")
        world.wait_current("db-1")
        assert not b.lets_in(), "what was given up stays so"
        world.go_by("b")
        assert not world.network.client.reaches(22, SQL)
        again = world.initiate(LEASE)
        assert until(lambda: world.port_of(again).state == "open", 10), world.logs()
        assert until(b.lets_in, 10)
        assert world.network.client.lets_in(22, SQL), "by the one that is back"
        world.ask(lambda c: access.revoke(c, again, kill=False))
        assert until(lambda: not any(e.lets_in() for e in world.agents.values()), 10)
        assert not world.network.client.reaches(22, SQL)
    assert not any(knocks)


def test_every_step_of_every_agent_is_a_case() -> None:
    assert len(set(all_cases())) == 2 * 2 * 6 * 3
