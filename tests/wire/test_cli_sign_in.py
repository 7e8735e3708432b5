"""``bascule login`` and ``logout`` for people, as a process against a running server."""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

from bascule.domain.clients import BASCULE_CLI
from tests.wire.test_azure_identity import ANNA, ROOT, Server, at_browser, browse, server

__all__ = ["server"]  # the fixture
EXPIRED = "2020-01-01T00:00:00.0000000Z"


class Terminal:
    """One person's home and shell."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home, self.server = home, server

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PATH", "LANG"))
        }
        return {
            **kept,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT / "src"),
            "BROWSER": "true",
        }

    @property
    def token_file(self) -> Path:
        return self.home / ".local/state/bascule/token.json"

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bascule.bootstrap", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def login(self, *words: str) -> subprocess.Popen[str]:
        trust = ["--endpoint", self.server.endpoint, "--ca-file", self.server.ca_file]
        return self.start("login", *trust, *words)

    def sign_in(self) -> str:
        """By a device code; what the command said in the end."""
        process = self.login()
        code = line_with(process.stderr, r"enter the code (\S+)")
        assert "Signed in" in at_browser(self.server, "/device", user_code=code).text
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.token_file.read_text())
        return found


def line_with(stream: IO[str] | None, pattern: str) -> str:
    assert stream is not None
    for line in stream:
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise AssertionError(pattern)


@pytest.fixture
def terminal(tmp_path: Path, server: Server) -> Terminal:
    return Terminal(tmp_path, server)


def test_by_a_device_code_and_out_again(terminal: Terminal) -> None:
    assert terminal.sign_in() == f"Signed in to {terminal.server.endpoint} as {ANNA}\n"
    assert stat.S_IMODE(terminal.token_file.stat().st_mode) == 0o600
    profile = (terminal.home / ".config/bascule/config.json").read_text()
    assert terminal.kept()["refresh_token"] not in profile
    code, out, err = terminal.run("whoami")
    assert (code, ANNA in out) == (0, True), err
    access = terminal.kept()["access_token"]
    assert terminal.server.status_of(access) == 200
    assert terminal.run("logout")[:2] == (0, f"Signed out {ANNA}\n")
    assert not terminal.token_file.exists()
    assert terminal.server.status_of(access) == 401
    code, _, err = terminal.run("machine", "list")
    assert (code, "bascule login" in err) == (5, True)


def test_an_expired_token_is_refreshed_and_the_refresh_token_follows(terminal: Terminal) -> None:
    terminal.sign_in()
    before = terminal.kept()
    terminal.token_file.write_text(json.dumps({**before, "expires_at": EXPIRED}))
    code, _, err = terminal.run("machine", "list")
    assert code == 0, err
    after = terminal.kept()
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]


def test_two_commands_at_once_share_the_successor(terminal: Terminal) -> None:
    terminal.sign_in()
    terminal.token_file.write_text(json.dumps({**terminal.kept(), "expires_at": EXPIRED}))
    both = [terminal.start("machine", "list") for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    terminal.token_file.write_text(json.dumps({**terminal.kept(), "expires_at": EXPIRED}))
    assert terminal.run("machine", "list")[0] == 0


def test_by_a_browser(terminal: Terminal) -> None:
    process = terminal.login("--browser")
    url = line_with(process.stderr, r"^(https://\S+)")
    browse(terminal.server, url)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, ANNA in out) == (0, True), err
    assert terminal.run("machine", "list")[0] == 0


def test_out_everywhere_ends_programs_elsewhere_too(terminal: Terminal, tmp_path: Path) -> None:
    elsewhere = Terminal(tmp_path / "elsewhere", terminal.server)
    elsewhere.home.mkdir()
    terminal.sign_in()
    elsewhere.sign_in()
    _, out, err = terminal.run("session", "list")
    assert ("Bascule command line" in out, "this one" in out) == (True, True), err
    assert terminal.run("session", "end-others", "-y")[0] == 0
    code, _, err = elsewhere.run("machine", "list")
    assert (code, "bascule login" in err) == (5, True)
    elsewhere.sign_in()
    assert terminal.run("logout", "--everywhere")[0] == 0
    code, _, err = elsewhere.run("machine", "list")
    assert (code, "Sign in again" in err or "bascule login" in err) == (5, True)


def test_a_program_has_no_browser(terminal: Terminal) -> None:
    process = terminal.login("--browser", "--client-id", terminal.server.client_id)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "--browser is for people" in err) == (2, True)


def test_without_a_device_code_a_browser_will_do(terminal: Terminal) -> None:
    """EDGES E6. The last here: its codes wait for a quarter of an hour."""
    server = terminal.server
    form = {"client_id": BASCULE_CLI, "scope": f"{server.endpoint}/.default"}
    url = f"{server.endpoint}/common/oauth2/v2.0/devicecode"
    trust = ssl.create_default_context(cafile=server.ca_file)
    with httpx2.Client(verify=trust) as neighbour:
        while neighbour.post(url, data=form).status_code == 200:
            pass
    process = terminal.login()
    browse(server, line_with(process.stderr, r"^(https://\S+)"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, ANNA in out) == (0, True), err
