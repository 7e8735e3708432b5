"""What holds a secret of a client does not show it, in a log neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from bascule.client.connection import _skew
from bascule.client.https import Response
from bascule.client.tokens import Credentials, Token, TokenFile, read_token
from bascule.errors import AuthenticationFailed, BasculeError, Unavailable


@pytest.mark.parametrize(
    "holder",
    [
        Credentials("tenant", "client", "a-secret"),
        Token("a-secret", datetime(2030, 1, 1, tzinfo=UTC), "a-secret"),
    ],
)
def test_no_log_and_no_repr_shows_a_secret(holder: object) -> None:
    logged = structlog.processors.JSONRenderer()(None, "info", {"event": "x", "holder": holder})
    assert json.loads(logged)["event"] == "x"
    assert "a-secret" not in f"{logged!s}{holder!r}{holder}"


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (503, {"error": {"code": "ServiceUnavailable", "message": "away"}}, Unavailable),
        (503, {"error": "temporarily_unavailable", "error_description": "away"}, Unavailable),
        (500, {"error": {"code": "InternalError", "message": "away"}}, BasculeError),
        (400, {"error": "invalid_client", "error_description": "away"}, AuthenticationFailed),
    ],
)
def test_why_there_is_no_token(
    status: int, answer: dict[str, object], kind: type[BasculeError]
) -> None:
    """A server that is away for a moment is not taken for one that refuses, nor for a broken one: who
    can ask again does.
    """
    with pytest.raises(BasculeError, match="away") as caught:
        read_token(status, answer, datetime(2030, 1, 1, tzinfo=UTC))
    assert type(caught.value) is kind
    assert "{" not in caught.value.message


def test_a_remembered_token_of_another_form_is_none(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    path.write_text(json.dumps({"key": "k", "access_token": "a", "expires_at": 5}))
    assert TokenFile(path).load("k") is None


@pytest.mark.parametrize("date", ["", "today", "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"])
def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert _skew(Response(200, {"date": date}, b""), now) == timedelta()
