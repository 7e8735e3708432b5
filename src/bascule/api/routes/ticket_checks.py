"""Bascule.Access/ticketChecks: where a policy's tickets are asked for (docs/approval.md)."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import decides
from bascule.api.envelope import CompactJson
from bascule.api.paths import PolicyPath
from bascule.api.preconditions import WantedConditions
from bascule.api.routes.access_rules import readable_policy
from bascule.api.routes.jit import POLICY
from bascule.api.wire.rules import (
    TicketCheckResourceBody,
    TicketTestBody,
    tested_json,
    ticket_check_json,
)
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.tickets import Answered
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Transaction
from bascule.services import ticket_checks
from bascule.services.act import Act
from bascule.services.ticket_checks import no_ticket_check

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

CHECK = f"{POLICY}/providers/Bascule.Access/ticketChecks/default"


@router.get(CHECK)
@decides(POLICY_READ)
async def get_ticket_check(call: CurrentCall, policy: PolicyPath) -> Response:
    stored = await call.read(lambda reader: readable_policy(reader, call, policy))
    if stored.policy.tickets is None:
        raise no_ticket_check(policy)
    return _answer(stored)


@router.put(CHECK)
@decides(RULES_WRITE)
async def put_ticket_check(
    call: CurrentCall,
    policy: PolicyPath,
    body: TicketCheckResourceBody,
    conditions: WantedConditions,
) -> Response:
    """Add or replace it. The answer has the secret if the server made one, and no other has."""
    desk, draft = call.state.services.desk, body.properties.draft()

    def work(tx: Transaction, act: Act) -> tuple[StoredPolicy, str]:
        precondition = conditions.on(tx.policy(policy))
        return ticket_checks.put_ticket_check(
            tx, act, call.subject, policy, draft, desk, precondition
        )

    return _answer(*await call.perform(work))


@router.delete(CHECK)
@decides(RULES_WRITE)
async def delete_ticket_check(
    call: CurrentCall, policy: PolicyPath, conditions: WantedConditions
) -> Response:
    def work(tx: Transaction, act: Act) -> bool:
        precondition = conditions.on(tx.policy(policy))
        return ticket_checks.remove_ticket_check(tx, act, call.subject, policy, precondition)

    return Response(status_code=200 if await call.perform(work) else 204)


@router.post(f"{CHECK}/test")
@decides(RULES_WRITE)
async def test_ticket_check(
    call: CurrentCall, policy: PolicyPath, body: TicketTestBody
) -> Response:
    """Asks the ticket system about one ticket; nothing opens by it."""

    def work(tx: Transaction, act: Act) -> Answered:
        return ticket_checks.try_ticket(tx, act, call.subject, policy, body.ticket)

    return CompactJson(tested_json(await call.perform(work)))


def _answer(stored: StoredPolicy, secret: str = "") -> Response:
    told = ticket_check_json(stored.policy, stored.etag, secret)
    return CompactJson(told, headers={"ETag": stored.etag})
