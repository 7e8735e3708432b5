"""Nothing younger than the floor goes, whatever an owner does before (EDGES E2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.delivery import Progress, SinkState, parse_target
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.machines import PortClosed
from bascule.domain.facts.record import RecordPruned
from bascule.domain.retention import DEFAULT_FLOOR, SINK_GRACE
from bascule.errors import Conflict
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services import retention, sinks
from bascule.services.act import Act
from bascule.services.retention import Pruned, confirm_clock, mark_clock, prune, watch_clock
from bascule.services.seal import seal, sign_head
from bascule.services.sinks import SinkDraft
from tests.unit.services_world import World
from tests.unit.test_services_delivery import Receiver, Signer

DAY = 86_400
FLOOR_DAYS, GRACE_DAYS = DEFAULT_FLOOR.days, SINK_GRACE.days


@pytest.fixture
def world() -> Iterator[World]:
    opened = World()
    mark(opened)
    yield opened
    opened.close()


def mark(world: World) -> None:
    world.do(lambda tx, act: mark_clock(tx, act, world.clock.boottime()))


def sign(world: World) -> int:
    """Seal all and sign; the head's position."""

    def work(tx: Transaction, act: Act) -> int:
        while seal(tx):
            pass
        return sign_head(tx, act, Signer()).head.position

    return world.do(work)


def days(world: World, count: float) -> None:
    world.clock.pass_time(count * DAY)
    mark(world)


def note(world: World) -> int:
    """One more event, sealed and signed; its position."""
    world.do(lambda tx, act: act.record(tx, PortClosed("m", "22/tcp", "keep")))
    return sign(world)


def pruned(world: World, before: datetime | None = None) -> Pruned:
    at = before or world.clock.wall - DEFAULT_FLOOR
    return world.do(lambda tx, act: prune(tx, act, at, DEFAULT_FLOOR, world.clock.boottime()))


def refused(world: World, before: datetime | None = None) -> str:
    begin = begins_after(world)
    with pytest.raises(Conflict) as caught:
        pruned(world, before)
    assert begins_after(world) == begin
    return caught.value.specific_code


def begins_after(world: World) -> int:
    return world.see(lambda r: r.chain_begin()).position


def facts(world: World, kind: str) -> list[Fact]:
    found = world.see(lambda r: r.events(EventFilter(kinds=(kind,)), newest_first=False))
    return [event.fact for _, event in found]


def add_sink(world: World, name: str = "hook") -> int:
    draft = SinkDraft(parse_target("https://hooks.example/in"))
    world.do(lambda tx, act: sinks.put_sink(tx, act, Receiver(), name, draft))
    return note(world)


def take(world: World, position: int, name: str = "hook") -> None:
    """As if the receiver had taken all up to there."""

    def work(tx: Transaction, _: Act) -> None:
        progress = sinks.known_sink(tx, name)[1]
        tx.put_progress(Progress(progress.sink_id, position, progress.state))

    world.do(work)


# -- the floor -------------------------------------------------------------------------------


def test_nothing_younger_than_the_floor_goes(world: World) -> None:
    first = sign(world)
    days(world, FLOOR_DAYS)
    second = note(world)
    assert refused(world, world.clock.wall) == "BelowRecordFloor"
    assert refused(world, world.clock.wall - DEFAULT_FLOOR + timedelta(seconds=1)) == (
        "BelowRecordFloor"
    )
    assert refused(world, world.clock.wall - DEFAULT_FLOOR) == "NothingToPrune"
    days(world, 1)
    assert pruned(world).fact.through == first < second


def test_a_checkpoint_at_the_head_does_not_take_young_events_along(world: World) -> None:
    """Spans end at checkpoints: one that holds a young event stays whole."""
    days(world, FLOOR_DAYS + 10)
    note(world)
    assert refused(world) == "NothingToPrune"


def test_events_that_carry_an_old_time_stay_behind_young_ones(world: World) -> None:
    """A clock that was set back wrote them; what was recorded before them is younger."""
    days(world, FLOOR_DAYS)
    first = note(world)
    world.clock.wall -= timedelta(days=FLOOR_DAYS * 3)
    note(world)
    world.clock.wall += timedelta(days=FLOOR_DAYS * 3)
    world.do(lambda tx, act: confirm_clock(tx, act, world.clock.boottime()))
    assert refused(world) == "NothingToPrune"
    assert begins_after(world) < first


def test_on_the_host_more_goes_and_it_says_so(world: World) -> None:
    add_sink(world)
    through = note(world)
    world.clock.pass_time(60)
    done = world.do(lambda tx, act: retention.prune_on_host(tx, act, world.clock.wall))
    assert done.fact.through == through == begins_after(world)
    (fact,) = facts(world, "RecordPruned")
    assert isinstance(fact, RecordPruned)
    assert fact.is_on_host


def test_over_the_api_it_does_not_say_so(world: World) -> None:
    sign(world)
    days(world, FLOOR_DAYS + 1)
    assert not pruned(world).fact.is_on_host


# -- sinks -----------------------------------------------------------------------------------


def beyond_the_floor(world: World) -> None:
    days(world, FLOOR_DAYS + 1)


def beyond_the_grace(world: World) -> None:
    days(world, GRACE_DAYS)


def test_what_a_sink_has_not_taken_stays_until_its_time_is_over(world: World) -> None:
    begin = add_sink(world)
    take(world, begin)
    place = note(world)
    note(world)
    beyond_the_floor(world)
    done = pruned(world)
    assert done.fact.through == begin
    assert done.kept is not None
    assert (done.kept.position, done.kept.sink) == (place, "hook")
    assert refused(world) == "RecordNotTaken"
    beyond_the_grace(world)
    assert pruned(world).fact.through == place + 1


def test_what_every_sink_has_taken_goes(world: World) -> None:
    add_sink(world)
    place = note(world)
    take(world, place)
    beyond_the_floor(world)
    assert pruned(world).fact.through == place


def test_a_sink_waits_for_nothing_that_was_before_it(world: World) -> None:
    old = sign(world)
    beyond_the_floor(world)
    draft = SinkDraft(parse_target("https://hooks.example/in"), from_beginning=True)
    world.do(lambda tx, act: sinks.put_sink(tx, act, Receiver(), "hook", draft))
    assert pruned(world).fact.through == old


def moved(tx: Transaction, act: Act) -> None:
    draft = SinkDraft(parse_target("https://other.example/in"))
    sinks.put_sink(tx, act, Receiver(), "hook", draft)


def narrowed(tx: Transaction, act: Act) -> None:
    sinks.put_sink(tx, act, Receiver(), "hook", SinkDraft(kinds=("GrantOpened",)))


def raised(tx: Transaction, act: Act) -> None:
    sinks.put_sink(tx, act, Receiver(), "hook", SinkDraft(level=5))


def removed(tx: Transaction, act: Act) -> None:
    sinks.remove_sink(tx, act, "hook")


def removed_and_added(tx: Transaction, act: Act) -> None:
    removed(tx, act)
    draft = SinkDraft(parse_target("https://hooks.example/in"))
    sinks.put_sink(tx, act, Receiver(), "hook", draft)


@pytest.mark.parametrize("trick", [moved, narrowed, raised, removed, removed_and_added])
def test_no_act_on_a_sink_frees_what_it_has_not_taken(
    world: World, trick: Callable[[Transaction, Act], None]
) -> None:
    begin = add_sink(world)
    take(world, begin)
    place = note(world)
    world.do(trick)
    with_sink = note(world)
    if trick is not removed:
        take(world, with_sink)  # a new place that takes everything
    beyond_the_floor(world)
    done = pruned(world)
    assert done.fact.through == begin
    assert done.kept is not None
    assert (done.kept.position, done.kept.sink) == (place, "")
    assert refused(world) == "RecordNotTaken"
    beyond_the_grace(world)
    assert pruned(world).fact.through >= place


def test_what_is_not_sealed_when_a_sink_goes_is_held_too(world: World) -> None:
    begin = add_sink(world)
    take(world, begin)
    world.do(lambda tx, act: act.record(tx, PortClosed("m", "22/tcp", "keep")))
    world.do(removed)
    place = sign(world) - 1  # the event; the removal is behind it
    beyond_the_floor(world)
    done = pruned(world)
    assert done.kept is not None
    assert done.kept.position == place


def test_an_event_that_was_passed_over_is_held(world: World) -> None:
    begin = add_sink(world)
    place = note(world)

    def work(tx: Transaction, act: Act) -> None:
        _, progress = sinks.known_sink(tx, "hook")
        tx.put_progress(Progress(progress.sink_id, place - 1, SinkState.PARKED))
        sinks.resume_sink(tx, act, "hook", skips=True)

    world.do(work)
    take(world, note(world))
    beyond_the_floor(world)
    done = pruned(world)
    assert done.fact.through == begin == place - 1
    assert refused(world) == "RecordNotTaken"


# -- the clock -------------------------------------------------------------------------------


def test_a_clock_that_was_put_forward_deletes_nothing(world: World) -> None:
    sign(world)
    world.clock.wall += timedelta(days=400)
    assert refused(world) == "ClockNotConfirmed", "before anybody looked at the clock, too"
    asyncio.run(watch_clock(world.services))
    assert refused(world) == "ClockNotConfirmed"
    assert len(facts(world, "ClockLeapt")) == 1
    asyncio.run(watch_clock(world.services))
    assert len(facts(world, "ClockLeapt")) == 1, "once"


def test_a_clock_that_came_back_is_confirmed_first(world: World) -> None:
    sign(world)
    world.clock.wall += timedelta(days=400)
    asyncio.run(watch_clock(world.services))
    world.clock.wall -= timedelta(days=400)
    days(world, FLOOR_DAYS + 1)
    assert refused(world) == "ClockNotConfirmed"
    assert world.do(lambda tx, act: confirm_clock(tx, act, world.clock.boottime()))
    assert len(facts(world, "ClockConfirmed")) == 1
    assert pruned(world).fact.events


def test_a_clock_that_nobody_ever_saw_is_not_believed() -> None:
    world = World()
    try:
        sign(world)
        world.clock.pass_time(400 * DAY)
        assert refused(world) == "ClockNotConfirmed"
        assert not world.do(lambda tx, act: confirm_clock(tx, act, world.clock.boottime()))
        assert pruned(world).fact.events
    finally:
        world.close()


def test_the_mark_is_written_now_and_then(world: World) -> None:
    def at() -> datetime:
        found = world.see(lambda r: r.clock_mark())
        assert found is not None
        return found.at

    began = at()
    world.clock.pass_time(retention.MARK_SECONDS - 1)
    asyncio.run(watch_clock(world.services))
    assert at() == began
    world.clock.pass_time(1)
    asyncio.run(watch_clock(world.services))
    assert at() == world.clock.wall


# -- servers on several hosts, which go by one wall clock ------------------------------------------


def test_servers_that_mark_in_turn_see_no_leap_in_each_others_uptime(world: World) -> None:
    services = [replace(world.services, boot=boot) for boot in ("a", "b")]
    for _ in range(4):
        for each, up in zip(services, (0.0, 300 * DAY), strict=True):
            world.clock.pass_time(retention.MARK_SECONDS)
            world.clock.boot += up
            asyncio.run(watch_clock(each))
            world.clock.boot -= up
    assert not facts(world, "ClockLeapt")
    mark = world.see(lambda r: r.clock_mark())
    assert mark is not None
    assert mark.boot == "b"


def test_a_leap_that_only_another_server_could_see_is_told_by_that(world: World) -> None:
    """The mark is of one that marked and stopped; what was up all the time has counted."""
    sign(world)
    marked, watching = (replace(world.services, boot=boot) for boot in ("a", "b"))
    world.clock.boot += 300 * DAY
    asyncio.run(watch_clock(marked))
    seen = asyncio.run(watch_clock(watching))
    world.clock.pass_time(60)
    world.clock.wall += timedelta(days=100)
    seen = asyncio.run(watch_clock(watching, seen))
    assert refused(world) == "ClockNotConfirmed"
    assert len(facts(world, "ClockLeapt")) == 1
    asyncio.run(watch_clock(watching, seen))
    assert len(facts(world, "ClockLeapt")) == 1, "once"
