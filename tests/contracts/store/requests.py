"""Access requests: newest first, filtered, paged, "since, or still live"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.grant import confirm_closed, end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.request import AccessRequest
from bascule.errors import Conflict
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_policy_id,
    a_request,
    read,
    write,
)

MINUTE = timedelta(minutes=1)


def _found(store: Store, wanted: Callable[[Reader], Sequence[AccessRequest]]) -> list[str]:
    return [request.id for request in read(store, wanted)]


def _fill(tx: Transaction) -> None:
    """r1 (oldest) to r4; r1 and r3 on web-1, r1's grant is live; r2 on db-1, ended; r4 on none."""
    for number, requestor, policy in (
        (1, "ada", "p"),
        (2, "bob", "p"),
        (3, "ada", "Q"),
        (4, "bob", "Q"),
    ):
        tx.add_request(a_request(f"r{number}", NOW + number * MINUTE, policy, requestor))
    tx.add_grant(a_grant("g1", "r1", "web-1"))
    tx.add_grant(a_grant("g1b", "r1", "web-1"))
    tx.add_grant(a_grant("g2", "r2", "db-1"))
    tx.add_grant(a_grant("g3", "r3", "web-1"))
    for grant in (a_grant("g2", "r2", "db-1"), a_grant("g3", "r3", "web-1")):
        ended = end(grant, StatusReason.USER_REQUESTED, NOW)
        tx.update_grant(ended, GrantState.OPENING)
        tx.update_grant(confirm_closed(ended), GrantState.CLOSING)


class RequestContract:
    def test_a_request_comes_back_as_it_was_added(self, store: Store) -> None:
        bare = replace(a_request("bare"), justification=None, machines=())
        for request in (a_request(), bare):
            write(store, lambda tx: tx.add_request(request))
            assert read(store, lambda r: r.request(request.id)) == request
        assert read(store, lambda r: r.request("other")) is None
        whole = read(store, lambda r: r.request("request-1"))
        assert whole is not None
        assert str(whole.policy_id) == str(a_policy_id())

    def test_several_requests_are_read_at_once(self, store: Store) -> None:
        write(store, _fill)
        found = read(store, lambda r: r.requests_of(["r1", "r3", "r9"]))
        one, three = (read(store, lambda r: r.request(each)) for each in ("r1", "r3"))
        assert dict(found) == {"r1": one, "r3": three}
        assert not read(store, lambda r: r.requests_of([]))

    def test_a_request_is_added_once(self, store: Store) -> None:
        write(store, lambda tx: tx.add_request(a_request()))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.add_request(a_request()))

    def test_requests_come_newest_first(self, store: Store) -> None:
        write(store, _fill)
        assert _found(store, lambda r: r.requests()) == ["r4", "r3", "r2", "r1"]
        assert _found(store, lambda r: r.requests(limit=2)) == ["r4", "r3"]

    def test_requests_are_filtered_by_policy_machine_and_requestor(self, store: Store) -> None:
        write(store, _fill)
        assert _found(store, lambda r: r.requests(policy_id=a_policy_id("P"))) == ["r2", "r1"]
        assert _found(store, lambda r: r.requests(machine_uid="uid-web-1")) == ["r3", "r1"]
        assert _found(store, lambda r: r.requests(requestor_id="bob")) == ["r4", "r2"]
        both = _found(
            store, lambda r: r.requests(policy_id=a_policy_id("q"), machine_uid="uid-web-1")
        )
        assert both == ["r3"]
        assert _found(store, lambda r: r.requests(machine_uid="uid-web")) == []
        assert (
            _found(store, lambda r: r.requests(machine_uid="uid-web-1", requestor_id="bob")) == []
        )

    def test_since_keeps_the_later_ones_and_those_still_live(self, store: Store) -> None:
        write(store, _fill)

        def since(at: datetime) -> list[str]:
            return _found(store, lambda r: r.requests(since=at))

        assert since(NOW + 3 * MINUTE) == ["r4", "r3", "r1"], "inclusive, and r1 is live"
        assert since(NOW + 3 * MINUTE + timedelta(microseconds=1)) == ["r4", "r1"]
        assert since(NOW + 9 * MINUTE) == ["r1"]
        mine = _found(store, lambda r: r.requests(since=NOW + 9 * MINUTE, requestor_id="bob"))
        assert mine == [], "a live one of somebody else is not mine"

    def test_live_ones_and_the_others(self, store: Store) -> None:
        write(store, _fill)
        assert _found(store, lambda r: r.requests(is_live=True)) == ["r1"]
        assert _found(store, lambda r: r.requests(is_live=False)) == ["r4", "r3", "r2"]

    def test_what_is_closing_counts_as_live_until_it_is_shut(self, store: Store) -> None:
        """It may still let in, and who looks at what is open wants to see it."""
        write(store, _fill)
        opening = a_grant("g4", "r4", "web-1")
        closing = end(opening, StatusReason.USER_REQUESTED, NOW)

        def work(tx: Transaction) -> None:
            tx.advance_generation("uid-web-1")
            tx.add_grant(opening)
            tx.update_grant(closing, GrantState.OPENING)

        write(store, work)
        assert _found(store, lambda r: r.requests(is_live=True)) == ["r4", "r1"]
        assert _found(store, lambda r: r.requests(since=NOW + 9 * MINUTE)) == ["r1"]
        write(store, lambda tx: tx.update_grant(confirm_closed(closing), GrantState.CLOSING))
        assert _found(store, lambda r: r.requests(is_live=True)) == ["r1"]

    def test_pages_meet_without_gap_or_repetition_among_equal_instants(self, store: Store) -> None:
        names = [f"same-{number}" for number in range(5)]
        for name in names:
            write(store, lambda tx: tx.add_request(a_request(name)))
        write(store, lambda tx: tx.add_request(a_request("newer", NOW + MINUTE)))
        paged: list[AccessRequest] = []
        while page := read(
            store,
            lambda r: r.requests(
                after=(paged[-1].started_at, paged[-1].id) if paged else None, limit=2
            ),
        ):
            paged.extend(page)
        assert [request.id for request in paged] == ["newer", *reversed(names)]
