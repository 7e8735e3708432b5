"""What bounds retention: the clock's mark, and events that a sink has not taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.chain import ChainHead, Checkpoint, link_after
from bascule.domain.delivery import Form, Progress, Sink, parse_target
from bascule.domain.retention import ClockMark
from bascule.interfaces.retention import Untaken
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import HOUR, NOW, an_event, read, write

LONG_AGO = NOW - timedelta(days=9000)


def _sealed(store: Store, count: int) -> None:
    """Events an hour apart, the first at NOW, all in the chain."""

    def work(tx: Transaction) -> None:
        for n in range(count):
            tx.record(replace(an_event(f"e{n}"), at=NOW + n * HOUR))
        head = tx.chain_head()
        seals = []
        for sequence, record in tx.unsealed():
            head = link_after(head, record).head
            seals.append((sequence, head))
        tx.add_seals(seals)

    write(store, work)


def _sink(store: Store, name: str, position: int, created_at: object = None) -> None:
    at = LONG_AGO if created_at is None else created_at
    sink = Sink(name, name, parse_target(f"file:{name}"), Form.RECORD, at)  # type: ignore[arg-type]  # reason: a datetime

    def work(tx: Transaction) -> None:
        tx.put_sink(sink)
        tx.put_progress(Progress(name, position))

    write(store, work)


class RetentionContract:
    def test_the_clock_s_mark_is_one(self, store: Store) -> None:
        assert read(store, lambda r: r.clock_mark()) is None
        for mark in (ClockMark(NOW, 5.5), ClockMark(NOW + HOUR, 9.25, -HOUR, True)):
            write(store, lambda tx, mark=mark: tx.put_clock_mark(mark))  # type: ignore[misc]  # reason: mypy infers no default
            assert read(store, lambda r: r.clock_mark()) == mark

    def test_without_sinks_all_is_taken(self, store: Store) -> None:
        _sealed(store, 3)
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) is None

    def test_the_slowest_sink_says_what_is_not_taken(self, store: Store) -> None:
        _sealed(store, 6)
        _sink(store, "fast", 6)
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) is None
        _sink(store, "slow", 2)
        _sink(store, "slower", 1)
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) == Untaken(2, "slower")
        assert read(store, lambda r: r.first_untaken(NOW + 4 * HOUR)).position == 5  # type: ignore[union-attr]  # reason: there is one
        assert read(store, lambda r: r.first_untaken(NOW + 9 * HOUR)) is None

    def test_a_sink_waits_for_nothing_that_was_before_it(self, store: Store) -> None:
        _sealed(store, 6)
        _sink(store, "late", 0, NOW + 3 * HOUR)
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) == Untaken(4, "late")

    def test_what_is_held_stays_untaken_without_a_sink(self, store: Store) -> None:
        _sealed(store, 8)
        write(store, lambda tx: tx.hold((7,)))
        write(store, lambda tx: tx.hold((3, 4)))
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) == Untaken(3, "")
        assert read(store, lambda r: r.first_untaken(NOW + 4 * HOUR)) == Untaken(7, "")
        write(store, lambda tx: tx.forget_holds(6))
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) == Untaken(7, "")

    def test_spans_that_touch_are_one(self, store: Store) -> None:
        _sealed(store, 8)
        for first, last in ((5, 5), (2, 3), (4, 4), (3, 6)):
            write(store, lambda tx, span=(first, last): tx.hold(span))  # type: ignore[misc]  # reason: mypy infers no default
        write(store, lambda tx: tx.forget_holds(5))
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) == Untaken(2, ""), "2 to 6 is one"
        write(store, lambda tx: tx.forget_holds(6))
        assert read(store, lambda r: r.first_untaken(LONG_AGO)) is None

    def test_retention_ends_below_what_is_to_stay(self, store: Store) -> None:
        _sealed(store, 6)
        for position in (2, 4):
            made = Checkpoint(ChainHead(position, f"{position:064x}"), NOW, "key", "signature")
            write(store, lambda tx, made=made: tx.add_checkpoint(made))  # type: ignore[misc]  # reason: mypy infers no default
        later = NOW + 9 * HOUR
        found = [read(store, lambda r, n=n: r.prunable(later, n)) for n in (5, 4, 3, 2, 1)]  # type: ignore[misc]  # reason: mypy infers no default
        assert [each.head.position if each else None for each in found] == [4, 2, 2, None, None]
