"""Where people want mail, on each store."""

from __future__ import annotations

from datetime import timedelta

from bascule.domain.mail import MailChoice
from bascule.domain.principals import User
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import NOW, read, write

ANN = "00000000-0000-4000-8000-0000000000a1"
CHOICE = MailChoice(ANN, "ann@example.com", "fr", asked=True, own=False)


class MailContract:
    """Choices go with their users. Whom a query finds is in tests/wire/test_told_in_time.py."""

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
        assert read(store, lambda r: r.mail_choice(ANN)) is None

    def test_nobody_is_found_where_nobody_is_asked(self, store: Store) -> None:
        write(store, _people)
        write(store, lambda tx: tx.put_mail_choice(CHOICE))
        assert read(store, lambda r: r.mail_choices_asked("none", ["x"], NOW)) == []
        assert read(store, lambda r: r.mail_choices_asked("none", [], NOW)) == []
        assert read(store, lambda r: r.grants_to_warn_of(NOW)) == []


def _people(tx: Transaction) -> None:
    tx.put_user(User(ANN, "ann", "Ann", True, NOW))
