"""From an envelope to the exception that the server raised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bascule.domain.decide
import bascule.domain.due
import bascule.domain.limits
import bascule.domain.pending
import bascule.domain.public_ports
import bascule.services.live_requests
import bascule.services.requests
from bascule.client.failures import DENIAL_CODES, failure
from bascule.client.reading import UnexpectedAnswer, flag, instant, number, objects, text
from bascule.domain.machine import Unable
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    Conflict,
    EnforcementFailed,
    Forbidden,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    Problem,
    RequestDenied,
    Unavailable,
)


def envelope(code: str, **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": "words", **more}}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidPort", InvalidInput),
        (400, "DurationTooLong", RequestDenied),
        (401, "ExpiredAuthenticationToken", AuthenticationFailed),
        (403, "AuthorizationFailed", Forbidden),
        (404, "ResourceNotFound", NotFound),
        (405, "MethodNotAllowed", InvalidInput),
        (409, "Conflict", Conflict),
        (412, "PreconditionFailed", PreconditionFailed),
        (500, "EnforcementFailed", EnforcementFailed),
        (500, "InternalError", BasculeError),
        (502, "", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
    ],
)
def test_kind(status: int, code: str, kind: type[BasculeError]) -> None:
    error = failure(status, envelope(code), is_decided=True)
    assert type(error) is kind
    assert error.message == "words"
    assert error.specific_code == (code or kind.code)


def test_everything_in_it_is_kept() -> None:
    error = failure(
        400,
        envelope(
            "InvalidRequestContent",
            target="ports[0]",
            details=[{"code": "SourceNotAllowed", "message": "no", "target": "x"}, "rubbish"],
            additionalInfo=[{"type": "other"}, {"type": "advice", "info": {"advice": "do this"}}],
        ),
        is_decided=True,
    )
    assert isinstance(error, RequestDenied), "a detail of the decision makes it a denial"
    assert error.problems[0] == Problem("SourceNotAllowed", "no", "x")
    assert (error.target, error.advice) == ("ports[0]", "do this")


@pytest.mark.parametrize(
    "data", [None, "text", [], {}, {"error": None}, {"error": {"details": 5, "additionalInfo": {}}}]
)
def test_what_is_no_envelope(data: object) -> None:
    error = failure(503, data)
    assert type(error) is Unavailable
    assert "503 (Service Unavailable)" in error.message


@pytest.mark.parametrize("code", ["AgentTooOld", "MachineNotFound"])
def test_a_policy_that_is_refused_with_a_code_of_the_decision_is_no_denial(code: str) -> None:
    """A script takes exit code 4 for "may not have access"; this is 2, "wrongly put"."""
    error = failure(400, envelope(code, details=[{"code": code, "message": "no"}]))
    assert type(error) is InvalidInput
    assert failure(400, envelope(code), is_decided=True).exit_code == 4 != error.exit_code


def test_denial_codes_are_those_of_the_decision() -> None:
    decisions = (
        bascule.domain.decide,
        bascule.domain.due,
        bascule.domain.limits,
        bascule.domain.public_ports,
        bascule.services.live_requests,
        bascule.services.requests,
        bascule.domain.pending,
    )
    source = "".join(Path(str(each.__file__)).read_text() for each in decisions)
    told = set(re.findall(r'(?:Problem|Refused)\(\s*"(\w+)"', source))
    assert len(told) > 8
    told -= {"EndTimeEarlier", "GrantNotFound"}  # of what lives already: other answers
    assert told | set(Unable) | {RequestDenied.code} == DENIAL_CODES


@pytest.mark.parametrize(
    "read",
    [
        lambda: text({}, "a"), lambda: text({"a": 1}, "a"), lambda: number({"a": True}, "a"),
        lambda: number({"a": "1"}, "a"), lambda: objects({"a": {}}, "a"), lambda: objects({"a": [1]}, "a"),
        lambda: instant({"a": "yesterday"}, "a"),
    ],
)  # fmt: skip
def test_an_answer_without_what_belongs_there_is_said_to_be_one(read: object) -> None:
    with pytest.raises(UnexpectedAnswer, match="'a'"):
        read()  # type: ignore[operator]  # reason: a lambda of the table


def test_optional_fields() -> None:
    assert (text({}, "a", ""), number({}, "a", 7), flag({"a": "true"}, "a"), instant({}, "a")) == (
        "",
        7,
        False,
        None,
    )
    assert objects({"a": None}, "a") == []
