"""Rules and approval of a policy: each in a sentence; added, changed and removed one by one.

Whoever may read the policy sees them, at the machines that they may see. Writing them takes the right
at each machine that the policy names, which the use case asks for in its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import shows
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.policy import PENDING_FOR, MachineRules, Policy, PortRule
from bascule.domain.rules import Rule
from bascule.domain.scopes import resource_scope
from bascule.errors import NotFound
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.rule_words import names_in, rule_words, stage_words
from bascule.portal.spans import words_of
from bascule.sentences import sentence
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, denial

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/jit/rules"
PAGE = 50  # policies


@dataclass(frozen=True, slots=True)
class ShownRule:
    rule: Rule
    words: str
    stages: tuple[str, ...]
    query: str


@dataclass(frozen=True, slots=True)
class ShownPort:
    """A port that asks for approval by itself, or may be made to."""

    machine: ResourceId
    rule: PortRule
    stages: tuple[str, ...]
    query: str


@dataclass(frozen=True, slots=True)
class Found:
    """A policy as this visitor may see it."""

    policy: Policy  # with the machines that the visitor may see
    whole: StoredPolicy
    why_not: str  # why its rules may not be written; empty: they may

    @property
    def path(self) -> str:
        return self.path_of(self.policy.id)

    @staticmethod
    def path_of(policy: ResourceId) -> str:
        return f"{PATH}?{urlencode({'policy': str(policy)})}"


@router.get(PATH)
@shows(POLICY_READ)
async def show_rules(visit: CurrentVisit) -> Response:
    """Of the policy that the address names; else a list of those that there are."""
    named = visit.request.query_params.get("policy", "")
    if not named:
        return await _list(visit)
    return await visit.read(lambda reader: _show(reader, visit, find_policy(reader, visit, named)))


async def _list(visit: Visit) -> Response:
    after = visit.request.query_params.get("after", "")[:2000]
    within, sight = visit.within(POLICY_READ), sight_of(visit.rights, visit.subject.principal_id)
    found = await visit.read(
        lambda reader: reader.policies(after=after, limit=PAGE + 1, within=within)
    )
    last = found[PAGE - 1].policy.id.key if len(found) > PAGE else ""
    return visit.show(
        "rules_list.html",
        policies=[sight.narrow(each).policy for each in found[:PAGE]],
        path=PATH,
        more=f"{PATH}?{urlencode({'after': last})}" if last else "",
        is_first=not after,
        urlencode=urlencode,
    )


def find_policy(reader: Reader, visit: Visit, text: str) -> Found:
    """Raises Forbidden before anything is told of it, NotFound."""
    wanted = ResourceId.parse(text, "policy")
    stored = reader.policy(wanted)
    sight = sight_of(visit.rights, visit.subject.principal_id)
    if not (sight.sees(wanted) or (stored is not None and sight.sees_any(stored.policy))):
        raise denial(reader, visit.subject, [Needed(POLICY_READ, resource_scope(wanted))])
    if stored is None:
        raise NotFound(
            sentence("Policy {policy} does not exist.", policy=wanted.name),
            advice="Choose one of the policies that there are.",
        )
    return Found(sight.narrow(stored).policy, stored, _why_not(visit, stored.policy))


def _why_not(visit: Visit, policy: Policy) -> str:
    """Why its rules may not be written: the right that is missing at a machine."""
    places = [each.machine_id for each in policy.machines] or [policy.id]
    reasons = (visit.why_not(RULES_WRITE, resource_scope(each)) for each in places)
    return next((each for each in reasons if each), "")


def _show(reader: Reader, visit: Visit, found: Found) -> Response:
    policy, words = found.policy, visit.words
    ports = [(each, port) for each in policy.machines for port in each.ports]
    of_ports = [stage for _, port in ports for stage in port.approval]
    instead = policy.tickets.stages if policy.tickets is not None else ()
    names = names_in(reader, policy.rules, [*of_ports, *instead])
    return visit.show(
        "rules.html",
        found=found,
        policy=policy,
        path=PATH,
        rules=[
            ShownRule(
                rule,
                rule_words(words, rule, names),
                tuple(stage_words(words, each, names) for each in rule.stages),
                urlencode({"policy": str(policy.id), "rule": rule.name}),
            )
            for rule in policy.rules
        ],
        ports=[
            ShownPort(
                of.machine_id,
                port,
                tuple(stage_words(words, each, names) for each in port.approval),
                _port_query(policy, of, port),
            )
            for of, port in ports
        ],
        query=urlencode({"policy": str(policy.id)}),
        unavailable=[stage_words(words, each, names) for each in instead],
        pending_for=words_of(policy.pending_for or PENDING_FOR),
    )


def _port_query(policy: Policy, of: MachineRules, port: PortRule) -> str:
    named = {
        "policy": policy.id,
        "machine": of.machine_id,
        "port": port.number,
        "protocol": port.protocol,
    }
    return urlencode({name: str(value) for name, value in named.items()})
