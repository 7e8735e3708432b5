"""``agent install`` on a host that is enrolled: the same server changes nothing, another is refused (EDGES I3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bascule.agent import again, commands
from bascule.agent.enrolment import enrol, parse_token
from bascule.clocks import SystemClock
from bascule.errors import Conflict, InvalidInput
from tests.unit.client.test_connection import Site
from tests.unit.test_agent_enrolment import TRUST, accept
from tests.unit.test_agent_start import Host, Watched

pytestmark = pytest.mark.sockets


def token_of(pin: str, secret: str = "first") -> str:  # noqa: S107  # reason: of a test
    body = json.dumps({"u": "uid", "c": pin, "s": secret, "k": TRUST}).encode()
    return "bascule-enrol." + base64.urlsafe_b64encode(body).decode()


class Enrolled:
    """A host that was enrolled with ``site``; ``other`` is another server."""

    def __init__(self, folder: Path) -> None:
        for name in ("site", "other", "state"):
            (folder / name).mkdir()
        self.site, self.other = Site(folder / "site"), Site(folder / "other")
        accept(self.site)
        accept(self.other)
        self.state, self._units = folder / "state", folder / "units"
        pin = self.site.fingerprint
        enrol(
            self.state,
            self.site.url,
            parse_token(token_of(pin)),
            SystemClock(),
        )
        self.before = self.files()

    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.state.iterdir()}

    def install(self, server: str, *words: str, token: str = "") -> Result:
        where = ["--state", str(self.state), "--unit-folder", str(self._units)]
        given = ["--token-file", "-"] if token else []
        return CliRunner().invoke(
            commands.agent,
            ["install", "--server", server, *where, *given, *words],
            obj=Host(Watched([])),
            input=token,
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Enrolled]:
    monkeypatch.setattr(again, "is_systemd_running", lambda: False)
    made = Enrolled(tmp_path)
    yield made
    made.site.close()
    made.other.close()


def test_the_same_server_changes_nothing_and_says_so(host: Enrolled) -> None:
    """Also by another of its names, and with the token that enrolled this host; nobody is asked for one."""
    host.site.seen.clear()
    name = host.site.url.replace("127.0.0.1", "localhost")
    own = token_of(host.site.fingerprint)
    for server, words, token in (
        (host.site.url, (), ""),
        (host.site.url, ("--fingerprint", host.site.fingerprint.upper()), ""),
        (host.site.url, (), own),
        (name, (), ""),
    ):
        done = host.install(server, *words, token=token)
        assert done.exit_code == 0, (done.output, done.exception)
        assert f"enrolled with {host.site.url} already" in done.output
        assert "Nothing was changed" in done.output
        assert "--replace" in done.output
    assert host.files() == host.before
    assert "/bascule/enrol" not in host.site.seen


def test_a_service_that_does_not_run_is_started_without_a_token(
    host: Enrolled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The key stays: an agent whose state outlived its package keeps its ports closed again."""
    told = []
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(again, "is_systemd_running", lambda: True)
    monkeypatch.setattr(again, "is_network_of_systemd", lambda: True)
    monkeypatch.setattr(again, "is_unit_running", lambda: False)
    monkeypatch.setattr(again, "systemctl", lambda *words: told.append(words[0]))
    done = host.install(host.site.url)
    assert done.exit_code == 0, done.output
    assert told == ["daemon-reload", "enable"]
    assert "did not run" in done.output
    assert host.files() == host.before


def test_another_server_is_refused_with_what_to_do(host: Enrolled) -> None:
    """A wrong name, a wrong token or a server that was made anew does not take the host."""
    theirs = token_of(host.other.fingerprint)
    for server, words, token in (
        (host.other.url, (), ""),
        (host.other.url, (), theirs),
        (host.site.url, (), theirs),
        (host.site.url, ("--fingerprint", host.other.fingerprint), ""),
        ("https://127.0.0.1:1", (), ""),
    ):
        done = host.install(server, *words, token=token)
        assert isinstance(done.exception, Conflict), (server, done.output)
        assert "Nothing was changed" in done.exception.message
        assert "--replace" in done.exception.advice
        assert "bascule agent uninstall" in done.exception.advice
    assert host.files() == host.before
    assert "/bascule/enrol" not in host.other.seen


@pytest.mark.parametrize("words", [(), ("--replace",)])
def test_a_token_of_another_server_than_the_line_s_is_refused(
    host: Enrolled, words: tuple[str, ...]
) -> None:
    """Whoever has the line of one server and the token of another meant something else."""
    theirs = token_of(host.other.fingerprint)
    pin = ("--fingerprint", host.site.fingerprint)
    done = host.install(host.site.url, *pin, *words, token=theirs)
    assert isinstance(done.exception, InvalidInput), done.output
    assert host.files() == host.before
    done = host.install(host.site.url, "--fingerprint", "12", *words, token=theirs)
    assert isinstance(done.exception, InvalidInput)
    assert "64 hexadecimal digits" in done.exception.message


def test_another_token_or_replace_gives_a_new_key(
    host: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = []
    monkeypatch.setattr(commands, "_put_in_place", lambda server, *_, **__: put.append(server))
    host.install(host.site.url, token=token_of(host.site.fingerprint, "second"))
    host.install(host.site.url, "--replace", token=token_of(host.site.fingerprint))
    host.install(host.other.url, "--replace", token=token_of(host.other.fingerprint))
    assert put == [host.site.url, host.site.url, host.other.url]


@pytest.mark.parametrize("ca", ["", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"])
def test_a_damaged_identity_is_enrolled_anew(host: Enrolled, ca: str) -> None:
    file = host.state / "identity.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"ca": ca}))
    done = host.install(host.site.url)
    assert isinstance(done.exception, InvalidInput)
    assert "enrolment token is missing" in done.exception.message
