"""The outermost layer of each call: ids, headers, one log line, and the last net.

Each call of a known caller is a line of the log, with the client's address, behind a trusted proxy too,
and without the query of its URL, which may have a token. Those of callers without identity are sampled,
because their number has no bound, and so are the tracebacks of what failed (``sampling``).
``--access-log`` has every call in the log, or none.

Headers as the live service sends them where they make sense here (CONTRACT 1.6.8).
A correlation id that the caller sends is echoed when it is plain; nothing else of a call
is written back into headers. It is pure ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import re
import time
import uuid
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bascule.api.envelope import internal_error
from bascule.api.sampling import Sampler
from bascule.config import AccessLog

log = structlog.get_logger("bascule.api")

CALLER_HEADER = "x-bascule-caller-address"  # as this server sees it; to who is known alone
MOST_TRACEBACKS = 10  # a minute
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ALWAYS = {
    "x-content-type-options": "nosniff",
}
_NOT_KEPT = {  # where a route says nothing of its own
    "cache-control": "no-cache, no-store",
    "pragma": "no-cache",
    "expires": "-1",
}
_HSTS = "max-age=31536000"  # of this name alone: what lies below it is not ours to speak for


class Frame:
    """ASGI middleware around everything else."""

    def __init__(
        self, app: ASGIApp, strangers: Sampler, access_log: AccessLog = AccessLog.SAMPLED
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._strangers = strangers
        self._failures = Sampler("tracebacks of calls that failed", 3, MOST_TRACEBACKS)

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
                always = _ALWAYS if "cache-control" in headers else {**_ALWAYS, **_NOT_KEPT}
                for name, value in always.items():
                    headers.setdefault(name, value)
                if _is_public_name(state.get("base_url", "")):
                    headers["strict-transport-security"] = _HSTS
                headers["x-ms-request-id"] = request_id
                headers["x-ms-correlation-request-id"] = correlation_id
                if client_id:
                    headers["x-ms-client-request-id"] = client_id
                if state.get("known_from"):
                    headers[CALLER_HEADER] = state["known_from"]
            await send(message)

        try:
            await self._app(scope, receive, send_framed)
        except Exception as error:
            is_logged = self._log_failure(scope, error)
            if status:
                raise  # the answer had begun; the server can only cut it off
            await internal_error(request_id if is_logged else "")(scope, receive, send_framed)
        finally:
            principal, caller = state.get("principal_id", ""), _caller(scope)
            if self._is_written(principal, caller):
                log.info(
                    "call",
                    id=request_id,
                    method=scope["method"],
                    path=scope["path"][:300],
                    status=status,
                    ms=round((time.monotonic() - started) * 1000, 1),
                    caller=caller,
                    principal=principal,
                )

    def _is_written(self, principal: str, caller: str) -> bool:
        if self._access_log is AccessLog.SAMPLED:
            return bool(principal) or self._strangers.is_written(caller)
        return self._access_log is AccessLog.ALL

    def _log_failure(self, scope: Scope, error: Exception) -> bool:
        """Is it in the log? A known caller's is, if perhaps without its traceback."""
        state = scope["state"]
        principal = state.get("principal_id", "")
        said = {"id": state["request_id"], "method": scope["method"], "path": scope["path"][:300]}
        if self._failures.is_written(principal or _caller(scope)):
            log.error("call failed", exc_info=error, **said)
        elif principal:
            log.error("call failed", **said, error=repr(error)[:300])
        else:
            return False
        return True


def _is_public_name(base_url: str) -> bool:
    """Not localhost, where other programs may speak plain HTTP on other ports (RFC 6797 has none
    in its scope), and no address, for which HSTS is not meant (section 8.1.1).
    """
    name = urlsplit(base_url).hostname or ""
    return "." in name and not name.replace(".", "").isdecimal()


def _caller(scope: Scope) -> str:
    """Where the call came from: past our own proxies, if ``OriginGate`` got to say so."""
    found = scope["state"].get("caller_address")
    peer = scope.get("client") or ("",)
    return str(found or peer[0])


def _plain(text: str | None) -> str:
    return text if text is not None and _PLAIN_ID.fullmatch(text) else ""
