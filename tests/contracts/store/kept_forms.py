"""Forms that wait for their user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.principals import User
from bascule.errors import Conflict
from bascule.interfaces.kept_forms import KeptForm
from bascule.interfaces.store import Store
from tests.contracts.store.samples import HOUR, NOW, read, write

FORM = KeptForm("t-1", "u-1", "/portal/x", "a=1&b=%00", NOW)


class KeptFormContract:
    def test_a_user_has_one_form_and_all_together_so_many(self, store: Store) -> None:
        for name in ("u-1", "u-2", "u-3"):
            write(store, lambda tx: tx.put_user(User(name, name, "", True, NOW)))
        other = replace(FORM, ticket_hash="t-2", path="/portal/y", kept_at=NOW + HOUR)
        write(store, lambda tx: tx.keep_form(FORM, 2))
        assert read(store, lambda r: r.kept_form("t-1")) == FORM
        assert read(store, lambda r: r.kept_form("T-1")) is None
        assert read(store, lambda r: r.kept_form_of("u-1")) == FORM
        assert read(store, lambda r: r.kept_form_of("u-2")) is None
        write(store, lambda tx: tx.keep_form(other, 2))
        assert read(store, lambda r: r.kept_form("t-1")) is None
        assert read(store, lambda r: r.kept_form("t-2")) == other
        for number in (2, 3):  # an old one is kept too, in the place of another
            older = replace(FORM, ticket_hash=f"o-{number}", user_id=f"u-{number}")
            write(store, lambda tx: tx.keep_form(older, 2))
            assert read(store, lambda r: r.kept_form(older.ticket_hash)) == older
        assert read(store, lambda r: r.has_kept_forms(NOW))
        write(store, lambda tx: tx.drop_kept_forms(NOW))
        assert not read(store, lambda r: r.has_kept_forms(NOW))
        assert read(store, lambda r: r.kept_form("o-3")) is None

    def test_it_goes_with_its_user(self, store: Store) -> None:
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.keep_form(FORM, 2))
        write(store, lambda tx: tx.put_user(User("u-1", "u", "", True, NOW)))
        write(store, lambda tx: tx.keep_form(FORM, 2))
        write(store, lambda tx: tx.drop_kept_form("t-2"))
        assert read(store, lambda r: r.kept_form("t-1")) == FORM
        write(store, lambda tx: tx.delete_principal("u-1"))
        assert read(store, lambda r: r.kept_form("t-1")) is None
