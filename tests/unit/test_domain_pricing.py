"""Which setting of the plan holds: a group's own, unless the subscription enforces its."""

from __future__ import annotations

import pytest

from bascule.domain.pricing import PlanSetting, Tier, plan_in_force
from bascule.domain.scopes import group_scope, subscription_scope
from tests.samples import NOW, SUBSCRIPTION

SUB = subscription_scope(SUBSCRIPTION)
GROUP = group_scope(SUBSCRIPTION, "team")
ON, OFF = Tier.STANDARD, Tier.FREE


def of_subscription(tier: Tier, *, is_enforced: bool = False) -> PlanSetting:
    return PlanSetting(SUB, tier, NOW, is_enforced)


def of_group(tier: Tier) -> PlanSetting:
    return PlanSetting(GROUP, tier, NOW)


@pytest.mark.parametrize(
    ("subscription", "group", "is_on", "whose"),
    [
        # Nothing was ever set: on.
        (None, None, True, SUB),
        # A group inherits.
        (of_subscription(OFF), None, False, SUB),
        (of_subscription(ON), None, True, SUB),
        # A group's own setting overrides, either way.
        (None, of_group(OFF), False, GROUP),
        (of_subscription(OFF), of_group(ON), True, GROUP),
        (of_subscription(ON), of_group(OFF), False, GROUP),
        # What is enforced is not overridden, either way.
        (of_subscription(OFF, is_enforced=True), of_group(ON), False, SUB),
        (of_subscription(ON, is_enforced=True), of_group(OFF), True, SUB),
        (of_subscription(OFF, is_enforced=True), None, False, SUB),
    ],
)
def test_which_setting_holds(
    subscription: PlanSetting | None, group: PlanSetting | None, is_on: bool, whose: object
) -> None:
    held = plan_in_force(SUB, subscription, group)
    assert (held.is_on, held.scope) == (is_on, whose)
    assert held.is_enforced == (subscription is not None and subscription.is_enforced)
    assert (held.set_at is None) == (subscription is None and group is None)
    for each in (subscription, group):
        assert each is None or each.is_on == (each.tier is Tier.STANDARD)
