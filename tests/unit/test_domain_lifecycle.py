"""The table of states: complete, and a request's moves are what its grants' moves amount to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from bascule.domain.grant import end, fail
from bascule.domain.lifecycle import (
    GRANT_BEGINNINGS,
    GRANT_TRANSITIONS,
    LIVE,
    REQUEST_BEGINNINGS,
    REQUEST_TRANSITIONS,
    REQUEST_UNSETTLED,
    STATES,
    UNKNOWN,
    UNSETTLED,
    GrantState,
    RequestState,
    StatusReason,
    request_state,
    worst,
)
from tests.samples import NOW, grant

OPENING, OPEN, FAILED, CLOSING, CLOSED = GrantState


def test_each_state_has_a_row_and_each_row_a_state() -> None:
    """A state that the table lacks would be shown, filtered and badged nowhere."""
    shown = {row.name for row in STATES.values() if row.shown_for is not None}
    assert {*GrantState, *RequestState} == set(STATES) - shown
    assert not shown & {*GrantState, *RequestState}


def test_what_lives_what_may_admit_and_what_is_over() -> None:
    """Only what is live is leased; what has ended may admit until it is read back closed."""
    assert {OPENING, OPEN} == LIVE
    assert {OPENING, OPEN, CLOSING} == UNSETTLED == {s for s in GrantState if STATES[s].may_admit}
    assert {str(state) for state in REQUEST_UNSETTLED} == {
        "waiting",
        "scheduled",
        *map(str, UNSETTLED),
    }
    assert GRANT_BEGINNINGS == (OPENING,)
    assert REQUEST_BEGINNINGS == (
        RequestState.WAITING,
        RequestState.SCHEDULED,
        RequestState.OPENING,
        RequestState.REFUSED,
    )


def test_a_refused_request_admits_nothing_and_goes_nowhere() -> None:
    """Closed unless opened on purpose: no move leads out of it, and none to it."""
    row = STATES[RequestState.REFUSED]
    assert row.status is None
    assert not any((row.is_live, row.may_admit, row.was_read_back))
    assert not any(RequestState.REFUSED in move for move in REQUEST_TRANSITIONS)


def test_without_grants_a_request_neither_lives_nor_admits() -> None:
    """What is open or may be is told by grants alone; a state that has none must not claim it."""
    without = [STATES[state] for state in RequestState if not STATES[state].has_grants]
    names = ["waiting", "scheduled", "refused", "denied", "lapsed", "withdrawn"]
    assert [row.name for row in without] == names
    assert not any(row.is_live or row.may_admit or row.was_read_back for row in without)
    assert all(STATES[state].has_grants for state in GrantState)


def test_what_can_still_move_is_not_settled() -> None:
    """A command that waits must not take a state for final that has a way out of it."""
    moving = [row for row in STATES.values() if row.grant_next or row.request_next]
    assert moving
    assert not any(row.is_settled for row in moving)


def test_what_is_shown_for_another_state_is_shown_to_azure_as_that_one() -> None:
    """Azure's clients see a status alone; silence of an agent does not change it."""
    for row in STATES.values():
        if row.shown_for is not None:
            meant = STATES[row.shown_for]
            assert (row.status, row.is_live) == (meant.status, meant.is_live)


def test_the_reason_of_the_table_is_the_reason_that_is_given() -> None:
    assert STATES[FAILED].reason is fail(grant(), "why", NOW).reason
    assert STATES[OPENING].reason is grant().reason
    assert end(grant(), StatusReason.EXPIRED, NOW).reason is StatusReason.EXPIRED
    assert STATES[CLOSING].reason is None


@pytest.mark.parametrize(
    ("grants", "state"),
    [
        ((OPEN, OPENING), RequestState.OPENING),
        ((CLOSED, OPEN, FAILED), RequestState.OPEN),
        ((CLOSED, CLOSING), RequestState.CLOSING),
        ((CLOSED, FAILED), RequestState.FAILED),
        ((CLOSED,), RequestState.CLOSED),
    ],
)
def test_the_worst_grant_speaks_for_its_request(
    grants: tuple[GrantState, ...], state: RequestState
) -> None:
    assert request_state(grants) is state
    assert worst(grants) == state


def test_a_requests_moves_are_those_that_its_grants_can_make() -> None:
    """Every set of up to four grants, every move of one of them: no more and no fewer."""
    found = {
        (request_state(was), request_state(became))
        for count in range(1, 5)
        for was in itertools.product(GrantState, repeat=count)
        for became in _moved(was)
    }
    pending = (RequestState.WAITING, RequestState.SCHEDULED)
    waiting = {(was, to) for was, to in REQUEST_TRANSITIONS if was in pending}
    assert {(was, to) for was, to in found if was is not to} == REQUEST_TRANSITIONS - waiting


def test_what_waits_opens_once_or_never() -> None:
    """And what was denied, lapsed or withdrawn never opens."""
    pending = {RequestState.WAITING, RequestState.SCHEDULED}
    never = {RequestState.DENIED, RequestState.LAPSED, RequestState.WITHDRAWN}
    for state in pending:
        ways = {to for was, to in REQUEST_TRANSITIONS if was is state}
        assert ways == {RequestState.OPENING, *never, *pending} - {state}
    back = {was for was, to in REQUEST_TRANSITIONS if to in pending}
    assert back == pending
    assert not any(was in never for was, _ in REQUEST_TRANSITIONS)


def _moved(grants: tuple[GrantState, ...]) -> Iterator[tuple[GrantState, ...]]:
    for place, state in enumerate(grants):
        for was, to in GRANT_TRANSITIONS:
            if was is state:
                yield (*grants[:place], to, *grants[place + 1 :])


def test_settled_is_what_is_known_to_be_closed_and_stays_so() -> None:
    """Ended at a silent agent is not known to be closed; nor is a state of a newer server."""
    settled = {row.name for row in STATES.values() if row.is_settled}
    assert settled == {"failed", "closed", "refused", "denied", "lapsed", "withdrawn"}
    assert not UNKNOWN.is_settled
    assert UNKNOWN.may_admit
