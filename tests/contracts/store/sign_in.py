"""What is kept of signing in: passwords, second factors, used challenges, known networks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from bascule.domain.principals import User
from bascule.domain.sign_in import Passkey, RecoveryCodes, StoredPassword, TotpFactor
from bascule.errors import Conflict
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import HOUR, NOW, read, write

ANNA = "0000000a-0000-4000-8000-000000000000"
BERT = "0000000b-0000-4000-8000-000000000000"
PASSWORD = StoredPassword(ANNA, "$argon2id$...", NOW)
TOTP = TotpFactor(ANNA, True, "sealed", NOW, 58_000_000)
KEY = Passkey("key-A", ANNA, "blue key", "cose", 2**32 - 1, NOW, NOW + HOUR)  # the highest count
OTHER_KEY = Passkey("key-a", ANNA, "phone", "cose 2", 0, NOW + HOUR)  # another case, another key


def _add_people(tx: Transaction) -> None:
    for user_id, name in ((ANNA, "anna"), (BERT, "bert")):
        tx.put_user(User(user_id, name, name, True, NOW))


def _add_all(tx: Transaction) -> None:
    _add_people(tx)
    tx.put_password(PASSWORD)
    tx.put_totp(TOTP)
    tx.put_passkey(OTHER_KEY)
    tx.put_passkey(KEY)
    tx.put_recovery_codes(ANNA, ["d1", "d2"], NOW)
    tx.put_known_network(ANNA, "192.0.2.1/32", NOW)


def _come_from(network: str, at: datetime, tx: Transaction) -> None:
    tx.put_known_network(ANNA, network, at)


class SignInContract:
    def test_nobody_has_a_way_in_to_begin_with(self, store: Store) -> None:
        write(store, _add_people)
        assert read(store, lambda r: r.password(ANNA)) is None
        assert read(store, lambda r: r.totp(ANNA, is_active=True)) is None
        assert read(store, lambda r: r.passkeys_of(ANNA)) == []
        assert read(store, lambda r: r.recovery_codes(ANNA)) is None
        assert read(store, lambda r: r.known_networks(ANNA)) == frozenset()
        assert not read(store, lambda r: r.has_sign_in(ANNA))

    def test_what_is_put_is_found_whole_and_of_its_user_alone(self, store: Store) -> None:
        write(store, _add_all)
        assert read(store, lambda r: r.password(ANNA.upper())) == PASSWORD
        assert read(store, lambda r: r.totp(ANNA, is_active=True)) == TOTP
        assert read(store, lambda r: r.passkey(KEY.id)) == KEY
        assert read(store, lambda r: r.passkeys_of(ANNA)) == [KEY, OTHER_KEY]
        assert read(store, lambda r: r.recovery_codes(ANNA)) == RecoveryCodes(NOW, 2)
        assert read(store, lambda r: r.known_networks(ANNA)) == {"192.0.2.1/32"}
        assert read(store, lambda r: r.passkeys_of(BERT)) == []
        assert read(store, lambda r: r.known_networks(BERT)) == frozenset()

    def test_a_password_or_a_passkey_is_a_way_in_and_nothing_else(self, store: Store) -> None:
        write(store, _add_people)
        write(store, lambda tx: tx.put_totp(TOTP))
        write(store, lambda tx: tx.put_recovery_codes(ANNA, ["d"], NOW))
        assert not read(store, lambda r: r.has_sign_in(ANNA))
        write(store, lambda tx: tx.put_passkey(KEY))
        assert read(store, lambda r: r.has_sign_in(ANNA))
        write(store, lambda tx: tx.delete_passkey(KEY.id))
        assert not read(store, lambda r: r.has_sign_in(ANNA))
        write(store, lambda tx: tx.put_password(PASSWORD))
        assert read(store, lambda r: r.has_sign_in(ANNA))
        assert not read(store, lambda r: r.has_sign_in(BERT))

    def test_a_pending_secret_stands_beside_the_active_one(self, store: Store) -> None:
        write(store, _add_all)
        pending = TotpFactor(ANNA, False, "sealed 2", NOW + HOUR)
        write(store, lambda tx: tx.put_totp(pending))
        assert read(store, lambda r: r.totp(ANNA, is_active=True)) == TOTP
        assert read(store, lambda r: r.totp(ANNA, is_active=False)) == pending
        write(store, lambda tx: tx.delete_totp(ANNA, is_active=True))
        assert read(store, lambda r: r.totp(ANNA, is_active=True)) is None
        assert read(store, lambda r: r.totp(ANNA, is_active=False)) == pending

    def test_a_passkey_stays_its_users(self, store: Store) -> None:
        write(store, _add_all)
        write(store, lambda tx: tx.put_passkey(replace(KEY, sign_count=5, name="old")))
        assert read(store, lambda r: r.passkey(KEY.id)) == replace(KEY, sign_count=5, name="old")
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_passkey(replace(KEY, user_id=BERT)))
        found = read(store, lambda r: r.passkey(KEY.id))
        assert found is not None
        assert found.user_id == ANNA

    def test_a_recovery_code_works_once_and_for_its_user(self, store: Store) -> None:
        write(store, _add_all)
        assert not write(store, lambda tx: tx.use_recovery_code(BERT, "d1", NOW))
        assert not write(store, lambda tx: tx.use_recovery_code(ANNA, "d3", NOW))
        assert write(store, lambda tx: tx.use_recovery_code(ANNA, "d1", NOW))
        assert not write(store, lambda tx: tx.use_recovery_code(ANNA, "d1", NOW))
        assert read(store, lambda r: r.recovery_codes(ANNA)) == RecoveryCodes(NOW, 1)

    def test_a_new_set_of_codes_voids_the_old(self, store: Store) -> None:
        write(store, _add_all)
        write(store, lambda tx: tx.put_recovery_codes(ANNA, ["n1", "n2", "n3"], NOW + HOUR))
        assert not write(store, lambda tx: tx.use_recovery_code(ANNA, "d1", NOW))
        assert read(store, lambda r: r.recovery_codes(ANNA)) == RecoveryCodes(NOW + HOUR, 3)
        write(store, lambda tx: tx.put_recovery_codes(ANNA, [], NOW + HOUR))
        assert read(store, lambda r: r.recovery_codes(ANNA)) is None

    def test_a_challenge_is_used_once_and_kept_no_longer_than_it_lasts(self, store: Store) -> None:
        ends = NOW + timedelta(minutes=5)
        assert write(store, lambda tx: tx.use_challenge("c", ends, NOW))
        assert not write(store, lambda tx: tx.use_challenge("c", ends, NOW))
        assert write(store, lambda tx: tx.use_challenge("C", ends, NOW))
        almost = ends - timedelta(microseconds=1)
        assert not write(store, lambda tx: tx.use_challenge("c", ends, almost))
        assert write(store, lambda tx: tx.use_challenge("c", ends + HOUR, ends))  # forgotten

    def test_known_networks_are_the_latest_few(self, store: Store) -> None:
        write(store, _add_all)
        for number in range(25):
            at = NOW + timedelta(minutes=number)
            write(store, partial(_come_from, f"n{number}", at))
        known = read(store, lambda r: r.known_networks(ANNA))
        assert known == {f"n{number}" for number in range(5, 25)}
        write(store, lambda tx: tx.put_known_network(BERT, "n0", NOW))
        assert read(store, lambda r: r.known_networks(ANNA)) == known
        asked = {"n0", "n1", "n24", *(f"x{number}" for number in range(1500))}
        assert read(store, lambda r: r.known_among(asked)) == {"n0", "n24"}, "of anybody"
        assert read(store, lambda r: r.known_among(())) == frozenset()

    def test_a_deleted_user_leaves_nothing(self, store: Store) -> None:
        write(store, _add_all)
        write(store, lambda tx: tx.delete_principal(ANNA))
        assert not read(store, lambda r: r.has_sign_in(ANNA))
        assert read(store, lambda r: r.passkey(KEY.id)) is None
        assert read(store, lambda r: r.totp(ANNA, is_active=True)) is None
        assert read(store, lambda r: r.recovery_codes(ANNA)) is None
        assert read(store, lambda r: r.known_networks(ANNA)) == frozenset()

    def test_counts_of_tries_are_kept_until_they_are_full(self, store: Store) -> None:
        later = NOW + HOUR
        write(store, lambda tx: tx.put_sign_in_counts({"a": NOW, "b": NOW}))
        write(store, lambda tx: tx.put_sign_in_counts({"b": later, "c": later + HOUR}))
        write(store, lambda tx: tx.put_sign_in_counts({}))
        found = read(store, lambda r: r.sign_in_counts(["a", "b", "d"]))
        assert found == {"a": NOW, "b": later}
        assert read(store, lambda r: r.sign_in_counts([])) == {}
        latest = later + HOUR
        for many, now, by, is_so in (
            (2, NOW, latest, True),
            (3, NOW, latest, False),
            (1, NOW, later, True),
            (2, NOW, later, False),
            (1, latest, latest + HOUR, False),
        ):
            assert read(store, lambda r: r.has_sign_in_counts(many, now, by)) is is_so
        write(store, lambda tx: tx.put_sign_in_counts({"e": latest + HOUR}))
        write(store, lambda tx: tx.forget_sign_in_counts(later, latest))
        assert read(store, lambda r: r.sign_in_counts(["a", "b", "c", "e"])) == {"c": latest}
