"""Said means seen: only what was read back is reported in force (ARCHITECTURE rule 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bascule.domain.plan import Observed, Operation
from bascule.services.reconcile import Reconciler
from tests.unit.services_world import SetClock
from tests.unit.test_reconcile import Firewall, Memory, lease, wanted


class Forgetful(Firewall):
    """Takes every change without complaint and keeps no opening."""

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        super().apply(operations, since)
        self.rules = replace(self.rules, openings={})


class Clinging(Firewall):
    """Takes every change without complaint and drops no opening."""

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        openings = self.rules.openings
        super().apply(operations, since)
        self.rules = replace(self.rules, openings={**openings, **self.rules.openings})


class Untouchable(Firewall):
    """Has the elements, in a table that is not as we write it."""

    def observe(self) -> Observed:
        return replace(super().observe(), is_intact=False, drift="a rule of somebody else")


def in_force(firewall: Firewall) -> frozenset[str]:
    """What one pass says of a lease for a port that was shut before."""
    clock = SetClock()
    reconciler = Reconciler(firewall, Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    return reconciler.reconcile().in_force


def test_an_opening_that_was_read_back_is_in_force() -> None:
    assert in_force(Firewall()) == {"g"}


def test_an_opening_that_was_not_read_back_is_not_in_force() -> None:
    """The kernel said yes and the element is not there: nobody is told that it is open."""
    assert in_force(Forgetful()) == frozenset()


def test_an_opening_in_a_table_that_is_not_ours_is_not_in_force() -> None:
    assert in_force(Untouchable()) == frozenset()


def test_an_opening_that_is_still_read_back_is_not_closed() -> None:
    """The kernel said yes and the element is there: nobody is told that it is shut."""
    clock = SetClock()
    reconciler = Reconciler(Clinging(), Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    reconciler.reconcile()
    reconciler.take(wanted(2), clock.boottime())
    assert reconciler.reconcile().in_force == {"g"}
