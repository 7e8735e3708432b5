"""Several servers on one database: each says that it is there until it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.bootstrap.replica import among_replicas, this_replica
from bascule.clocks import SystemClock
from bascule.domain.net import parse_address
from bascule.errors import InvalidInput, Unavailable
from bascule.services.act import Fitness, InstallationNumber, ServerPlace, Services
from bascule.services.following import Following
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation
from bascule.store.open import open_store
from bascule.store.postgresql import Place
from bascule.store.postgresql_open import open_postgresql
from tests.contracts.store.samples import close
from tests.support import postgresql
from tests.unit.services_world import World, rules

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture
def place() -> Iterator[Place]:
    made = postgresql.cluster().make(postgresql.blank())
    yield postgresql.cluster().place(made)
    postgresql.cluster().drop(made)


@pytest.fixture
def services(place: Place) -> Iterator[Services]:
    store = open_postgresql(place)
    yield Services(store, SystemClock(), Hub(), replica=this_replica("https://a.example:1"))
    close(store)


def test_each_server_is_there_while_it_serves(services: Services, place: Place) -> None:
    second = replace(
        services, store=open_postgresql(place), replica=this_replica("https://b.example:2")
    )

    async def seen() -> list[str]:
        return [each.replica.endpoint for each in await services.read(lambda r: r.replicas())]

    async def run() -> None:
        assert await seen() == []
        async with among_replicas(services):
            async with among_replicas(second):
                assert await seen() == ["https://a.example:1", "https://b.example:2"]
            assert await seen() == ["https://a.example:1"]
        assert await seen() == []

    asyncio.run(run())
    second.store.close()


def test_a_server_is_seen_again_and_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more after somebody took it for dead."""
    monkeypatch.setattr("bascule.bootstrap.replica.SEEN_EVERY", _Soon())

    async def run() -> None:
        async with among_replicas(services):
            (began,) = await services.read(lambda r: r.replicas())
            await services.perform(lambda tx, _: tx.stop_replica(began.replica.uid))
            for _ in range(500):
                again = await services.read(lambda r: r.replicas())
                if again and again[0].seen_at > began.seen_at:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("it was not seen again")

    asyncio.run(run())


class _Soon:
    def total_seconds(self) -> float:
        return 0.01


def test_a_server_that_is_alone_has_no_row() -> None:
    services = Services(open_store(None), SystemClock(), Hub())

    async def run() -> None:
        async with among_replicas(services):
            assert await services.read(lambda r: r.replicas()) == []

    asyncio.run(run())
    close(services.store)


def test_a_policy_that_closes_the_port_of_another_server_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EDGES A4: of one that serves, at an address that its host got later, and of one that was stopped."""
    monkeypatch.setattr("bascule.bootstrap.replica.SEEN_EVERY", _Soon())
    world = World(open_postgresql(place))
    world.services = replace(
        world.services,
        place=ServerPlace(frozenset({443}), is_alone=False),
        replica=this_replica("https://a.example:443"),
    )
    store = open_postgresql(place)
    other = replace(
        world.services,
        store=store,
        place=ServerPlace(frozenset({8443}), is_alone=False),
        replica=this_replica("https://b.example:8443"),
        hub=Hub(),
    )
    addresses = [parse_address("127.0.0.1"), parse_address("10.0.0.3")]

    def refused() -> bool:
        try:
            world.put(rules(world.web, 8443))
        except InvalidInput as error:
            return "port 8443 of web-1" in error.message
        world.put(rules(world.web, 22))  # rules that stay as they were are not judged
        return False

    async def run() -> None:
        async with among_replicas(other, own_addresses=lambda: addresses):
            assert not await asyncio.to_thread(refused), "web-1 is another host"
            addresses.append(world.web.addresses[0])
            for _ in range(100):
                if await asyncio.to_thread(refused):
                    break
            else:
                raise AssertionError("the address was not told")
        assert await asyncio.to_thread(refused), "it may be upgraded, and start again"

    asyncio.run(run())
    world.do(lambda tx, _: tx.forget_replicas(timedelta(0)))
    assert not refused()
    world.close()
    close(store)


def test_a_server_that_was_paused_during_a_move_changes_nothing_more(
    services: Services, place: Place
) -> None:
    """Its next turn finds that the record is elsewhere (EDGES H7); within a second it is told to stop."""
    mover = replace(
        services, store=open_postgresql(place), number=InstallationNumber(), fitness=Fitness()
    )

    async def run() -> None:
        stopped = asyncio.Event()
        made = await services.perform(ensure_installation)
        services.number.value = made.number
        async with among_replicas(services, on_moved=stopped.set):
            await services.perform(lambda tx, _: tx.add_resource_group("before"))
            await mover.perform(
                lambda tx, _: tx.move_installation(
                    made.number, moved_to="other at db.example", is_arriving=False
                )
            )
            with pytest.raises(Unavailable, match="was moved") as caught:
                await services.perform(lambda tx, _: tx.add_resource_group("after"))
            assert "db.example" not in f"{caught.value.message}{caught.value.advice}"
            async with asyncio.timeout(10):
                await stopped.wait()
            assert services.fitness.has_moved
        assert "after" not in await services.read(lambda r: r.resource_groups())

    asyncio.run(run())
    mover.store.close()


def test_a_record_that_was_moved_and_is_back_has_another_number(services: Services) -> None:
    """The server that was paused meanwhile would tell agents the old one."""
    told: list[str] = []

    async def run() -> None:
        made = await services.perform(ensure_installation)
        services.number.value = made.number
        following = Following(services, lambda: told.append("moved"))
        await following.follow()
        assert told == []
        await services.perform(
            lambda tx, _: tx.move_installation(made.number + 2, is_arriving=False)
        )
        for _ in range(2):
            await following.follow()
        assert told == ["moved"], "once"
        with pytest.raises(Unavailable, match="was moved"):
            await services.perform(lambda tx, _: tx.add_resource_group("after"))

    asyncio.run(run())
