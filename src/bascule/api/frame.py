"""The outermost layer of each call: ids, headers, one log line, and the last net.

Headers as the live service sends them where they make sense here (CONTRACT 1.6.8).
A correlation id that the caller sends is echoed when it is plain; nothing else of a call
is written back into headers. It is pure ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bascule.api.envelope import internal_error

log = structlog.get_logger("bascule.api")

CALLER_HEADER = "x-bascule-caller-address"  # as this server sees it; to who is known alone
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ALWAYS = {
    "cache-control": "no-cache, no-store",
    "pragma": "no-cache",
    "expires": "-1",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}


class Frame:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        sent = Headers(scope=scope)
        request_id = str(uuid.uuid4())
        correlation_id = _plain(sent.get("x-ms-correlation-request-id")) or request_id
        client_id = _plain(sent.get("x-ms-client-request-id"))
        state = scope.setdefault("state", {})
        state["request_id"], state["correlation_id"] = request_id, correlation_id
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                headers["x-ms-request-id"] = request_id
                headers["x-ms-correlation-request-id"] = correlation_id
                if client_id:
                    headers["x-ms-client-request-id"] = client_id
                if state.get("known_from"):
                    headers[CALLER_HEADER] = state["known_from"]
            await send(message)

        try:
            await self._app(scope, receive, send_framed)
        except Exception:
            log.exception("call failed", id=request_id, method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer had begun; the server can only cut it off
            await internal_error(request_id)(scope, receive, send_framed)
        finally:
            log.info(
                "call",
                id=request_id,
                method=scope["method"],
                path=scope["path"][:300],
                status=status,
                ms=round((time.monotonic() - started) * 1000, 1),
                principal=state.get("principal_id", ""),
            )


def _plain(text: str | None) -> str:
    return text if text is not None and _PLAIN_ID.fullmatch(text) else ""
