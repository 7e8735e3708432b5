"""What holds a secret of a client does not show it, in a log neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import structlog

from bascule.client.tokens import Credentials, Token


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
