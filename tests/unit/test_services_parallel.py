"""Points in parallel (EDGES G3): how they might open too much, and that they do not.

``db-1`` has its own agent and is behind two gateways, ``web-1`` and ``gw-2``, bound in parallel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.bounds import Objection
from bascule.domain.capabilities import HOST
from bascule.domain.decide import Denied
from bascule.domain.facts.enrolments import PointArranged
from bascule.domain.facts.grants import PointWithdrawn
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort, Machine
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.points import PATIENCE, PointKind
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import UNINSTALLED
from bascule.errors import Forbidden
from bascule.interfaces.record import EventFilter
from bascule.protocol.report import Report
from bascule.services import bindings, fleet, live_requests, reports
from bascule.services.sweep import sweep
from bascule.services.views import ShownGrant, view_request
from tests.unit.services_world import ANNA, World, rules

SSH = PortKey(TransportProtocol.TCP, 22)
SHUT = frozenset({ClosedPort(SSH)})
PATIENCE_SECONDS = PATIENCE[PointKind.GATEWAY].total_seconds()


class Parallel(World):
    def __init__(self) -> None:
        super().__init__()
        self.gw2 = self.add_machine("gw-2", "192.0.2.12")
        self.enrol(self.gw2, "key-gw-2")
        self.put(rules(self.web, 22), rules(self.db, 22))

    def bind(self, point: Machine, *, is_parallel: bool | None = True) -> bool:
        return self.do(
            lambda tx, act: bindings.bind(
                tx, act, ANNA, self.db.id, point.uid, is_parallel=is_parallel
            )
        )

    def unbind(self, point: Machine) -> bool:
        return self.do(lambda tx, act: bindings.unbind(tx, act, ANNA, self.db.id, point.uid))

    def tell(self, point: Machine, *in_force: str, **more: object) -> None:
        """A report of db-1 by a point."""
        more.setdefault("generation", self.see(lambda tx: tx.generation(self.db.uid)))
        more.setdefault("closed", SHUT)
        report = Report(in_force=frozenset(in_force), **more)  # type: ignore[arg-type]  # reason: passed through
        self.do(lambda tx, act: reports.take_report(tx, act, point.uid, report, self.db.uid), None)

    def told(self, point: Machine) -> list[str]:
        """The grants that a point is to hold for db-1 now."""
        _, state = self.see(lambda tx: fleet.state_for(tx, point.uid, self.clock.wall, self.db.uid))
        return [each.grant_id for each in state.leases]

    def left(self, point: Machine) -> list[timedelta]:
        """How long a point is to hold each grant for db-1 from now on."""
        _, state = self.see(lambda tx: fleet.state_for(tx, point.uid, self.clock.wall, self.db.uid))
        return [each.remaining for each in state.leases]

    def sweep(self) -> None:
        self.do(sweep, None)

    def opened_by(self, *points: Machine) -> Grant:
        grant = self.granted(self.db)
        for each in points:
            self.tell(each, grant.id)
        return grant


@pytest.fixture
def world() -> Iterator[Parallel]:
    made = Parallel()
    made.bind(made.web)
    made.bind(made.gw2)
    for each in (made.db, made.web, made.gw2):
        made.tell(each)
    yield made
    made.close()


def withdrawals(world: Parallel) -> list[PointWithdrawn]:
    rows = world.see(lambda tx: tx.events(EventFilter(kinds=(PointWithdrawn.__name__,))))
    return [event.fact for _, event in rows if isinstance(event.fact, PointWithdrawn)]


# -- one is enough, beside all in series -----------------------------------------------------


def test_it_is_open_when_its_own_agent_and_one_gateway_have_it_in_force(world: Parallel) -> None:
    grant = world.opened_by(world.web)
    assert world.grant(grant).state is GrantState.OPENING, "its own agent has not opened it"
    world.tell(world.db, grant.id)
    assert world.grant(grant).state is GrantState.OPEN
    assert world.told(world.gw2) == [grant.id], "it has time left"


def test_no_gateway_opens_it_while_its_own_agent_does_not(world: Parallel) -> None:
    """The agent filters whatever way a packet comes. What both gateways opened goes with it."""
    grant = world.opened_by(world.web, world.gw2)
    world.tell(world.db)
    assert world.grant(grant).state is GrantState.OPENING
    world.clock.pass_time(PATIENCE_SECONDS)
    assert world.told(world.db) == [], "before anybody has noticed"
    world.sweep()
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "db-1" in failed.failure
    assert [world.told(each) for each in (world.db, world.web, world.gw2)] == [[], [], []]


def test_what_its_own_agent_refuses_fails_whatever_gateways_say(world: Parallel) -> None:
    grant = world.opened_by(world.web, world.gw2)
    world.tell(world.db, refused={grant.id: Objection.PORT})
    assert world.grant(grant).state is GrantState.FAILED
    assert world.told(world.web) == world.told(world.gw2) == []
    assert withdrawals(world) == []


def test_with_both_silent_it_fails_everywhere_and_names_both(world: Parallel) -> None:
    grant = world.opened_by(world.db)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "web-1" in failed.failure or "web-1" in "".join(failed.withdrawn.values())
    assert "gw-2" in failed.failure + "".join(failed.withdrawn.values())
    assert world.told(world.db) == []


# -- the others are withdrawn ------------------------------------------------------------------


def test_a_silent_gateway_is_named_and_withdrawn_and_the_rest_stays_open(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS - 1)
    world.sweep()
    assert world.grant(grant).withdrawn == {}
    world.clock.pass_time(1)
    before = world.see(lambda tx: tx.generation(world.db.uid))
    world.sweep()
    now = world.grant(grant)
    assert now.state is GrantState.OPEN
    assert list(now.withdrawn) == [world.gw2.uid]
    assert "gw-2" in now.withdrawn[world.gw2.uid]
    assert now.answer_by is None
    assert world.see(lambda tx: tx.generation(world.db.uid)) > before, "all are told"
    assert world.told(world.gw2) == []
    assert world.told(world.web) == world.told(world.db) == [grant.id]
    (event,) = withdrawals(world)
    assert (event.grant_id, event.point) == (grant.id, str(world.gw2.id))


def test_a_gateway_that_comes_back_after_its_patience_is_told_of_nothing_to_open(
    world: Parallel,
) -> None:
    """Whether or not the server has noticed that the time is over, and however long it was away."""
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS)
    assert world.told(world.gw2) == [], "the server itself was away, and has not swept"
    world.sweep()
    world.clock.pass_time(100)
    assert world.told(world.gw2) == []
    assert world.grant(grant).state is GrantState.OPEN


def test_a_late_report_of_a_withdrawn_gateway_neither_opens_nor_keeps_it(world: Parallel) -> None:
    """It had opened it while it was cut off. Its word keeps nothing open when the others close it."""
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    world.tell(world.gw2, grant.id, generation=grant.generation)
    assert list(world.grant(grant).withdrawn) == [world.gw2.uid]
    assert world.told(world.gw2) == []
    world.tell(world.web)  # closed there
    assert world.grant(grant).state is GrantState.CLOSING, "nobody who counts has it open"
    for each in (world.db, world.web):
        world.tell(each)
    assert world.grant(grant).state is GrantState.CLOSING, "gw-2 has not read it back closed"
    world.tell(world.gw2)
    assert world.grant(grant).state is GrantState.CLOSED


def test_a_late_report_opens_no_request_that_waits(world: Parallel) -> None:
    grant = world.granted(world.db)
    world.tell(world.gw2, refused={grant.id: Objection.SOURCE})
    assert list(world.grant(grant).withdrawn) == [world.gw2.uid]
    world.tell(world.db, grant.id)
    world.tell(world.gw2, grant.id)
    assert world.grant(grant).state is GrantState.OPENING
    assert world.told(world.gw2) == []


def test_an_extension_does_not_reach_a_withdrawn_gateway(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    ends = world.clock.wall + timedelta(hours=1)
    world.do(
        lambda tx, act: live_requests.extend(
            tx, act, grant.request_id, ends, format_utc(ends), ANNA
        )
    )
    assert world.grant(grant).extension == 1
    assert world.told(world.gw2) == []
    assert world.told(world.web) == [grant.id]
    world.tell(world.web, grant.id)
    world.tell(world.db, grant.id)
    assert world.grant(grant).state is GrantState.OPEN


def test_an_extension_gives_no_gateway_more_time(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS - 1)
    ends = world.clock.wall + timedelta(hours=1)
    world.do(
        lambda tx, act: live_requests.extend(
            tx, act, grant.request_id, ends, format_utc(ends), ANNA
        )
    )
    world.clock.pass_time(1)
    assert world.told(world.gw2) == []
    world.sweep()
    now = world.grant(grant)
    assert (now.state, list(now.withdrawn)) == (GrantState.OPEN, [world.gw2.uid])
    for each in (world.db, world.web):
        world.tell(each, grant.id)
    assert world.grant(grant).state is GrantState.OPEN


def test_a_gateway_that_answers_within_its_patience_counts_too(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS - 1)
    world.tell(world.gw2, grant.id)
    assert world.grant(grant).answer_by is None
    world.clock.pass_time(60)
    world.sweep()
    now = world.grant(grant)
    assert (now.state, dict(now.withdrawn)) == (GrantState.OPEN, {})
    assert world.told(world.gw2) == [grant.id]


def test_when_the_clock_goes_back_nobody_gets_more_time(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.wall -= timedelta(hours=1)
    world.sweep()
    assert list(world.grant(grant).withdrawn) == [world.gw2.uid]
    assert world.told(world.gw2) == []


# -- one of them closes it, refuses it, goes ---------------------------------------------------


def test_one_that_closes_it_is_withdrawn_and_opens_it_no_more(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web, world.gw2)
    world.tell(world.web)
    now = world.grant(grant)
    assert (now.state, list(now.withdrawn)) == (GrantState.OPEN, [world.web.uid])
    assert world.told(world.web) == []
    world.tell(world.gw2)
    ended = world.grant(grant)
    assert (ended.state, ended.reason) == (GrantState.CLOSING, StatusReason.EXPIRED)
    assert [world.told(each) for each in (world.db, world.web, world.gw2)] == [[], [], []]


def test_one_that_refuses_is_withdrawn_at_once_and_the_last_fails_it(world: Parallel) -> None:
    grant = world.opened_by(world.db)
    world.tell(world.web, refused={grant.id: Objection.PORT})
    now = world.grant(grant)
    assert (now.state, list(now.withdrawn)) == (GrantState.OPENING, [world.web.uid])
    assert world.told(world.web) == []
    world.tell(world.gw2, refused={grant.id: Objection.PORT})
    assert world.grant(grant).state is GrantState.FAILED


def test_a_withdrawn_gateway_neither_shortens_nor_refuses_for_the_others(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    world.tell(
        world.gw2,
        refused={grant.id: Objection.PORT},
        ends={grant.id: timedelta(seconds=5)},
        generation=grant.generation,
    )
    now = world.grant(grant)
    assert (now.state, now.ends_at) == (GrantState.OPEN, grant.ends_at)


def test_one_end_for_all(world: Parallel) -> None:
    """An end that one of them holds earlier is the end of the grant, and the others are told so."""
    grant = world.opened_by(world.db, world.web)
    before = world.see(lambda tx: tx.generation(world.db.uid))
    earlier = timedelta(seconds=90)
    world.tell(world.gw2, grant.id, ends={grant.id: earlier})
    assert world.grant(grant).ends_at == world.clock.wall + earlier
    assert world.see(lambda tx: tx.generation(world.db.uid)) == before + 1
    assert world.left(world.db) == world.left(world.web) == [earlier]
    world.tell(world.gw2, grant.id, ends={grant.id: earlier})
    assert world.see(lambda tx: tx.generation(world.db.uid)) == before + 1, "it is no news"


def test_one_whose_agent_was_uninstalled_is_withdrawn_and_asked_no_more(world: Parallel) -> None:
    grant = world.opened_by(world.db)
    world.tell(world.gw2, weaknesses=(UNINSTALLED(),))
    now = world.grant(grant)
    assert (now.state, list(now.withdrawn)) == (GrantState.OPENING, [world.gw2.uid])
    world.tell(world.web, grant.id)
    assert world.grant(grant).state is GrantState.OPEN


def test_a_new_agent_at_a_gateway_opens_nothing_of_before(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web, world.gw2)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.enrol(world.gw2, "another key", replaces=True)
    assert world.told(world.gw2) == []
    world.tell(world.gw2)
    now = world.grant(grant)
    assert (now.state, list(now.withdrawn)) == (GrantState.OPEN, [world.gw2.uid])


def test_a_gateway_that_can_enforce_nothing_settles_nothing(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    world.tell(world.gw2, generation=0, capabilities=HOST)
    assert dict(world.grant(grant).withdrawn) == {}
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    assert list(world.grant(grant).withdrawn) == [world.gw2.uid]


# -- series and parallel -----------------------------------------------------------------------


def test_a_change_of_order_ends_the_grants_in_the_same_commit(world: Parallel) -> None:
    """To series, where the other gateway has not opened it, and back."""
    for is_parallel in (False, True):
        grant = world.opened_by(world.db, world.web, world.gw2)
        assert world.grant(grant).state is GrantState.OPEN
        assert not world.bind(world.gw2, is_parallel=is_parallel), "it was bound"
        assert world.grant(grant).state is GrantState.CLOSING
        assert [world.told(each) for each in (world.db, world.web, world.gw2)] == [[], [], []]
        for each in (world.db, world.web, world.gw2):
            world.tell(each)
    rows = world.see(lambda tx: tx.events(EventFilter(kinds=(PointArranged.__name__,)), limit=2))
    told = [event.fact for _, event in rows if isinstance(event.fact, PointArranged)]
    assert {(each.point_uid, each.is_parallel) for each in told} == {
        (world.gw2.uid, False),
        (world.gw2.uid, True),
    }


def test_the_same_order_ends_nothing_and_a_silent_binding_leaves_it(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web, world.gw2)
    world.bind(world.gw2, is_parallel=True)
    world.bind(world.gw2, is_parallel=None)
    assert world.grant(grant).state is GrantState.OPEN
    (_, one, other) = world.see(lambda tx: tx.bindings_of(world.db.uid))
    assert one.is_parallel
    assert other.is_parallel


def test_a_gateway_in_series_is_not_made_up_for_by_one_in_parallel(world: Parallel) -> None:
    gw3 = world.add_machine("gw-3", "192.0.2.13")
    world.enrol(gw3, "key-gw-3")
    world.bind(gw3, is_parallel=None)
    world.tell(gw3)
    grant = world.opened_by(world.db, world.web, world.gw2)
    assert world.grant(grant).state is GrantState.OPENING
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert "gw-3" in failed.failure
    assert [world.told(each) for each in (world.db, world.web, world.gw2, gw3)] == [[]] * 4


def test_after_an_unbinding_the_last_gateway_stands_in_series(world: Parallel) -> None:
    """One alone is no alternative to anything."""
    grant = world.opened_by(world.db, world.web, world.gw2)
    world.unbind(world.web)
    assert world.grant(grant).state is GrantState.CLOSING
    for each in (world.db, world.gw2):
        world.tell(each)
    anew = world.opened_by(world.db)
    assert world.grant(anew).state is GrantState.OPENING
    with suppress(Forbidden):
        world.tell(world.web, anew.id)
    world.clock.pass_time(PATIENCE_SECONDS)
    world.sweep()
    assert world.grant(anew).state is GrantState.FAILED


def test_the_order_takes_the_rights_that_binding_takes(world: Parallel) -> None:
    carl = Subject(
        "cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3"
    )
    world.add_principal(carl)
    with pytest.raises(Forbidden):
        world.do(
            lambda tx, act: bindings.bind(
                tx, act, carl, world.db.id, world.gw2.uid, is_parallel=False
            ),
            carl,
        )
    assert all(each.is_parallel for each in world.see(lambda tx: tx.bindings_of(world.db.uid))[1:])


def test_nobody_waits_where_no_gateway_can_open_it(world: Parallel) -> None:
    for each in (world.web, world.gw2):
        assert not isinstance(world.ask(world.db), Denied)
        world.report(each, weaknesses=(UNINSTALLED(),))
    answer = world.ask(world.db)
    assert isinstance(answer, Denied)
    assert [each.code for each in answer.reasons] == ["AgentUninstalled"]


# -- what is said -------------------------------------------------------------------------------


def shown(world: Parallel, grant: Grant) -> ShownGrant:
    view = world.see(lambda tx: view_request(tx, grant.request_id, world.clock.wall))
    assert view is not None
    return view.shown(world.grant(grant))


def stands(world: Parallel, grant: Grant) -> dict[str, str]:
    return {each.name: str(each.stands) for each in shown(world, grant).points}


def test_it_is_told_through_which_it_is_open_and_which_was_withdrawn(world: Parallel) -> None:
    grant = world.opened_by(world.db, world.web)
    assert stands(world, grant) == {"db-1": "open", "web-1": "open", "gw-2": "waiting"}
    world.clock.pass_time(PATIENCE_SECONDS - 10)
    for each in (world.db, world.web):
        world.tell(each, grant.id)
        world.report(each, *([grant.id] if each is world.db else []))
    assert stands(world, grant) == {"db-1": "open", "web-1": "open", "gw-2": "silent"}
    assert shown(world, grant).state == "open", "those that are heard vouch for it"
    world.clock.pass_time(10)
    world.sweep()
    assert stands(world, grant) == {"db-1": "open", "web-1": "open", "gw-2": "withdrawn"}
    (gone,) = [each for each in shown(world, grant).points if each.why]
    assert "gw-2" in gone.why
    assert str(grant.ends_at_text) in gone.why, "it may have it open until then"


def test_where_nobody_vouches_for_a_way_it_is_not_called_open(world: Parallel) -> None:
    """The gateway that opened it is silent; the other never did."""
    grant = world.opened_by(world.db, world.web)
    world.clock.pass_time(40)
    world.tell(world.db, grant.id)
    world.tell(world.gw2)
    assert shown(world, grant).state == "notConfirmed"


def test_in_series_all_have_to_be_heard(world: Parallel) -> None:
    for each in (world.web, world.gw2):
        world.bind(each, is_parallel=False)
    grant = world.opened_by(world.db, world.web, world.gw2)
    assert world.grant(grant).state is GrantState.OPEN
    world.clock.pass_time(40)
    world.tell(world.db, grant.id)
    world.tell(world.web, grant.id)
    assert shown(world, grant).state == "notConfirmed"
    assert stands(world, grant)["gw-2"] == "silent"
