"""The ordered difference between two rule sets: nothing too much, and never open too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import PortKey
from bascule.domain.plan import (
    TOLERANCE,
    ClosePort,
    DropOpening,
    Observed,
    PutCut,
    PutOpening,
    Rebuild,
    ReleasePort,
    closing_halves,
    plan,
)
from tests.samples import ALICE_HOST, BOB_HOST, SSH, TCP

RDP = PortKey(TCP, 3389)
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)
ALICE = OpeningKey(ALICE_HOST[0].networks[0], SSH)
BOB = OpeningKey(BOB_HOST[0].networks[0], SSH)


def opening(key: OpeningKey, remaining: timedelta = MINUTE) -> Opening:
    return Opening(key, remaining, "g")


OPEN = RuleSet(frozenset({ClosedPort(SSH)}), {ALICE: opening(ALICE)}, {BOB: MINUTE})


def seen(rules: RuleSet) -> Observed:
    return Observed(rules, is_intact=True)


def test_no_difference_is_no_operation() -> None:
    """A loop that rewrites what is so already would never be quiet."""
    assert plan(OPEN, seen(OPEN)) == ()
    assert plan(RuleSet(), seen(RuleSet())) == ()


def test_rules_that_are_not_ours_any_more_are_put_back_whole() -> None:
    """After another tool's flush, elements alone would be put into nothing."""
    assert plan(OPEN, Observed(OPEN, is_intact=False, drift="the table was gone")) == (
        Rebuild(OPEN),
    )


def test_the_order_of_operations() -> None:
    """Shut, end, cut, open, release: whatever stops half-way has not opened early."""
    observed = RuleSet(frozenset({ClosedPort(RDP)}), {BOB: opening(BOB)})
    desired = RuleSet(frozenset({ClosedPort(SSH)}), {ALICE: opening(ALICE)}, {BOB: MINUTE})
    assert plan(desired, seen(observed)) == (
        ClosePort(ClosedPort(SSH), is_new=True),
        DropOpening(BOB),
        PutCut(BOB, MINUTE),
        PutOpening(opening(ALICE)),
        ReleasePort(RDP),
    )


def test_ports_are_closed_and_released_in_order() -> None:
    """Two plans of one difference are one plan: sets have no order, operations do."""
    two = RuleSet(frozenset({ClosedPort(RDP), ClosedPort(SSH)}))
    assert plan(two, seen(RuleSet())) == (
        ClosePort(ClosedPort(SSH), is_new=True),
        ClosePort(ClosedPort(RDP), is_new=True),
    )
    assert plan(RuleSet(), seen(two)) == (ReleasePort(SSH), ReleasePort(RDP))


def test_a_change_at_expiry_is_not_a_new_port() -> None:
    """Connections are adopted when a port is first closed, not when its rule changes."""
    strict = frozenset({ClosedPort(SSH, OnExpiry.KILL)})
    assert plan(replace(OPEN, closed=strict), seen(OPEN)) == (
        ClosePort(ClosedPort(SSH, OnExpiry.KILL), is_new=False),
    )


@pytest.mark.parametrize(
    ("off", "rewritten"),
    [
        (timedelta(0), False),
        (TOLERANCE, False),
        (-TOLERANCE, False),
        (TOLERANCE + MILLISECOND, True),
        (-TOLERANCE - MILLISECOND, True),
    ],
)
def test_remaining_times_are_compared_with_tolerance(off: timedelta, rewritten: bool) -> None:
    """Between two looks milliseconds pass; an end that is really another one is written."""
    wanted = opening(ALICE, MINUTE + off)
    operations = plan(replace(OPEN, openings={ALICE: wanted}), seen(OPEN))
    assert operations == ((PutOpening(wanted),) if rewritten else ())


def test_a_cut_is_put_once_and_left_to_end() -> None:
    """Its element ends by itself; one that nobody wants any more does no harm till then."""
    assert plan(replace(OPEN, cuts={BOB: MINUTE / 2}), seen(OPEN)) == ()
    assert plan(replace(OPEN, cuts={}), seen(OPEN)) == ()
    assert plan(replace(OPEN, cuts={ALICE: MINUTE}), seen(OPEN)) == (PutCut(ALICE, MINUTE),)


def test_a_cut_that_was_said_again_is_put_again() -> None:
    """Between the end of the old element and the next look nothing would be looked up."""
    left = OPEN.cuts[BOB]
    barely, longer = left + TOLERANCE, left + TOLERANCE * 2
    assert plan(replace(OPEN, cuts={BOB: barely}), seen(OPEN)) == ()
    assert plan(replace(OPEN, cuts={BOB: longer}), seen(OPEN)) == (PutCut(BOB, longer),)


# -- what is left of a plan that was refused ----------------------------------------------------


def test_what_shuts_is_left_of_a_refused_plan() -> None:
    """First with root's own openings, then without any, then without cuts; nothing released."""
    observed = RuleSet(frozenset({ClosedPort(RDP)}), {BOB: opening(BOB, 2 * MINUTE)})
    mine = Opening(ALICE, MINUTE, "local-1")
    other = OpeningKey(ALICE_HOST[0].networks[0], RDP)
    shutting = (ClosePort(ClosedPort(SSH), is_new=True), DropOpening(other))
    cut = PutCut(ALICE, MINUTE)
    refused = (*shutting, cut, PutOpening(mine), PutOpening(opening(BOB)), ReleasePort(RDP))
    assert list(closing_halves(refused, observed, {"local-1"})) == [
        (*shutting, cut, PutOpening(mine), DropOpening(BOB)),
        (*shutting, cut, DropOpening(BOB)),
        (*shutting, DropOpening(BOB)),
    ]


@pytest.mark.parametrize("before", [None, MINUTE / 2])
def test_what_only_opens_is_left_out(before: timedelta | None) -> None:
    """A new opening and a longer one: the kernel goes on as it is."""
    held = RuleSet() if before is None else RuleSet(openings={BOB: opening(BOB, before)})
    assert list(closing_halves([PutOpening(opening(BOB))], held, ())) == [(), (), ()]


def test_a_refused_rebuild_shuts_no_less_than_is_shut() -> None:
    """Desired or shut already: on doubt a port is closed."""
    strict = ClosedPort(SSH, OnExpiry.KILL)
    observed = RuleSet(frozenset({strict, ClosedPort(RDP)}))
    shut = frozenset({ClosedPort(SSH), ClosedPort(RDP)})
    assert list(closing_halves([Rebuild(OPEN)], observed, {"g"})) == [
        (Rebuild(RuleSet(shut, OPEN.openings, OPEN.cuts)),),
        (Rebuild(RuleSet(shut, {}, OPEN.cuts)),),
        (Rebuild(RuleSet(shut)),),
    ]
