"""The sealer: what it chains, when it signs, that nothing stops it for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.chain import ChainHead
from bascule.domain.events import AgentCameBack
from bascule.errors import ConfigurationError, Unavailable
from bascule.identity.record_key import RECORD_KEY, RecordKey
from bascule.services import seal
from bascule.services.record import verify_record
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

        monkeypatch.setattr(seal, "look_at_all", read_for_ever)
        monkeypatch.setattr(seal, "_round", note)
        task = asyncio.create_task(seal.keep_record(world.services, key))
        await asyncio.wait_for(sealed.wait(), 10)
        task.cancel()

    monkeypatch.setattr(seal, "FIRST_LOOK", timedelta())
    monkeypatch.setattr(seal, "ROUND_SECONDS", 0.001)
    asyncio.run(run())


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
