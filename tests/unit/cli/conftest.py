"""A signed-in command line against the server in memory."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bascule.cli.main import build, invoke
from bascule.client.https import Response
from tests.unit.cli.fake_server import CLIENT, ENDPOINT, SECRET, SUBSCRIPTION, TENANT, FakeServer


@dataclass
class MemoryHttps:
    """Https without a network."""

    server: FakeServer
    local_address: str = ""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        headers: Any = None,
        body: Any = None,
        form: Any = None,
        **_: Any,
    ) -> Response:
        request = httpx2.Request(
            method, ENDPOINT + path, params=params, headers=headers, json=body, data=form
        )
        answer = self.server(request)
        return Response(answer.status_code, answer.headers, answer.content)

    def pieces(self, path: str, params: Any, headers: Any, _: float) -> tuple[int, Iterator[bytes]]:
        answer = self.request("GET", path, params=params, headers=headers)
        return answer.status, iter([answer.content[:10], answer.content[10:]])

    def close(self) -> None:
        pass


class Became(BaseException):
    """Stands for exec(3), which does not come back: no handler of errors sees it."""


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    server: FakeServer
    home: Path
    capsys: pytest.CaptureFixture[str]
    became: list[list[str]]

    def __call__(self, *args: str) -> Result:
        """Run one command as the console script does."""
        self.capsys.readouterr()
        try:
            code = invoke(build({}), None, args)
        except Became:
            code = 0
        out, err = self.capsys.readouterr()
        return Result(code, out, err)

    @property
    def config(self) -> Path:
        return self.home / "config" / "bascule" / "config.json"

    @property
    def token(self) -> Path:
        return self.home / "state" / "bascule" / "token.json"

    def sent(self, method: str, ending: str) -> list[dict[str, Any]]:
        """Bodies of the calls of that method whose path ends so."""
        return [
            body
            for verb, path, body in self.server.calls
            if verb == method and path.endswith(ending)
        ]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def cli(
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    for module in ("connection", "discovery", "pin"):
        monkeypatch.setattr(f"bascule.client.{module}.Https", lambda *_: MemoryHttps(server))
    monkeypatch.setattr(
        "bascule.client.connection.trust_file", lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "UTC")
    mine = ("BASCULE_CONFIG", "BASCULE_CLIENT_SECRET", "BASCULE_DEBUG", "BASCULE_WHY")
    for name in (*mine, "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("bascule.cli.reason.TERMINAL", str(tmp_path / "no terminal"))
    for module in ("reach", "lockout"):
        monkeypatch.setattr(f"bascule.cli.{module}.is_here", lambda _: False)
    monkeypatch.setattr("bascule.cli.lockout.machine_uid_here", lambda: "")
    became: list[list[str]] = []

    def execvp(_: str, words: list[str]) -> None:
        became.append(words)
        raise Became

    monkeypatch.setattr(os, "execvp", execvp)
    desk = Cli(server, tmp_path, capsys, became)
    desk.config.parent.mkdir(parents=True)
    desk.config.write_text(
        json.dumps(
            {
                "endpoint": ENDPOINT,
                "ca_file": str(tmp_path / "ca.pem"),
                "tenant_id": TENANT,
                "subscription_id": SUBSCRIPTION,
                "resource_group": "default",
                "client_id": CLIENT,
                "client_secret": SECRET,
            }
        )
    )
    return desk
