"""Hints between servers on one database, and what is found without one (EDGES H3)."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bascule.bootstrap.replica import among_replicas, this_replica
from bascule.clocks import SystemClock
from bascule.interfaces.hints import ALL, Heard
from bascule.interfaces.replicas import Replica
from bascule.services.act import Services
from bascule.services.following import Following
from bascule.services.hub import CHANGES, Hub, machine_topic, request_topic, wait_for
from bascule.store import hints as ours
from bascule.store.hints import LARGEST, ListeningHints, heard_in
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import an_event, close, write
from tests.support import postgresql

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
UID = "11111111-2222-3333-4444-55555555555{}"


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def store(name: str) -> Iterator[SqlStore]:
    opened = open_postgresql(postgresql.cluster().place(name))
    yield opened
    close(opened)


class _Heard(list[Heard]):
    """What one server heard."""

    def wait(self, is_so: Callable[[], bool]) -> None:
        for _ in range(1000):
            if is_so():
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"not within 10 s: {list(self)}")


@pytest.fixture
def make(store: SqlStore) -> Iterator[Callable[[], tuple[ListeningHints, _Heard]]]:
    made: list[ListeningHints] = []

    def another() -> tuple[ListeningHints, _Heard]:
        heard = _Heard()
        hints = store.hints(UID.format(len(made)), heard.append)
        assert isinstance(hints, ListeningHints)
        made.append(hints)
        heard.wait(lambda: heard == [ALL])  # what was told before it listened
        heard.clear()
        return hints, heard

    yield another
    for each in made:
        each.close()
        assert not each._thread.is_alive()


def _end_listening() -> int:
    ended = postgresql.cluster().do(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query ~ '^(LISTEN|SELECT pg_notify)' AND pid <> pg_backend_pid()"
    )
    return len(ended)


Make = Callable[[], tuple[ListeningHints, _Heard]]


def test_a_server_hears_what_others_tell_and_not_itself(make: Make) -> None:
    (first, own), (_, second), (_, third) = make(), make(), make()
    first.tell(["m-1"], ["r-1"])
    for each in (second, third):
        each.wait(lambda each=each: each == [Heard(("m-1",), ("r-1",))])  # type: ignore[misc]  # reason: mypy has no type for it
    assert own == []
    first.tell_all()
    second.wait(lambda: second[-1] == ALL)


def test_what_is_told_together_is_one_hint(make: Make) -> None:
    (first, _), (_, second) = make(), make()
    for number in range(50):
        first.tell([f"m-{number}"], ())
    second.wait(lambda: {uid for each in second for uid in each.machine_uids} >= {"m-0", "m-49"})
    assert len(second) <= 3


def test_a_hint_that_names_too_much_says_all(make: Make) -> None:
    """PostgreSQL refuses a payload of 8000 bytes, and the server would be told nothing at all."""
    (first, _), (_, second) = make(), make()
    first.tell([f"{number:036}" for number in range(300)], ())
    second.wait(lambda: ALL in second)
    waiting = ours._Waiting(machines={f"{number:036}" for number in range(202)})
    assert len(waiting.payload()) <= LARGEST
    assert waiting.payload() != "all"
    waiting.machines.add("x" * 36)
    assert waiting.payload() == "all"


@pytest.mark.parametrize(
    "payload",
    [
        "all",
        "",
        "[]",
        "7",
        '{"m": 7}',
        '{"m": [7]}',
        "{",
        '{"r": null}',
        pytest.param("[" * 7000, id="deep"),
    ],
)
def test_a_hint_that_says_nothing_known_says_all(payload: str) -> None:
    assert heard_in(payload) == ALL


def test_a_lost_connection_is_made_again_and_says_all(make: Make) -> None:
    (first, own), (_, second) = make(), make()
    assert _end_listening() == 2
    for each in (own, second):
        each.wait(lambda each=each: ALL in each)  # type: ignore[misc]  # reason: as above
    first.tell(["m-1"], ())
    second.wait(lambda: Heard(("m-1",)) in second)


def test_what_could_not_be_told_is_told_as_all(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, _), (_, second) = make(), make()
    ended: list[int] = []
    send = first._send

    def cut(driver: object) -> None:
        if not ended:
            ended.append(_end_listening())
        send(driver)  # type: ignore[arg-type]  # reason: psycopg's

    monkeypatch.setattr(first, "_send", cut)
    first.tell(["m-1"], ())
    second.wait(lambda: second.count(ALL) >= 1)
    assert ended == [2]


def test_a_server_with_many_connections_hears(make: Make) -> None:
    """select(2) takes no descriptor above 1023; a server has one for each agent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    filled: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        while not filled or filled[-1] < 1024:
            filled.append(os.open(os.devnull, os.O_RDONLY))
        (first, own), (second, heard) = make(), make()
        assert first._wakes[0] > 1023
        first.tell(["m-1"], ())
        heard.wait(lambda: heard == [Heard(("m-1",))])
        assert second.state.connected_for is not None
        assert own == []
    finally:
        for each in filled:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fault_of_ours_does_not_end_the_hearing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, heard) = make(), make()
    failed = threading.Event()
    hear = second._hear

    def fail_once(told: Heard) -> None:
        if not failed.is_set():
            failed.set()
            raise LookupError("a fault of ours")
        hear(told)

    monkeypatch.setattr(second, "_hear", fail_once)
    first.tell(["m-1"], ())
    heard.wait(lambda: ALL in heard)
    assert failed.is_set()
    first.tell(["m-2"], ())
    heard.wait(lambda: Heard(("m-2",)) in heard)


def test_whether_hints_come_through_is_known(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "TELL_ITSELF_EVERY", 0.05)
    first, own = make()
    own.wait(lambda: first.state.heard_itself is not None)
    assert first.state.connected_for is not None
    first.close()
    assert first.state.connected_for is None


# -- two servers


@pytest.fixture
def pair(store: SqlStore, name: str) -> Iterator[tuple[Services, Services]]:
    other = open_postgresql(postgresql.cluster().place(name))
    one = Services(store, SystemClock(), Hub(), replica=this_replica("https://a.example:1"))
    yield one, replace(one, store=other, hub=Hub(), replica=this_replica("https://b.example:2"))
    close(other)


def _wake_elsewhere(
    pair: tuple[Services, Services], topic: str, meanwhile: Callable[[], object] = lambda: None
) -> float:
    """Have the first change something; how long until somebody who waits at the second is woken."""
    one, two = pair

    async def run() -> float:
        async with among_replicas(one), among_replicas(two):
            with two.hub.listening(topic) as woken:
                await asyncio.sleep(1.2)  # they hear each other, and have read what was there
                meanwhile()
                woken.clear()
                began = time.monotonic()
                await one.perform(_change)
                assert await wait_for(woken, 10)
                return time.monotonic() - began

    def _change(tx: object, act: object) -> None:
        act.touched.add("m-1")  # type: ignore[attr-defined]  # reason: an Act
        act.settled.add("r-1")  # type: ignore[attr-defined]  # reason: an Act
        tx.record(an_event(f"event-{time.monotonic()}"))  # type: ignore[attr-defined]  # reason: a Transaction

    return asyncio.run(run())


@pytest.mark.parametrize("topic", [machine_topic("m-1"), request_topic("r-1"), CHANGES])
def test_who_waits_at_another_server_is_woken(
    pair: tuple[Services, Services], topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.services.following.FOLLOW_SECONDS", 60)  # by the hint alone
    assert _wake_elsewhere(pair, topic) < 1


@pytest.mark.parametrize("topic", [request_topic("r-1"), CHANGES])
def test_without_hints_who_waits_is_woken_within_three_seconds(
    pair: tuple[Services, Services], topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LISTEN is cut, and is not made again meanwhile."""

    def cut() -> None:
        monkeypatch.setattr(ListeningHints, "_listen", lambda _: time.sleep(0.1))
        assert _end_listening() == 2
        time.sleep(0.3)

    assert _wake_elsewhere(pair, topic, cut) < 3


def test_what_was_followed_wakes_nobody_again(store: SqlStore) -> None:
    services = Services(store, SystemClock(), Hub(), replica=Replica("u", "h", "e", "v", "0100"))
    following = Following(services)

    async def run() -> None:
        with services.hub.listening(CHANGES) as woken:
            assert following.behind is None
            await following.follow()
            woken.clear()
            await following.follow()
            assert not woken.is_set()
            write_it()
            await following.follow()
            assert woken.is_set()
            assert following.behind is not None

    def write_it() -> None:
        thread = threading.Thread(
            target=lambda: write(store, lambda tx: tx.record(an_event("e-1")))
        )
        thread.start()
        thread.join()

    asyncio.run(run())


def test_a_server_that_is_alone_tells_nobody() -> None:
    hub = Hub()
    hub.wake(["m-1"])
    hub.wake_all()
    assert hub.mark.endswith(".2")
