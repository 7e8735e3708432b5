"""The chain: what is sealed, in which order it comes back, and what retention leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bascule.domain.chain import ChainHead, Checkpoint, Link, link_after
from bascule.errors import Conflict
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import HOUR, NOW, an_event, read, write


def _seal(tx: Transaction, limit: int = 1000) -> ChainHead:
    head = tx.chain_head()
    seals = []
    for sequence, record in tx.unsealed(limit):
        head = link_after(head, record).head
        seals.append((sequence, head))
    tx.add_seals(seals)
    return head


def _sealed(store: Store, count: int) -> list[Link]:
    """That many events, an hour apart, all in the chain."""
    for n in range(count):
        write(store, lambda tx: tx.record(an_event(f"e{n}", at=NOW + n * HOUR)))
    write(store, _seal)
    return list(read(store, lambda r: r.chain()))


def _sign(store: Store, head: ChainHead) -> Checkpoint:
    made = Checkpoint(head, NOW, "key", f"signature {head.position}")
    write(store, lambda tx: tx.add_checkpoint(made))
    return made


def _ids(store: Store) -> list[str]:
    found = read(store, lambda r: r.events(EventFilter(), newest_first=False))
    return [event.id for _, event in found]


def _begin(store: Store) -> ChainHead:
    """Where it begins, told alone and together with its head."""
    head, begin = read(store, lambda r: (r.chain_head(), r.chain_begin()))
    assert read(store, lambda r: r.record_ends()[:2]) == (head, begin)
    return begin


class ChainContract:
    def test_nothing_is_sealed_at_first(self, store: Store) -> None:
        assert read(store, lambda r: (r.chain_head(), r.chain_begin())) == (ChainHead(),) * 2
        assert read(store, lambda r: (list(r.chain()), list(r.checkpoints()))) == ([], [])
        assert read(store, lambda r: (r.seal_at(1), r.checkpoint(1), r.prunable(NOW))) == (
            None,
            None,
            None,
        )
        write(store, lambda tx: tx.add_seals([]))

    def test_what_is_not_sealed_is_given_in_order_as_it_was_written(self, store: Store) -> None:
        events = [an_event(f"e{n}") for n in range(3)]
        for each in events:
            write(store, lambda tx: tx.record(each))
        found = read(store, lambda r: r.unsealed())
        numbered = read(store, lambda r: r.events(EventFilter(), newest_first=False))
        assert [sequence for sequence, _ in found] == [sequence for sequence, _ in numbered]
        for (_, record), event in zip(found, events, strict=True):
            written: dict[str, Any] = event.record()
            assert link_after(ChainHead(), record).hash == link_after(ChainHead(), written).hash
        assert len(read(store, lambda r: r.unsealed(2))) == 2

    def test_the_chain_comes_back_as_it_was_sealed(self, store: Store) -> None:
        links = _sealed(store, 5)
        assert [link.position for link in links] == [1, 2, 3, 4, 5]
        head = ChainHead()
        for link in links:
            assert link_after(head, link.record) == link
            head = link.head
        assert read(store, lambda r: r.chain_head()) == head
        assert _begin(store) == ChainHead()
        assert read(store, lambda r: list(r.chain(2, 2))) == links[2:4]
        assert read(store, lambda r: r.seal_at(3)) == links[2].hash
        assert read(store, lambda r: r.unsealed()) == []

    def test_sealing_goes_on_where_it_was(self, store: Store) -> None:
        _sealed(store, 2)
        write(store, lambda tx: tx.record(an_event("later")))
        (waiting,) = read(store, lambda r: r.unsealed())
        assert waiting[1]["id"] == "later"
        assert write(store, _seal).position == 3

    def test_a_place_is_taken_once(self, store: Store) -> None:
        """Two who seal at once: one of them must fail, whole."""
        links = _sealed(store, 2)
        write(store, lambda tx: tx.record(an_event("late")))
        ((sequence, _),) = read(store, lambda r: r.unsealed())
        for taken in ((sequence, links[1].head), (sequence - 1, ChainHead(3, "x"))):
            try:
                write(store, lambda tx: tx.add_seals([taken]))
            except Conflict:
                continue
            raise AssertionError(taken)
        assert read(store, lambda r: r.chain_head()) == links[-1].head

    def test_events_know_their_places(self, store: Store) -> None:
        links = _sealed(store, 3)
        write(store, lambda tx: tx.record(an_event("late")))
        numbers = [n for n, _ in read(store, lambda r: r.events(EventFilter(), newest_first=False))]
        found = read(store, lambda r: r.seals_of(numbers))
        assert found == {n: link.head for n, link in zip(numbers, links, strict=False)}
        assert read(store, lambda r: r.seals_of([])) == {}

    def test_checkpoints_are_found_and_paged(self, store: Store) -> None:
        links = _sealed(store, 4)
        made = [_sign(store, link.head) for link in links]
        assert read(store, lambda r: r.checkpoint(2)) == made[1]
        assert read(store, lambda r: list(r.checkpoints())) == made[::-1]
        assert read(store, lambda r: list(r.checkpoints(3, 1))) == [made[1]]
        assert read(store, lambda r: list(r.checkpoints(2, newest_first=False))) == made[2:]
        try:
            write(store, lambda tx: tx.add_checkpoint(replace(made[0], signature="other")))
        except Conflict:
            return
        raise AssertionError("a checkpoint was replaced")

    def test_retention_ends_at_a_checkpoint_of_older_events(self, store: Store) -> None:
        links = _sealed(store, 6)
        assert read(store, lambda r: r.prunable(NOW + 10 * HOUR)) is None, "nothing is signed"
        early, late = _sign(store, links[1].head), _sign(store, links[3].head)
        assert read(store, lambda r: r.prunable(NOW + HOUR)) is None
        assert read(store, lambda r: r.prunable(NOW + 2 * HOUR)) == early, "exclusive"
        assert read(store, lambda r: r.prunable(NOW + 3 * HOUR)) == early
        assert read(store, lambda r: r.prunable(NOW + 4 * HOUR)) == late
        assert read(store, lambda r: r.prunable(NOW + 10 * HOUR)) == late

    def test_retention_leaves_a_checkpoint_that_begins_the_rest(self, store: Store) -> None:
        links = _sealed(store, 5)
        _sign(store, links[0].head)
        stub, last = _sign(store, links[2].head), _sign(store, links[4].head)
        assert write(store, lambda tx: tx.prune_record(3)) == 3
        assert _ids(store) == ["e3", "e4"]
        assert _begin(store) == stub.head
        assert read(store, lambda r: list(r.chain())) == links[3:]
        assert read(store, lambda r: list(r.checkpoints())) == [last, stub]
        assert read(store, lambda r: r.seal_at(3)) is None

    def test_the_chain_goes_on_when_all_of_it_was_deleted(self, store: Store) -> None:
        links = _sealed(store, 2)
        _sign(store, links[1].head)
        assert write(store, lambda tx: tx.prune_record(2)) == 2
        assert read(store, lambda r: (r.chain_head(), r.chain_begin())) == (links[1].head,) * 2
        write(store, lambda tx: tx.record(an_event("next")))
        assert write(store, _seal).position == 3
        assert _begin(store) == links[1].head
        assert _ids(store) == ["next"]

    def test_a_beginning_whose_checkpoint_is_gone_has_no_hash(self, store: Store) -> None:
        """Retention never leaves this; whoever deletes rows by hand does."""
        _sealed(store, 3)
        write(store, lambda tx: tx.prune_record(1))
        assert _begin(store) == ChainHead(1, "")
