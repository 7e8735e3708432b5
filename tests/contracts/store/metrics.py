"""Counts of the whole installation, for metrics."""

from __future__ import annotations

from dataclasses import replace

from bascule.domain.bindings import Binding
from bascule.domain.grant import confirm_open
from bascule.domain.lifecycle import GrantState
from bascule.interfaces.metrics import Behind
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_request,
    read,
    write,
)


class MetricContract:
    def test_nothing_is_counted_where_nothing_is(self, store: Store) -> None:
        assert read(store, lambda r: r.count_all_machines()) == 0
        assert read(store, lambda r: r.count_guarded()) == {}
        assert read(store, lambda r: r.count_unsettled()) == {}
        assert read(store, lambda r: r.count_behind()) == Behind()

    def test_machines_count_by_what_guards_them(self, store: Store) -> None:
        def make(tx: Transaction) -> None:
            for name in ("web-1", "db-1", "gate-1", "bare-1"):
                tx.put_machine(a_machine(name))
            for name in ("web-1", "gate-1"):
                tx.put_enforcement_point(a_point(f"uid-{name}"))
            tx.put_binding(Binding("uid-db-1", "uid-gate-1", NOW, reported_at=NOW))

        write(store, make)
        assert read(store, lambda r: r.count_all_machines()) == 4
        assert read(store, lambda r: r.count_guarded()) == {False: 3}
        write(store, lambda tx: tx.mark_silent({"uid-gate-1", "uid-db-1"}))
        assert read(store, lambda r: r.count_guarded()) == {False: 1, True: 2}

    def test_grants_count_until_they_are_settled(self, store: Store) -> None:
        first, second = a_grant("grant-1"), a_grant("grant-2")

        def make(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            tx.add_request(a_request())
            for grant in (first, second):
                tx.add_grant(grant)

        write(store, make)
        assert read(store, lambda r: r.count_unsettled()) == {GrantState.OPENING: 2}
        write(store, lambda tx: tx.update_grant(confirm_open(first), first.state))
        assert read(store, lambda r: r.count_unsettled()) == {
            GrantState.OPENING: 1,
            GrantState.OPEN: 1,
        }

    def test_each_machine_is_behind_at_each_of_its_points(self, store: Store) -> None:
        def make(tx: Transaction) -> None:
            for name in ("web-1", "db-1", "gate-1"):
                tx.put_machine(a_machine(name))
            for name in ("web-1", "gate-1"):
                tx.put_enforcement_point(replace(a_point(f"uid-{name}"), observed_generation=4))
            for name in ("web-1", "gate-1"):
                tx.advance_generation(f"uid-{name}", beyond=3)  # to 4: both have it

        write(store, make)
        assert read(store, lambda r: r.count_behind()) == Behind()
        write(store, lambda tx: tx.advance_generation("uid-web-1"))
        assert read(store, lambda r: r.count_behind()) == Behind(1, 1)

        def bind(tx: Transaction) -> None:
            tx.advance_generation("uid-db-1", beyond=8)  # to 9
            tx.put_binding(Binding("uid-db-1", "uid-gate-1", NOW, reported_at=NOW, generation=6))

        write(store, bind)
        assert read(store, lambda r: r.count_behind()) == Behind(2, 3)
        write(
            store,
            lambda tx: tx.put_binding(
                Binding("uid-db-1", "uid-gate-1", NOW, reported_at=NOW, generation=9)
            ),
        )
        assert read(store, lambda r: r.count_behind()) == Behind(1, 1)
