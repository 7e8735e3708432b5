"""Grants: the moves of their life, and the lists that the loop and the agents live on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import pytest

from bascule.domain.grant import Grant, confirm_closed, confirm_open, due_at, end, extend_to, fail
from bascule.domain.lifecycle import GRANT_TRANSITIONS, GrantState, StatusReason
from bascule.domain.machine import OnExpiry
from bascule.errors import Conflict, NotFound
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_request,
    read,
    write,
)

# How to bring a fresh grant into each state, by moves that are allowed.
PATHS = {
    GrantState.OPENING: (),
    GrantState.OPEN: (GrantState.OPEN,),
    GrantState.FAILED: (GrantState.FAILED,),
    GrantState.CLOSING: (GrantState.CLOSING,),
    GrantState.CLOSED: (GrantState.CLOSING, GrantState.CLOSED),
}


def _ids(grants: Sequence[Grant]) -> list[str]:
    return [grant.id for grant in grants]


def _add(store: Store, *grants: Grant, request_id: str = "request-1") -> None:
    def work(tx: Transaction) -> None:
        if tx.request(request_id) is None:
            tx.add_request(a_request(request_id))
        for grant in grants:
            tx.add_grant(replace(grant, request_id=request_id))

    write(store, work)


def _only(store: Store) -> Grant:
    (grant,) = read(store, lambda r: r.grants_of(["request-1"]))
    return grant


def _update(grant: Grant, was: GrantState, tx: Transaction) -> None:
    tx.update_grant(grant, was)


def _end(store: Store, grant: Grant) -> Grant:
    ended = end(grant, StatusReason.USER_REQUESTED, NOW)
    write(store, lambda tx: tx.update_grant(ended, grant.state))
    return ended


class GrantContract:
    def test_a_grant_comes_back_as_it_was_added(self, store: Store) -> None:
        _add(store, a_grant())
        assert _only(store) == a_grant()
        assert str(_only(store).machine_id) == str(a_grant().machine_id)

    def test_a_grant_is_added_once_for_a_request_that_exists_and_begins_opening(
        self, store: Store
    ) -> None:
        _add(store, a_grant())
        open_from_nowhere = replace(a_grant("g2"), state=GrantState.OPEN)
        for refused in (a_grant(), a_grant("g2", "no-such-request"), open_from_nowhere):
            with pytest.raises(Conflict):
                write(store, lambda tx: tx.add_grant(refused))
        assert _only(store) == a_grant()

    def test_all_that_may_change_in_a_grants_life_is_written(self, store: Store) -> None:
        _add(store, a_grant())
        changed = replace(
            a_grant(),
            ends_at=NOW + 2 * HOUR,
            ends_at_text="another spelling",
            generation=9,
            extension=2,
            max_duration=HOUR,
            on_expiry=OnExpiry.KEEP,
        )
        write(store, lambda tx: tx.update_grant(changed, GrantState.OPENING))
        assert _only(store) == changed
        failed = fail(changed, "The agent is away.", NOW + HOUR)
        write(store, lambda tx: tx.update_grant(failed, GrantState.OPENING))
        assert _only(store) == failed

    def test_the_whole_life(self, store: Store) -> None:
        _add(store, a_grant())
        opened = confirm_open(a_grant())
        extended = extend_to(opened, replace(opened, ends_at=NOW + 2 * HOUR))
        ended = end(extended, StatusReason.NEWER_REQUEST_INITIATED, NOW + HOUR)
        for before, after in (
            (a_grant(), opened),
            (opened, extended),
            (extended, ended),
            (ended, confirm_closed(ended)),
        ):
            write(store, lambda tx: tx.update_grant(after, before.state))
            assert _only(store) == after

    def test_orphans_are_what_is_closing_where_there_is_no_point(self, store: Store) -> None:
        """Of a machine that was deleted, or that never had an agent; earliest end first."""
        grants = [
            a_grant("deleted", machine="old-1", ends_at=NOW + 2 * HOUR),
            a_grant("never enrolled", machine="new-1"),
            a_grant("enrolled", machine="web-1"),
            a_grant("still open", machine="old-1"),
            a_grant("shut already", machine="old-1"),
        ]
        _add(store, *grants)

        def work(tx: Transaction) -> None:
            for name in ("old-1", "new-1", "web-1"):
                tx.put_machine(a_machine(name))
                tx.advance_generation(f"uid-{name}")
            for name in ("old-1", "web-1"):
                tx.put_enforcement_point(a_point(f"uid-{name}"))
            tx.delete_machine("uid-old-1")

        write(store, work)
        for grant in (*grants[:3], grants[4]):
            ended = _end(store, grant)
        write(store, lambda tx: tx.update_grant(confirm_closed(ended), GrantState.CLOSING))
        assert _ids(read(store, lambda r: r.orphaned_grants())) == ["never enrolled", "deleted"]

    def test_withdrawn_is_what_is_closing_and_was_withdrawn_from_some_point(
        self, store: Store
    ) -> None:
        grants = [
            replace(a_grant("late", ends_at=NOW + 2 * HOUR), withdrawn={"gw-1": "It is silent."}),
            replace(a_grant("early"), withdrawn={"gw-1": ""}),
            a_grant("nowhere"),
            replace(a_grant("still open"), withdrawn={"gw-1": ""}),
            replace(a_grant("shut already"), withdrawn={"gw-1": ""}),
        ]
        _add(store, *grants)
        for grant in (*grants[:3], grants[4]):
            ended = _end(store, grant)
        write(store, lambda tx: tx.update_grant(confirm_closed(ended), GrantState.CLOSING))
        assert _ids(read(store, lambda r: r.withdrawn_grants())) == ["early", "late"]

    @pytest.mark.parametrize(("old", "new"), list(product(GrantState, GrantState)))
    def test_only_the_moves_of_the_table_are_made(
        self, store: Store, old: GrantState, new: GrantState
    ) -> None:
        """A move to the state it is in already is no move: it changes other fields alone."""
        grant = a_grant()
        _add(store, grant)
        for state in PATHS[old]:
            moved = replace(grant, state=state)
            write(store, lambda tx: tx.update_grant(moved, grant.state))
            grant = moved
        wanted = replace(grant, state=new, generation=77)
        if old is new or (old, new) in GRANT_TRANSITIONS:
            write(store, lambda tx: tx.update_grant(wanted, old))
            assert _only(store) == wanted
        else:
            with pytest.raises(Conflict) as refusal:
                write(store, lambda tx: tx.update_grant(wanted, old))
            assert refusal.value.specific_code == "IllegalTransition"
            assert _only(store) == grant

    def test_of_two_who_move_a_grant_the_second_is_refused(self, store: Store) -> None:
        _add(store, a_grant())
        _end(store, a_grant())
        with pytest.raises(Conflict) as refusal:
            write(store, lambda tx: tx.update_grant(confirm_open(a_grant()), GrantState.OPENING))
        assert "closing" in refusal.value.message
        assert _only(store).state is GrantState.CLOSING

    def test_more_than_one_statement_can_name_keeps_the_order(self, store: Store) -> None:
        """A list is cut into pieces; what comes back is ordered as a whole."""
        late, soon = a_grant("late", ends_at=NOW + HOUR), a_grant("soon", ends_at=NOW)
        _add(store, a_grant("first"), request_id="z")
        _add(store, replace(late, machine_uid="a"), replace(soon, machine_uid="z"), request_id="a")
        uids = ["a", *(f"n{number}" for number in range(1200)), "z"]
        assert _ids(read(store, lambda r: r.live_grants(uids))) == ["soon", "late"]
        assert _ids(read(store, lambda r: r.grants_of(uids))) == ["first", "late", "soon"]

    def test_a_grant_that_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            write(store, lambda tx: tx.update_grant(a_grant(), GrantState.OPENING))
        with pytest.raises(NotFound):
            write(store, lambda tx: tx.mark_cut("grant-1", NOW))

    def test_grants_of_requests_come_in_the_order_of_adding(self, store: Store) -> None:
        _add(store, a_grant("z"), a_grant("a"))
        _add(store, a_grant("m"), request_id="request-2")
        _add(store, a_grant("b"))
        _add(store, a_grant("other"), request_id="request-3")
        found = read(store, lambda r: r.grants_of(["request-2", "request-1", "no-such"]))
        assert _ids(found) == ["z", "a", "m", "b"]
        assert not read(store, lambda r: r.grants_of([]))

    @pytest.mark.parametrize(
        "now", [NOW + timedelta(seconds=each) for each in (-3600, -61, -60, 0, 1, 59, 60, 61, 9000)]
    )
    def test_what_is_due_is_what_the_domain_says(self, store: Store, now: datetime) -> None:
        """``domain.grant.due_at`` is asked of each in the one, of an index in the other."""
        soon = a_grant("soon", ends_at=NOW + timedelta(seconds=1))
        late = a_grant("late", ends_at=NOW + HOUR)
        begun = replace(a_grant("begun", ends_at=NOW + HOUR), started_at=NOW + HOUR / 2)
        both = (a_grant("open", ends_at=NOW + HOUR), a_grant("over", ends_at=NOW))
        _add(store, late, soon, begun, a_grant("ended"), *both)
        for each in both:
            write(store, lambda tx: tx.update_grant(confirm_open(each), GrantState.OPENING))
        _end(store, a_grant("ended"))
        live = read(store, lambda r: r.live_grants())
        assert {each.id for each in live} == {"soon", "late", "begun", "open", "over"}
        wanted = [each.id for each in live if due_at(each, now) <= now]
        assert _ids(read(store, lambda r: r.due_grants(now))) == wanted
        first = read(store, lambda r: r.next_due_grant(now))
        assert first == min(due_at(each, now) for each in live) or (
            first is not None and first <= now and bool(wanted)
        )

    def test_nothing_that_lives_is_never_due(self, store: Store) -> None:
        assert read(store, lambda r: r.next_due_grant(NOW)) is None
        assert not read(store, lambda r: r.due_grants(NOW))

    def test_live_grants_are_opening_and_open_ones_ordered_by_end(self, store: Store) -> None:
        late = a_grant("late", ends_at=NOW + 2 * HOUR)
        soon = a_grant("soon", ends_at=NOW + timedelta(seconds=1))
        _add(store, late, soon, a_grant("ended"), a_grant("failed"), a_grant("db", machine="db-1"))
        write(store, lambda tx: tx.update_grant(confirm_open(soon), GrantState.OPENING))
        _end(store, a_grant("ended"))
        write(
            store, lambda tx: tx.update_grant(fail(a_grant("failed"), "x", NOW), GrantState.OPENING)
        )
        assert _ids(read(store, lambda r: r.live_grants())) == ["soon", "db", "late"]
        assert _ids(read(store, lambda r: r.live_grants(["uid-web-1"]))) == ["soon", "late"]
        both = read(store, lambda r: r.live_grants(["uid-db-1", "uid-web-1", "uid-none"]))
        assert _ids(both) == ["soon", "db", "late"]
        assert not read(store, lambda r: r.live_grants([]))
        assert not read(store, lambda r: r.live_grants(["uid-web"]))

    def test_unsettled_grants_are_live_and_closing_ones(self, store: Store) -> None:
        _add(store, a_grant("opening"), a_grant("closing"), a_grant("closed"), a_grant("failed"))
        _add(store, a_grant("elsewhere", machine="db-1"))
        _end(store, a_grant("closing"))
        closing = _end(store, a_grant("closed"))
        write(store, lambda tx: tx.update_grant(confirm_closed(closing), GrantState.CLOSING))
        write(
            store, lambda tx: tx.update_grant(fail(a_grant("failed"), "x", NOW), GrantState.OPENING)
        )
        unsettled = _ids(read(store, lambda r: r.unsettled_grants("uid-web-1")))
        assert unsettled == ["opening", "closing"]

    def test_cut_grants_are_those_marked_lately_whenever_they_ended(self, store: Store) -> None:
        _add(store, a_grant("cut"), a_grant("ended"))
        _add(store, a_grant("elsewhere", machine="db-1"))
        _end(store, a_grant("cut"))
        _end(store, a_grant("ended"))
        _end(store, a_grant("elsewhere", machine="db-1"))
        for grant_id in ("cut", "elsewhere"):
            write(store, lambda tx: tx.mark_cut(grant_id, NOW + HOUR))
        (cut,) = read(store, lambda r: r.cut_grants("uid-web-1", NOW + HOUR))
        assert (cut.id, cut.ended_at, cut.cut_at) == ("cut", NOW, NOW + HOUR)
        later = NOW + HOUR + timedelta(microseconds=1)
        assert not read(store, lambda r: r.cut_grants("uid-web-1", later))
        write(store, lambda tx: tx.mark_cut("ended", later))
        write(store, lambda tx: tx.mark_cut("cut", later))
        both = read(store, lambda r: r.cut_grants("uid-web-1", later))
        assert _ids(both) == ["cut", "ended"], "the last mark is the one that counts"

    def test_cut_grants_of_a_generation_are_those_above_it(self, store: Store) -> None:
        _add(store, a_grant("heard"), a_grant("unheard"))
        for grant_id, generation in (("heard", 7), ("unheard", 8)):
            ended = replace(_end(store, a_grant(grant_id)), generation=generation)
            write(store, lambda tx: tx.update_grant(ended, GrantState.CLOSING))
            write(store, lambda tx: tx.mark_cut(grant_id, NOW))
        assert _ids(read(store, lambda r: r.cut_grants("uid-web-1", NOW, 7))) == ["unheard"]
        later = NOW + timedelta(microseconds=1)
        assert not read(store, lambda r: r.cut_grants("uid-web-1", later, 7))

    def test_a_mark_outlives_later_moves(self, store: Store) -> None:
        _add(store, a_grant())
        closing = _end(store, a_grant())
        write(store, lambda tx: tx.mark_cut("grant-1", NOW))
        write(store, lambda tx: tx.update_grant(confirm_closed(closing), GrantState.CLOSING))
        assert _ids(read(store, lambda r: r.cut_grants("uid-web-1", NOW))) == ["grant-1"]

    def test_draining_ones_are_those_that_time_ended_until_they_are_cut(self, store: Store) -> None:
        """At a machine, and of who asked for them."""
        drains = partial(replace, on_expiry=OnExpiry.DRAIN, drain_for=HOUR, ends_at=NOW)
        names = ("first", "second", "cut", "revoked", "lives", "kept")
        every = {name: drains(a_grant(name)) for name in names}
        every["second"] = replace(every["second"], requestor_id="another")
        every["kept"] = replace(every["kept"], drain_for=None)
        _add(store, *every.values())
        over = {name: end(each, StatusReason.EXPIRED, NOW) for name, each in every.items()}
        for name in ("first", "second", "cut", "kept"):
            write(store, lambda tx: tx.update_grant(over[name], GrantState.OPENING))
        _end(store, every["revoked"])
        closed = confirm_closed(over["second"])
        write(store, lambda tx: tx.update_grant(closed, GrantState.CLOSING))

        def found(now: datetime = NOW) -> list[list[str]]:
            one = every["first"].requestor_id
            return [
                _ids(read(store, lambda r: r.told_grants("uid-web-1", now, now, now, 99)).draining),
                _ids(read(store, lambda r: r.draining_grants_of(None, now))),
                _ids(read(store, lambda r: r.draining_grants_of([one], now))),
                _ids(read(store, lambda r: r.draining_grants_of(["another", "nobody"], now))),
                _ids(read(store, lambda r: r.draining_grants_of([], now))),
            ]

        three = ["first", "second", "cut"]
        assert found() == [three, three, ["first", "cut"], ["second"], []]
        write(store, lambda tx: tx.mark_cut("cut", NOW))
        both = ["first", "second"]
        assert found() == [both, both, ["first"], ["second"], []]
        assert found(NOW + HOUR) == [[], [], [], [], []]

    def test_grants_outlive_their_machine(self, store: Store) -> None:
        _add(store, a_grant())
        write(store, lambda tx: tx.delete_machine("uid-web-1"))
        assert _only(store) == a_grant()

    def test_what_somebody_held_there_is_told_by_person_machine_and_time(
        self, store: Store
    ) -> None:
        """Rules that read how long count it: what is left out would let them be passed."""
        live = a_grant("live")
        ended = replace(a_grant("ended"), started_at=NOW - 4 * HOUR, ends_at=NOW + HOUR)
        too_old = replace(a_grant("too-old"), started_at=NOW - 9 * HOUR)
        failed = a_grant("failed")
        elsewhere = a_grant("elsewhere", machine="web-2")
        of_another = replace(a_grant("of-another"), requestor_id="ben")
        _add(store, live, ended, too_old, failed, elsewhere, of_another)
        for grant, at in ((ended, NOW - 2 * HOUR), (too_old, NOW - 3 * HOUR)):
            over = end(grant, StatusReason.USER_REQUESTED, at)
            write(store, partial(_update, over, grant.state))
        write(store, lambda tx: tx.update_grant(fail(failed, "NotOpened", NOW), failed.state))
        held = read(store, lambda r: r.held_since("ada", ["uid-web-1"], NOW - 2 * HOUR))
        assert {uid: sorted(spans) for uid, spans in held.items()} == {
            "uid-web-1": [(ended.started_at, NOW - 2 * HOUR), (NOW, NOW + HOUR)]
        }
