"""What the server tells a machine's agent of the gateways in front of it, and what it makes of the
answer (EDGES G7).

``db-1`` has its own agent and is behind the gateways ``web-1`` and ``gw-2``, bound in parallel.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import InFront
from bascule.domain.bounds import Objection
from bascule.domain.lifecycle import GrantState
from bascule.domain.weaknesses import ROUTE_ELSEWHERE
from bascule.services import bindings, doubt, fleet
from bascule.services.reports import ANSWERS_SPAN, MOST_ANSWERS_TOLD
from tests.unit.services_world import ANNA, World, rules
from tests.unit.test_services_bindings import is_doubted, tell
from tests.unit.test_services_parallel import SHUT, Parallel

WHERE = ip_address("192.0.2.77")
FIRST, SECOND = (frozenset({ip_address(each)}) for each in ("10.1.0.1", "10.1.0.2"))


@pytest.fixture
def world() -> Iterator[Parallel]:
    made = Parallel()
    for each in (made.web, made.gw2):
        made.do(
            lambda tx, act, each=each: bindings.bind(  # type: ignore[misc]  # reason: bound at once
                tx, act, ANNA, made.db.id, each.uid, [WHERE], is_parallel=True
            )
        )
    for each in (made.db, made.web, made.gw2):
        made.tell(each)
    yield made
    made.close()


def front(world: World, uid: str = "") -> InFront | None:
    uid = uid or world.db.uid
    _, state = world.see(lambda tx: fleet.state_for(tx, uid, world.clock.wall, world.db.uid))
    return state.in_front


def generation(world: World) -> int:
    return world.see(lambda tx: tx.generation(world.db.uid))


def test_the_machine_s_own_agent_is_told_by_which_addresses_its_answers_come_back(
    world: Parallel,
) -> None:
    """And at once when they are others; a gateway is told nothing of it, nor a machine without one."""
    assert front(world) is None, "no gateway has told any"
    before = generation(world)
    world.tell(world.web, answered_by=FIRST)
    assert generation(world) == before + 1
    told = front(world)
    assert told is not None
    assert set(told.gateways) == {tuple(FIRST), ()}
    assert told.addresses == (WHERE,)
    assert told.is_for_all
    world.tell(world.web, answered_by=FIRST)
    assert generation(world) == before + 1, "it says nothing new"
    world.tell(world.gw2, answered_by=SECOND)
    told = front(world)
    assert told is not None
    assert set(told.gateways) == {tuple(FIRST), tuple(SECOND)}
    assert front(world, world.web.uid) is None
    world.tell(world.web, generation=0, answered_by=frozenset())
    assert front(world) == told, "a gateway that can enforce nothing says nothing of it"


def test_a_policy_for_some_clients_asks_nothing_of_the_default_route(world: Parallel) -> None:
    world.tell(world.web, answered_by=FIRST)
    world.put(rules(world.db, 22, sources="192.0.2.0/24"))
    told = front(world)
    assert told is not None
    assert not told.is_for_all


def test_after_the_last_unbinding_nothing_is_told(world: Parallel) -> None:
    world.tell(world.web, answered_by=FIRST)
    for each in (world.web, world.gw2):
        world.unbind(each)
    assert front(world) is None


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (Objection.PAST, "db-1 does not answer this source through a gateway that it is behind"),
        (Objection.NOWHERE, "db-1 has no route to this source"),
    ],
)
def test_what_could_not_be_answered_fails_at_once_with_that_word(
    world: Parallel, why: Objection, words: str
) -> None:
    """At every point; both gateways that had opened it close it."""
    grant = world.opened_by(world.web, world.gw2)
    world.tell(world.db, refused={grant.id: why})
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert words in failed.failure
    assert failed.failure_words == failed.failure
    assert world.told(world.web) == world.told(world.gw2) == []


def test_a_report_that_lies_opens_nothing(world: Parallel) -> None:
    """Addresses of a gateway that are none, a refusal of another's grant, one after it is open."""
    other = world.granted(world.web)
    grant = world.opened_by(world.web, world.db)
    assert world.grant(grant).state is GrantState.OPEN
    world.tell(world.web, grant.id, answered_by=SECOND)
    world.tell(world.db, grant.id, refused={grant.id: Objection.PAST, other.id: Objection.PAST})
    assert world.grant(grant).state is GrantState.OPEN, "it is in force, and stays"
    assert world.grant(other).state is GrantState.OPENING
    world.tell(world.gw2, answered_by=FIRST)
    assert world.told(world.db) == [grant.id]


def test_a_gateway_that_tells_other_addresses_without_end_is_bounded_and_doubted(
    world: Parallel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the machine's own agent ask for its state. Nobody else is doubted for it."""
    before = generation(world)
    for turn in range(3 * MOST_ANSWERS_TOLD):
        tell(world, world.web, closed=SHUT, answered_by=(FIRST, SECOND)[turn % 2])
    assert generation(world) == before + MOST_ANSWERS_TOLD
    assert world.kinds().count("AgentReported") == MOST_ANSWERS_TOLD
    told = front(world)
    assert told is not None
    assert set(told.gateways) == {tuple(SECOND), ()}, "of the last change that was taken"
    tell(world, world.gw2, closed=SHUT, answered_by=FIRST)
    assert generation(world) == before + MOST_ANSWERS_TOLD + 1, "another gateway has its own share"
    world.clock.pass_time(ANSWERS_SPAN.total_seconds() + 1)
    tell(world, world.web, closed=SHUT, answered_by=FIRST)
    assert generation(world) == before + MOST_ANSWERS_TOLD + 2

    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", MOST_ANSWERS_TOLD + 2)
    tell(world, world.web, closed=SHUT, answered_by=SECOND)
    assert [is_doubted(world, each) for each in (world.web, world.gw2, world.db)] == [
        *(True, False, False),
    ]


def test_the_finding_is_said_of_the_machine_and_refuses_nobody(world: Parallel) -> None:
    """A client may have a route of its own: the agent says so when it is asked."""
    said = ROUTE_ELSEWHERE(gateway="10.1.0.1", route="10.1.0.99")
    world.report(world.db, closed=frozenset(), weaknesses=(said,))
    point = world.see(lambda tx: tx.enforcement_point(world.db.uid))
    assert point is not None
    assert said in point.weaknesses
    assert point.unable is None
    assert world.granted(world.db).state is GrantState.OPENING
