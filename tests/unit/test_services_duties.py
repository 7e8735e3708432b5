"""Duties: one server at a time, whatever happens to the one that has it (EDGES H4).

Two servers are two ``Services`` over one store. What they would do to each other on PostgreSQL is
the same: each of their transactions is whole there too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.facts.agents import AgentCameBack
from bascule.domain.facts.grants import GrantEnded
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.errors import Unavailable
from bascule.interfaces.record import EventFilter
from bascule.services import delivery, seal, watch
from bascule.services.act import Act, Services
from bascule.services.delivery import WayOut, deliver
from bascule.services.duties import DELIVERING, DUTIES, LEASE, SEALING, SWEEPING, Duties
from bascule.services.posts import RENEW_EVERY, Post
from bascule.services.sweep import sweep
from tests.unit.services_world import World, rules
from tests.unit.test_services_delivery import Receiver, Signer, add, record

SECONDS = LEASE.total_seconds()


@dataclass
class Two:
    """Two servers over one record."""

    world: World
    a: Services
    b: Services

    def epoch(self, services: Services, name: str = SEALING) -> int | None:
        """What a transaction of the duty finds."""
        return asyncio.run(
            services.perform(lambda tx, act: services.duties.enter(tx, name, act.now))
        )

    def may_enter(self, services: Services, name: str) -> bool:
        """What it finds that looks before its transaction."""
        now = self.world.clock.wall
        return self.world.see(lambda r: services.duties.may_enter(r, name, now))

    def give_back(self, services: Services) -> None:
        asyncio.run(services.perform(lambda tx, act: services.duties.give_back(tx, act.now)))

    def happen(self) -> None:
        self.world.do(lambda tx, act: act.record(tx, AgentCameBack("web-1")))

    def unsealed(self) -> int:
        return len(self.world.see(lambda r: r.unsealed()))


@pytest.fixture
def two() -> Iterator[Two]:
    world = World()
    a, b = (replace(world.services, duties=Duties(name)) for name in ("a", "b"))
    yield Two(world, a, b)
    world.close()


# -- who has it -----------------------------------------------------------------------------------


def test_another_server_has_it_until_its_time_is_over(two: Two) -> None:
    assert two.epoch(two.a) == 1
    assert two.epoch(two.b) is None
    two.world.clock.pass_time(SECONDS - 0.1)
    assert two.epoch(two.b) is None, "it may still be at work"
    two.world.clock.pass_time(0.1)
    assert two.epoch(two.b) == 2, "whoever had it died"


def test_whoever_works_keeps_it(two: Two) -> None:
    for _ in range(5):
        assert two.epoch(two.a) == 1
        assert two.epoch(two.b) is None
        two.world.clock.pass_time(SECONDS / 2 + 0.1)


def test_whoever_did_nothing_for_long_and_goes_on_has_it_still_if_nobody_took_it(two: Two) -> None:
    assert two.epoch(two.a) == 1
    two.world.clock.pass_time(3600)
    assert two.epoch(two.a) == 1
    assert two.epoch(two.b) is None, "and keeps it again"


def test_a_server_that_was_paused_finds_that_another_took_it(two: Two) -> None:
    assert two.epoch(two.a) == 1
    two.world.clock.pass_time(SECONDS)
    assert two.epoch(two.b) == 2
    assert two.epoch(two.a) is None
    two.world.clock.pass_time(SECONDS)
    assert two.epoch(two.a) == 3, "no epoch comes again"


def test_a_server_that_stops_gives_back_what_it_has_and_nothing_else(two: Two) -> None:
    assert two.epoch(two.a, SEALING) == two.epoch(two.b, SWEEPING) == 1
    two.give_back(two.a)
    assert two.epoch(two.b, SEALING) == 2
    assert two.epoch(two.a, SWEEPING) is None


def test_a_clock_that_is_set_back_keeps_nobody_out_for_long(two: Two) -> None:
    """The time until which it is held is then hours away; its holder may be dead."""
    assert two.epoch(two.a) == 1
    two.world.clock.wall -= timedelta(hours=3)
    assert two.epoch(two.b) == 2
    assert two.epoch(two.a) is None


def test_duties_are_held_one_by_one(two: Two) -> None:
    for name in DUTIES:
        assert two.may_enter(two.a, name)
        assert two.epoch(two.a, name) == 1
        assert two.may_enter(two.a, name)
        assert not two.may_enter(two.b, name)


def test_a_lone_server_has_all_and_never_looks(two: Two) -> None:
    nothing: Any = None  # a look at the database would fail
    assert Duties().may_enter(nothing, SEALING, two.world.clock.wall)
    assert Duties().enter(nothing, SEALING, two.world.clock.wall) == 0
    Duties().give_back(nothing, two.world.clock.wall)
    post = Post(two.world.services, DELIVERING)
    assert post.is_held
    assert post.is_ours(nothing, two.world.clock.wall)
    assert asyncio.run(post.keep())
    assert two.world.see(lambda r: [r.duty(name) for name in DUTIES]) == [None] * len(DUTIES)


# -- sealing --------------------------------------------------------------------------------------


def test_of_two_sealers_one_seals(two: Two) -> None:
    two.happen()
    asyncio.run(seal._round(two.a, Signer()))
    assert two.unsealed() == 0
    two.happen()
    asyncio.run(seal._round(two.b, Signer()))
    assert two.unsealed() == 1, "the other one has it"
    asyncio.run(seal._round(two.a, Signer()))
    assert two.unsealed() == 0


def test_a_sealer_that_dies_is_followed_by_the_other(two: Two) -> None:
    two.happen()
    asyncio.run(seal._round(two.a, Signer()))
    two.happen()
    two.world.clock.pass_time(SECONDS)
    asyncio.run(seal._round(two.b, Signer()))
    assert two.unsealed() == 0


def test_a_sealer_that_is_paused_between_looking_and_sealing_seals_nothing(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked, was stopped for a minute, and goes on with its transaction."""
    two.happen()
    asyncio.run(seal._round(two.a, Signer()))
    two.happen()
    real: Callable[..., Awaitable[object]] = Services.perform

    async def paused(services: Services, work: Any, *more: Any, **named: Any) -> object:
        if services is two.a:
            monkeypatch.setattr(Services, "perform", real)
            two.world.clock.pass_time(SECONDS)
            assert await services.read(
                lambda r: two.b.duties.may_enter(r, SEALING, two.world.clock.wall)
            )
            await two.b.perform(lambda tx, act: two.b.duties.enter(tx, SEALING, act.now))
        return await real(services, work, *more, **named)

    monkeypatch.setattr(Services, "perform", paused)
    asyncio.run(seal._round(two.a, Signer()))
    assert two.unsealed() == 1, "b seals it"
    asyncio.run(seal._round(two.b, Signer()))
    assert two.unsealed() == 0


# -- sweeping -------------------------------------------------------------------------------------


def _over(two: Two) -> Grant:
    """A grant whose time is over."""
    world = two.world
    world.put(rules(world.web, 22))
    opened = world.granted(world.web)
    world.report(world.web, opened.id)
    world.clock.pass_time(3 * 3600)
    return opened


def test_of_two_servers_one_sweeps_and_nothing_ends_twice(two: Two) -> None:
    opened = _over(two)
    ended = asyncio.run(two.a.on_duty(SWEEPING, sweep, None))
    assert ended
    calls: list[Act] = []
    asyncio.run(two.b.on_duty(SWEEPING, lambda _, act: calls.append(act), None))
    assert not calls, "it does not even begin"
    two.world.clock.pass_time(SECONDS)
    asyncio.run(two.b.on_duty(SWEEPING, sweep, None))
    (grant,) = two.world.see(lambda r: r.grants_of([opened.request_id]))
    assert grant.state in (GrantState.CLOSING, GrantState.CLOSED)
    found = two.world.see(lambda r: r.events(EventFilter(kinds=(GrantEnded.__name__,))))
    assert len(found) == 1


def test_a_sweeper_that_is_late_does_not_begin(two: Two) -> None:
    """Between its look and its transaction another server took the duty."""
    _over(two)
    swept: list[Act] = []

    async def run() -> None:
        real = two.a.store.read

        async def look(work: Any) -> Any:
            found = await real(work)
            await two.b.perform(lambda tx, act: two.b.duties.enter(tx, SWEEPING, act.now))
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(two.a.store, "read", look)
            await two.a.on_duty(SWEEPING, lambda _, act: swept.append(act), None)

    asyncio.run(run())
    assert not swept


def test_while_another_server_sweeps_this_one_looks_a_few_times_a_second(two: Two) -> None:
    """What is due and not its own is neither a failure nor a reason to hurry."""
    _over(two)
    assert two.epoch(two.b, SWEEPING) == 1
    assert asyncio.run(watch._round(two.a)) == (watch.OTHERS_WAIT, False)


# -- delivering -----------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_SECONDS", "ROUND_SECONDS", "RETRY_SECONDS", "LONGEST_REST"):
        monkeypatch.setattr(delivery, name, 0.005)


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within 10 s")


async def _a_while() -> None:
    for _ in range(40):
        await asyncio.sleep(0.005)


@pytest.mark.usefixtures("quick")
def test_of_two_servers_one_delivers_and_the_other_goes_on_where_it_was(two: Two) -> None:
    add(two.world)
    receivers = [Receiver(), Receiver()]

    async def run() -> None:
        a, b = (
            asyncio.create_task(deliver(services, WayOut(receiver, "server")))
            for services, receiver in zip((two.a, two.b), receivers, strict=True)
        )
        await asyncio.to_thread(record, two.world, 5)
        await _until(lambda: sum(len(each.taken) for each in receivers) >= 5)
        await _a_while()
        first, second = receivers if receivers[0].taken else reversed(receivers)
        assert not second.taken
        begun = list(first.taken)
        task = a if first is receivers[0] else b
        task.cancel()  # it notes what it delivered, as at a stop
        await asyncio.gather(task, return_exceptions=True)
        later = await asyncio.to_thread(record, two.world, 3)
        await _a_while()
        assert not second.taken, "the first one may be at work"
        two.world.clock.pass_time(SECONDS)
        await _until(lambda: len(second.taken) >= len(later))
        assert first.taken == begun
        assert second.taken[-3:] == later
        assert len(set(begun) | set(second.taken)) == len(begun) + len(second.taken), "none twice"
        for each in (a, b):
            each.cancel()
        await asyncio.gather(a, b, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.usefixtures("quick")
def test_a_deliverer_that_was_paused_sends_nothing_more(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock that counts while it is paused, before it asks the database for anything."""
    add(two.world)
    receiver = Receiver()

    async def has_not_asked(_: Post) -> bool:
        return True

    async def run() -> None:
        task = asyncio.create_task(deliver(two.a, WayOut(receiver, "server")))
        await asyncio.to_thread(record, two.world, 2)
        await _until(lambda: len(receiver.taken) >= 2)
        await _a_while()  # it notes them
        two.world.clock.pass_time(SECONDS)
        taken = len(receiver.taken)
        monkeypatch.setattr(Post, "keep", has_not_asked)
        assert await two.b.perform(
            lambda tx, act: two.b.duties.enter(tx, DELIVERING, act.now, renews=True)
        )
        await asyncio.to_thread(record, two.world, 2)
        await _a_while()
        assert len(receiver.taken) == taken
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_what_a_paused_deliverer_had_sent_is_not_noted_over_the_other_s(two: Two) -> None:
    post = Post(two.a, DELIVERING)
    assert asyncio.run(post.keep())
    two.world.clock.pass_time(SECONDS)
    assert not post.is_held
    assert two.epoch(two.b, DELIVERING) == 2
    two.world.clock.pass_time(SECONDS)
    assert not asyncio.run(two.a.perform(lambda tx, act: post.is_ours(tx, act.now)))
    assert not asyncio.run(post.keep()), "another had it in between: what was begun ends"
    assert asyncio.run(post.keep()), "and it may begin anew"


def test_a_post_is_renewed_before_it_is_over(two: Two) -> None:
    post = Post(two.a, DELIVERING)
    for _ in range(10):
        assert asyncio.run(post.keep())
        assert post.is_held
        assert two.epoch(two.b, DELIVERING) is None
        two.world.clock.pass_time(RENEW_EVERY + 1)


def test_a_server_without_the_database_stops_before_another_begins(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post(two.a, DELIVERING)
    assert asyncio.run(post.keep())

    async def away(*_: object, **__: object) -> object:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(two.a.store, "write", away)
        two.world.clock.pass_time(SECONDS - 1)
        with pytest.raises(Unavailable):
            asyncio.run(post.keep())
        assert not post.is_held
    assert two.epoch(two.b, DELIVERING) is None, "and the other waits for a second more"


def test_whoever_waits_for_it_goes_on_waiting_while_the_database_is_away(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the whole record was read back a day later."""
    post, tries = Post(two.a, DELIVERING), 0
    keep = post.keep

    async def away_at_first() -> bool:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("The database is away.")
        return await keep()

    async def run() -> None:
        async with post.held(0.01):
            assert post.is_held

    monkeypatch.setattr(post, "keep", away_at_first)
    asyncio.run(run())
    assert tries == 3


# -- reading the whole record back ---------------------------------------------------------------


def test_one_server_at_a_time_reads_the_record_back(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading: list[str] = []

    async def verify(services: Services, _: object) -> None:
        reading.append(str(services.duties.holder))
        assert len(reading) == 1
        await asyncio.sleep(0.05)
        reading.clear()

    async def run() -> None:
        await asyncio.gather(*(seal._verify_in_turn(each, Signer()) for each in (two.a, two.b)))

    monkeypatch.setattr(seal, "verify_all", verify)
    monkeypatch.setattr(seal, "TURN_SECONDS", 0.01)
    asyncio.run(run())
