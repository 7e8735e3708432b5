"""What one word says of a machine's doors, and what it must never say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations, product

import pytest

from bascule.domain.capabilities import ABILITIES, HOST, Capabilities, Latency
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint, Unable, unable_words
from bascule.domain.machine_access import (
    CASES,
    AccessState,
    Condition,
    Doors,
    Fact,
    access_state,
    conditions_of,
)
from bascule.domain.weaknesses import PROTOCOL_TOO_OLD, UNINSTALLED, Shadow

OPENING, OPEN, CLOSING = GrantState.OPENING, GrantState.OPEN, GrantState.CLOSING
HEARD = Doors(has_point=True, is_silent=False, is_behind=False, is_closed=True)
STATES = (OPENING, OPEN, CLOSING)
ALL_GRANTS = [frozenset(each) for n in range(4) for each in combinations(STATES, n)]


@pytest.mark.parametrize(
    ("doors", "told"),
    [
        # Nobody is there to keep anything shut.
        (Doors(False, False, False, True), AccessState.NOTHING_CLOSED),
        (Doors(False, False, False, True, frozenset({OPENING})), AccessState.NOTHING_CLOSED),
        # A silent point: what was open may still be.
        (Doors(True, True, False, True), AccessState.OFFLINE),
        (Doors(True, True, True, False), AccessState.OFFLINE),
        (Doors(True, True, False, True, frozenset({OPENING})), AccessState.OFFLINE),
        (Doors(True, True, False, True, frozenset({OPEN})), AccessState.NOT_CONFIRMED),
        (Doors(True, True, False, True, frozenset({CLOSING})), AccessState.NOT_CONFIRMED),
        # What lets in comes first.
        (Doors(True, False, True, True, frozenset({OPEN, OPENING})), AccessState.OPEN),
        (Doors(True, False, True, True, frozenset({OPENING, CLOSING})), AccessState.OPENING),
        (Doors(True, False, True, True, frozenset({CLOSING})), AccessState.CLOSING),
        (Doors(True, False, True, True), AccessState.APPLYING),
        (HEARD, AccessState.CLOSED),
        # Somebody else's rule leads past us there, or cannot be read (EDGES G7).
        (replace(HEARD, shadow=Shadow.ADMITS), AccessState.OPEN_PAST_US),
        (replace(HEARD, shadow=Shadow.UNREAD), AccessState.CANNOT_BE_TOLD),
        (replace(HEARD, shadow=Shadow.ADMITS, is_closed=False), AccessState.NOTHING_CLOSED),
        (replace(HEARD, shadow=Shadow.ADMITS, is_silent=True), AccessState.OFFLINE),
        # What root opened on the host lets in as well, before anything of ours.
        (replace(HEARD, is_root_in=True), AccessState.OPEN),
        (replace(HEARD, is_root_in=True, is_silent=True), AccessState.NOT_CONFIRMED),
        (Doors(True, False, False, False), AccessState.NOTHING_CLOSED),
    ],
)
def test_state(doors: Doors, told: AccessState) -> None:
    assert access_state(doors) is told


def test_a_point_enforces_unless_the_server_noted_that_it_cannot() -> None:
    began = datetime(2030, 1, 1, tzinfo=UTC)
    point = EnforcementPoint("uid", "key", began)
    assert point.is_enforcing
    assert point.not_enforced_since is None
    said = replace(point, not_enforced_since=began)
    assert not said.is_enforcing
    assert said.not_enforced_since == began


def test_closed_is_said_of_what_was_read_back_shut_alone() -> None:
    for point, silent, behind, shut in product((False, True), repeat=4):
        for grants, shadow in product(ALL_GRANTS, (None, Shadow.ADMITS, Shadow.UNREAD)):
            doors = Doors(point, silent, behind, shut, grants, shadow=shadow)
            if access_state(doors) is AccessState.CLOSED:
                assert doors == HEARD


def test_what_the_server_noted_of_a_point() -> None:
    began = datetime(2030, 1, 1, tzinfo=UTC)
    point = EnforcementPoint("uid", "key", began)
    assert (point.doubted_since, point.believed_since, point.is_uninstalled) == (None, None, False)
    said = replace(point, weaknesses=(UNINSTALLED(),))
    assert said.is_uninstalled
    assert said.unable is Unable.UNINSTALLED
    assert "web-1" in unable_words(Unable.UNINSTALLED, "web-1")


def test_a_point_that_is_too_old_opens_nothing() -> None:
    point = EnforcementPoint("uid", "key", datetime(2030, 1, 1, tzinfo=UTC))
    said = replace(point, weaknesses=(PROTOCOL_TOO_OLD(version="0.2"),))
    assert said.unable is Unable.TOO_OLD
    assert "web-1" in unable_words(Unable.TOO_OLD, "web-1")


def test_what_a_point_lacks_is_what_its_driver_said() -> None:
    """Before it has said anything nothing is known to be missing; agents ask their driver again."""
    point = EnforcementPoint("uid", "key", datetime(2030, 1, 1, tzinfo=UTC))
    assert point.unable is None
    assert not point.lacks("ends_leases")
    assert HOST.missing == ()
    assert Capabilities.having(ABILITIES, Latency.INSTANT) == HOST
    assert Capabilities.having(["flies"], Latency.MINUTES) == Capabilities()
    for each in ABILITIES:
        said = replace(point, capabilities=replace(HOST, **{each: False}))  # type: ignore[arg-type]  # reason: every ability is a bool
        assert [name for name in ABILITIES if said.lacks(name)] == [each]
        assert (said.unable is Unable.LEASELESS) == (each == "ends_leases")
    assert "web-1" in unable_words(Unable.LEASELESS, "web-1")


def test_what_stores_filter_by_is_what_the_table_says() -> None:
    """Each state's conditions, on every combination of facts: a store's list is no other."""
    for size in range(len(Fact) + 1):
        for each in combinations(Fact, size):
            facts = frozenset(each)
            told = next(case.state for case in CASES if case.facts <= facts)
            held = [
                state
                for state in AccessState
                if any(_holds(one, facts) for one in conditions_of(state))
            ]
            assert held == [told]


def _holds(condition: Condition, facts: frozenset[Fact]) -> bool:
    return condition.facts <= facts and not any(each <= facts for each in condition.except_where)
