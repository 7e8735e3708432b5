"""What somebody would get, on the wire (docs/approval.md)."""

from __future__ import annotations

from typing import Any

from bascule.api.wire.approvals import stage_json
from bascule.api.wire.fields import EndTime, Guid
from bascule.api.wire.requests import InitiateBody
from bascule.services.try_rules import Tried


class TryBody(InitiateBody):
    principal_id: Guid
    at: EndTime | None = None


def tried_json(tried: Tried) -> dict[str, Any]:
    """What somebody would get, and by which rules."""
    return {
        "outcome": tried.outcome,
        "reasons": [{"code": each.code, "message": str(each.message)} for each in tried.reasons],
        "stages": [stage_json(n, each) for n, each in enumerate(tried.stages, start=1)],
        "rules": [
            {
                "policyId": str(policy.id),
                "name": rule.name,
                "effect": str(rule.effect),
                "holds": holds,
            }
            for policy, rule, holds in tried.rules
        ],
    }
