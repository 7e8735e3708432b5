"""Sealed keys: one row a name, and its number. Invitations of replicas are used once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from bascule.interfaces.invites import ReplicaInvite
from bascule.interfaces.keys import SealedKey
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import NOW, read, write


class KeyContract:
    def test_sealed_keys_come_back_by_name(self, store: Store) -> None:
        ca = SealedKey("ca.key", 1, "sealed-1", NOW)
        signing = SealedKey("token-signing.key", 7, "sealed-2", NOW)
        write(store, lambda tx: tx.put_sealed_key(signing))
        write(store, lambda tx: tx.put_sealed_key(ca))
        assert read(store, lambda r: r.sealed_keys()) == [ca, signing]
        assert read(store, lambda r: r.key_numbers()) == {"ca.key": 1, "token-signing.key": 7}

    def test_a_key_takes_the_place_of_the_one_of_its_name(self, store: Store) -> None:
        before = SealedKey("ca.key", 1, "sealed-1", NOW)
        after = replace(before, number=2, sealed="sealed-2", made_at=NOW + timedelta(days=1))
        write(store, lambda tx: tx.put_sealed_key(before))
        write(store, lambda tx: tx.put_sealed_key(after))
        assert read(store, lambda r: r.sealed_keys()) == [after]

    def test_an_invitation_is_used_once(self, store: Store) -> None:
        made = ReplicaInvite("i-1", "sealed", NOW)
        write(store, lambda tx: tx.add_replica_invite(made))
        assert read(store, lambda r: r.replica_invite("i-1")) == made
        assert not write(store, lambda tx: tx.take_replica_invite("i-2"))
        assert write(store, lambda tx: tx.take_replica_invite("i-1"))
        assert not write(store, lambda tx: tx.take_replica_invite("i-1"))
        assert read(store, lambda r: r.replica_invite("i-1")) is None

    def test_old_invitations_are_forgotten(self, store: Store) -> None:
        for name, ends_at in (("old", NOW - timedelta(seconds=1)), ("new", NOW)):
            made = ReplicaInvite(name, "sealed", ends_at)
            write(store, partial(_add, made))
        write(store, lambda tx: tx.forget_replica_invites(NOW))
        assert read(store, lambda r: r.replica_invite("old")) is None
        assert read(store, lambda r: r.replica_invite("new")) is not None


def _add(made: ReplicaInvite, tx: Transaction) -> None:
    tx.add_replica_invite(made)
