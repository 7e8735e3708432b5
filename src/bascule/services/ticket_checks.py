"""The ticket check of a policy: put, removed and tried out (EDGES J2, J12)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from bascule.domain.access import Subject
from bascule.domain.ids import ResourceId
from bascule.domain.policy import check_tickets
from bascule.domain.tickets import Answered, TicketCheck, not_asked, question, ticket_of
from bascule.errors import InvalidInput, NotFound, Problem, Unavailable
from bascule.interfaces.policies import StoredPolicy
from bascule.sentences import sentence
from bascule.services.access_rules import check_names, is_same_place
from bascule.services.act import Act, new_id
from bascule.services.cloudevents import new_secret
from bascule.services.policies import (
    NO_PRECONDITION,
    PolicyChangeWrites,
    Precondition,
    check_precondition,
)
from bascule.services.rules_written import stored_to_write, write_rules
from bascule.services.tickets import TicketDesk, TicketsNeeded


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """What was said of it. Without a secret the one that is stored stays, where the place is the same."""

    check: TicketCheck
    secret: str = ""  # empty: none was given
    is_new_secret: bool = False  # is another one to be made?


def put_ticket_check(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy_id: ResourceId,
    draft: TicketDraft,
    desk: TicketDesk | None,
    precondition: Precondition = NO_PRECONDITION,
) -> tuple[StoredPolicy, str]:
    """The policy, and the secret that was made here; empty: none was.

    Raises Forbidden before anything else, NotFound, InvalidInput with every problem, PreconditionFailed.
    """
    stored = stored_to_write(tx, act, subject, policy_id)
    check_precondition(stored, precondition)
    if desk is None:
        raise Unavailable("This server asks no ticket system.")
    before = stored.policy.tickets
    check, made = draft.check, ""
    if before is None or not is_same_place(check, before) or draft.secret or draft.is_new_secret:
        made = "" if draft.secret else new_secret()
        sealed, secret_id = desk.seal(draft.secret or made), new_id()[:8]
    else:
        sealed, secret_id = before.sealed_secret, before.secret_id
    check = replace(check, secret_id=secret_id, sealed_secret=sealed)
    policy = replace(stored.policy, tickets=check)
    problems = [
        replace(each, target=str(each.target).replace("properties.bascule.tickets", "properties"))
        for each in (*check_tickets(policy), *check_names(tx, (), (), "properties", check.stages))
    ]
    if not problems and (objection := desk.carrier.objection(check)):
        problems.append(Problem("InvalidTicketUrl", objection, "properties.url"))
    if problems:
        raise InvalidInput.of(problems)
    return write_rules(tx, act, stored, policy), made


def remove_ticket_check(
    tx: PolicyChangeWrites,
    act: Act,
    subject: Subject,
    policy_id: ResourceId,
    precondition: Precondition = NO_PRECONDITION,
) -> bool:
    """False when there was none. Raises InvalidInput where a rule reads what it finds."""
    stored = stored_to_write(tx, act, subject, policy_id)
    check_precondition(stored, precondition)
    if stored.policy.tickets is None:
        return False
    policy = replace(stored.policy, tickets=None)
    problems = list(check_tickets(policy))
    if problems:
        raise InvalidInput.of(problems)
    write_rules(tx, act, stored, policy)
    return True


def try_ticket(
    tx: PolicyChangeWrites, act: Act, subject: Subject, policy_id: ResourceId, ticket: str
) -> Answered:
    """What the ticket system says of a ticket; it is told no machine, and nothing opens by it.

    Raises TicketsNeeded for that, Forbidden, NotFound and InvalidInput.
    """
    stored = stored_to_write(tx, act, subject, policy_id)
    check = stored.policy.tickets
    if check is None:
        raise no_ticket_check(policy_id)
    if ticket_of(check, ticket) != ticket:
        raise InvalidInput(
            sentence(
                "{ticket} does not match the pattern {pattern}.",
                ticket=repr(ticket[:64]),
                pattern=check.pattern,
            ),
            code="TicketDoesNotMatch",
            target="ticket",
        )
    told = {
        "reason": ticket,
        "requestor": {"id": subject.principal_id, "name": subject.name},
        "policyId": str(stored.policy.id),
        "machines": [],
        "test": True,
    }
    wanted = question(check, str(stored.policy.id), ticket, json.dumps(told, sort_keys=True))
    answered = act.tickets.get(wanted.digest)
    if answered is not None:
        return answered
    if act.may_ask:
        raise TicketsNeeded([wanted])
    return not_asked(wanted, "This server asks no ticket system.", act.now)


def no_ticket_check(policy_id: ResourceId) -> NotFound:
    return NotFound(
        sentence("Policy {policy} has no ticket check.", policy=policy_id.name),
        code="TicketCheckNotFound",
        advice="To set one: bascule policy ticket set",
    )
