"""Duties of two servers over one PostgreSQL, at the same time (EDGES H4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest

from bascule.domain.chain import link_after
from bascule.domain.facts.agents import AgentCameBack
from bascule.interfaces.record import Backlog, EventFilter
from bascule.services import seal
from bascule.services.act import Services
from bascule.services.duties import LEASE, SEALING, Duties
from bascule.services.hub import Hub
from bascule.services.record import backlog_words, export_pages
from bascule.store.postgresql_open import open_postgresql
from tests.contracts.store.samples import close
from tests.support import postgresql
from tests.unit.test_services_delivery import Signer

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
EVENTS = 60


@pytest.fixture
def servers() -> Iterator[list[Services]]:
    name = postgresql.cluster().make(postgresql.blank())
    place = postgresql.cluster().place(name)
    stores = [open_postgresql(place, is_server=False) for _ in range(2)]
    yield [
        Services(store, store.clock, Hub(), duties=Duties(str(n)))  # type: ignore[arg-type]  # reason: PostgreSQL's is never None
        for n, store in enumerate(stores)
    ]
    for each in stores:
        close(each)
    postgresql.cluster().drop(name)


def _check_chain(services: Services) -> None:
    """Every event once, in the order of their numbers, each link after the one before it."""
    links = asyncio.run(services.read(lambda r: r.chain()))
    head = asyncio.run(services.read(lambda r: r.chain_begin()))
    for link in links:
        made = link_after(head, link.record)
        assert (made.position, made.hash) == (link.position, link.hash)
        head = made.head
    events = asyncio.run(services.read(lambda r: r.events(EventFilter(), newest_first=False)))
    assert [link.record["id"] for link in links] == [event.id for _, event in events]
    assert len(links) == 2 * EVENTS


def test_two_sealers_at_once_make_one_chain(servers: list[Services]) -> None:
    """And of their transactions, those that seal are of one holder at a time."""
    together = Barrier(2)

    def work(services: Services) -> None:
        together.wait()
        for _ in range(EVENTS):
            asyncio.run(services.perform(lambda tx, act: act.record(tx, AgentCameBack("web-1"))))
            asyncio.run(seal._round(services, Signer()))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, servers))
    for each in servers:  # what the one without the duty left
        asyncio.run(seal._round(each, Signer()))
    _check_chain(servers[0])


def test_of_many_who_take_a_duty_at_once_one_has_it(servers: list[Services]) -> None:
    together = Barrier(2)

    def take(services: Services) -> int | None:
        together.wait()
        return asyncio.run(
            services.perform(lambda tx, act: services.duties.enter(tx, SEALING, act.now))
        )

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(take, servers))
    assert sorted(found, key=str) == [1, None]
    held = asyncio.run(servers[0].read(lambda r: r.duty(SEALING)))
    assert held is not None
    assert servers[found.index(1)].duties.holder == held.holder
    assert held.until - servers[0].clock.now() <= LEASE


# -- programs that take no turn --------------------------------------------------------------------

_LATE = """INSERT INTO events (id, at, kind, principal_id, resource_key, record)
    SELECT 'late', at, kind, principal_id, resource_key, record FROM events LIMIT 1"""


def _happen(services: Services) -> None:
    asyncio.run(services.perform(lambda tx, act: act.record(tx, AgentCameBack("web-1"))))


def _ids(services: Services) -> list[int]:
    """Numbers of what is sealed, in the order of the chain."""
    links = asyncio.run(services.read(lambda r: r.chain()))
    numbers = {
        event.id: number
        for number, event in asyncio.run(
            services.read(lambda r: r.events(EventFilter(), newest_first=False))
        )
    }
    return [numbers[link.record["id"]] for link in links if link.record["id"] in numbers]


def _backlog(services: Services) -> Backlog:
    return asyncio.run(services.read(lambda r: r.backlog()))


def _foreign(services: Services, database: str = "") -> psycopg.Connection:
    name = database or postgresql.database_of(services.store)  # type: ignore[arg-type]  # reason: a SqlStore
    return psycopg.connect(postgresql.cluster().address(name))


def test_nothing_is_sealed_past_a_transaction_that_commits_late(servers: list[Services]) -> None:
    """It has a lower number: sealed after the higher one, it would never be in the chain."""
    ours, _ = servers
    _happen(ours)
    asyncio.run(seal._round(ours, Signer()))
    with _foreign(ours) as late:
        late.execute(_LATE.encode())
        for _ in range(3):
            _happen(ours)
        asyncio.run(seal._round(ours, Signer()))
        assert len(_ids(ours)) == 1
        assert _backlog(ours).events == 3
        header = json.loads(asyncio.run(_first_lines(ours))[0])["header"]
        assert header["unsealed"] == 3, "an export says what it lacks"
        assert "3 events are not sealed yet, the oldest for" in asyncio.run(
            ours.read(lambda r: backlog_words(r, ours.clock.now() + timedelta(minutes=1)))
        )
        late.commit()
    asyncio.run(seal._round(ours, Signer()))
    assert _backlog(ours).events == 0
    links = asyncio.run(ours.read(lambda r: r.chain()))
    assert len(links) == 5
    assert "unsealed" not in json.loads(asyncio.run(_first_lines(ours))[0])["header"]
    places = asyncio.run(ours.read(lambda r: r.seals_of(range(1, 100))))
    in_order = [places[number].position for number in sorted(places)]
    assert in_order == [1, 2, 3, 4, 5], "in the order of their numbers"


async def _first_lines(services: Services) -> list[bytes]:
    async for lines in export_pages(services, Signer()):
        return lines
    raise AssertionError("no line at all")


def test_what_is_older_than_a_running_transaction_is_sealed(servers: list[Services]) -> None:
    ours, _ = servers
    _happen(ours)
    with _foreign(ours) as late:
        late.execute(_LATE.encode())
        asyncio.run(seal._round(ours, Signer()))
        assert len(_ids(ours)) == 1
        late.rollback()
    assert _backlog(ours).events == 0


def test_a_transaction_of_another_database_delays_nothing(servers: list[Services]) -> None:
    """The cluster may be shared with programs whose transactions run for hours."""
    ours, _ = servers
    _happen(ours)
    with _foreign(ours, "postgres") as other:
        other.execute("CREATE TABLE other_programs (n int)")
        _happen(ours)
        asyncio.run(seal._round(ours, Signer()))
        assert _backlog(ours).events == 0
        other.rollback()
