"""The sealer: what it chains, when it signs, that nothing stops it for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bascule.domain.chain import ChainHead
from bascule.domain.facts.agents import AgentCameBack
from bascule.domain.facts.record import RecordBroken
from bascule.errors import ConfigurationError, Unavailable
from bascule.identity.record_key import RECORD_KEY, RecordKey
from bascule.interfaces.record import EventFilter
from bascule.services import seal
from bascule.services.record import verify_record
from tests.support.stores import DAMAGED as DAMAGED_EVENT
from tests.support.stores import NO_JSON, is_kept
from tests.unit.services_world import World


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RecordKey:
    return RecordKey(tmp_path_factory.mktemp("key"))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def happen(world: World, count: int = 1) -> None:
    def work(tx: Any, act: Any) -> None:
        for _ in range(count):
            act.record(tx, AgentCameBack("web-1"))

    world.do(work)


def a_round(world: World, key: RecordKey) -> None:
    asyncio.run(seal._round(world.services, key))


def head(world: World) -> ChainHead:
    return world.see(lambda reader: reader.chain_head())


def signed(world: World) -> list[int]:
    found = world.see(lambda reader: reader.checkpoints(newest_first=False))
    return [each.head.position for each in found]


def test_a_round_seals_all_that_is_committed(world: World, key: RecordKey) -> None:
    happen(world, seal.BATCH + 3)
    a_round(world, key)
    assert world.see(lambda reader: reader.unsealed()) == []
    assert head(world).position > seal.BATCH
    before = head(world)
    a_round(world, key)
    assert head(world) == before
    assert asyncio.run(verify_record(world.services, key)).is_intact


def test_it_signs_in_time(world: World, key: RecordKey) -> None:
    a_round(world, key)
    assert signed(world) == []
    world.clock.pass_time(seal.CHECKPOINT_AFTER.total_seconds() - 1)
    a_round(world, key)
    assert signed(world) == []
    world.clock.pass_time(1)
    a_round(world, key)
    assert signed(world) == [head(world).position]
    world.clock.pass_time(timedelta(days=1).total_seconds())
    a_round(world, key)
    assert len(signed(world)) == 1, "nothing happened since: there is nothing to sign"


def test_it_signs_by_number(world: World, key: RecordKey) -> None:
    a_round(world, key)
    happen(world, seal.CHECKPOINT_EVENTS)
    a_round(world, key)
    assert len(signed(world)) == 1
    assert signed(world)[0] >= seal.CHECKPOINT_EVENTS


def test_the_same_place_is_signed_once(world: World, key: RecordKey) -> None:
    first = asyncio.run(seal.seal_all(world.services, key))
    assert asyncio.run(seal.seal_all(world.services, key)) == first


@pytest.mark.parametrize("trouble", [Unavailable("the disk is full"), ValueError("a damaged row")])
def test_a_round_that_fails_is_tried_again(
    world: World, key: RecordKey, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    rounds: list[int] = []
    came_back = asyncio.Event()

    async def fail_once(*_: object) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise trouble
        came_back.set()

    async def run() -> None:
        task = asyncio.create_task(seal.keep_record(world.services, key))
        await asyncio.wait_for(came_back.wait(), 10)
        task.cancel()

    monkeypatch.setattr(seal, "_round", fail_once)
    monkeypatch.setattr(seal, "ROUND_SECONDS", 0.001)
    monkeypatch.setattr(seal, "RETRY_SECONDS", 0.001)
    asyncio.run(run())
    assert len(rounds) >= 2


def test_a_look_at_everything_does_not_hold_the_sealing_up(
    world: World, key: RecordKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a record of years back takes minutes; an event is in the chain in a second."""

    async def run() -> None:
        reading, sealed = asyncio.Event(), asyncio.Event()

        async def read_for_ever(*_: object) -> None:
            reading.set()
            await asyncio.Event().wait()

        async def note(*_: object) -> None:
            if reading.is_set():
                sealed.set()

        monkeypatch.setattr(seal, "verify_all", read_for_ever)
        monkeypatch.setattr(seal, "_round", note)
        task = asyncio.create_task(seal.keep_record(world.services, key))
        await asyncio.wait_for(sealed.wait(), 10)
        task.cancel()

    monkeypatch.setattr(seal, "FIRST_VERIFY", timedelta())
    monkeypatch.setattr(seal, "ROUND_SECONDS", 0.001)
    asyncio.run(run())


DAMAGED = ["x", "", "5", "[1]", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, b"\xff", b'"\xff']


def by_hand(world: World, sequence: int, value: str | bytes) -> None:
    """What somebody does who can write the database."""
    if not is_kept(value):
        pytest.skip(NO_JSON)
    statement = text("UPDATE events SET record = :value WHERE sequence = :n")
    values = {"value": value, "n": sequence}
    world.do(lambda tx, _: tx._connection.execute(statement, values))  # type: ignore[attr-defined]  # reason: by hand


@pytest.mark.parametrize("value", DAMAGED, ids=lambda value: repr(value[:12]))
def test_a_damaged_row_is_named_and_stops_nothing(
    world: World, key: RecordKey, value: str | bytes
) -> None:
    a_round(world, key)
    last = head(world).position
    by_hand(world, 2, value)
    happen(world)
    world.clock.pass_time(seal.CHECKPOINT_AFTER.total_seconds())
    a_round(world, key)
    assert head(world).position == last + 1
    assert signed(world) == [last + 1]
    asyncio.run(seal.verify_all(world.services, key))
    ((_, event),) = world.see(lambda reader: reader.events(EventFilter(kinds=("RecordBroken",))))
    assert isinstance(event.fact, RecordBroken)
    assert (event.fact.position, event.fact.kind) == (2, "edited")


@pytest.mark.parametrize("value", ["x", '{"kind": "X"}', '{"at": 5}', '{"at": "soon"}'])
def test_an_age_that_cannot_be_read_is_signed_at_once(
    world: World, key: RecordKey, value: str
) -> None:
    """Else whoever damages the first row after a checkpoint ends the signing, and the sealing."""
    first = asyncio.run(seal.seal_all(world.services, key)).head.position
    happen(world)
    world.do(lambda tx, _: seal.seal(tx))
    by_hand(world, first + 1, value)
    happen(world)
    a_round(world, key)
    assert head(world).position == first + 2
    assert signed(world) == [first, first + 2]


def test_a_row_that_was_damaged_before_it_was_sealed_stops_nothing(
    world: World, key: RecordKey
) -> None:
    a_round(world, key)
    last = head(world).position
    happen(world, 3)
    by_hand(world, last + 2, DAMAGED_EVENT)
    a_round(world, key)
    assert head(world).position == last + 3
    assert asyncio.run(verify_record(world.services, key)).is_intact


def test_lists_of_events_leave_out_what_is_none_and_are_full_pages(world: World) -> None:
    happen(world, 9)
    whole = [n for n, _ in world.see(lambda reader: reader.events(EventFilter()))]
    for damaged in whole[1:4]:
        by_hand(world, damaged, DAMAGED_EVENT if damaged % 2 else '{"kind": "AgentCameBack"}')
    left = [whole[0], *whole[4:]]
    found, after = [], 0
    while page := world.see(lambda reader: reader.events(EventFilter(), after, 2)):  # noqa: B023  # reason: run at once
        found += [n for n, _ in page]
        after = page[-1][0]
        assert len(page) == 2 or after == left[-1]
    assert found == left
    assert (
        world.see(lambda r: [n for n, _ in r.events(EventFilter(), 0, 1000, False)]) == left[::-1]
    )


class TestKey:
    def test_it_stays(self, key: RecordKey, tmp_path: Path) -> None:
        made = RecordKey(tmp_path)
        again = RecordKey(tmp_path)
        assert (again.public_key, again.key_id) == (made.public_key, made.key_id)
        assert (tmp_path / RECORD_KEY).stat().st_mode & 0o777 == 0o600

    def test_it_checks_its_own_signatures(self, key: RecordKey) -> None:
        signature = key.sign(b"said")
        assert key.check(key.key_id, b"said", signature) is True
        assert key.check(key.key_id, b"else", signature) is False
        assert key.check(key.key_id, b"said", "x") is False
        assert key.check("other", b"said", signature) is None

    def test_a_damaged_one_is_not_replaced(self, tmp_path: Path) -> None:
        """What it signed could not be checked any more: its owner shall decide."""
        (tmp_path / RECORD_KEY).write_text("garbage")
        with pytest.raises(ConfigurationError, match="damaged"):
            RecordKey(tmp_path)
        assert (tmp_path / RECORD_KEY).read_text() == "garbage"

    def test_another_kind_of_key_is_none(self, tmp_path: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        pem = X25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        (tmp_path / RECORD_KEY).write_bytes(pem)
        with pytest.raises(ConfigurationError, match="another kind"):
            RecordKey(tmp_path)
