"""Microsoft.Security/pricings (api-version 2024-01-01; CONTRACT 6.3).

One plan is kept, ``VirtualMachines``; the others that Azure has are read as Free. Truth
values are the words True and False there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bascule.api.wire.fields import Body, Text
from bascule.domain.pricing import SUB_PLAN, VIRTUAL_MACHINES, PlanInForce, Tier
from bascule.domain.scopes import Scope
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput, Problem

PRICING_TYPE = "Microsoft.Security/pricings"
# Azure's other plans, which clients look for in a list.
OTHER_PLANS = (
    *("AI", "Api", "AppServices", "Arm", "CloudPosture", "ContainerRegistry", "Containers"),
    *("CosmosDbs", "Dns", "KeyVaults", "KubernetesService", "OpenSourceRelationalDatabases"),
    *("SqlServers", "SqlServerVirtualMachines", "StorageAccounts"),
)
_TRUTH = {"true": True, "false": False}


class PricingPropertiesBody(Body):
    pricing_tier: Text
    sub_plan: Text | None = None
    enforce: Text | None = None


class PricingBody(Body):
    properties: PricingPropertiesBody


@dataclass(frozen=True, slots=True)
class PricingDraft:
    tier: Tier
    is_enforced: bool | None  # None: as it was


def known_plan(name: str) -> str:
    """The plan's name in its own spelling; one that nobody knows stays as it is."""
    names = (VIRTUAL_MACHINES, *OTHER_PLANS)
    return next((each for each in names if each.casefold() == name.casefold()), name)


def read_pricing(body: PricingBody, name: str, *, is_group: bool) -> PricingDraft:
    """Raises InvalidInput with every problem at once."""
    asked = body.properties
    tier = next((t for t in Tier if t.casefold() == asked.pricing_tier.casefold()), None)
    enforced = _TRUTH.get((asked.enforce or "").casefold())
    problems = []
    if name != VIRTUAL_MACHINES:
        problems.append(
            Problem(
                "PlanNotOffered",
                f"Plan {name[:80]!r} is not supported here and stays Free. The only plan is "
                f"{VIRTUAL_MACHINES}, which includes just-in-time access.",
            )
        )
    if tier is None:
        problems.append(
            Problem(
                "InvalidPricingTier",
                f"pricingTier must be Standard or Free, not {asked.pricing_tier[:40]!r}.",
                "properties.pricingTier",
            )
        )
    if asked.sub_plan is not None and asked.sub_plan.casefold() != SUB_PLAN.casefold():
        problems.append(
            Problem(
                "InvalidSubPlan",
                f"subPlan must be {SUB_PLAN}, not {asked.sub_plan[:40]!r}, because only "
                f"{SUB_PLAN} has just-in-time access. Omit it, or switch the plan off with "
                f"pricingTier Free.",
                "properties.subPlan",
            )
        )
    if asked.enforce is not None and enforced is None:
        problems.append(
            Problem("InvalidEnforce", "enforce must be 'True' or 'False'.", "properties.enforce")
        )
    if is_group and enforced:
        problems.append(
            Problem(
                "InvalidEnforce",
                "Only a subscription's plan can be enforced on its resource groups.",
                "properties.enforce",
            )
        )
    if problems or tier is None:
        raise InvalidInput.of(problems)
    return PricingDraft(tier, enforced)


def pricing_json(scope: Scope, plan: PlanInForce, *, is_partly: bool = False) -> dict[str, Any]:
    """``scope`` is what was asked about; ``is_partly``: groups below differ from it."""
    is_inherited = plan.scope != scope
    is_group = "/resourcegroups/" in scope.key
    coverage = "PartiallyCovered" if is_partly else "FullyCovered" if plan.is_on else "NotCovered"
    properties = {
        "pricingTier": str(plan.tier),
        **({"subPlan": SUB_PLAN} if plan.is_on else {}),
        "freeTrialRemainingTime": "PT0S",
        **({"enablementTime": format_utc(plan.set_at)} if plan.is_on and plan.set_at else {}),
        **({} if is_group else {"enforce": str(plan.is_enforced)}),
        "inherited": str(is_inherited),
        **({"inheritedFrom": str(plan.scope)} if is_inherited else {}),
        **({} if is_group else {"resourcesCoverageStatus": coverage}),
    }
    return _resource(scope, VIRTUAL_MACHINES, properties)


def other_plan_json(scope: Scope, name: str) -> dict[str, Any]:
    return _resource(scope, name, {"pricingTier": "Free", "freeTrialRemainingTime": "PT0S"})


def _resource(scope: Scope, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{scope}/providers/{PRICING_TYPE}/{name}",
        "name": name,
        "type": PRICING_TYPE,
        "properties": properties,
    }
