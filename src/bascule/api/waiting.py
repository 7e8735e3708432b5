"""The long-poll on one access request (EDGES A17): no thread and no connection is held.

It listens on the hub before it reads, so that nothing is missed in between, and ends
with the caller's token, when the server stops, or when the time is over.
"""

from __future__ import annotations

import asyncio

from bascule.api.auth import Call
from bascule.domain.grant import GrantState
from bascule.services.hub import request_topic, wait_for
from bascule.services.views import RequestView, view_request

_OPENING = frozenset({GrantState.OPENING})
_OPENING_OR_CLOSING = frozenset({GrantState.OPENING, GrantState.CLOSING})


async def wait_until_settled(
    call: Call, request_id: str, seconds: float, includes_closing: bool
) -> RequestView | None:
    """The request once no port of it is opening (or closing); None when there is none."""
    clock, hub = call.state.services.clock, call.state.services.hub
    request_id = request_id.lower()
    unsettled = _OPENING_OR_CLOSING if includes_closing else _OPENING
    proven_for = (call.proven_until - clock.now()).total_seconds()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(seconds, proven_for)
    with hub.listening(request_topic(request_id)) as woken:
        while True:
            now = clock.now()
            view = await call.look(lambda reader, now=now: view_request(reader, request_id, now))  # type: ignore[misc]  # reason: mypy infers no default
            left = deadline - loop.time()
            is_settled = view is None or all(g.state not in unsettled for g in view.grants)
            if is_settled or left <= 0 or hub.is_closing:
                return view
            await wait_for(woken, left)
