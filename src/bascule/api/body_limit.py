"""No body over a mebibyte: refused when it is announced, cut off when it is not.

Starlette's own limit answers in plain text; ours answers in ARM's envelope, so it counts
for itself. It is pure ASGI and reads nothing ahead.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bascule.api.envelope import CompactJson, envelope

LARGEST_BODY = 1024 * 1024  # bytes; a policy of 1,000 machines has about 300,000
TOO_LARGE = "The body is too large; at most 1 MiB is taken."


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced[:20]) > LARGEST_BODY:
            refusal = CompactJson(
                envelope("RequestEntityTooLarge", TOO_LARGE), 413, {"Connection": "close"}
            )
            await refusal(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413, TOO_LARGE, {"Connection": "close"})
            return message

        await self._app(scope, receive_counted, send)
