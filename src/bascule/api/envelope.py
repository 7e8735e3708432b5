"""Every error as ARM writes errors: ``{"error": {code, message, target, details, ...}}``.

Source: CloudError of the common types v1. The advice of an error, what to do next,
travels in ``additionalInfo`` as type ``advice``. What went wrong inside is in the log
under the id that the answer gives, never in the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bascule.api.wire.places import path_of_target
from bascule.api.wire.problems import problems_of
from bascule.errors import BasculeError, InvalidInput, Problem, Target

_CODES: Mapping[int, str] = {
    400: "InvalidRequestContent",
    404: "ResourceNotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
}


class CompactJson(Response):
    """JSON without blanks, as the live service writes it (CONTRACT 1.6.9)."""

    media_type = "application/json; charset=utf-8"
    charset = "utf-8"

    def render(self, content: object) -> bytes:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8", "replace")


def envelope(
    code: str,
    message: str,
    *,
    target: Target = "",
    advice: str = "",
    details: tuple[Problem, ...] = (),
) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if target:
        error["target"] = path_of_target(target)
    if details:
        error["details"] = [
            {"code": each.code, "message": each.message, "target": path_of_target(each.target)}
            for each in details
        ]
    if advice:
        error["additionalInfo"] = [{"type": "advice", "info": {"advice": advice}}]
    return {"error": error}


def internal_error(error_id: str) -> Response:
    """``error_id`` is what the log has it under; empty when it is not there any more."""
    where = (
        f"the details are in its log, under the id {error_id}."
        if error_id
        else "this happened often just now, and its log has only the first few."
    )
    content = envelope("InternalServerError", f"An internal error occurred in the server; {where}")
    return CompactJson(content, 500)


async def on_bascule_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BasculeError)  # noqa: S101  # reason: registered for it alone
    if error.http_status == 500:
        raise error  # the frame logs it and answers with an id
    return answer_error(error, getattr(request.state, "challenge", ""))


def answer_error(error: BasculeError, challenge: str = "") -> Response:
    headers = {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = challenge or 'Bearer error="invalid_token"'
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    return CompactJson(
        envelope(
            error.specific_code,
            error.message,
            target=error.target,
            advice=error.advice,
            details=error.problems,
        ),
        error.http_status,
        headers,
    )


async def on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # reason: registered for it alone
    forget_frames(error)
    return answer_error(InvalidInput.of(problems_of(error.errors())))


def forget_frames(error: BaseException | None) -> None:
    """Break the reference cycle of an error that a variable of its own frame names, as FastAPI's do.

    The call, with its connection, would be kept until the collector finds it. Call this where such an
    error is answered.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


async def on_http_error(request: Request, error: Exception) -> Response:
    """Errors of the framework: no such route, wrong method, an unreadable body."""
    assert isinstance(error, HTTPException)  # noqa: S101  # reason: registered for it alone
    forget_frames(error)
    status = error.status_code
    code = _CODES.get(status, f"Http{status}")
    return CompactJson(envelope(code, _message(request, error)), status, dict(error.headers or {}))


def _message(request: Request, error: HTTPException) -> str:
    where = f"{request.method} {request.url.path[:200]}"
    if error.status_code == 404:
        return f"There is no resource or action at {where}."
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return f"{where} is not allowed. Allowed here: {allowed}."
    return str(error.detail)
