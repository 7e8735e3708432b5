"""What is open now: whose it is, in which order, and what a caller may see of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bascule.domain.grant import Grant, confirm_closed, confirm_open, end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope
from bascule.interfaces.openings import OpenFilter, OpenOrder, OpenPlace
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    SUBSCRIPTION,
    a_grant,
    a_machine,
    a_request,
    an_id,
    read,
    write,
)


def _fill(store: Store) -> None:
    """Ada has two on web-1 and one on db-1 (of another group), Bob one on web-1."""
    grants = [
        a_grant("ada web late", ends_at=NOW + 2 * HOUR),
        a_grant("ada web", ends_at=NOW + HOUR),
        replace(a_grant("ada db", machine="db-1"), machine_id=an_id("db-1", "other")),
        replace(a_grant("bob web"), requestor_id="bob", requestor="Bob"),
    ]

    def work(tx: Transaction) -> None:
        tx.put_machine(a_machine())
        tx.put_machine(a_machine("db-1", group="other"))
        tx.add_request(a_request())
        for grant in grants:
            tx.add_grant(grant)

    write(store, work)


def _ids(found: Sequence[tuple[OpenPlace, Grant]]) -> list[str]:
    return [grant.id for _, grant in found]


def _open(store: Store, wanted: OpenFilter) -> list[str]:
    return _ids(read(store, lambda r: r.open_grants(wanted)))


class OpeningContract:
    def test_open_grants_by_person_and_by_machine(self, store: Store) -> None:
        _fill(store)
        by_person = ["ada web", "ada db", "ada web late", "bob web"]
        by_machine = ["ada web", "bob web", "ada web late", "ada db"]
        assert _open(store, OpenFilter()) == by_person
        assert _open(store, OpenFilter(order=OpenOrder.MACHINE)) == by_machine
        counts = read(store, lambda r: r.open_counts(OpenFilter()))
        assert counts == {"ada": 3, "bob": 1}
        at = read(store, lambda r: r.open_counts(OpenFilter(order=OpenOrder.MACHINE)))
        assert at == {"uid-web-1": 3, "uid-db-1": 1}

    def test_open_grants_go_on_after_any_of_them(self, store: Store) -> None:
        _fill(store)
        for order in OpenOrder:
            wanted = OpenFilter(order=order)
            whole = read(store, lambda r: r.open_grants(wanted))
            for place in range(len(whole)):
                rest = read(store, lambda r: r.open_grants(wanted, whole[place][0]))
                assert _ids(rest) == _ids(whole[place + 1 :])
            assert _ids(read(store, lambda r: r.open_grants(wanted, limit=2))) == _ids(whole[:2])
            turned = OpenFilter(order=order, is_descending=True)
            assert _open(store, turned) == _ids(whole)[::-1]
            for place in range(len(whole)):
                rest = read(store, lambda r: r.open_grants(turned, whole[place][0]))
                assert _ids(rest) == _ids(whole[:place])[::-1]

    def test_open_grants_are_live_or_closing(self, store: Store) -> None:
        _fill(store)
        grant = a_grant("ada web")
        opened = confirm_open(grant)
        closing = end(opened, StatusReason.USER_REQUESTED, NOW)
        closed = confirm_closed(closing)
        for before, after in ((grant, opened), (opened, closing), (closing, closed)):
            write(store, lambda tx: tx.update_grant(after, before.state))
            is_there = "ada web" in _open(store, OpenFilter())
            assert is_there is (after.state is not GrantState.CLOSED), after.state

    def test_open_grants_within_what_may_be_seen(self, store: Store) -> None:
        """Where the right is held, and one's own wherever they are."""
        _fill(store)
        other = Reach(frozenset({group_scope(SUBSCRIPTION, "other").key}))
        web = Reach(frozenset({an_id("web-1").key}))
        nothing = Reach(frozenset())
        assert _open(store, OpenFilter(within=other)) == ["ada db"]
        assert _open(store, OpenFilter(within=other, own_id="bob")) == ["ada db", "bob web"]
        assert _open(store, OpenFilter(within=web)) == ["ada web", "ada web late", "bob web"]
        assert _open(store, OpenFilter(within=nothing)) == []
        assert _open(store, OpenFilter(within=nothing, own_id="bob")) == ["bob web"]
        assert read(store, lambda r: r.open_counts(OpenFilter(within=other))) == {"ada": 1}

    def test_open_grants_of_one_and_by_a_part_of_a_name(self, store: Store) -> None:
        _fill(store)
        assert _open(store, OpenFilter(requestor_id="bob")) == ["bob web"]
        assert _open(store, OpenFilter(machine_uid="uid-db-1")) == ["ada db"]
        assert _open(store, OpenFilter(text="LOVE", machine_uid="uid-db-1")) == ["ada db"]
        assert _open(store, OpenFilter(text="db-")) == ["ada db"]
        for text in ("%", "_", "default", "other"):  # no pattern, and no other part of the id
            assert _open(store, OpenFilter(text=text)) == []
