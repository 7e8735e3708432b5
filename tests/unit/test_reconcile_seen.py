"""Said means seen: only what was read back is reported in force (ARCHITECTURE rule 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bascule.domain.plan import Observed, Operation
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_reconcile import Firewall, Memory, lease, wanted


class Forgetful(Firewall):
    """Takes every change without complaint and keeps no opening."""

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        super().apply(operations, since)
        self.rules = replace(self.rules, openings={})


class Clinging(Firewall):
    """Takes every change without complaint, and drops and shortens no opening."""

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        openings = self.rules.openings
        super().apply(operations, since)
        self.rules = replace(self.rules, openings={**self.rules.openings, **openings})


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


@pytest.mark.parametrize(
    ("bobs", "said"),
    [
        (60.0, {"bob"}),
        (60.04, {"bob"}),  # within the tolerance: the element stays, and with it Alice's name
        (59.96, {"bob"}),
        (30.0, {"bob"}),
        (None, set()),
    ],
)
def test_an_opening_that_stands_for_another_now_is_not_the_revoked_ones(
    bobs: float | None, said: set[str]
) -> None:
    """Two behind one address asked for the same port until about the same moment: one element, with
    one name. Who is revoked is told so at once, not at the other's end."""
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    reconciler = Reconciler(driver, Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("alice", 60)), clock.boottime())
    reconciler.reconcile()
    both = () if bobs is None else (lease("bob", bobs),)
    reconciler.take(wanted(2, lease("alice", 60), *both), clock.boottime())
    reconciler.reconcile()
    reconciler.take(wanted(3, *both), clock.boottime())
    assert reconciler.reconcile().in_force == said


def test_one_that_outlasts_the_other_is_still_the_revoked_ones() -> None:
    """The firewall refuses to end it earlier: it is not said to be shut."""
    clock = SetClock()
    reconciler = Reconciler(Clinging(), Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("alice", 60)), clock.boottime())
    reconciler.reconcile()
    reconciler.take(wanted(2, lease("bob", 30)), clock.boottime())
    assert reconciler.reconcile().in_force == {"alice", "bob"}
