"""The long-poll on one access request (EDGES A17): no thread and no connection is held.

It listens on the hub before it reads, so that nothing is missed in between. It ends when the
server stops or the time is over, and within a second of the end of the caller's token or of
whatever the token rests on (EDGES B5); what is read is read anew by the rights of the moment.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from bascule.api.auth import Call
from bascule.domain.actions import POLICY_READ
from bascule.domain.lifecycle import UNSETTLED, GrantState, RequestState
from bascule.domain.request import AccessRequest
from bascule.domain.scopes import subscription_scope
from bascule.interfaces.store import Reader
from bascule.services.approvers import is_told_as_asked
from bascule.services.emergencies import may_review
from bascule.services.hub import request_topic, wait_for
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, denial, rights_of
from bascule.services.views import RequestView, view_request

PROOF_ROUND = 1.0  # seconds between two looks at the caller's proof; a look is a few rows by key
NEW = timedelta(minutes=2)
FEW_PORTS = 8
_OPENING = frozenset({GrantState.OPENING})
_OPENING_OR_CLOSING = UNSETTLED - {GrantState.OPEN}


async def wait_until_settled(
    call: Call, request_id: str, seconds: float, includes_closing: bool
) -> RequestView | None:
    """The request once no port of it is opening (or closing); None when there is none.

    Raises Forbidden for another's that may not be read, AuthenticationFailed when the token
    is revoked meanwhile.
    """
    clock, hub = call.state.services.clock, call.state.services.hub
    request_id = request_id.lower()
    unsettled = _OPENING_OR_CLOSING if includes_closing else _OPENING
    proven_for = (call.proven_until - clock.now()).total_seconds()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(seconds, proven_for)
    with hub.listening(request_topic(request_id)) as woken:
        is_due = True
        view: RequestView | None = None
        while True:
            if is_due:
                view = await _read(call, request_id)
            left = deadline - loop.time()
            is_settled = view is None or (
                view.request.state not in (RequestState.WAITING, RequestState.SCHEDULED)
                and all(g.state not in unsettled for g in view.grants)
            )
            if is_settled or left <= 0 or hub.is_closing:
                return view
            is_due = await wait_for(woken, min(left, PROOF_ROUND)) or left <= PROOF_ROUND
            await call.check_proof()


async def _read(call: Call, request_id: str) -> RequestView | None:
    """What is short to read, in this thread: to go to another and back costs more (``read_few``)."""
    try:
        return await call.read_few(lambda r: _readable(r, call, request_id, must_be_short=True))
    except _IsLongToReadError:
        return await call.read(lambda r: _readable(r, call, request_id))


class _IsLongToReadError(Exception):
    """It would hold up the event loop."""


def _is_short(request: AccessRequest, now: datetime) -> bool:
    """Is it new, and for a few ports, as those are that are waited for? There are few rows of it, and
    few events since it was made.
    """
    ports = sum(len(each.ports) for each in request.machines)
    is_new = now - request.started_at <= NEW and not request.has_waited
    return is_new and ports <= FEW_PORTS and not request.left_out


def _readable(
    reader: Reader, call: Call, request_id: str, *, must_be_short: bool = False
) -> RequestView | None:
    """Raises _IsLongToReadError where it must be short and is not."""
    request = reader.request(request_id)
    if request is None:
        return None
    if must_be_short and not _is_short(request, call.now):
        raise _IsLongToReadError
    rights = rights_of(reader, call.subject.principal_id, call.now)
    if not (
        sight_of(rights, call.subject.principal_id).sees_request(request)
        or is_told_as_asked(reader, call.subject.principal_id, request, call.now)
        or may_review(rights, call.subject, request)
    ):
        # At the subscription: a refusal must not name the machines of what may not be read.
        scope = subscription_scope(call.subscription_id)
        raise denial(reader, call.subject, [Needed(POLICY_READ, scope)])
    return view_request(reader, request_id, call.now, call.subject)
