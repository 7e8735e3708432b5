"""Delivery: in the chain's order, at least once, never silently short."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from bascule.domain.chain import Link
from bascule.domain.delivery import (
    REFUSALS,
    Answer,
    Form,
    Outcome,
    Progress,
    Sink,
    SinkState,
    parse_level,
    parse_target,
)
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.delivery import SinkSkipped
from bascule.domain.facts.fact import Unknown
from bascule.domain.facts.kinds import FACTS
from bascule.domain.facts.machines import PortClosed
from bascule.domain.facts.policies import RulesLoosened
from bascule.domain.facts.record import RecordBroken
from bascule.errors import Conflict, InvalidInput, NotFound, Unavailable
from bascule.interfaces.delivery import Parcel
from bascule.interfaces.store import Reader
from bascule.services import delivery, sinks
from bascule.services.delivery import NoCarrier, WayOut, deliver, send_test
from bascule.services.messages import message
from bascule.services.posts import Post
from bascule.services.retention import prune_on_host
from bascule.services.seal import seal, sign_head
from bascule.services.sinks import SinkDraft
from tests.contracts.store.samples import a_fact
from tests.support.stores import DAMAGED, is_postgresql
from tests.unit.services_world import World

T = TypeVar("T")

HOOK = "https://hooks.example/in"


@dataclass
class Receiver:
    """A carrier that notes what it was given, and answers what a test wants."""

    answer: Callable[[list[int]], Outcome] = lambda _: Outcome(Answer.TAKEN)
    calls: list[list[int]] = field(default_factory=list)  # positions, taken or not
    taken: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def objection(self, sink: Sink) -> str:
        return "not there" if sink.target.host == "forbidden.example" else ""

    async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
        events = [each for message in parcel.messages for each in read_events(message)]
        positions = [each["position"] for each in events]
        self.calls.append(positions)
        outcome = self.answer(positions)
        if outcome.answer is Answer.TAKEN:
            self.taken += positions
            self.kinds += [each["event"]["kind"] for each in events]
        return outcome

    async def forget(self, sink_id: str) -> None:
        self.forgotten.append(sink_id)

    async def close(self) -> None:
        self.forgotten.append("all")


def read_events(message: bytes) -> list[dict[str, Any]]:
    data = json.loads(message)
    if "specversion" in data or isinstance(data, list):
        return [each["data"] for each in (data if isinstance(data, list) else [data])]
    return [data]


class Signer:
    key_id, public_key = "key", "public"

    def sign(self, statement: bytes) -> str:
        return "signature"

    def check(self, key_id: str, statement: bytes, signature: str) -> bool | None:
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_SECONDS", "ROUND_SECONDS", "RETRY_SECONDS", "LONGEST_REST"):
        monkeypatch.setattr(delivery, name, 0.005)


@pytest.fixture
def world() -> Iterator[World]:
    opened = World()
    opened.do(lambda tx, _: seal(tx))
    yield opened
    opened.close()


def add(world: World, name: str = "hook", target: str = HOOK, **more: Any) -> str:
    draft = SinkDraft(parse_target(target), **more)
    view, is_new = world.do(lambda tx, act: sinks.put_sink(tx, act, Receiver(), name, draft))
    assert is_new
    world.do(lambda tx, _: seal(tx))
    return view.secret


def record(world: World, count: int = 1) -> list[int]:
    """That many events, sealed; their positions."""
    before = head(world)

    def work(tx: Any, act: Any) -> None:
        for n in range(count):
            act.record(tx, PortClosed("m", f"{n + 1}/tcp", "keep"))

    world.do(work)
    while world.do(lambda tx, _: seal(tx)):
        pass
    return list(range(before + 1, head(world) + 1))


def seen(world: World, work: Callable[[Reader], T]) -> T:
    """``world.see``, which may be called while a loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(world.see, work).result()


def head(world: World) -> int:
    return seen(world, lambda r: r.chain_head()).position


def progress(world: World, name: str = "hook") -> Progress:
    return seen(world, lambda r: sinks.known_sink(r, name))[1]


def run(
    world: World, receiver: Receiver, until: Callable[[], bool], moves_clock: float = 0
) -> None:
    """Deliver until something is so; bounded."""

    async def go() -> None:
        task = asyncio.create_task(deliver(world.services, WayOut(receiver, "h"), lambda: 0.5))
        try:
            async with asyncio.timeout(20):
                while not until():
                    world.clock.pass_time(moves_clock)
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.03)  # and what it does then
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


def kinds_of(world: World) -> list[str]:
    return [kind for kind in world.kinds() if kind.startswith("Sink")]


def test_events_arrive_in_order_and_once_when_nothing_fails(world: World) -> None:
    add(world)
    wanted = [head(world), *record(world, 250)]
    receiver = Receiver()
    run(world, receiver, lambda: len(receiver.taken) >= len(wanted))
    assert receiver.taken == wanted
    assert all(len(call) == 1 for call in receiver.calls)
    now = progress(world)
    assert (now.position, now.delivered_position, now.state) == (wanted[-1],) * 2 + ("active",)
    assert now.delivered_at == world.clock.wall
    again = Receiver()
    run(world, again, lambda: True)
    assert again.taken == []


def test_a_new_sink_begins_with_its_own_beginning_or_with_all(world: World) -> None:
    record(world, 3)
    add(world)
    add(world, "all", from_beginning=True)
    receiver = Receiver()
    end = head(world)
    run(world, receiver, lambda: receiver.taken.count(end) == 2)
    assert receiver.kinds.count("InstallationCreated") == 1
    assert sorted(receiver.taken)[:3] == [1, 2, 3]


def test_batches_hold_what_there_is_up_to_their_size(world: World) -> None:
    add(world, batch=100)
    wanted = [head(world), *record(world, 250)]
    receiver = Receiver()
    run(world, receiver, lambda: len(receiver.taken) >= len(wanted))
    assert receiver.taken == wanted
    assert [len(call) for call in receiver.calls] == [100, 100, 51]


def test_what_fails_is_tried_again_with_nothing_left_out(world: World) -> None:
    add(world)
    wanted = [head(world), *record(world, 20)]
    fails = iter([True, True, False] * 100)
    receiver = Receiver(
        lambda _: Outcome(Answer.LATER, "HTTP 500") if next(fails) else Outcome(Answer.TAKEN)
    )
    run(world, receiver, lambda: len(receiver.taken) >= len(wanted), moves_clock=5)
    assert receiver.taken == wanted
    assert progress(world).last_error == "HTTP 500"
    assert kinds_of(world) == ["SinkAdded"], "a failure is a state, no event"


def test_a_back_off_is_kept_over_a_restart(world: World) -> None:
    add(world)
    away = Receiver(lambda _: Outcome(Answer.LATER, "away"))
    run(world, away, lambda: len(away.calls) > 0)
    assert len(away.calls) == 1
    run(world, away, lambda: True)
    assert len(away.calls) == 1
    due = progress(world).next_try_at
    assert due is not None
    assert (due - world.clock.wall).total_seconds() == 0.5
    world.clock.pass_time(0.5)
    run(world, away, lambda: len(away.calls) > 1)
    assert progress(world).failures == 2


def test_one_slow_sink_holds_up_no_other(world: World) -> None:
    add(world, "bad", "https://bad.example/")
    add(world, "good")
    wanted = record(world, 5)

    class Split(Receiver):
        async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
            if sink.name == "bad":
                await asyncio.sleep(3600)
            return await super().carry(sink, parcel)

    receiver = Split()
    run(world, receiver, lambda: wanted[-1] in receiver.taken)


def test_gone_disables_and_is_on_record(world: World) -> None:
    add(world)
    receiver = Receiver(lambda _: Outcome(Answer.GONE, "HTTP 410"))
    run(world, receiver, lambda: progress(world).state is SinkState.DISABLED)
    assert len(receiver.calls) == 1
    assert kinds_of(world) == ["SinkAdded", "SinkDisabled"]
    run(world, receiver, lambda: True)
    assert len(receiver.calls) == 1
    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook"))
    assert progress(world).state is SinkState.ACTIVE


@pytest.mark.parametrize("behind", [0, 1, 8])
def test_the_last_event_of_a_batch_parks_like_any_other(world: World, behind: int) -> None:
    """It is tried alone too, not with the one before it for ever."""
    add(world, batch=4)
    take_all = Receiver()
    run(world, take_all, lambda: progress(world).position == head(world))
    bad = record(world, 4 + behind)[3]

    def answer(positions: list[int]) -> Outcome:
        return Outcome(Answer.REFUSED, "HTTP 400") if bad in positions else Outcome(Answer.TAKEN)

    receiver = Receiver(answer)
    run(world, receiver, lambda: progress(world).state is SinkState.PARKED, moves_clock=60)
    assert progress(world).position == bad - 1
    assert receiver.calls[0][-1] == bad, "it was the last of a batch"
    assert receiver.calls.count([bad]) == REFUSALS
    assert receiver.taken == [bad - 3, bad - 2, bad - 1]


def test_a_refused_event_parks_and_goes_on_only_by_an_operators_word(world: World) -> None:
    add(world, batch=10)
    first, *rest = [head(world), *record(world, 8)]
    bad = rest[4]

    def answer(positions: list[int]) -> Outcome:
        return Outcome(Answer.REFUSED, "HTTP 400") if bad in positions else Outcome(Answer.TAKEN)

    receiver = Receiver(answer)
    run(world, receiver, lambda: progress(world).state is SinkState.PARKED, moves_clock=60)
    assert receiver.taken == [first, *rest[:4]], "what stood before it is delivered"
    assert receiver.calls[-5:] == [[bad]] * 5, "alone, so that the position is its own"
    assert progress(world).position == bad - 1
    (parked,) = [e.fact for _, e in world.see(lambda r: r.events(_kind("SinkParked")))]
    assert (parked.position, parked.why) == (bad, "HTTP 400")  # type: ignore[attr-defined]  # reason: a SinkParked

    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook"))
    run(world, receiver, lambda: progress(world).state is SinkState.PARKED, moves_clock=60)
    assert bad not in receiver.taken
    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook", skips=True))
    record(world, 0)
    run(world, receiver, lambda: "SinkSkipped" in receiver.kinds, moves_clock=60)
    assert receiver.taken[: len(rest)] == [first, *(each for each in rest if each != bad)]
    (skipped,) = [e.fact for _, e in world.see(lambda r: r.events(_kind("SinkSkipped")))]
    assert (skipped.first, skipped.last) == (bad, bad)  # type: ignore[attr-defined]  # reason: a SinkSkipped


def _kind(name: str) -> Any:
    from bascule.interfaces.record import EventFilter

    return EventFilter(kinds=(name,))


def test_filters_by_kind_and_level_pass_over_the_rest(world: World) -> None:
    add(world, "kinds", kinds=("CallerDenied",))
    add(world, "level", level=5)
    record(world, 120)

    def serious(tx: Any, act: Any) -> None:
        act.record(tx, CallerDenied("GET", "/", "no"))
        act.record(tx, RecordBroken(1, "edited", "x"))

    world.do(serious)
    record(world, 120)
    receiver = Receiver()
    run(
        world,
        receiver,
        lambda: all(progress(world, each).position == head(world) for each in ("kinds", "level")),
    )
    assert sorted(receiver.kinds) == ["CallerDenied", "RecordBroken"]


@pytest.mark.parametrize(
    "kind",
    [
        "DeviceCodeApproved",
        "IdentityInvitationWithdrawn",
        "IdentityInvited",
        "IdentityLinked",
        "IdentityUnlinked",
        "PricingChanged",
        "ProviderAdded",
        "ProviderChanged",
        "ProviderGroupsChanged",
        "ProviderRemoved",
        "ResourceGroupCreated",
        "ResourceGroupDeleted",
        "SessionEnded",
        "SignedIn",
        "SignedOutEverywhere",
        "SigningKeyRotated",
        "TokenFamilyRevoked",
    ],
)
def test_a_sink_with_the_lowest_level_hears_of_what_once_had_none(world: World, kind: str) -> None:
    """These kinds were once missing from a table of severities, so no such sink heard of them."""
    add(world, level=parse_level("low"))
    world.do(lambda tx, act: act.record(tx, a_fact(FACTS[kind])))
    record(world)  # one that such a sink does not want
    receiver = Receiver()
    run(world, receiver, lambda: progress(world).position == head(world))
    assert receiver.kinds[-1] == kind


def test_a_sink_with_a_level_hears_of_kinds_of_a_newer_program(world: World) -> None:
    """EDGES F2: they are HIGH, and keep their code."""
    add(world, level=parse_level("high"))
    add(world, "critical", level=parse_level("critical"))
    world.do(lambda tx, act: act.record(tx, Unknown("ProbeMoved", {"probe": "p"})))
    record(world)
    receiver = Receiver()
    run(
        world,
        receiver,
        lambda: all(progress(world, each).position == head(world) for each in ("hook", "critical")),
    )
    assert receiver.kinds == ["ProbeMoved"]


def test_a_sink_is_told_of_the_gap_that_retention_made(world: World) -> None:
    add(world)
    world.do(lambda tx, act: sinks.pause_sink(tx, act, "hook"))
    record(world, 10)
    place = progress(world).position
    world.do(lambda tx, act: sign_head(tx, act, Signer()))
    cut = head(world)
    world.clock.pass_time(60)
    later = record(world, 3)
    world.do(lambda tx, act: prune_on_host(tx, act, world.clock.wall))
    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook"))
    record(world, 0)
    receiver = Receiver()
    run(world, receiver, lambda: later[-1] in receiver.taken)
    assert receiver.kinds[0] == "RecordGap"
    assert receiver.taken[:4] == [cut, *later]
    (skipped,) = [e.fact for _, e in world.see(lambda r: r.events(_kind("SinkSkipped")))]
    assert (skipped.first, skipped.last) == (place + 1, cut)  # type: ignore[attr-defined]  # reason: a SinkSkipped


def test_paused_sends_nothing_and_resumed_sends_what_came_meanwhile(world: World) -> None:
    add(world)
    world.do(lambda tx, act: sinks.pause_sink(tx, act, "hook"))
    wanted = record(world, 3)
    receiver = Receiver()
    run(world, receiver, lambda: True)
    assert receiver.calls == []
    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook"))
    run(world, receiver, lambda: wanted[-1] in receiver.taken)


def test_an_operator_may_have_a_stretch_sent_again_and_not_one_left_out(world: World) -> None:
    add(world)
    wanted = record(world, 5)
    receiver = Receiver()
    run(world, receiver, lambda: wanted[-1] in receiver.taken)
    for wrong in (wanted[-1] + 1, 10**9):
        resume = partial(sinks.resume_sink, name="hook", after=wrong)
        with pytest.raises(InvalidInput, match="can go back"):
            world.do(resume)
    with pytest.raises(Conflict, match="not parked"):
        world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook", skips=True))
    world.do(lambda tx, act: sinks.resume_sink(tx, act, "hook", after=wanted[1]))
    again = Receiver()
    run(world, again, lambda: wanted[-1] in again.taken)
    assert again.taken[:3] == wanted[2:]


def by_hand(world: World, value: str, sequence: int) -> None:
    statement = f"UPDATE events SET record = {value} WHERE sequence = {sequence}"  # noqa: S608  # reason: ours
    world.do(lambda tx, _: write_by_hand(tx, statement))


def write_by_hand(tx: Any, statement: str) -> None:
    tx._connection.execute(text(statement))


@pytest.mark.parametrize("more", [{}, {"kinds": ("PortClosed",)}, {"batch": 10}])
def test_damaged_events_are_told_of_and_hold_nothing_up(world: World, more: Any) -> None:
    """Else one row that somebody damages silences every SIEM."""
    add(world, **more)
    before, bad, worse, *after = record(world, 5)
    by_hand(world, f"'{DAMAGED}'", bad)
    by_hand(world, '\'{"kind": "X"}\'', worse)
    receiver = Receiver()
    run(world, receiver, lambda: after[-1] in receiver.taken)
    told = receiver.taken.index(worse)
    assert receiver.kinds[told] == "RecordGap"
    assert receiver.taken[told - 1 : told + 3] == [before, worse, *after]
    (skipped,) = [e.fact for _, e in world.see(lambda r: r.events(_kind("SinkSkipped")))]
    assert isinstance(skipped, SinkSkipped)
    assert (skipped.first, skipped.last) == (bad, worse)
    assert "cannot be read" in skipped.why


@pytest.mark.parametrize("value", [DAMAGED, '{"kind": "X"}', '{"at": "yesterday"}'])
def test_sinks_are_listed_although_their_next_event_is_damaged(world: World, value: str) -> None:
    """Else one row that somebody damages hides all sinks, and all metrics with them."""
    add(world)
    first, second = record(world, 2)
    at = progress(world, "hook")
    world.do(lambda tx, _: tx.put_progress(replace(at, position=first - 1)))
    by_hand(world, f"'{value}'", first)
    (view,) = world.see(lambda r: sinks.view_sinks(r, world.clock.wall))
    assert view.lag_events == second - first + 1
    assert view.lag == timedelta()


def test_what_cannot_be_written_out_is_not_passed_over(world: World) -> None:
    add(world, "siem", "syslog+udp://siem.example")
    bad, after = record(world, 2)
    changed = (
        "CAST(jsonb_set(CAST(record AS JSONB), '{data,sources}', '5') AS JSON)"
        if is_postgresql()
        else "json_set(record, '$.data.sources', 5)"
    )
    by_hand(world, changed, bad)
    receiver = Receiver()
    run(world, receiver, lambda: progress(world, "siem").failures > 0)
    assert "cannot be written out" in progress(world, "siem").last_error
    assert progress(world, "siem").position < bad
    assert after not in receiver.taken


@pytest.mark.parametrize(
    "damage",
    [
        "sinks SET form = 'of-a-newer-version'",
        "sinks SET target = 'gopher://siem.example'",
        "sink_progress SET state = 'of-a-newer-version'",
    ],
)
def test_a_damaged_sink_keeps_nothing_from_the_others(world: World, damage: str) -> None:
    """Before the server starts, and while it runs."""
    add(world, "bad", "https://bad.example/")
    add(world, "good")
    bad = progress(world, "bad").sink_id
    whose = "id" if damage.startswith("sinks ") else "sink_id"
    statement = f"UPDATE {damage} WHERE {whose} = '{bad}'"
    begun = record(world, 2)

    class Damages(Receiver):
        async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
            if sink.name == "bad":
                await world.services.perform(lambda tx, _: write_by_hand(tx, statement))
                return Outcome(Answer.LATER, "away")
            return await super().carry(sink, parcel)

    running = Damages()
    run(world, running, lambda: begun[-1] in running.taken)
    later = record(world, 2)
    restarted = Receiver()
    run(world, restarted, lambda: later[-1] in restarted.taken)
    assert restarted.taken == later


def test_a_damaged_sink_says_where_it_stands(world: World) -> None:
    add(world)
    at = progress(world)
    world.do(lambda tx, _: write_by_hand(tx, "UPDATE sinks SET target = 'gopher://x'"))
    receiver = Receiver()
    run(world, receiver, lambda: seen(world, lambda r: r.sink_progress(at.sink_id)) != at)
    noted = seen(world, lambda r: r.sink_progress(at.sink_id))
    assert noted is not None
    assert "the sink's own row is damaged" in noted.last_error
    assert noted.position == at.position


def test_a_fault_of_one_round_ends_no_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(world)
    wanted = record(world, 2)
    keep = Post.keep
    failed: list[Post] = []

    async def fails_once(self: Post) -> bool:
        if not failed:
            failed.append(self)
            raise ValueError("a fault of ours")
        return await keep(self)

    monkeypatch.setattr(Post, "keep", fails_once)
    receiver = Receiver()
    run(world, receiver, lambda: wanted[-1] in receiver.taken)
    assert failed


def test_a_test_is_sent_whatever_the_state_and_moves_nothing(world: World) -> None:
    add(world)
    world.do(lambda tx, act: sinks.pause_sink(tx, act, "hook"))
    was = progress(world)
    receiver = Receiver(lambda _: Outcome(Answer.TAKEN, "HTTP 204"))
    said = asyncio.run(send_test(world.services, WayOut(receiver), "HOOK"))
    assert (said.said, receiver.kinds, progress(world)) == ("HTTP 204", ["SinkTest"], was)
    assert receiver.forgotten == [was.sink_id]
    with pytest.raises(NotFound):
        asyncio.run(send_test(world.services, WayOut(receiver), "other"))


def test_a_removed_sink_gets_no_more(world: World) -> None:
    add(world)
    receiver = Receiver()
    assert world.do(lambda tx, act: sinks.remove_sink(tx, act, "hook"))
    assert not world.do(lambda tx, act: sinks.remove_sink(tx, act, "hook"))
    record(world, 3)
    run(world, receiver, lambda: True)
    assert receiver.calls == []
    assert kinds_of(world) == ["SinkAdded", "SinkRemoved"]


def test_a_process_without_a_way_out_takes_no_sink() -> None:
    nobody = NoCarrier()
    sink = Sink("s", "s", parse_target(HOOK), "record", None)  # type: ignore[arg-type]  # reason: not looked at
    assert "has no carrier" in nobody.objection(sink)
    with pytest.raises(Unavailable):
        asyncio.run(nobody.carry(sink, Parcel(())))
    asyncio.run(nobody.forget("s"))
    asyncio.run(nobody.close())


class TestSettings:
    def put(self, world: World, name: str, **said: Any) -> sinks.SinkView:
        draft = SinkDraft(**said)
        return world.do(lambda tx, act: sinks.put_sink(tx, act, Receiver(), name, draft))[0]

    def test_a_secret_is_given_once_and_rotation_keeps_the_old_one_a_day(
        self, world: World
    ) -> None:
        secret = add(world)
        assert secret.startswith("whsec_")
        assert world.see(lambda r: sinks.view_sink(r, "hook", world.clock.wall)).secret == ""
        changed = self.put(world, "hook", level=3)
        assert changed.secret == ""
        fresh = world.do(lambda tx, act: sinks.rotate_secret(tx, act, "hook"))
        assert fresh.secret not in ("", secret)
        assert fresh.previous_until is not None
        (sink,) = world.see(lambda r: r.sinks())
        held = world.see(lambda r: r.sink_secrets(sink.id))
        assert held is not None
        assert held.valid(world.clock.wall) == (fresh.secret, secret)
        world.clock.pass_time(86_400)
        assert world.see(lambda r: sinks.view_sinks(r, world.clock.wall))[0].previous_until is None

    def test_another_host_gets_another_secret(self, world: World) -> None:
        secret = add(world)
        same = self.put(world, "hook", target=parse_target("https://hooks.example/other"))
        assert same.secret == ""
        other = self.put(world, "hook", target=parse_target("https://elsewhere.example/in"))
        assert other.secret not in ("", secret)

    def test_nothing_secret_is_on_record(self, world: World) -> None:
        secret = add(world, target="https://hooks.example/T0P/s3cret?key=hidden")
        rotated = world.do(lambda tx, act: sinks.rotate_secret(tx, act, "hook")).secret
        world.do(lambda tx, act: sinks.remove_sink(tx, act, "hook"))
        from bascule.interfaces.record import EventFilter

        rows = world.see(lambda r: r.events(EventFilter()))
        text = json.dumps([event.record() for _, event in rows])
        for word in (secret, rotated, "s3cret", "hidden", "T0P"):
            assert word not in text

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ({}, "MissingField"),
            ({"target": parse_target("https://forbidden.example/")}, "InvalidSinkTarget"),
            ({"target": parse_target(HOOK), "kinds": ("GrantOpend",)}, "InvalidEventKind"),
            ({"target": parse_target(HOOK), "batch": 0}, "InvalidSink"),
            ({"target": parse_target(HOOK), "batch": 101}, "InvalidSink"),
            ({"target": parse_target("file:f"), "batch": 2}, "InvalidSink"),
        ],
    )
    def test_what_cannot_be_a_sink(self, world: World, said: dict[str, Any], code: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.put(world, "new", **said)
        assert caught.value.specific_code == code
        assert world.see(lambda r: list(r.sinks())) == []

    def test_a_mistyped_kind_is_answered_with_the_one_that_was_meant(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="did you mean GrantOpened"):
            self.put(world, "n", target=parse_target(HOOK), kinds=("GrantOpend",))

    def test_there_are_few(self, world: World) -> None:
        for n in range(sinks.MOST_SINKS):
            add(world, f"s-{n}", "file:f")
        with pytest.raises(Conflict, match="which is the maximum"):
            self.put(world, "one-more", target=parse_target("file:f"))

    def test_only_a_webhook_has_a_secret(self, world: World) -> None:
        assert add(world, "siem", "syslog+tls://siem.example") == ""
        with pytest.raises(Conflict, match="Only a webhook"):
            world.do(lambda tx, act: sinks.rotate_secret(tx, act, "siem"))

    def test_a_change_that_changes_nothing_is_no_event(self, world: World) -> None:
        add(world)
        self.put(world, "hook", level=1)
        assert kinds_of(world) == ["SinkAdded"]
        self.put(world, "hook", level=2, kinds=("GrantOpened", "GrantOpened"))
        assert kinds_of(world) == ["SinkAdded", "SinkChanged"]
        (sink,) = world.see(lambda r: r.sinks())
        assert sink.kinds == ("GrantOpened",)

    def test_the_form_follows_the_target(self, world: World) -> None:
        add(world, "s", "syslog+tls://h")
        assert self.put(world, "s", target=parse_target("file:f")).sink.form == "record"

    def test_lag_is_told_in_events_and_time(self, world: World) -> None:
        add(world)
        record(world, 4)
        world.clock.pass_time(90)
        view = world.see(lambda r: sinks.view_sink(r, "hook", world.clock.wall))
        assert (view.lag_events, view.lag.total_seconds()) == (5, 90)


def test_a_link_is_a_link() -> None:
    """The gap's message has no hash: it must not look like an event of the record."""
    from tests.samples import NOW

    made = message("RecordGap", "id", 7, {}, NOW)
    assert isinstance(made, Link)
    assert made.hash == ""


def test_a_chat_is_sent_a_few_messages_a_minute_and_the_rest_as_one(world: World) -> None:
    """What waits is not lost by a restart, and waits for nothing behind what may not be delayed."""
    add(world, "chat", form=Form.SLACK, kinds=("PortClosed",))
    said: list[str] = []
    came = asyncio.Event()

    class Chat(Receiver):
        async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
            (body,) = parcel.messages
            came.set()
            said.append(json.loads(body)["text"].partition(":")[0].partition(".")[0])
            return Outcome(Answer.TAKEN)

    chat = Chat()
    record(world, 30)

    async def go() -> None:
        task = asyncio.create_task(deliver(world.services, WayOut(chat, "h"), lambda: 0.5))

        async def until(many: int) -> None:
            async with asyncio.timeout(20):
                while len(said) < many:
                    came.clear()
                    await came.wait()

        try:
            await until(1)
            assert said == ["30 events"]
            for many in range(2, 6):
                await asyncio.to_thread(record, world, 1)
                await until(many)
            await asyncio.to_thread(record, world, 3)
            await asyncio.sleep(0.1)
            assert len(said) == 5, "there is no room"
            assert progress(world, "chat").position < head(world), "and nothing is taken"

            def loosen(tx: Any, act: Any) -> None:
                act.record(tx, RulesLoosened("policy", ("port 22",)))

            await asyncio.to_thread(world.do, loosen)
            await asyncio.to_thread(record, world, 1)
            await until(7)
            await asyncio.sleep(0.1)
            assert said[5:] == ["3 events", "Rules of access loosened"], "the last one waits again"
            world.clock.pass_time(60)
            await until(8)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
