"""What other programs' rules do to closed ports: on record when it comes and goes, and in exposure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.facts.agents import ShadowFound, ShadowGone
from bascule.domain.machine import ClosedPort
from bascule.domain.machine_access import AccessState
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import (
    BLOCKED_ELSEWHERE,
    NOT_ENFORCED,
    RULES_UNREAD,
    SECOND_PORT,
    TABLE_UNOWNED,
    Shadow,
    Weakness,
)
from bascule.interfaces.record import EventFilter
from bascule.services.notes import NOTES_PER_SPAN
from bascule.services.views import view_machine
from tests.unit.services_world import World
from tests.unit.services_world import rules as rules_of
from tests.unit.test_services_listing import row

SSH = PortKey(TransportProtocol.TCP, 22)


def second(rule: str = "listener 0.0.0.0:2222", other: int = 2222) -> Weakness:
    return SECOND_PORT(port=SSH, other=f"{other}/tcp", program="sshd", rule=rule)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules_of(made.web, 22))
    yield made
    made.close()


def said(world: World) -> list[tuple[str, str]]:
    wanted = EventFilter(world.web.id.key, (ShadowFound.__name__, ShadowGone.__name__))
    rows = world.see(lambda reader: reader.events(wanted, limit=5000, newest_first=False))
    facts = (event.fact for _, event in rows)
    return [
        (type(fact).__name__, fact.code)
        for fact in facts
        if isinstance(fact, ShadowFound | ShadowGone)
    ]


def test_one_that_comes_and_goes_is_on_record_once_each(world: World) -> None:
    """Not at every report, nor when its rule is written otherwise, nor other weaknesses."""
    unowned = TABLE_UNOWNED(kernel="6.1", nftables="1.0")
    world.report(world.web, weaknesses=(unowned,))
    assert said(world) == []
    for rule in ("listener 0.0.0.0:2222", "listener [::]:2222"):
        world.report(world.web, weaknesses=(unowned, second(rule)))
    assert said(world) == [("ShadowFound", "SecondPort")]
    world.report(world.web, weaknesses=(second(), second(other=2223)))
    world.report(world.web, weaknesses=(unowned,))
    assert said(world)[1:] == [("ShadowFound", "SecondPort"), *[("ShadowGone", "SecondPort")] * 2]


def test_a_stolen_agent_fills_no_record_with_them(world: World) -> None:
    """EDGES B8."""
    for turn in range(NOTES_PER_SPAN):
        found = tuple(second(other=3000 + 4 * turn + each) for each in range(4))
        world.report(world.web, weaknesses=found)
    assert len(said(world)) == NOTES_PER_SPAN


@pytest.mark.parametrize(
    ("weakness", "shadow", "state"),
    [
        (second(), Shadow.ADMITS, AccessState.OPEN_PAST_US),
        (RULES_UNREAD(unread="x"), Shadow.UNREAD, AccessState.CANNOT_BE_TOLD),
        (BLOCKED_ELSEWHERE(port=SSH, where="ufw", rule="r", how="h"), None, AccessState.CLOSED),
        (TABLE_UNOWNED(kernel="6.1", nftables="1.0"), None, AccessState.CLOSED),
    ],
)
def test_no_list_says_closed_of_it(
    world: World, weakness: Weakness, shadow: Shadow | None, state: AccessState
) -> None:
    """EDGES G7: the machine, and its row in lists."""
    shut = frozenset({ClosedPort(SSH)})
    world.report(world.web, closed=shut)
    assert row(world).state is AccessState.CLOSED
    world.report(world.web, closed=shut, weaknesses=(weakness,))
    view = world.see(lambda reader: view_machine(reader, world.web, world.clock.now()))
    assert view.past_us(SSH) is shadow
    assert row(world).state is state
    world.report(world.web, closed=shut)
    assert row(world).state is AccessState.CLOSED


def test_one_that_can_enforce_nothing_is_away_first(world: World) -> None:
    world.report(world.web, weaknesses=(NOT_ENFORCED(problem="p"), second()))
    assert row(world).state is AccessState.OFFLINE
