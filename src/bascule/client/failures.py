"""From an error envelope to the exception that the server raised.

Source: CloudError (CONTRACT 1.3): code, message, target, details, additionalInfo; ours of
type ``advice`` says what to do next. An OAuth page has its words in error_description (RFC
6749 section 5.2). The class follows the status; a 400 with a code of the decision, in answer to
a call that is decided, is a denial, so that a script can tell "may not" from "wrongly put". A
policy may be refused with the same codes: it is wrongly put.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from bascule.client.reading import Data
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    Conflict,
    EnforcementFailed,
    Forbidden,
    InvalidInput,
    MisdirectedRequest,
    NotFound,
    PreconditionFailed,
    Problem,
    RequestDenied,
    TooManyRequests,
    Unavailable,
)

DENIAL_CODES = frozenset(  # what a decision answers; a test holds the two together
    {
        "AccessRequestDenied",
        "AgentTooOld",
        "AgentUninstalled",
        "ApprovalRequired",
        "CannotDrain",
        "DeniedByRule",
        "DrainTooLong",
        "DurationTooLong",
        "EndTimePassed",
        "HostGuardUnusable",
        "JustificationRequired",
        "JustificationTooLong",
        "LeasesNotEnded",
        "LongerThanHostAdmits",
        "MachineNotFound",
        "MachineNotInPolicy",
        "MachinesRequired",
        "ManagedElsewhere",
        "NoPublicPortFree",
        "OutsideNetworks",
        "PortNotAdmittedByHost",
        "PortNotInPolicy",
        "PortsRequired",
        "PublicPortHeldBack",
        "PublicPortNotGiven",
        "PublicPortTaken",
        "RightEndsBeforeStart",
        "SourceNotAdmittedByHost",
        "SourceNotAllowed",
        "StateTooLarge",
        "TicketNotConfirmed",
        "TicketRequired",
        "TicketSystemUnavailable",
        "TooManyGrants",
        "TooManyOpenings",
        "TooManyWaiting",
        "UpToTooLong",
    }
)

_CLASSES: dict[int, type[BasculeError]] = {
    400: InvalidInput,
    401: AuthenticationFailed,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    421: MisdirectedRequest,
    429: TooManyRequests,
    502: Unavailable,  # a proxy in front of the server speaks
    503: Unavailable,
    504: Unavailable,
}


def failure(status: int, data: object, *, is_decided: bool = False) -> BasculeError:
    """The exception for an answer with an error status; ``data`` is its JSON, or None.
    ``is_decided``: the call asked for access.
    """
    envelope = _dict(_dict(data).get("error"))
    code = str(envelope.get("code") or "")
    problems = tuple(_problem(_dict(each)) for each in _list(envelope.get("details")))
    kind = _class_of(status, code, problems, is_decided=is_decided)
    advice = _advice(envelope)
    if not advice and kind is AuthenticationFailed:
        advice = "Sign in again: bascule login."
    return kind(
        str(envelope.get("message") or _dict(data).get("error_description") or _bare(status)),
        code=code,
        target=str(envelope.get("target") or ""),
        advice=advice,
        problems=problems,
    )


def _class_of(
    status: int, code: str, problems: tuple[Problem, ...], *, is_decided: bool
) -> type[BasculeError]:
    if code == EnforcementFailed.code:
        return EnforcementFailed
    codes = {code, *(each.code for each in problems)}
    if is_decided and status == HTTPStatus.BAD_REQUEST and codes & DENIAL_CODES:
        return RequestDenied
    return _CLASSES.get(status, InvalidInput if 400 <= status < 500 else BasculeError)


def _problem(detail: Data) -> Problem:
    return Problem(
        str(detail.get("code") or ""),
        str(detail.get("message") or ""),
        str(detail.get("target") or ""),
    )


def _advice(envelope: Data) -> str:
    for each in map(_dict, _list(envelope.get("additionalInfo"))):
        if each.get("type") == "advice":
            return str(_dict(each.get("info")).get("advice") or "")
    return ""


def _bare(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "unknown status"
    return f"The server answered {status} ({phrase}) without details."


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
