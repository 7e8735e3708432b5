"""What the server tells a machine's agent of the gateways in front of it, and what it makes of the
answer (EDGES G7).

``db-1`` has its own agent and is behind the gateways ``web-1`` and ``gw-2``, bound in parallel.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.bindings import InFront
from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.facts.enrolments import RouteTrusted
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import Machine
from bascule.domain.net import Address, AddressPrefix, PublicPort, RuleProtocol
from bascule.domain.weaknesses import ANSWERS_BY_ANOTHER, ROUTE_ELSEWHERE, UNANSWERED, Weakness
from bascule.errors import Forbidden
from bascule.interfaces.record import EventFilter
from bascule.services import bindings, doubt, fleet, requests
from bascule.services.public_ports_told import of_grant
from bascule.services.reports import ANSWERS_SPAN, MOST_ANSWERS_TOLD
from bascule.services.views import view_request
from tests.unit.services_world import ANNA, World, rules
from tests.unit.test_services_bindings import is_doubted, tell
from tests.unit.test_services_parallel import SHUT, SSH, Parallel, withdrawals

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
        made.clock.pass_time(1)
    for each in (made.db, made.web, made.gw2):
        made.tell(each)
    yield made
    made.close()


def front(world: World, uid: str = "") -> InFront | None:
    uid = uid or world.db.uid
    _, state = world.see(lambda tx: fleet.state_for(tx, uid, world.clock.wall, world.db.uid))
    return state.in_front


def by(told: InFront) -> set[tuple[Address, ...]]:
    """The addresses by which answers come back, of each gateway."""
    return {each.addresses for each in told.gateways}


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
    assert by(told) == {tuple(FIRST), ()}
    assert told.addresses == (WHERE,)
    assert told.is_for_all
    world.tell(world.web, answered_by=FIRST)
    assert generation(world) == before + 1, "it says nothing new"
    world.tell(world.gw2, answered_by=SECOND)
    told = front(world)
    assert told is not None
    assert by(told) == {tuple(FIRST), tuple(SECOND)}
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
    assert by(told) == {tuple(SECOND), ()}, "of the last change that was taken"
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


# -- public ports of two gateways, of which answers leave by one -----------------------------------

NETWORKS = (AddressPrefix.parse("192.0.2.0/24"),)
AT_WEB, AT_GW2 = (PublicPort(ip_address(each), 2000) for each in ("198.51.100.1", "198.51.100.2"))


def guard(public: PublicPort) -> Guard:
    return Guard(forwarding=Forwarding(NETWORKS, (public.address,), 2000, 2001))


@pytest.fixture
def pair(world: Parallel) -> Parallel:
    """Both gateways have public addresses, and have said by which of theirs answers come back."""
    for point, public in ((world.web, AT_WEB), (world.gw2, AT_GW2)):
        world.report(point, guard=guard(public))
    world.tell(world.web, answered_by=FIRST)
    world.tell(world.gw2, answered_by=SECOND)
    world.tell(world.db)
    return world


def named(world: Parallel, grant: Grant) -> list[PublicPort]:
    """What who asks is told to connect to, the best first."""
    view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
    assert view is not None
    (shown,) = view.grants
    return [through.claim.public for through in view.public_ports(shown)]


def by_another(gateway: Machine, version: int = 4) -> Weakness:
    return ANSWERS_BY_ANOTHER(version=version, gateway="web-1", route="10.1.0.2", point=gateway.uid)


def past(grant: Grant, *points: Machine) -> dict[str, tuple[str, ...]]:
    return {grant.id: tuple(each.uid for each in points)}


def own(world: Parallel, *in_force: str, **more: object) -> None:
    """A report of the machine's own agent."""
    world.report(world.db, *in_force, closed=SHUT, **more)  # type: ignore[arg-type]  # reason: passed through


def test_the_machine_s_own_agent_is_told_the_public_ports_of_each_gateway(pair: Parallel) -> None:
    pair.granted(pair.db)
    told = front(pair)
    assert told is not None
    assert {
        each.name: (each.mapped, each.versions, each.is_parallel) for each in told.gateways
    } == {
        "web-1": ({SSH: (AT_WEB,)}, frozenset({4}), True),
        "gw-2": ({SSH: (AT_GW2,)}, frozenset({4}), True),
    }


def test_the_public_port_by_which_answers_come_back_is_the_one_to_connect_to(
    pair: Parallel,
) -> None:
    """The other gateway is withdrawn before anybody is told that it is open."""
    grant = pair.granted(pair.db)
    assert named(pair, grant) == [AT_WEB, AT_GW2], "that bound first, as long as nothing is known"
    pair.tell(pair.web, grant.id)
    own(pair, grant.id, past=past(grant, pair.web))
    assert pair.grant(grant).state is GrantState.OPENING, "web-1 has it open, and is not enough"
    assert named(pair, grant) == [AT_GW2]
    assert pair.told(pair.web) == []
    pair.tell(pair.gw2, grant.id)
    assert pair.grant(grant).state is GrantState.OPEN
    assert named(pair, grant) == [AT_GW2]
    (said,) = withdrawals(pair)
    assert said.why == (
        "db-1 does not answer this source through web-1, so its public port there would not work."
    )
    own(pair, grant.id, past=past(grant, pair.gw2))
    assert pair.grant(grant).state is GrantState.OPEN, "a route that changes later ends nothing"
    assert named(pair, grant) == [AT_GW2]


def test_with_the_gateway_away_by_which_answers_leave_it_fails_at_once(pair: Parallel) -> None:
    pair.clock.pass_time(45)
    pair.tell(pair.web)
    pair.report(pair.web, guard=guard(AT_WEB))
    own(pair)
    grant = pair.granted(pair.db)
    pair.tell(pair.web, grant.id)
    own(pair, grant.id, past=past(grant, pair.web))
    failed = pair.grant(grant)
    assert failed.state is GrantState.FAILED
    assert failed.failure == (
        "db-1 does not answer this source through web-1, so its public port there would not work. "
        "The agent of gw-2 is away. On db-1, have the route to the source, or the default route, "
        "lead to web-1, and request access again."
    )
    assert failed.failure_words == failed.failure, "so that it can be said in another language"
    assert pair.told(pair.web) == pair.told(pair.gw2) == pair.told(pair.db) == []


def test_a_datagram_needs_no_answer_so_it_is_left_open_where_nothing_else_is(
    pair: Parallel,
) -> None:
    pair.put(rules(pair.db, 22, protocol=RuleProtocol.ALL))
    pair.clock.pass_time(45)
    pair.tell(pair.web)
    own(pair)
    grant = pair.granted(pair.db)
    pair.tell(pair.web, grant.id)
    own(pair, grant.id, past=past(grant, pair.web))
    assert pair.grant(grant).state is GrantState.OPEN


def test_what_is_not_the_machine_s_own_word_of_its_own_grant_withdraws_nothing(
    pair: Parallel,
) -> None:
    """A gateway's word, a grant of another machine, a point that is none, one in series."""
    grant, other = pair.granted(pair.db), pair.granted(pair.web)
    pair.tell(pair.web, grant.id, past=past(grant, pair.gw2))
    own(pair, past={**past(other, pair.gw2), "made-up": (pair.gw2.uid,)})
    own(pair, past={grant.id: ("nobody", pair.db.uid)})
    assert withdrawals(pair) == []
    assert [pair.told(each) for each in (pair.web, pair.gw2)] == [[grant.id]] * 2
    own(pair, past=past(grant, pair.web), generation=0)
    assert withdrawals(pair) == [], "of a generation of before this grant"
    pair.bind(pair.web, is_parallel=False)
    in_series = pair.granted(pair.db, source="192.0.2.8")
    own(pair, past=past(in_series, pair.web))
    assert withdrawals(pair) == []


def test_every_gateway_named_fails_it_at_once(pair: Parallel) -> None:
    """Only its own agent can say so, of its own machine."""
    grant = pair.granted(pair.db)
    own(pair, grant.id, past=past(grant, pair.web, pair.gw2))
    failed = pair.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "through web-1, gw-2" in failed.failure or "through gw-2, web-1" in failed.failure


def test_what_is_known_beforehand_names_the_other_public_port_in_the_first_answer(
    pair: Parallel,
) -> None:
    """By the default route that the machine's own agent sees, or by who got no answer."""
    said = by_another(pair.web)
    own(pair, weaknesses=(said, by_another(pair.gw2, version=6)))
    answer = pair.ask(pair.db)
    assert isinstance(answer, requests.Initiated)
    (grant,) = answer.grants
    told = [each.claim.public for each in of_grant(answer.mapped[pair.db.uid], grant)]
    assert told == [AT_GW2, AT_WEB]
    pair.tell(pair.web, grant.id)
    assert named(pair, grant) == [AT_GW2, AT_WEB], "it opens there first, and does not work"
    own(pair)
    assert named(pair, grant) == [AT_WEB, AT_GW2]
    where = UNANSWERED(port=f"22/tcp of {WHERE}", address=WHERE)
    pair.report(pair.web, guard=guard(AT_WEB), weaknesses=(where,))
    assert named(pair, grant) == [AT_GW2, AT_WEB]


def test_a_gateway_that_says_so_of_another_is_not_believed(pair: Parallel) -> None:
    said = by_another(pair.web)
    pair.report(pair.gw2, guard=guard(AT_GW2), weaknesses=(said,))
    grant = pair.granted(pair.db)
    assert named(pair, grant) == [AT_WEB, AT_GW2]


# -- an owner says that the route is right -----------------------------------------------------


def trust(world: Parallel, subject: Subject = ANNA, *, is_trusted: bool = True) -> None:
    world.do(
        lambda tx, act: bindings.bind(
            tx,
            act,
            subject,
            world.db.id,
            world.web.uid,
            trusts_route=is_trusted,
        ),
        subject,
    )


def test_an_owner_s_word_reaches_the_machine_s_agent_and_ends_nothing(world: Parallel) -> None:
    grant = world.opened_by(world.web, world.db)
    world.tell(world.web, grant.id, answered_by=FIRST)
    before = generation(world)
    trust(world)
    assert generation(world) == before + 1, "its agent hears of it"
    told = front(world)
    assert told is not None
    assert [each.name for each in told.gateways if each.is_trusted] == ["web-1"]
    assert world.grant(grant).state is GrantState.OPEN
    trust(world)
    assert generation(world) == before + 1, "it says nothing new"
    world.enrol(world.web, "key-web-2", replaces=True)
    (bound,) = [
        each
        for each in world.see(lambda tx: tx.bindings_of(world.db.uid))
        if each.point_uid == world.web.uid
    ]
    assert bound.trusts_route, "a new agent there takes back no word of an owner"
    trust(world, is_trusted=False)
    wanted = EventFilter(kinds=(RouteTrusted.__name__,))
    facts = [event.fact for _, event in world.see(lambda tx: tx.events(wanted))]
    assert [getattr(each, "is_trusted", None) for each in facts] == [False, True]


def test_trusting_a_route_takes_the_rights_that_binding_takes(world: Parallel) -> None:
    carl = Subject(
        "cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3"
    )
    world.add_principal(carl)
    with pytest.raises(Forbidden):
        trust(world, carl)
