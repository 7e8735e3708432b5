"""Forms in, refusals out: what all endpoints of the issuer have in common.

Source: RFC 6749 sections 3.2 and 5.2, with the fields that Entra ID adds.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bascule.api.body_limit import LARGEST_UNPROVED, TooLarge, allow_body
from bascule.domain.times import format_utc
from bascule.errors import TooManyRequests, Unavailable
from bascule.identity.token_request import Refused, read_form

NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1
FORM_TYPE = "application/x-www-form-urlencoded"


async def read_body(request: Request, largest: int = LARGEST_UNPROVED) -> bytes | Refused:
    """The body of a form of at most ``largest`` bytes."""
    allow_body(request, largest)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return Refused("invalid_request", 900144, f"The Content-Type must be {FORM_TYPE}.")
    try:
        return await request.body()
    except TooLarge:
        return Refused("invalid_request", 9002313, "The form is too long.", 413)
    except ClientDisconnect:
        return Refused("invalid_request", 9002313, "The form is incomplete.")
    except (TooManyRequests, Unavailable) as error:
        return Refused("temporarily_unavailable", 90033, error.message, error.http_status)


async def read_fields(
    request: Request, largest: int = LARGEST_UNPROVED
) -> dict[str, str] | Refused:
    body = await read_body(request, largest)
    return body if isinstance(body, Refused) else read_form(body)


def no_such_tenant(tenant: str) -> Refused:
    return Refused(
        "invalid_request",
        90002,
        f"Tenant '{tenant[:60]}' not found. This server's tenant is in its admin.json; "
        "'organizations' and 'common' name it too.",
    )


def refuse(refused: Refused, now: datetime, retry_after: timedelta | None = None) -> Response:
    trace_id = str(uuid.uuid4())
    content = {
        "error": refused.error,
        "error_description": f"{refused.description} Trace ID: {trace_id}",
        "error_codes": [refused.number],
        "timestamp": format_utc(now),
        "trace_id": trace_id,
        "correlation_id": trace_id,
    }
    headers = dict(NOT_KEPT)
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after.total_seconds())))
    return JSONResponse(content, refused.status, headers)
