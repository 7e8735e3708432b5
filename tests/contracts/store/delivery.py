"""Sinks: settings, secrets and progress, each written by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from bascule.domain.delivery import Form, Progress, Sink, SinkSecrets, SinkState, parse_target
from bascule.errors import Conflict
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import HOUR, NOW, read, write

SINK = Sink(
    "s-1",
    "Siem",
    parse_target("https://hooks.example:8443/in?key=1"),
    Form.RECORD,
    NOW,
    ("GrantOpened", "GrantEnded"),
    3,
    50,
    "PEM",
)
PROGRESS = Progress("s-1", 7, SinkState.PARKED, 6, NOW, 5, 4, 9, NOW + HOUR, "HTTP 400", NOW - HOUR)


def _add(store: Store, sink: Sink = SINK) -> None:
    write(store, lambda tx: tx.put_sink(sink))


def _put_progress(tx: Transaction, progress: Progress) -> None:
    tx.put_progress(progress)


class DeliveryContract:
    def test_there_is_no_sink_at_first(self, store: Store) -> None:
        assert read(store, lambda r: (r.sink("siem"), r.sink_by_id("s-1"), list(r.sinks()))) == (
            None,
            None,
            [],
        )
        assert read(store, lambda r: (r.sink_progress("s-1"), r.sink_secrets("s-1"))) == (
            None,
            None,
        )

    def test_a_sink_comes_back_whole_by_name_and_id(self, store: Store) -> None:
        _add(store)
        assert read(store, lambda r: r.sink("SIEM")) == SINK
        assert read(store, lambda r: r.sink_by_id("s-1")) == SINK
        changed = replace(SINK, target=parse_target("file:record.jsonl"), kinds=(), level=1)
        _add(store, changed)
        assert read(store, lambda r: list(r.sinks())) == [changed]

    def test_sinks_are_ordered_by_name(self, store: Store) -> None:
        for number, name in enumerate(("b", "A", "c")):
            _add(store, replace(SINK, id=f"s-{number}", name=name))
        assert [each.name for each in read(store, lambda r: r.sinks())] == ["A", "b", "c"]

    def test_a_name_is_taken_once(self, store: Store) -> None:
        _add(store)
        try:
            _add(store, replace(SINK, id="s-2", name="sIEM"))
        except Conflict:
            return
        raise AssertionError("two sinks have one name")

    def test_progress_and_secrets_go_with_their_sink(self, store: Store) -> None:
        _add(store)
        secrets = SinkSecrets("new", "old", NOW + HOUR)
        write(store, lambda tx: tx.put_progress(PROGRESS))
        write(store, lambda tx: tx.put_sink_secrets("s-1", secrets))
        assert read(store, lambda r: r.sink_progress("s-1")) == PROGRESS
        assert read(store, lambda r: r.sink_secrets("s-1")) == secrets
        write(store, lambda tx: tx.put_sink_secrets("s-1", SinkSecrets("newer")))
        assert read(store, lambda r: r.sink_secrets("s-1")) == SinkSecrets("newer")
        write(store, lambda tx: tx.delete_sink("s-1"))
        assert read(store, lambda r: (r.sink_progress("s-1"), r.sink_secrets("s-1"))) == (
            None,
            None,
        )

    def test_active_are_those_that_are_to_be_sent_to(self, store: Store) -> None:
        states = (SinkState.ACTIVE, SinkState.PAUSED, SinkState.PARKED, SinkState.ACTIVE)
        for number, state in enumerate(states):
            _add(store, replace(SINK, id=f"s-{number}", name=f"sink {number}"))
            put = replace(PROGRESS, sink_id=f"s-{number}", state=state)
            write(store, partial(_put_progress, progress=put))
        assert list(read(store, lambda r: r.active_sinks())) == ["s-0", "s-3"]

    def test_progress_moves_from_where_it_was_alone(self, store: Store) -> None:
        """Two who deliver at once, or an operator who stepped in: the later one must notice."""
        _add(store)
        here = Progress("s-1", 7)
        write(store, lambda tx: tx.put_progress(here))
        further = replace(here, position=9, delivered_at=NOW, delivered_position=8)
        assert write(store, lambda tx: tx.move_progress(here, further)) is True
        assert write(store, lambda tx: tx.move_progress(here, replace(here, position=8))) is False
        assert read(store, lambda r: r.sink_progress("s-1")) == further
        write(store, lambda tx: tx.put_progress(replace(further, state=SinkState.PAUSED)))
        assert write(store, lambda tx: tx.move_progress(further, PROGRESS)) is False
