"""A contact moves forward, and by the present key alone."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.machine import EnforcementPoint
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Transaction
from bascule.services.contacts import Contacts
from bascule.store.open import open_store
from tests.contracts.store.samples import a_machine

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SILENCE = timedelta(seconds=30)
seconds = st.integers(-200, 50).map(lambda count: NOW + timedelta(seconds=count))


def _put(contact: Contact, tx: Transaction) -> None:
    tx.put_contacts([contact], NOW, SILENCE)


@given(
    st.lists(st.tuples(seconds, st.sampled_from(["key", "stolen"])), max_size=6),
    st.none() | st.integers(-300, 300),
    st.booleans(),
)
def test_what_is_stored_moves_forward_by_the_present_key_alone(
    told: list[tuple[datetime, str]], stored: int | None, is_silent: bool
) -> None:
    """After SILENCE only where no noting says that the point is silent."""
    last = None if stored is None else NOW + timedelta(seconds=stored)
    point = EnforcementPoint("uid-web-1", "key", NOW - SILENCE, last_contact_at=last)
    with closing(open_store(None)) as store:
        asyncio.run(store.write(lambda tx: tx.put_machine(a_machine())))
        asyncio.run(store.write(lambda tx: tx.put_enforcement_point(point)))
        if is_silent:
            asyncio.run(store.write(lambda tx: tx.mark_silent({"uid-web-1"})))
        for at, key in told:
            contact = Contact("uid-web-1", key, at)
            asyncio.run(store.write(partial(_put, contact)))
            limit = last + SILENCE if last and is_silent else NOW + SILENCE * 100
            if key == "key" and last and (last > NOW or last < at <= limit):
                last = at
            found = asyncio.run(store.read(lambda reader: reader.agent_of("uid-web-1")))
            assert found == replace(point, last_contact_at=last)


@given(st.lists(st.tuples(seconds, st.sampled_from(["key", "stolen"])), min_size=1, max_size=6))
def test_of_what_is_kept_the_newest_of_each_key_counts_in_whatever_order(
    told: list[tuple[datetime, str]],
) -> None:
    contacts = Contacts()
    for at, key in told:
        contacts.note(Contact("u", key, at))
    kept = {each.public_key: each.at for each in contacts.take()}
    assert kept == {key: max(at for at, k in told if k == key) for _, key in told}
    assert not contacts.take()


@given(seconds, seconds)
def test_what_could_not_be_stored_overtakes_nothing_newer(
    first: datetime, second: datetime
) -> None:
    contacts = Contacts()
    contacts.note(Contact("u", "key", first))
    taken = contacts.take()
    contacts.note(Contact("u", "key", second))
    contacts.give_back(taken)
    assert [each.at for each in contacts.take()] == [max(first, second)]
