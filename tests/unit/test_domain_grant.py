"""The life of a grant: every pair of states is either a move of the table or refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.exposure import END_BELIEVED_AFTER
from bascule.domain.grant import (
    LONGEST_WARNING,
    Grant,
    confirm_closed,
    confirm_open,
    cut_to,
    end,
    extend_to,
    fail,
    is_believed_over,
    move,
)
from bascule.domain.lifecycle import GRANT_TRANSITIONS, GrantState, Status, StatusReason
from bascule.domain.net import PortKey, RuleProtocol
from bascule.errors import Conflict
from tests.samples import BOB_HOST, HOUR, NOW, TCP, UDP, grant, prefixes

OPENING, OPEN, FAILED, CLOSING, CLOSED = GrantState


@pytest.mark.parametrize(("was", "to"), list(itertools.product(GrantState, GrantState)))
def test_a_grant_moves_along_the_table_only(was: GrantState, to: GrantState) -> None:
    """Twenty-five pairs, five moves: an ended grant never lives again, whoever asks."""
    begun = replace(grant(), state=was)
    allowed = {
        (OPENING, OPEN),
        (OPENING, FAILED),
        (OPENING, CLOSING),
        (OPEN, CLOSING),
        (CLOSING, CLOSED),
    }
    assert allowed == GRANT_TRANSITIONS
    if (was, to) in allowed:
        assert move(begun, to).state is to
    else:
        with pytest.raises(Conflict) as refused:
            move(begun, to)
        assert refused.value.specific_code == "IllegalTransition"


@pytest.mark.parametrize(
    ("state", "status", "live"),
    [
        (OPENING, Status.INITIATING, True),
        (OPEN, Status.INITIATED, True),
        (FAILED, Status.REVOKED, False),
        (CLOSING, Status.REVOKED, False),
        (CLOSED, Status.REVOKED, False),
    ],
)
def test_what_azure_calls_it(state: GrantState, status: Status, live: bool) -> None:
    """Initiated is said only of what was read back in force (ARCHITECTURE rule 4)."""
    begun = replace(grant(), state=state)
    assert (begun.status, begun.is_live) == (status, live)


def test_an_ended_grant_says_why_and_when() -> None:
    """The activity log and Azure's statusReason come from here."""
    over = end(confirm_open(grant()), StatusReason.NEWER_REQUEST_INITIATED, NOW)
    assert (over.state, over.reason, over.ended_at) == (
        CLOSING,
        StatusReason.NEWER_REQUEST_INITIATED,
        NOW,
    )
    assert confirm_closed(over).state is CLOSED


def test_a_failed_grant_says_why() -> None:
    """A person who waited a minute for nothing must be told the reason."""
    failed = fail(grant(), "the agent is away", NOW)
    assert (failed.state, failed.reason, failed.failure, failed.ended_at) == (
        FAILED,
        StatusReason.EXPIRED,
        "the agent is away",
        NOW,
    )


@pytest.mark.parametrize("act", [confirm_open, confirm_closed])
def test_what_is_closed_is_not_confirmed_again(act: Callable[[Grant], Grant]) -> None:
    """A late report of an agent changes nothing about a grant that is over."""
    with pytest.raises(Conflict):
        act(replace(grant(), state=CLOSED))


def test_cutting_only_shortens() -> None:
    """A policy that is narrowed must not lengthen what it cuts (EDGES A11)."""
    begun = grant(span=HOUR)
    sooner = NOW + timedelta(minutes=5)
    assert cut_to(begun, sooner, "sooner").ends_at == sooner
    assert cut_to(begun, sooner, "sooner").ends_at_text == "sooner"
    assert cut_to(begun, sooner, "sooner").extension == 0
    assert cut_to(begun, begun.ends_at, "same") is begun
    assert cut_to(begun, begun.ends_at + HOUR, "later") is begun


@pytest.mark.parametrize("state", [OPENING, OPEN])
def test_extending_is_recorded(state: GrantState) -> None:
    """Without the count an enforcement point would not lengthen a lease (EDGES A8); without
    the maximum, a later and shorter one would not be known to be shorter (EDGES A11).
    """
    begun, later = replace(grant(), state=state), NOW + 2 * HOUR
    granted = replace(
        grant(), id="new", max_duration=24 * HOUR, ends_at=later, ends_at_text="later"
    )
    longer = extend_to(begun, granted)
    assert longer == replace(
        begun, max_duration=24 * HOUR, ends_at=later, ends_at_text="later", extension=1
    )
    assert extend_to(longer, granted).extension == 2


@pytest.mark.parametrize("state", [FAILED, CLOSING, CLOSED])
def test_what_is_over_is_not_extended(state: GrantState) -> None:
    """Extending a closed grant would open without a decision."""
    with pytest.raises(Conflict) as refused:
        extend_to(replace(grant(), state=state), grant())
    assert refused.value.specific_code == "GrantNotLive"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (grant(), True),
        (grant(span=2 * HOUR), True),
        (grant(who="bob"), False),
        (grant(uid="uid-of-a-new-machine"), False),
        (grant(number=23), False),
        (grant(sources=BOB_HOST), False),
        (grant(sources=prefixes("192.0.2.10", "192.0.2.20")), False),
    ],
)
def test_the_newer_of_one_opening_takes_its_place(other: Grant, same: bool) -> None:
    """Same person, machine, port and source: anything less would end another's access."""
    assert (grant().opening == other.opening) is same


def test_the_order_of_sources_is_nothing() -> None:
    """A list of sources is a set, however it was typed."""
    one, other = prefixes("192.0.2.1", "192.0.2.2"), prefixes("192.0.2.2", "192.0.2.1")
    assert grant(sources=one).opening == grant(sources=other).opening


def test_a_grant_names_its_ports() -> None:
    """A grant on ``*`` opens TCP and UDP."""
    assert grant(number=53, protocol=RuleProtocol.ALL).port_keys == (
        PortKey(TCP, 53),
        PortKey(UDP, 53),
    )


def test_an_end_is_believed_a_minute_after_the_leases_own() -> None:
    """EDGES E9: a silent point has not heard of an earlier one."""
    some = grant(span=HOUR)
    late = NOW + HOUR + END_BELIEVED_AFTER
    closing = replace(some, state=GrantState.CLOSING, ended_at=NOW)
    assert is_believed_over(closing, late)
    assert not is_believed_over(closing, late - timedelta(microseconds=1))
    assert not is_believed_over(replace(some, state=GrantState.OPEN), late)


@pytest.mark.parametrize(
    ("length", "before"),
    [(HOUR / 6, HOUR / 60), (HOUR, LONGEST_WARNING), (9 * HOUR, LONGEST_WARNING)],
)
def test_its_requestor_is_told_before_it_ends(length: timedelta, before: timedelta) -> None:
    """A tenth of its length before its end, at most five minutes before."""
    assert grant(span=length).warned_at == NOW + length - before
