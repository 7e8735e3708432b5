"""What somebody would get, on the wire (docs/approval.md)."""

from __future__ import annotations

from typing import Annotated, Any

from bascule.api.wire.approvals import stage_json
from bascule.api.wire.fields import Duration, EndTime, Guid, field_of, shown
from bascule.api.wire.requests import InitiateBody
from bascule.domain.tickets import TicketAnswer
from bascule.errors import InvalidInput
from bascule.services.try_rules import Tried


def _answer(value: object) -> TicketAnswer:
    if value not in tuple(TicketAnswer):
        raise InvalidInput(
            f"must be one of {', '.join(TicketAnswer)}, not {shown(value)}.", code="InvalidTicket"
        )
    return TicketAnswer(str(value))


TicketSays = Annotated[TicketAnswer, *field_of(_answer, "string", enum=list(TicketAnswer))]


class TryBody(InitiateBody):
    principal_id: Guid
    at: EndTime | None = None
    ticket: TicketSays = TicketAnswer.YES
    second_factor_age: Duration | None = None  # absent: not known, as of a program


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
