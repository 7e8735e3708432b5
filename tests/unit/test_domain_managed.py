"""What manages a gateway in our place, and what that makes of the machines behind it (ADR 22)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bascule.domain.machine import BASCULE, EnforcementPoint, Manager, Unable
from bascule.domain.weaknesses import FLOWS_OFFLOADED

GATEWAY = EnforcementPoint("gw", "key", datetime(2026, 1, 1, tzinfo=UTC))
FOUND = replace(GATEWAY, weaknesses=(FLOWS_OFFLOADED(tables="inet fast"),))


def test_an_owner_s_word_counts_before_what_is_found() -> None:
    assert GATEWAY.manager is None
    assert replace(GATEWAY, managed_by="FortiManager").manager == Manager("gw", "FortiManager")
    found = FOUND.manager
    assert found is not None
    assert (found.gateway, found.is_found) == ("gw", True)
    assert replace(FOUND, managed_by=BASCULE).manager is None
    assert replace(FOUND, managed_by="FortiManager").manager == Manager("gw", "FortiManager")


def test_behind_one_that_something_else_manages_nothing_can_be_opened() -> None:
    behind = replace(GATEWAY, machine_uid="app", managers=(Manager("gw", "FortiManager"),))
    assert behind.unable is Unable.MANAGED
    assert replace(behind, managers=()).unable is None
