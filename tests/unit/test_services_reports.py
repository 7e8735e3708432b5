"""Only a report of the generation that carries a change settles it (EDGES A8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bascule.agent.local_openings import MOST_TOLD
from bascule.domain.facts.agents import NotesWithheld
from bascule.domain.features import Feature
from bascule.domain.grant import Grant
from bascule.domain.held import Held, hold
from bascule.domain.lifecycle import GrantState
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import NOT_ENFORCED, Weakness
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import MOST_REFUSED, LocalOpening, Report
from bascule.services import live_requests, reports
from bascule.services.act import Act
from bascule.services.fleet import is_online, state_for
from bascule.services.notes import NOTES_PER_SPAN, OPENINGS_PER_SPAN
from bascule.services.sweep import sweep
from bascule.services.views import view_request
from tests.unit.services_world import ANNA, World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22))
    yield made
    made.close()


def generation(world: World) -> int:
    return world.see(lambda tx: tx.generation(world.web.uid))


def revoke(world: World, grant: Grant) -> None:
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, grant.request_id, None, kills_sessions=False, subject=ANNA
        )
    )


def test_an_older_report_opens_nothing(world: World) -> None:
    """It was under way when the grant was made: what it calls in force is something else."""
    before = generation(world)
    grant = world.granted(world.web)
    world.report(world.web, grant.id, generation=before)
    assert world.grant(grant).state is GrantState.OPENING
    world.report(world.web, grant.id)
    assert world.grant(grant).state is GrantState.OPEN


def test_an_older_report_closes_nothing(world: World) -> None:
    """Read back before the opening was there, it says nothing of whether it is gone."""
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    before = generation(world)
    revoke(world, grant)
    world.report(world.web, generation=before)
    assert world.grant(grant).state is GrantState.CLOSING
    world.report(world.web)
    assert world.grant(grant).state is GrantState.CLOSED


@pytest.mark.parametrize("counted", [{}, {"sessions": {}}, {"sessions": None}])
def test_what_was_not_counted_is_not_told_as_none(
    world: World, counted: dict[str, dict[str, int] | None]
) -> None:
    """It is shut, and how many live on is not known; who counted and found none says so."""
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    revoke(world, grant)
    told = Report(generation(world), frozenset(), **counted)  # type: ignore[arg-type]  # reason: passed through
    heard = decode(Report, encode(told))
    assert heard.sessions == told.sessions
    world.do(lambda tx, act: reports.take_report(tx, act, world.web.uid, heard), None)
    assert world.grant(grant).state is GrantState.CLOSED
    view = world.see(lambda reader: view_request(reader, grant.request_id, world.clock.now()))
    assert view is not None
    assert view.shown(grant).sessions_alive == (None if told.sessions is None else 0)


def test_no_part_of_a_report_is_read_without_bound() -> None:
    """Reports are read where every other call waits: a thief of one key must not hold that up."""
    many = [f"g-{n}" for n in range(50_000)]
    told = {
        "generation": 1,
        "inForce": [],
        "refused": dict.fromkeys(many, "port"),
        "ends": dict.fromkeys(many, 1000),
        "knows": [*many, str(Feature.UDP)],
    }
    heard = decode(Report, told)
    assert len(heard.refused) == MOST_REFUSED
    assert len(heard.ends) == MAXIMUM_OPENINGS_PER_MACHINE
    assert heard.knows == frozenset(), "a word so far behind is not read"


def test_what_an_agent_says_hides_nothing_on_a_page() -> None:
    """Its words are shown to owners: a mark of direction would make a line read otherwise (A18)."""
    hidden = "safe\u202e gnihton\x1b[2J\u200b\nnew line"
    told = {
        "generation": 1,
        "inForce": [],
        "notes": [hidden],
        "driver": hidden,
        "facts": {hidden: hidden},
        "weaknesses": [{"code": hidden, "arguments": {"problem": hidden}}],
        "localOpenings": [{"port": hidden, "sources": [hidden], "seconds": 1}],
    }
    heard = decode(Report, told)
    plain = "safe gnihton[2J new line"
    assert (heard.notes, heard.driver, heard.facts) == ((plain,), plain, {plain: plain})
    assert heard.weaknesses == (Weakness(plain, {"problem": plain}),)
    assert (heard.local_openings[0].port, heard.local_openings[0].sources) == (plain, (plain,))


def test_another_machines_report_settles_nothing(world: World) -> None:
    """Grants belong to a machine's uid; what another one claims of them is passed over."""
    grant = world.granted(world.web)
    world.report(world.db, grant.id, generation=generation(world))
    assert world.grant(grant).state is GrantState.OPENING


def test_what_an_agent_wants_on_record_is_bounded_by_the_minute(world: World) -> None:
    """EDGES B8: a stolen agent fills no disk, and that something is left out is on record."""

    def kept() -> tuple[int, list[int]]:
        wanted = EventFilter(world.web.id.key, ("AgentReported", "NotesWithheld"))
        facts = [event.fact for _, event in world.see(lambda r: r.events(wanted, limit=5000))]
        withheld = [each.at_least for each in facts if isinstance(each, NotesWithheld)]
        return len(facts) - len(withheld), withheld

    for _ in range(40):
        world.report(world.web, notes=tuple(f"note {each}" for each in range(7)))
    assert kept() == (NOTES_PER_SPAN, [3])  # of the ninth report four had room
    world.report(world.db, notes=("another machine's has its own minute",))
    world.clock.pass_time(61)
    world.report(world.web, notes=("a minute later",))
    assert kept() == (NOTES_PER_SPAN + 1, [3])


def test_what_root_opened_has_room_of_its_own_on_record(world: World) -> None:
    """A25: nobody keeps it off by what he has the agent say, and a full report is kept whole."""
    drift = tuple(f"change {each}" for each in range(NOTES_PER_SPAN + 1))
    world.report(world.web, drift=drift)
    roots = [LocalOpening("22/TCP", ("192.0.2.9",), 900, f"local-{n}") for n in range(MOST_TOLD)]
    for _ in range(2):
        world.report(world.web, local_openings=tuple(roots))
    assert world.kinds().count("OpenedLocally") == 2 * MOST_TOLD


def test_what_root_opened_is_bounded_too(world: World) -> None:
    """EDGES B8: a stolen agent fills no disk by it, and says at once that something is left out."""
    roots = [LocalOpening("22/TCP", ("192.0.2.9",), 900, f"local-{n}") for n in range(MOST_TOLD)]
    for _ in range(OPENINGS_PER_SPAN // MOST_TOLD + 2):
        world.report(world.web, local_openings=tuple(roots))
    assert world.kinds().count("OpenedLocally") == OPENINGS_PER_SPAN
    assert world.kinds().count("NotesWithheld") == 1


def test_a_clock_that_swings_is_bounded_on_record_like_any_note(world: World) -> None:
    """A stolen agent told of a wrong clock and a right one by turns, each time an event."""
    for turn in range(4 * NOTES_PER_SPAN):
        wrong = timedelta(minutes=turn % 2)
        world.report(world.web, clock=world.clock.wall + wrong)
    kinds = world.kinds()
    assert (kinds.count("AgentReported"), kinds.count("NotesWithheld")) == (NOTES_PER_SPAN, 1)


def test_a_point_that_can_enforce_nothing_is_there_and_settles_nothing(world: World) -> None:
    """It says so, of no generation: what it last read back stays known, open or shut."""
    grant = world.granted(world.web)
    ssh = ClosedPort(PortKey(TransportProtocol.TCP, 22))
    world.report(world.web, grant.id, closed=frozenset({ssh}))
    world.clock.pass_time(60)
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EPERM"),))
    assert world.grant(grant).state is GrantState.OPEN
    revoke(world, grant)
    world.report(world.web, generation=0)
    assert world.grant(grant).state is GrantState.CLOSING
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert is_online(point, world.clock.now())
    held = world.see(lambda tx: tx.held_rules([world.web.uid]))[world.web.uid]
    assert held.closed == {ssh}


def test_a_request_that_nothing_could_enforce_fails_with_that_reason(world: World) -> None:
    grant = world.granted(world.web)
    world.clock.pass_time(61)
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EPERM"),))
    world.do(sweep)
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    assert failed.failure.startswith("The agent of web-1 is connected but cannot enforce anything")


def test_a_fault_takes_nothing_back_of_what_was_applied(world: World) -> None:
    """It is of generation 0. A number that fell would have an older server's agent be told of
    cuts again, and call a policy not applied that is."""
    world.put(rules(world.web, 22))
    generation = world.see(lambda tx: tx.generation(world.web.uid))
    world.report(world.web)
    world.report(world.web, generation=0, weaknesses=(NOT_ENFORCED(problem="EPERM"),))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert not point.is_enforcing
    assert point.observed_generation == generation


def test_a_withdrawal_reaches_the_agent(world: World) -> None:
    """An agent that was cut off may hold what never opened: it drops it because the number of
    the state without it is higher."""
    world.put(rules(world.web, 22))
    world.granted(world.web)
    _, before = world.see(lambda tx: state_for(tx, world.web.uid, world.clock.wall))
    held = hold(Held(), before, 0.0, 0.0)
    assert len(held.leases) == 1
    world.clock.pass_time(60)
    touched: list[str] = []

    def withdraw_late(tx: Transaction, act: Act) -> int:
        count = sweep(tx, act)
        touched.extend(act.touched)
        return count

    world.do(withdraw_late)
    _, after = world.see(lambda tx: state_for(tx, world.web.uid, world.clock.wall))
    assert after.generation > before.generation
    assert touched == [world.web.uid], "its stream tells it so"
    assert hold(held, after, 60.0, 60.0).leases == {}
