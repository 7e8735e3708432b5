"""Microsoft.Security: pricings of a subscription and of resource groups; policies (CONTRACT 6.3)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.paths import GROUP, SUBSCRIPTION, Group
from bascule.api.wire.pricings import (
    OTHER_PLANS,
    PricingBody,
    known_plan,
    other_plan_json,
    pricing_json,
    read_pricing,
)
from bascule.domain.actions import (
    PRICING_DELETE,
    PRICING_READ,
    PRICING_WRITE,
    SECURITY_POLICY_READ,
)
from bascule.domain.ids import parse_name
from bascule.domain.pricing import VIRTUAL_MACHINES
from bascule.domain.scopes import Scope, group_scope, subscription_scope
from bascule.interfaces.store import Reader, Transaction
from bascule.services.act import Act
from bascule.services.plans import groups_off, plan_at, put_plan, reset_plan

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

PRICINGS = "/providers/Microsoft.Security/pricings"
POLICIES = f"{SUBSCRIPTION}/providers/Microsoft.Security/policies"


@router.get(f"{SUBSCRIPTION}{PRICINGS}")
@requires(PRICING_READ)
async def list_pricings(call: CurrentCall) -> Response:
    return await _list(call, "")


@router.get(f"{GROUP}{PRICINGS}")
@requires(PRICING_READ)
async def list_pricings_of_group(call: CurrentCall, group: Group) -> Response:
    return await _list(call, group)


async def _list(call: Call, group: str) -> Response:
    """All of Azure's plans, without a nextLink, as the contract says."""
    others = [other_plan_json(_scope(call, group), name) for name in OTHER_PLANS]
    ours = await call.read(lambda reader: _json(reader, call, group))
    found = [ours, *others]
    return CompactJson({"value": sorted(found, key=lambda each: str(each["name"]).casefold())})


@router.get(f"{SUBSCRIPTION}{PRICINGS}/{{plan}}")
@requires(PRICING_READ)
async def get_pricing(call: CurrentCall, plan: str) -> Response:
    return await _get(call, "", plan)


@router.get(f"{GROUP}{PRICINGS}/{{plan}}")
@requires(PRICING_READ)
async def get_pricing_of_group(call: CurrentCall, group: Group, plan: str) -> Response:
    return await _get(call, group, plan)


async def _get(call: Call, group: str, plan: str) -> Response:
    name = known_plan(parse_name(plan, "The plan's name"))
    if name != VIRTUAL_MACHINES:
        return CompactJson(other_plan_json(_scope(call, group), name))
    return CompactJson(await call.read(lambda reader: _json(reader, call, group)))


@router.put(f"{SUBSCRIPTION}{PRICINGS}/{{plan}}")
@requires(PRICING_WRITE)
async def put_pricing(call: CurrentCall, plan: str, body: PricingBody) -> Response:
    return await _put(call, "", plan, body)


@router.put(f"{GROUP}{PRICINGS}/{{plan}}")
@requires(PRICING_WRITE)
async def put_pricing_of_group(
    call: CurrentCall, group: Group, plan: str, body: PricingBody
) -> Response:
    return await _put(call, group, plan, body)


async def _put(call: Call, group: str, plan: str, body: PricingBody) -> Response:
    name = known_plan(parse_name(plan, "The plan's name"))
    draft = read_pricing(body, name, is_group=bool(group))

    def work(tx: Transaction, act: Act) -> dict[str, Any]:
        put_plan(tx, act, group, draft.tier, is_enforced=draft.is_enforced)
        return _json(tx, call, group)

    return CompactJson(await call.perform(work))


@router.delete(f"{GROUP}{PRICINGS}/{{plan}}")
@requires(PRICING_DELETE)
async def delete_pricing_of_group(call: CurrentCall, group: Group, plan: str) -> Response:
    """Afterwards the group inherits the subscription's setting."""
    name = known_plan(parse_name(plan, "The plan's name"))
    if name != VIRTUAL_MACHINES:
        return Response(status_code=204)
    is_gone = await call.perform(lambda tx, act: reset_plan(tx, act, group))
    return Response(status_code=200 if is_gone else 204)


def _scope(call: Call, group: str) -> Scope:
    if group:
        return group_scope(call.subscription_id, group)
    return subscription_scope(call.subscription_id)


def _json(reader: Reader, call: Call, group: str) -> dict[str, Any]:
    plan = plan_at(reader, group)
    off = len(groups_off(reader)) if not group else 0
    is_partly = not group and 0 < off < len(reader.resource_groups())
    return pricing_json(_scope(call, group), plan, is_partly=is_partly)


@router.get(POLICIES)
@shows(SECURITY_POLICY_READ)
async def list_security_policies(call: CurrentCall) -> Response:  # noqa: ARG001  # reason: the guard's
    """Always empty. It exists because Azure's roles name the action."""
    return CompactJson({"value": []})
