"""Access requests: newest first, filtered, paged, "since, or still live"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.grant import Grant, confirm_closed, confirm_open, end, fail
from bascule.domain.lifecycle import REQUEST_UNSETTLED, GrantState, RequestState, StatusReason
from bascule.domain.request import AccessRequest, refused
from bascule.errors import Conflict, Problem
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_policy_id,
    a_request,
    read,
    write,
)

MINUTE = timedelta(minutes=1)


def _found(store: Store, wanted: Callable[[Reader], Sequence[AccessRequest]]) -> list[str]:
    return [request.id for request in read(store, wanted)]


def _fill(tx: Transaction) -> None:
    """r1 (oldest) to r4; r1 and r3 on web-1, r1's grant is live; r2 on db-1, ended; r4 failed."""
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
    tx.add_grant(a_grant("g4", "r4", "far-1"))
    tx.update_grant(fail(a_grant("g4", "r4", "far-1"), "late", NOW), GrantState.OPENING)
    for grant in (a_grant("g2", "r2", "db-1"), a_grant("g3", "r3", "web-1")):
        ended = end(grant, StatusReason.USER_REQUESTED, NOW)
        tx.update_grant(ended, GrantState.OPENING)
        tx.update_grant(confirm_closed(ended), GrantState.CLOSING)


def _move_and_fail(tx: Transaction) -> None:
    tx.update_grant(confirm_open(a_grant("g1", "r1", "web-1")), GrantState.OPENING)
    raise Conflict("for whatever reason")


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
        over = [RequestState.CLOSED, RequestState.FAILED]
        assert _found(store, lambda r: r.requests(states=REQUEST_UNSETTLED)) == ["r1"]
        assert _found(store, lambda r: r.requests(states=over)) == ["r4", "r3", "r2"]
        assert _found(store, lambda r: r.requests(states=[RequestState.FAILED])) == ["r4"]
        assert _found(store, lambda r: r.requests(states=[])) == []

    def test_what_is_closing_counts_as_live_until_it_is_shut(self, store: Store) -> None:
        """It may still let in, and who looks at what is open wants to see it."""
        write(store, _fill)
        opening = a_grant("g5", "r5", "web-1")
        closing = end(opening, StatusReason.USER_REQUESTED, NOW)

        def work(tx: Transaction) -> None:
            tx.advance_generation("uid-web-1")
            tx.add_request(a_request("r5", NOW + 5 * MINUTE))
            tx.add_grant(opening)
            tx.update_grant(closing, GrantState.OPENING)

        write(store, work)
        assert _found(store, lambda r: r.requests(states=REQUEST_UNSETTLED)) == ["r5", "r1"]
        assert _found(store, lambda r: r.requests(since=NOW + 9 * MINUTE)) == ["r1"]
        write(store, lambda tx: tx.update_grant(confirm_closed(closing), GrantState.CLOSING))
        assert _found(store, lambda r: r.requests(states=REQUEST_UNSETTLED)) == ["r1"]

    def test_a_request_begins_with_its_grants(self, store: Store) -> None:
        """All of them carry the next generation of their machine, which is behind from then on."""
        asked = [a_grant("g1"), replace(a_grant("g2"), number=3389), a_grant("g3", machine="db-1")]

        def begin(tx: Transaction) -> Sequence[Grant]:
            for name in ("web-1", "db-1", "far-1"):
                tx.put_machine(a_machine(name))
                tx.put_enforcement_point(replace(a_point(f"uid-{name}"), observed_generation=7))
            tx.advance_generation("uid-web-1", beyond=6)
            return tx.begin_request(a_request(), asked)

        begun = write(store, begin)
        assert [each.generation for each in begun] == [8, 8, 1]
        assert list(read(store, lambda r: r.grants_of(["request-1"]))) == begun
        assert read(store, lambda r: r.request("request-1")) == a_request()
        assert read(store, lambda r: [r.generation(f"uid-{n}") for n in ("web-1", "far-1")]) == [
            8,
            0,
        ]
        listed = read(store, lambda r: r.listed_machines(ListFilter()))
        assert {each.machine.id.name: (each.is_behind, each.recent_requests) for each in listed} == {
            "db-1": (True, 1), "far-1": (False, 0), "web-1": (True, 1),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("request_", "grant"),
        [
            (a_request(), a_grant("g", "another-request")),
            (a_request(), replace(a_grant("g"), state=GrantState.OPEN)),
            (
                replace(a_request(), state=RequestState.OPEN),
                replace(a_grant("g"), state=GrantState.OPEN),
            ),
            (replace(a_request(), state=RequestState.REFUSED), a_grant("g")),
            (a_request("request-2"), a_grant("g", "request-2")),
            (a_request(), a_grant("known")),
        ],
    )
    def test_what_cannot_begin_is_not_written(
        self, store: Store, request_: AccessRequest, grant: Grant
    ) -> None:
        """Neither the request nor its grant, nor a generation that would carry it."""
        write(
            store,
            lambda tx: tx.begin_request(a_request("request-2"), [a_grant("known", "request-2")]),
        )
        with pytest.raises((Conflict, ValueError)):
            write(store, lambda tx: tx.begin_request(request_, [grant]))
        assert read(store, lambda r: r.request("request-1")) is None
        assert read(store, lambda r: r.generation("uid-web-1")) == 1
        assert [each.id for each in read(store, lambda r: r.live_grants())] == ["known"]

    def test_a_requests_state_follows_its_grants(self, store: Store) -> None:
        """Written with each move: whoever reads one sees the sum over the other."""
        one, other = a_grant("g1", "r1", "web-1"), a_grant("g2", "r1", "db-1")

        def begin(tx: Transaction) -> None:
            tx.add_request(a_request("r1"))
            tx.add_grant(one)
            tx.add_grant(other)

        write(store, begin)
        moves: list[tuple[Grant, GrantState, RequestState]] = [
            (confirm_open(one), GrantState.OPENING, RequestState.OPENING),
            (fail(other, "late", NOW), GrantState.OPENING, RequestState.OPEN),
            (end(one, StatusReason.EXPIRED, NOW), GrantState.OPEN, RequestState.CLOSING),
            (
                replace(one, state=GrantState.CLOSED, ended_at=NOW),
                GrantState.CLOSING,
                RequestState.FAILED,
            ),
        ]
        for grant, was, told in moves:
            write(store, lambda tx: tx.update_grant(grant, was))
            request = read(store, lambda r: r.request("r1"))
            assert request is not None
            assert request.state is told

    def test_a_move_that_is_undone_takes_the_requests_state_along(self, store: Store) -> None:
        write(store, _fill)
        with pytest.raises(Conflict):
            write(store, _move_and_fail)
        request = read(store, lambda r: r.request("r1"))
        assert request is not None
        assert request.state is RequestState.OPENING

    def test_a_refused_request_is_kept_and_opens_nothing(self, store: Store) -> None:
        """It is found by machine and by state, and in no list of what was granted."""
        no = refused(a_request("r"), [Problem("PortNotInPolicy", "No.")], "refused-1")

        def work(tx: Transaction) -> None:
            tx.put_machine(a_machine("web-1"))
            tx.add_request(no)

        write(store, work)
        assert read(store, lambda r: r.request("refused-1")) == no
        only = [RequestState.REFUSED]
        found = _found(store, lambda r: r.requests(states=only, machine_uid="uid-web-1"))
        assert found == ["refused-1"]
        assert _found(store, lambda r: r.requests(states=only, machine_uid="uid-db-1")) == []
        assert _found(store, lambda r: r.requests()) == []
        assert _found(store, lambda r: r.requests(since=NOW)) == []
        with pytest.raises(Conflict, match="refused"):
            write(store, lambda tx: tx.add_grant(a_grant("g", "refused-1")))
        assert read(store, lambda r: r.grants_of(["refused-1"])) == []

    def test_no_grant_comes_to_a_request_that_is_over(self, store: Store) -> None:
        write(store, _fill)
        with pytest.raises(Conflict, match="closed"):
            write(store, lambda tx: tx.add_grant(a_grant("late", "r2")))

    def test_refused_requests_of_a_requestor_are_bounded(self, store: Store) -> None:
        """The oldest give way; what was granted, and what others asked, stays."""
        write(store, _fill)

        def refuse(name: str, minute: int, who: str) -> None:
            asked = a_request("r", NOW + minute * MINUTE, requestor_id=who)
            no = refused(asked, [Problem("PortNotInPolicy", "No.")], name)

            def work(tx: Transaction) -> None:
                tx.add_request(no)
                tx.forget_refused(who, 2)

            write(store, work)

        write(store, lambda tx: tx.put_machine(a_machine("web-1")))
        for number in range(5):
            refuse(f"a{number}", number, "ada")
        refuse("b0", 0, "bob")
        only = [RequestState.REFUSED]
        assert _found(store, lambda r: r.requests(states=only)) == ["a4", "a3", "b0"]
        on_web = _found(store, lambda r: r.requests(states=only, machine_uid="uid-web-1"))
        assert on_web == ["a4", "a3", "b0"]
        assert _found(store, lambda r: r.requests()) == ["r4", "r3", "r2", "r1"]

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
