"""Bascule.Access/accessRules: the rules of a policy, one by one (docs/approval.md)."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import decides
from bascule.api.envelope import CompactJson
from bascule.api.my_address import source_of_caller
from bascule.api.paths import PolicyPath
from bascule.api.preconditions import WantedConditions
from bascule.api.routes.jit import POLICY
from bascule.api.wire.policies import foreign_machines
from bascule.api.wire.problems import reject
from bascule.api.wire.requests import read_machines
from bascule.api.wire.rules import AccessRuleBody, access_rule_json
from bascule.api.wire.tried import TryBody, tried_json
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.rules import Rule
from bascule.domain.scopes import resource_scope
from bascule.errors import NotFound
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Reader, Transaction
from bascule.sentences import sentence
from bascule.services import rules_written
from bascule.services.act import Act
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, denial
from bascule.services.try_rules import try_rules

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

RULES = f"{POLICY}/providers/Bascule.Access/accessRules"
RULE = f"{RULES}/{{rule}}"


@router.get(RULES)
@decides(POLICY_READ)
async def list_access_rules(call: CurrentCall, policy: PolicyPath) -> Response:
    stored = await call.read(lambda reader: readable_policy(reader, call, policy))
    value = [access_rule_json(stored.policy, each, stored.etag) for each in stored.policy.rules]
    return CompactJson({"value": value}, headers={"ETag": stored.etag})


@router.get(RULE)
@decides(POLICY_READ)
async def get_access_rule(call: CurrentCall, policy: PolicyPath, rule: str) -> Response:
    stored = await call.read(lambda reader: readable_policy(reader, call, policy))
    found = next((each for each in stored.policy.rules if each.key == rule.casefold()), None)
    if found is None:
        raise NotFound(
            sentence(
                "Policy {policy} has no rule {rule}.", policy=policy.name, rule=repr(rule[:64])
            ),
            code="RuleNotFound",
        )
    return _answer(stored, found)


@router.put(RULE)
@decides(RULES_WRITE)
async def put_access_rule(
    call: CurrentCall,
    policy: PolicyPath,
    rule: str,
    body: AccessRuleBody,
    conditions: WantedConditions,
) -> Response:
    wanted = body.properties.rule(rule)

    def work(tx: Transaction, act: Act) -> StoredPolicy:
        precondition = conditions.on(tx.policy(policy))
        return rules_written.put_rule(tx, act, call.subject, policy, wanted, precondition)

    return _answer(await call.perform(work), wanted)


@router.delete(RULE)
@decides(RULES_WRITE)
async def delete_access_rule(
    call: CurrentCall, policy: PolicyPath, rule: str, conditions: WantedConditions
) -> Response:
    def work(tx: Transaction, act: Act) -> bool:
        precondition = conditions.on(tx.policy(policy))
        return rules_written.delete_rule(tx, act, call.subject, policy, rule, precondition)

    return Response(status_code=200 if await call.perform(work) else 204)


@router.post(f"{POLICY}/tryRules")
@decides(RULES_WRITE)
async def post_try_rules(call: CurrentCall, policy: PolicyPath, body: TryBody) -> Response:
    """What that person would get; writes nothing."""
    named = [machine.id for machine in body.virtual_machines]
    reject([*foreign_machines(named, call.subscription_id, "virtualMachines")])
    caller = (
        source_of_caller(call.subject.address, call.state.proxies) if body.needs_caller else None
    )
    at = None if body.at is None else body.at.at
    machines = read_machines(body, caller, at or call.now)
    tried = await call.read(
        lambda reader: try_rules(
            reader,
            call.subject,
            policy,
            machines,
            body.justification,
            body.principal_id,
            call.now,
            at,
            body.ticket,
            body.second_factor_age,
        )
    )
    return CompactJson(tried_json(tried))


def readable_policy(reader: Reader, call: Call, policy: ResourceId) -> StoredPolicy:
    """Raises Forbidden and NotFound as reading the policy does."""
    stored = reader.policy(policy)
    sight = sight_of(call.rights, call.subject.principal_id)
    if not (sight.sees(policy) or (stored is not None and sight.sees_any(stored.policy))):
        raise denial(reader, call.subject, [Needed(POLICY_READ, resource_scope(policy))])
    if stored is None:
        raise NotFound(sentence("Policy {policy_id} does not exist.", policy_id=policy))
    return stored


def _answer(stored: StoredPolicy, rule: Rule) -> Response:
    return CompactJson(
        access_rule_json(stored.policy, rule, stored.etag), headers={"ETag": stored.etag}
    )
