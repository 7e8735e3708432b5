"""The plan of a subscription or resource group: turning it on and off, and the effects (EDGES A10).

Switching off opens nothing and releases nothing. New requests are refused from then on, and
the grants below end in the same commit: whoever switches a thing off means that nobody gets
in by it any more, and an opening that outlived the switch would be one that no request could
have made. What is closed stays closed. Switching on makes nothing live again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bascule.domain.facts.policies import PricingChanged
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.pricing import PlanInForce, PlanSetting, Tier, plan_in_force
from bascule.domain.scopes import Scope, group_scope, subscription_scope
from bascule.errors import Conflict, Forbidden, Problem
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.plans import PlanReads, PlanWrites
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, end_grants
from bascule.services.installation import subscription_of


class PlanScopeReads(InventoryReads, PlanReads, Protocol):
    """Plans, and the groups that they hold for."""


class PlanChangeWrites(GrantEndWrites, InventoryReads, PlanWrites, Protocol):
    """Plans, and the grants that end with one."""


NOT_ON = "JIT VM Access requires a standard tier subscription."  # Azure's words (CONTRACT 1.3)


def plan_at(reader: PlanScopeReads, group: str = "") -> PlanInForce:
    """What holds for a resource group, or for the subscription."""
    subscription_id = subscription_of(reader)
    whole = subscription_scope(subscription_id)
    own = reader.plan_setting(group_scope(subscription_id, group)) if group else None
    return plan_in_force(whole, reader.plan_setting(whole), own)


def plans_at(reader: PlanScopeReads, groups: Iterable[str]) -> dict[str, PlanInForce]:
    """What holds for each of several groups, by the name as given."""
    subscription_id = subscription_of(reader)
    whole = subscription_scope(subscription_id)
    settings = {setting.scope.key: setting for setting in reader.plan_settings()}

    def plan(group: str) -> PlanInForce:
        own = settings.get(group_scope(subscription_id, group).key) if settings else None
        return plan_in_force(whole, settings.get(whole.key), own)

    return {group: plan(group) for group in groups}


def groups_off(reader: PlanScopeReads) -> frozenset[str]:
    """The folded names of the groups where the plan is off."""
    if not reader.plan_settings():
        return frozenset()
    plans = plans_at(reader, reader.resource_groups())
    return frozenset(name.casefold() for name, plan in plans.items() if not plan.is_on)


def require_plan(reader: PlanReads, machines: Sequence[ResourceId]) -> None:
    """Raise Forbidden when the plan is off for any of these machines."""
    scopes = {each: _scopes_of(each) for each in machines}
    keys = {scope.key for both in scopes.values() for scope in both}
    settings = reader.plan_settings_at(keys)

    def plan_of(machine: ResourceId) -> PlanInForce:
        whole, group = scopes[machine]
        return plan_in_force(whole, settings.get(whole.key), settings.get(group.key))

    refused = [each for each in machines if not plan_of(each).is_on]
    if refused:
        group = refused[0].resource_group
        names = ", ".join(dict.fromkeys(each.name for each in refused))
        own = plan_of(refused[0]).scope == scopes[refused[0]][1]
        raise Forbidden(
            f"{NOT_ON} The plan is off for {names}, so nothing can be opened there.",
            code="JitSwitchedOff",
            advice=f"Switch it on: bascule plan on{f' --group {group}' if own else ''}.",
        )


def _scopes_of(machine: ResourceId) -> tuple[Scope, Scope]:
    """Its subscription and its resource group."""
    subscription_id = machine.subscription_id
    return subscription_scope(subscription_id), group_scope(subscription_id, machine.resource_group)


def put_plan(
    tx: PlanChangeWrites, act: Act, group: str, tier: Tier, *, is_enforced: bool | None = None
) -> PlanInForce:
    """Set the plan of a group, or of the subscription when ``group`` is empty.

    ``is_enforced`` None keeps what was said before. Raises Conflict for a group whose
    subscription enforces its own setting.
    """
    scope = _scope(tx, group)
    before = plan_at(tx, group)
    if group and before.is_enforced:
        raise _enforced(group, before)
    stored = tx.plan_setting(scope)
    if is_enforced is None:
        is_enforced = stored is not None and stored.is_enforced
    setting = PlanSetting(scope, tier, act.now, is_enforced)
    if stored is not None and (stored.tier, stored.is_enforced) == (tier, is_enforced):
        return before  # said already: nothing changes, and nothing is recorded
    was_off = groups_off(tx)
    tx.put_plan_setting(setting)
    _record(tx, act, scope, before, plan_at(tx, group), was_off)
    return plan_at(tx, group)


def reset_plan(tx: PlanChangeWrites, act: Act, group: str) -> bool:
    """Forget a group's own setting, so that it inherits; False when it has none."""
    scope = _scope(tx, group)
    before, was_off = plan_at(tx, group), groups_off(tx)
    if not tx.delete_plan_setting(scope):
        return False
    _record(tx, act, scope, before, plan_at(tx, group), was_off)
    return True


def _scope(tx: InventoryReads, group: str) -> Scope:
    subscription_id = subscription_of(tx)
    return group_scope(subscription_id, group) if group else subscription_scope(subscription_id)


def _enforced(group: str, plan: PlanInForce) -> Conflict:
    message = (
        f"The subscription enforces its plan ({plan.tier}) on every resource group, so {group} "
        f"cannot have its own."
    )
    return Conflict(
        message,
        code="PlanEnforced",
        advice="Change the subscription's plan (bascule plan on or off), or set its enforce to "
        "False.",
        problems=[Problem("PlanEnforced", message, "properties.pricingTier")],
    )


def _record(
    tx: PlanChangeWrites,
    act: Act,
    scope: Scope,
    before: PlanInForce,
    after: PlanInForce,
    was_off: frozenset[str],
) -> None:
    """Put the change on record and end the grants of the groups that it switched off."""
    fact = PricingChanged(
        str(scope),
        str(after.tier),
        str(before.tier),
        is_enforced=after.is_enforced,
        is_inherited=tx.plan_setting(scope) is None,
    )
    act.record(tx, fact, scope)
    newly_off = groups_off(tx) - was_off
    if newly_off:
        ending = [
            grant
            for grant in tx.live_grants()
            if grant.machine_id.resource_group.casefold() in newly_off
        ]
        end_grants(tx, act, ending, StatusReason.USER_REQUESTED, f"plan switched off at {scope}")
