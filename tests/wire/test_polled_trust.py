"""EDGES I5: an agent that has no line is told of another CA with its state, and says so with its report.

A real server, and the link of an agent by calls alone: over direct TLS, and through a proxy that ends TLS.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bascule.agent.enrolment import IDENTITY_FILE, enrol, load_identity, parse_token, trust_of
from bascule.agent.http_link import HttpLink
from bascule.agent.trusted import NUMBER, Trusted
from bascule.clocks import SystemClock
from bascule.errors import ServerUnreachable
from bascule.protocol.report import Report
from bascule.protocol.trust import Trust
from tests.support.hostile_proxy import Answer, Asked, HostileProxy
from tests.unit.client.test_connection import certificate
from tests.wire.running import Server, running

pytestmark = [pytest.mark.sockets, pytest.mark.filterwarnings("ignore::ResourceWarning")]


class Poller:
    """An agent's link by calls, with what it keeps on disk."""

    def __init__(self, state: Path) -> None:
        identity = load_identity(state)
        assert identity is not None
        self.state, self.identity = state, identity
        self.trusted = Trusted(state, identity)
        self.link = self._made()

    def _made(self) -> HttpLink:
        return HttpLink(
            self.identity,
            trust_of(self.state),
            SystemClock(),
            trusts=lambda: self.trusted.number,
            on_trust=self._take,
        )

    def _take(self, told: Trust) -> None:
        _, trust = self.trusted.take(told)
        if trust is not None:
            self.link.trust = trust

    def go_round(self) -> None:
        self.link.fetch_state(lambda: None)
        self.link.send_report(Report(0, frozenset()))

    def start_again(self) -> None:
        self.link.close()
        self.link = self._made()

    @property
    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / IDENTITY_FILE).read_text())
        return found


class Place:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.data, self.folder = server, folder / "data", folder
        self.pollers: list[Poller] = []

    def token(self, name: str, *, is_through: bool) -> str:
        machine = f"{self.server.group}/providers/Microsoft.Compute/virtualMachines/{name}"
        self.server.call("PUT", machine, {})
        path = f"{machine}/providers/Bascule.Fleet/enrolments"
        made = self.server.call("POST", path, {"throughProxy": is_through})
        return str(made["properties"]["token"])

    def poller(self, name: str, server: str, proxy_ca: str = "") -> Poller:
        state = self.folder / name
        state.mkdir()
        token = parse_token(self.token(name, is_through=bool(proxy_ca)))
        enrol(state, server, token, SystemClock(), proxy_ca=proxy_ca)
        self.pollers.append(Poller(state))
        return self.pollers[-1]

    def close(self) -> None:
        for each in self.pollers:
            each.link.close()

    def rotate(self, *options: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "bascule.bootstrap", "admin", "rotate-ca"]
        command += ["--data", str(self.data), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def moved(self) -> set[str]:
        found = json.loads(self.rotate("--status", "-o", "json"))
        return {each["machine"] for each in found["agents"] if each["hasMoved"]}

    def is_taken_up(self, poller: Poller, number: int) -> None:
        """Poll until the running server has told it."""
        deadline = time.monotonic() + 30
        while poller.kept.get(NUMBER, 0) < number:
            assert time.monotonic() < deadline, poller.kept
            poller.go_round()
            time.sleep(0.2)
        poller.go_round()

    @property
    def number(self) -> int:
        return int(json.loads(self.rotate("--status", "-o", "json"))["number"])


@contextmanager
def placed(folder: Path, *options: str) -> Iterator[Place]:
    with running(folder, *options) as server, closing(Place(server, folder)) as place:
        yield place


def test_over_direct_tls_it_moves_and_stays_through_every_step(tmp_path: Path) -> None:
    with placed(tmp_path) as place:
        web = place.poller("web-1", place.server.endpoint)
        away = place.poller("db-1", place.server.endpoint)
        web.go_round()
        assert NUMBER not in web.kept, "there was no change"
        old = web.kept["ca"]
        place.rotate()
        place.is_taken_up(web, place.number)
        assert web.kept["ca"].startswith(old)
        assert web.kept["ca"] != old
        assert place.moved() == {"web-1"}

        place.rotate("--switch")
        assert "db-1" in place.rotate("--finish", code=2)
        deadline = time.monotonic() + 30
        while old == (place.data / "ca.pem").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for each in (web, away):  # by what each trusts, on new connections
            each.start_again()
            each.go_round()
        place.is_taken_up(away, place.number)
        assert place.moved() == {"web-1", "db-1"}

        place.rotate("--finish")
        place.is_taken_up(web, place.number)
        assert web.kept["ca"] == (place.data / "ca.pem").read_text()
        assert place.moved() == {"web-1"}
        web.start_again()
        web.go_round()


def test_an_agent_that_was_not_told_is_named_and_cut_off_by_yes_alone(tmp_path: Path) -> None:
    with placed(tmp_path) as place:
        web = place.poller("web-1", place.server.endpoint)
        place.rotate()
        place.rotate("--switch")
        assert "web-1" in place.rotate("--finish", code=2)
        old = trust_of(web.state)
        place.rotate("--finish", "--yes")
        deadline = time.monotonic() + 30
        while _is_trusted(place.server.endpoint, old):  # no call: its answer would tell the agent
            assert time.monotonic() < deadline, "the old CA is used still"
            time.sleep(0.2)
        web.start_again()
        with pytest.raises(ServerUnreachable):
            web.go_round()
        assert NUMBER not in web.kept


def _is_trusted(server: str, trust: ssl.SSLContext) -> bool:
    """Does a handshake succeed with this trust?"""
    where = urlsplit(server)
    assert where.hostname is not None
    try:
        with (
            socket.create_connection((where.hostname, where.port or 443), 10) as made,
            trust.wrap_socket(made, server_hostname=where.hostname),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_through_a_proxy_what_it_changes_is_neither_trusted_nor_counted(tmp_path: Path) -> None:
    with placed(tmp_path, "--proxy", "127.0.0.1") as place:
        files, proxy_ca = certificate(tmp_path, "proxy", "127.0.0.1")
        proxy = HostileProxy(place.server.endpoint, place.data / "ca.pem", files)
        try:
            web = place.poller("web-1", proxy.url, proxy_ca)
            place.rotate()
            _is_not_lied_to(place, proxy, web)
            proxy.honest()
            place.is_taken_up(web, place.number)
            assert place.moved() == {"web-1"}
        finally:
            proxy.close()


def _is_not_lied_to(place: Place, proxy: HostileProxy, web: Poller) -> None:
    before = web.kept

    def another_number(asked: Asked) -> Asked:
        """As if the agent had said that it trusts the newest."""
        path = asked.path.replace("trusts=0", f"trusts={place.number}")
        return Asked(asked.method, path, asked.headers, asked.body)

    def no_trust(asked: Asked, answer: Answer) -> Answer:
        content = json.loads(answer.content)
        content.pop("trust", None)
        return Answer(answer.status, answer.headers, json.dumps(content).encode())

    proxy.on_call = another_number
    for work in (
        lambda: web.link.fetch_state(lambda: None),
        lambda: web.link.send_report(Report(0, frozenset())),
    ):
        with pytest.raises(ServerUnreachable):
            work()
    assert any("trusts=" in asked.path for asked, _ in proxy.calls)
    assert place.moved() == set()
    proxy.honest()
    proxy.on_answer = no_trust
    with pytest.raises(ServerUnreachable):
        web.link.fetch_state(lambda: None)
    assert web.kept == before
