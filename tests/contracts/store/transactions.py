"""What a transaction promises: all or nothing, alone, seen whole, whoever else is writing."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import ClassVar

import pytest

from bascule.domain.grant import confirm_open
from bascule.domain.lifecycle import GrantState
from bascule.errors import BasculeError, Conflict, InvalidInput, Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_policy,
    a_request,
    an_event,
    an_id,
    read,
    write,
)


class _RefusedError(Exception):
    """What a unit of work raises in these tests."""


def _one_of_each(tx: Transaction) -> None:
    tx.put_machine(a_machine())
    tx.put_policy(a_policy())
    tx.add_request(a_request())
    tx.add_grant(a_grant())
    tx.advance_generation("uid-web-1")
    tx.record(an_event())


def _all_there_is(reader: Reader) -> list[object]:
    return [
        *reader.machines(),
        *reader.policies(),
        *reader.requests(),
        *reader.grants_of(["request-1"]),
        *reader.events(EventFilter()),
        *([reader.generation("uid-web-1")] if reader.generation("uid-web-1") else []),
    ]


class TransactionContract:
    reads_beside_a_write: ClassVar[bool] = True  # else they take turns, and nothing is to be seen

    def test_the_result_of_the_work_is_handed_back(self, store: Store) -> None:
        assert write(store, lambda tx: [tx.generation("u"), "x"]) == [0, "x"]
        assert read(store, lambda r: (r.generation("u"),)) == (0,)

    def test_a_transaction_sees_what_it_has_written(self, store: Store) -> None:
        def work(tx: Transaction) -> int:
            _one_of_each(tx)
            return len(_all_there_is(tx))

        assert write(store, work) == 6

    def test_an_exception_undoes_everything_the_event_too(self, store: Store) -> None:
        def work(tx: Transaction) -> None:
            _one_of_each(tx)
            raise _RefusedError("no")

        with pytest.raises(_RefusedError, match="no"):
            write(store, work)
        assert read(store, _all_there_is) == []
        write(store, _one_of_each)
        assert len(read(store, _all_there_is)) == 6, "and the store is none the worse"

    def test_a_refused_row_undoes_everything_before_it(self, store: Store) -> None:
        def work(tx: Transaction) -> None:
            _one_of_each(tx)
            tx.add_grant(a_grant())

        with pytest.raises(Conflict):
            write(store, work)
        assert read(store, _all_there_is) == []

    def test_an_exception_of_a_read_is_the_callers(self, store: Store) -> None:
        def work(_: Reader) -> None:
            raise _RefusedError

        with pytest.raises(_RefusedError):
            read(store, work)
        assert read(store, _all_there_is) == []

    def test_what_no_column_can_hold_is_refused_as_input(self, store: Store) -> None:
        """A lone surrogate comes through JSON; it is no character and no database takes it."""
        for refused in ("x\ud800", "\udfff"):
            with pytest.raises(InvalidInput):
                write(store, lambda tx: tx.add_resource_group(refused))
        with pytest.raises(BasculeError):
            write(store, lambda tx: tx.advance_generation("u", beyond=2**70))
        assert read(store, lambda r: (list(r.resource_groups()), r.generation("u"))) == ([], 0)

    def test_fifty_writers_at_once_all_succeed_but_those_that_raise(self, store: Store) -> None:
        """A unit that fails in the middle of a shared commit takes nobody with it."""

        def unit(number: int, tx: Transaction) -> int:
            tx.add_request(a_request(f"r{number:02}"))
            tx.record(an_event(f"e{number:02}"))
            if number % 5 == 0:
                raise _RefusedError(number)
            return tx.advance_generation("shared")

        async def everybody() -> list[int | BaseException]:
            units = (store.write(partial(unit, number)) for number in range(50))
            return await asyncio.gather(*units, return_exceptions=True)

        results = asyncio.run(everybody())
        failed = [n for n, result in enumerate(results) if isinstance(result, _RefusedError)]
        assert failed == list(range(0, 50, 5))
        generations = [result for result in results if isinstance(result, int)]
        assert sorted(generations) == list(range(1, 41)), "none lost, none twice"
        expected = {f"r{number:02}" for number in range(50) if number % 5}
        assert {request.id for request in read(store, lambda r: r.requests())} == expected
        events = read(store, lambda r: r.events(EventFilter()))
        assert {event.id for _, event in events} == {name.replace("r", "e") for name in expected}

    def test_a_read_sees_one_moment(self, store: Store) -> None:
        """Two looks of one read agree, whatever is written between them."""
        write(store, lambda tx: tx.advance_generation("u"))
        between, looked = threading.Event(), threading.Event()

        def twice(reader: Reader) -> tuple[int, int]:
            first = reader.generation("u")
            looked.set()
            between.wait(timeout=0.5)  # a store with one connection cannot write meanwhile
            return first, reader.generation("u")

        async def both() -> tuple[int, int]:
            reading = asyncio.ensure_future(store.read(twice))
            await asyncio.to_thread(looked.wait, 10)
            writing = asyncio.ensure_future(store.write(lambda tx: tx.advance_generation("u")))
            await asyncio.wait({writing}, timeout=0.3)
            between.set()
            seen = await reading
            await writing
            return seen

        assert asyncio.run(both()) == (1, 1)
        assert read(store, lambda r: r.generation("u")) == 2

    def test_what_is_not_committed_is_not_seen(self, store: Store) -> None:
        written, seen = threading.Event(), threading.Event()

        def work(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            written.set()
            if self.reads_beside_a_write:
                assert seen.wait(timeout=60), "the read waits for the write"
            raise _RefusedError

        async def both() -> object:
            writing = asyncio.ensure_future(store.write(work))
            await asyncio.to_thread(written.wait, 10)
            found = await store.read(lambda r: r.machine(an_id("web-1")))
            seen.set()
            with pytest.raises(_RefusedError):
                await writing
            return found

        assert asyncio.run(both()) is None

    def test_a_write_is_seen_by_the_next_read(self, store: Store) -> None:
        async def turns() -> None:
            for number in range(1, 30):
                await store.write(lambda tx: tx.advance_generation("u"))
                assert await store.read(lambda r: r.generation("u")) == number

        asyncio.run(turns())

    def test_rows_are_judged_inside_the_transaction_that_changes_them(self, store: Store) -> None:
        """Of twenty who each find the grant opening, one opens it."""
        write(store, _one_of_each)

        def open_it(tx: Transaction) -> bool:
            (grant,) = tx.grants_of(["request-1"])
            if grant.state is not GrantState.OPENING:
                return False
            tx.update_grant(confirm_open(grant), grant.state)
            return True

        async def race() -> list[bool]:
            return list(await asyncio.gather(*(store.write(open_it) for _ in range(20))))

        assert sum(asyncio.run(race())) == 1

    def test_after_close_there_is_nothing_but_an_error_that_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        with pytest.raises(Unavailable, match="closed"):
            write(store, lambda tx: tx.record(an_event(at=NOW)))
        with pytest.raises(Unavailable, match="closed"):
            read(store, lambda r: r.generation("u"))
