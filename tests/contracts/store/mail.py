"""Where people want mail, on each store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.mail import MailChoice
from bascule.domain.principals import User
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import NOW, read, write

ANN, BEN = "00000000-0000-4000-8000-0000000000a1", "00000000-0000-4000-8000-0000000000b1"
CHOICE = MailChoice(ANN, "ann@example.com", "fr", asked=True, own=False)


class MailContract:
    """Choices go with their users, and count only while those are enabled."""

    def test_a_choice_is_kept_changed_and_goes_with_its_user(self, store: Store) -> None:
        write(store, _people)
        assert read(store, lambda r: r.mail_choice(ANN)) is None
        write(store, lambda tx: tx.put_mail_choice(CHOICE))
        assert read(store, lambda r: r.mail_choice(ANN)) == CHOICE
        moved = CHOICE.moved("new@example.com", NOW)
        write(store, lambda tx: tx.put_mail_choice(moved))
        assert read(store, lambda r: r.mail_choice(ANN)) == moved
        assert moved.previous_until == NOW + timedelta(days=7)
        write(store, lambda tx: tx.delete_principal(ANN))
        assert read(store, lambda r: r.mail_choices()) == []

    def test_who_is_disabled_hears_nothing(self, store: Store) -> None:
        write(store, _people)
        write(store, lambda tx: tx.put_mail_choice(CHOICE))
        write(store, lambda tx: tx.put_mail_choice(replace(CHOICE, user_id=BEN)))
        assert [each.user_id for each in read(store, lambda r: r.mail_choices())] == [ANN, BEN]
        write(store, lambda tx: tx.put_user(User(BEN, "ben", "Ben", False, NOW)))
        assert [each.user_id for each in read(store, lambda r: r.mail_choices())] == [ANN]


def _people(tx: Transaction) -> None:
    tx.put_user(User(ANN, "ann", "Ann", True, NOW))
    tx.put_user(User(BEN, "ben", "Ben", True, NOW))
