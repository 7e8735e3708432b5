"""The answers of ticket systems that a judgement needs: those that are here, or ``TicketsNeeded``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bascule.domain.due import Approval, reading_tickets
from bascule.domain.machine import Machine
from bascule.domain.pending import asked_json, opens_at
from bascule.domain.request import MAXIMUM_JUSTIFICATION, AccessRequest
from bascule.domain.tickets import Answered, Question, TicketAnswer, question, ticket_of
from bascule.services.act import Act
from bascule.services.tickets import TicketsNeeded


@dataclass(frozen=True, slots=True)
class Tickets:
    """``asked`` is the request as it was asked for, which answers are bound to; ``before`` what was
    answered of it before. What opens it needs a fresh answer (``is_opening``).
    """

    asked: AccessRequest
    before: Sequence[Answered] = ()
    is_opening: bool = True
    may_ask: bool = True
    assumed: TicketAnswer | None = None  # of what is only tried: nobody is asked

    def answer(
        self, approval: Approval, request: AccessRequest, machines: Sequence[Machine], act: Act
    ) -> tuple[Approval, bool]:
        """With the answers that count; is one missing? Raises TicketsNeeded where it may be asked for."""
        if len(self.asked.justification or "") > MAXIMUM_JUSTIFICATION:
            return approval, False  # it is refused for that: nobody is sent it
        found: dict[str, Answered] = {}
        missing: list[Question] = []
        known = {each.digest: each for each in self.before}
        told = ""
        for policy in reading_tickets(approval, request, machines, opens_at(request, act.now)):
            check = policy.tickets
            ticket = None if check is None else ticket_of(check, self.asked.justification)
            if check is None or ticket is None:
                continue
            told = told or asked_json(replace(self.asked, policy_id=request.policy_id), machines)
            wanted = question(check, str(policy.id), ticket, told)
            if self.assumed is not None:
                found[policy.id.key] = Answered(
                    wanted.digest, str(policy.id), ticket, self.assumed, "", act.now
                )
                continue
            answered = act.tickets.get(wanted.digest)
            if answered is None or not answered.is_fresh(act.now):
                answered = known.get(wanted.digest)
                if self.is_opening and answered is not None and not answered.is_fresh(act.now):
                    answered = None
            if answered is None:
                missing.append(wanted)
            else:
                found[policy.id.key] = answered
        if missing and act.may_ask and self.may_ask:
            raise TicketsNeeded(missing)
        return replace(approval, tickets=found), bool(missing)
