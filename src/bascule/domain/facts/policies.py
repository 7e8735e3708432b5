"""Policies of just-in-time access, and where it is switched on."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, Flag, PolicyId, Text, Texts
from bascule.domain.facts.kind import Activity, Severity


@fact(
    "Microsoft.Security/locations/jitNetworkAccessPolicies/write",
    "Create or Update JIT Network Access Policy",
    Activity.CREATE,
    is_call=True,
)
class PolicyCreated(Fact):
    policy: PolicyId
    rules: Bulk  # the machines and ports, as the wire writes them


@fact(
    "Microsoft.Security/locations/jitNetworkAccessPolicies/write",
    "Create or Update JIT Network Access Policy",
    Activity.UPDATE,
    is_call=True,
)
class PolicyChanged(Fact):
    policy: PolicyId
    rules: Bulk
    previous_rules: Bulk


@fact(
    "Microsoft.Security/locations/jitNetworkAccessPolicies/delete",
    "Delete JIT Network Access Policy",
    Activity.DELETE,
    is_call=True,
)
class PolicyDeleted(Fact):
    policy: PolicyId
    previous_rules: Bulk


@fact(
    "Microsoft.Authorization/accessRules/write",
    "Change rules of access",
    Activity.UPDATE,
    is_call=True,
)
class RulesChanged(Fact):
    policy: PolicyId
    rules: Bulk  # as the wire writes them, with selfApproval and pendingFor
    previous_rules: Bulk


@fact(
    "Microsoft.Authorization/accessRules/loosen/action",
    "Loosen rules of access",
    Activity.UPDATE,
    severity=Severity.HIGH,
    is_call=True,
)
class RulesLoosened(Fact):
    """What was to be approved or denied may not be any more."""

    policy: PolicyId
    changes: Texts  # what was removed, changed or added


@fact(
    "Microsoft.Security/pricings/write",
    "Update pricing settings",
    Activity.UPDATE,
    severity=Severity.HIGH,  # off ends all access; on allows requests
    is_call=True,
)
class PricingChanged(Fact):
    """Just-in-time access was switched on or off for a subscription or resource group."""

    scope: Text
    tier: Text  # in force there now: Standard is on, Free is off
    previous_tier: Text
    is_enforced: Flag  # no group below can differ
    is_inherited: Flag  # the scope's own setting was removed
