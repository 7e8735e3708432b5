"""What went wrong, as a page or in the pane: every reason, and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bascule.api.wire.problems import problems_of
from bascule.errors import BasculeError, InvalidInput, Problem
from bascule.portal import look

if TYPE_CHECKING:
    from bascule.portal.guard import Visit


def show(visit: Visit, error: Exception) -> Response:
    """Answer with the error's own status; raise what is no error of a known kind."""
    if isinstance(error, RequestValidationError):
        error = InvalidInput.of(problems_of(error.errors()))
    if isinstance(error, HTTPException):
        return _page(visit, error.status_code, f"http{error.status_code}", "", "", ())
    if not isinstance(error, BasculeError):
        raise error
    response = _page(
        visit,
        error.http_status,
        error.specific_code,
        error.message,
        error.advice,
        reasons_of(error),
    )
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def show_failure(visit: Visit) -> Response:
    """Something broke here; the log says what, under the id that the page gives."""
    return _page(visit, 500, "InternalServerError", "", "", ())


def reasons_of(error: BasculeError) -> Sequence[Problem]:
    """All that is wrong, the error itself when it says no more."""
    return error.problems or (Problem(error.specific_code, error.message, error.target),)


def _page(
    visit: Visit,
    status: int,
    code: str,
    message: str,
    advice: str,
    reasons: Sequence[Problem],
) -> Response:
    content = {
        "status": status,
        "code": code,
        "message": message,
        "advice": advice,
        "reasons": reasons,
        "failure_id": str(visit.request.state.request_id),
    }
    return look.show(visit, "problem.html", content, status)
