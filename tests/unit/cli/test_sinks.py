"""``bascule audit sinks``: what is asked of the server, and what is said of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer, Json, S

SINKS = f"{S}/providers/Bascule.Audit/sinks"
SINK: Json = {
    "name": "hook",
    "properties": {
        "sinkId": "5f0c2a0e-0000-4000-8000-000000000001",
        "kind": "webhook",
        "target": "https://hooks.example/…",
        "format": "record",
        "kinds": [],
        "level": "informational",
        "state": "parked",
        "position": 6,
        "parkedPosition": 7,
        "lagEvents": 5,
        "lagSeconds": 90,
        "deliveredPosition": 6,
        "deliveredAt": "2030-01-01T12:00:00.0000000Z",
        "lastError": "HTTP 400\x1b[31m",
        "lastErrorAt": "2030-01-01T12:01:00.0000000Z",
        "nextTryAt": None,
        "previousSecretUntil": None,
    },
}


@pytest.fixture
def asked(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Calls about sinks, answered as a server with one sink would."""
    import json

    found: list[tuple[str, str, Any]] = []
    real = FakeServer.__call__

    def call(fake: FakeServer, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if not path.startswith(SINKS):
            return real(fake, request)
        body = json.loads(request.content) if request.content else None
        found.append((request.method, path.removeprefix(SINKS), body))
        if request.method == "DELETE":
            return httpx2.Response(204 if path.endswith("/other") else 200)
        if path == SINKS:
            return httpx2.Response(200, json={"value": [SINK]})
        if path.endswith("/test"):
            bad = path.endswith("/bad/test")
            said = {
                "answer": "later" if bad else "taken",
                "said": "HTTP 500" if bad else "HTTP 200",
            }
            return httpx2.Response(200, json={"properties": said})
        secret = {"secret": "whsec_x"} if path.endswith("rotateSecret") or body == NEW else {}
        return httpx2.Response(200, json={**SINK, "properties": {**SINK["properties"], **secret}})

    monkeypatch.setattr(FakeServer, "__call__", call)
    return found


NEW = {"properties": {"target": "https://hooks.example/in"}}
Asked = list[tuple[str, str, Any]]


def test_the_list_says_what_holds_a_sink_up(cli: Cli, asked: Asked) -> None:
    done = cli("audit", "sinks", "list")
    assert done.code == 0
    assert "parked at event 7" in done.out
    assert "5 events, 1m 30s" in done.out
    assert "HTTP 400[31m" in done.out, "control characters are taken out"
    assert cli("audit", "sinks", "list", "-o", "json").json == [SINK]


def test_a_list_of_none_says_how_to_add_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule.cli.sinks.api.list_sinks", lambda _: [])
    done = cli("audit", "sinks", "list")
    assert (done.code, done.out) == (0, "")
    assert done.err == "There is no sink yet. Add one: bascule audit sinks add NAME TARGET\n"
    assert cli("audit", "sinks", "list", "-o", "json").json == []


def test_a_new_webhooks_secret_is_said_once(cli: Cli, asked: Asked) -> None:
    done = cli("audit", "sinks", "add", "hook", "https://hooks.example/in")
    assert asked == [("PUT", "/hook", NEW)]
    assert "secret: whsec_x" in done.out
    assert "not shown again" in done.err
    shown = cli("audit", "sinks", "show", "hook").out
    assert "whsec" not in shown
    assert f"sink id: {SINK['properties']['sinkId']}\n" in shown, "as metrics name it"


def test_a_change_says_only_what_was_said(cli: Cli, asked: Asked, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("PEM")
    words = ("--kind", "GrantOpened", "--kind", "GrantEnded", "--level", "high", "--batch", "5")
    cli("audit", "sinks", "add", "hook", *words, "--ca-file", str(ca), "--from-beginning")
    assert asked[-1][2] == {
        "properties": {
            "kinds": ["GrantOpened", "GrantEnded"],
            "level": "high",
            "batch": 5,
            "caCertificates": "PEM",
            "fromBeginning": True,
        }
    }
    assert cli("audit", "sinks", "add", "hook", "--level", "loud").code == 2
    assert cli("audit", "sinks", "add", "hook", "--batch", "101").code == 2


def test_a_test_that_fails_has_its_exit_code(cli: Cli, asked: Asked) -> None:
    good, bad = cli("audit", "sinks", "test", "hook"), cli("audit", "sinks", "test", "bad")
    assert (good.code, good.out) == (0, "taken: HTTP 200\n")
    assert bad.code == 6
    assert "HTTP 500" in bad.err


def test_how_to_go_on(cli: Cli, asked: Asked) -> None:
    cli("audit", "sinks", "pause", "hook")
    cli("audit", "sinks", "resume", "hook", "--skip")
    cli("audit", "sinks", "resume", "hook", "--after", "5")
    assert "whsec_x" in cli("audit", "sinks", "rotate", "hook").out
    assert asked == [
        ("POST", "/hook/pause", None),
        ("POST", "/hook/resume", {"skip": True}),
        ("POST", "/hook/resume", {"skip": False, "after": 5}),
        ("POST", "/hook/rotateSecret", None),
    ]
    assert cli("audit", "sinks", "resume", "hook", "--skip", "--after", "5").code == 2


def test_removing_asks_first(cli: Cli, asked: Asked) -> None:
    assert cli("audit", "sinks", "remove", "hook").code != 0
    assert asked == []
    assert cli("audit", "sinks", "remove", "hook", "--yes").code == 0
    assert cli("audit", "sinks", "remove", "other", "--yes").code == 3
