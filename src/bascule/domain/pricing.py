"""The plan that just-in-time access belongs to: is it on at this subscription or group?

Source: Microsoft.Security/pricings, api-version 2024-01-01 (CONTRACT 6.3): the plan
``VirtualMachines`` with tier Standard and sub-plan P2 has it, tier Free has not. A group
inherits the subscription's setting unless it has one of its own; a subscription may enforce
its setting, and then no group's counts.

Here everything is there from the start, so where nothing was ever set the plan is on.
What is not here: other plans of Azure's; they are read as Free and cannot be bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bascule.domain.scopes import Scope

VIRTUAL_MACHINES = "VirtualMachines"  # the plan's name
SUB_PLAN = "P2"


class Tier(StrEnum):
    STANDARD = "Standard"
    FREE = "Free"


@dataclass(frozen=True, slots=True)
class PlanSetting:
    """What somebody set at one scope, a subscription or a resource group."""

    scope: Scope
    tier: Tier
    set_at: datetime
    is_enforced: bool = False  # a subscription's: groups below cannot differ

    @property
    def is_on(self) -> bool:
        return self.tier is Tier.STANDARD


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """What holds at a scope, and whose setting that is."""

    tier: Tier
    scope: Scope  # the subscription's or the group's; of the default: the subscription's
    set_at: datetime | None = None  # None: never set, the default holds
    is_enforced: bool = False

    @property
    def is_on(self) -> bool:
        return self.tier is Tier.STANDARD


def plan_in_force(
    subscription: Scope, of_subscription: PlanSetting | None, of_group: PlanSetting | None = None
) -> PlanInForce:
    """Which setting holds for a group, or for the subscription when ``of_group`` is None."""
    holds = of_subscription
    if of_group is not None and not (of_subscription is not None and of_subscription.is_enforced):
        holds = of_group
    if holds is None:
        return PlanInForce(Tier.STANDARD, subscription)
    return PlanInForce(holds.tier, holds.scope, holds.set_at, holds.is_enforced)
