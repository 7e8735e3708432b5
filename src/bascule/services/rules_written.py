"""One rule of a policy: put and deleted by itself (EDGES J2)."""

from __future__ import annotations

from dataclasses import replace

from bascule.domain.access import Subject
from bascule.domain.actions import RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.policy import Policy, check_tickets
from bascule.domain.rules import MOST_RULES, Rule, check_rule
from bascule.domain.scopes import resource_scope
from bascule.errors import InvalidInput, NotFound, Problem
from bascule.interfaces.policies import StoredPolicy
from bascule.sentences import sentence
from bascule.services.access_rules import check_may_write_rules, check_names, follow_rules
from bascule.services.act import Act
from bascule.services.policies import (
    NO_PRECONDITION,
    PolicyChangeWrites,
    Precondition,
    check_precondition,
    etag_of,
)
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, denial, rights_of


def put_rule(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy_id: ResourceId,
    rule: Rule,
    precondition: Precondition = NO_PRECONDITION,
) -> StoredPolicy:
    """Add a rule as the last one, or replace it in its place.

    Raises Forbidden, NotFound, InvalidInput with every problem, PreconditionFailed.
    """
    stored = stored_to_write(tx, act, subject, policy_id)
    check_precondition(stored, precondition)
    policy = stored.policy
    place = next((n for n, each in enumerate(policy.rules) if each.key == rule.key), None)
    rules = (
        (*policy.rules, rule)
        if place is None
        else (*policy.rules[:place], rule, *policy.rules[place + 1 :])
    )
    problems = [*check_rule(rule, "properties"), *check_names(tx, (rule,), (), "properties")]
    problems += check_tickets(replace(policy, rules=(rule,)))
    if len(rules) > MOST_RULES:
        most = sentence("A policy has at most {most} rules.", most=MOST_RULES)
        problems.append(Problem("TooManyRules", most, "properties"))
    if problems:
        raise InvalidInput.of(problems)
    return write_rules(tx, act, stored, replace(policy, rules=rules))


def delete_rule(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy_id: ResourceId,
    name: str,
    precondition: Precondition = NO_PRECONDITION,
) -> bool:
    """False when there was none of this name."""
    stored = stored_to_write(tx, act, subject, policy_id)
    check_precondition(stored, precondition)
    left = tuple(each for each in stored.policy.rules if each.key != name.casefold())
    if left == stored.policy.rules:
        return False
    write_rules(tx, act, stored, replace(stored.policy, rules=left))
    return True


def stored_to_write(
    tx: PolicyChangeWrites, act: Act, subject: Subject, policy_id: ResourceId
) -> StoredPolicy:
    """Raises Forbidden before anything is told of it."""
    stored = tx.policy(policy_id)
    if stored is None:
        rights = rights_of(tx, subject.principal_id, act.now)
        if not sight_of(rights, subject.principal_id).sees(policy_id):
            raise denial(tx, subject, [Needed(RULES_WRITE, resource_scope(policy_id))])
        raise NotFound(
            sentence("Policy {policy_id} does not exist.", policy_id=policy_id),
            advice="To list policies: bascule policy show.",
        )
    check_may_write_rules(tx, act, subject, stored.policy)
    return stored


def write_rules(
    tx: PolicyChangeWrites, act: Act, before: StoredPolicy, policy: Policy
) -> StoredPolicy:
    stored = replace(before, policy=policy, etag=etag_of(policy))
    tx.put_policy(stored)
    follow_rules(tx, act, before.policy, policy)
    return stored
