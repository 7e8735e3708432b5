"""The set-up link: one at a time, taken once."""

from __future__ import annotations

from datetime import timedelta

from bascule.domain.set_up import SetUpLink
from bascule.interfaces.store import Store
from tests.contracts.store.samples import NOW, read, write


class SetUpContract:
    def test_a_set_up_link_comes_back_by_its_hash_alone(self, store: Store) -> None:
        link = SetUpLink("h-1", NOW)
        write(store, lambda tx: tx.put_set_up_link(link))
        assert read(store, lambda r: r.set_up_link("h-1")) == link
        assert read(store, lambda r: r.set_up_link("h-2")) is None

    def test_a_new_set_up_link_takes_the_place_of_the_one_before(self, store: Store) -> None:
        second = SetUpLink("h-2", NOW + timedelta(minutes=1))
        write(store, lambda tx: tx.put_set_up_link(SetUpLink("h-1", NOW)))
        write(store, lambda tx: tx.put_set_up_link(second))
        assert read(store, lambda r: r.set_up_link("h-1")) is None
        assert read(store, lambda r: r.set_up_link("h-2")) == second

    def test_a_set_up_link_is_taken_once(self, store: Store) -> None:
        write(store, lambda tx: tx.put_set_up_link(SetUpLink("h-1", NOW)))
        assert not write(store, lambda tx: tx.take_set_up_link("h-2"))
        assert write(store, lambda tx: tx.take_set_up_link("h-1"))
        assert not write(store, lambda tx: tx.take_set_up_link("h-1"))
        assert read(store, lambda r: r.set_up_link("h-1")) is None
