"""The samples of docs/proxies on Debian's nginx, Caddy and HAProxy (EDGES I1, A21).

An agent enrols through the proxy, which ends TLS with a certificate of its own; a person requests through
it; the port opens for the address that the proxy sees, and closes.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bascule.client import access, fleet
from bascule.client.connection import Connection, trust_file
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from tests.e2e.lab_world import until
from tests.e2e.small_world import PORT, Program, SmallWorld, rule
from tests.netns.network import CLIENT, INNER
from tests.unit.client.test_connection import certificate

T = TypeVar("T")

SAMPLES = Path(__file__).parents[2] / "docs" / "proxies"
FRONT = 9443
URL = f"https://{INNER}:{FRONT}"
CALLER = "x-bascule-caller-address"


def made_to_fit(name: str, folder: Path, data: Path) -> str:
    """A sample with this world's addresses and files; nothing else of it is changed."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    for said, here in (
        ("127.0.0.1:8443", f"{INNER}:{PORT}"),
        ("/etc/ssl/bascule-ca.pem", str(data / "ca.pem")),
        ("/etc/ssl/bascule.example.pem", str(folder / "proxy.pem")),
        ("/etc/ssl/private/bascule.example.key", str(folder / "proxy.pem")),
        ("/etc/haproxy/bascule.example.pem", str(folder / "proxy.pem")),
    ):
        text = text.replace(said, here)
    return text


def nginx(folder: Path, data: Path) -> list[str]:
    text = made_to_fit("nginx.conf", folder, data)
    text = text.replace("listen 443 ssl", f"listen {FRONT} ssl")
    text = re.sub(r"\n *listen \[::\]:443 ssl;", "", text)
    (folder / "bascule.conf").write_text(text)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind}; "
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root; pid {folder}/nginx.pid; daemon off; error_log {folder}/nginx.log;\n"
        "events {}\n"
        f"http {{ access_log off; {paths} include {folder}/bascule.conf; }}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]


def caddy(folder: Path, data: Path) -> list[str]:
    text = made_to_fit("Caddyfile", folder, data)
    text = text.replace("\nbascule.example {", f"\n{URL} {{")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def haproxy(folder: Path, data: Path) -> list[str]:
    text = made_to_fit("haproxy.cfg", folder, data)
    text = text.replace("bind :443 ", f"bind :{FRONT} ")
    text = re.sub(r"\n *bind :::443 .*", "", text)
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


PROXIES = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


class Front:
    """The proxy, in the server's network, and people who call by it from ``client``."""

    def __init__(self, world: SmallWorld, name: str) -> None:
        self.world, self.name = world, name
        self.folder = world.folder / "proxy"
        self.folder.mkdir()
        certificate(self.folder, "proxy", INNER)
        self.trust = trust_file(self.folder / "proxy.pem")
        self.program: Program | None = None
        self.start()

    def start(self) -> None:
        command = PROXIES[self.name](self.folder, self.world.data)
        self.program = Program(
            ("ip", "netns", "exec", self.world.network.inner.name, *command),
            self.folder / "log",
            env={**os.environ, "HOME": str(self.folder), "PATH": f"{os.environ['PATH']}:/usr/sbin"},
        )
        assert until(self.answers, 30), self.log

    @property
    def log(self) -> str:
        return "\n".join(each.read_text() for each in self.folder.glob("*log"))

    def stop(self) -> None:
        if self.program is not None:
            self.program.kill(15)

    def answers(self) -> bool:
        try:
            return self.ask("/healthz")[0] == 200
        except OSError:
            return False

    def ask(
        self, path: str, headers: dict[str, str] | None = None, *, direct: bool = False
    ) -> tuple[int, dict[str, str]]:
        """GET by a person's program: by the proxy, or of the server itself."""
        port, ca = (PORT, self.world.data / "ca.pem") if direct else (FRONT, None)
        trust = ssl.create_default_context(cafile=str(ca)) if ca else self.trust

        def inside() -> tuple[int, dict[str, str]]:
            calls = http.client.HTTPSConnection(INNER, port, context=trust, timeout=20)
            calls.request("GET", path, headers=headers or {})
            answer = calls.getresponse()
            answer.read()
            calls.close()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}

        return self.world.network.client.inside(inside)

    def through(self, work: Callable[[Connection], T]) -> T:
        """Call by the proxy as the administrator."""
        admin = self.world.admin

        def inside() -> T:
            names = ("tenant_id", "client_id", "client_secret")
            connection = Connection(
                URL,
                admin["subscription_id"],
                Credentials(*(admin[name] for name in names)),
                self.trust,
                SystemClock(),
            )
            try:
                return work(connection)
            finally:
                connection.close()

        return self.world.network.client.inside(inside)

    def bearer(self) -> str:
        return self.world.ask(lambda connection: connection.token().value)


@contextmanager
def fronted(folder: Path, name: str) -> Iterator[tuple[SmallWorld, Front]]:
    """A server that knows the proxy, and an agent that was enrolled through it."""
    if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs Debian's {name}")
    with SmallWorld(folder) as world:
        world.start_server(options=("--proxy", INNER, "--name", "bascule.example"))
        front = Front(world, name)
        try:
            world.network.echo(22)
            world.add_machine()
            world.set_rules(rule(22))
            made = front.through(
                lambda c: fleet.enrol(
                    c, world.machine_id, replaces=False, valid_minutes=15, is_through=True
                )
            )
            world.token = made.token
            proxy_ca = ("--proxy-ca", str(front.folder / "proxy.pem"))
            world.start_agent(server=URL, options=proxy_ca)
            world.wait_enforced()
            yield world, front
        finally:
            front.stop()


def ask_for(world: SmallWorld, connection: Connection) -> Any:
    """Without a source: for whoever calls. It waits, in one call that is held, until that opens."""
    asked = access.PortRequest(22, timedelta(minutes=5), None, None)
    made = access.initiate(connection, world.policy_id, world.machine_id, [asked])
    return access.get_request(connection, made, 20)


@pytest.mark.parametrize(
    "name",
    [
        "nginx",
        pytest.param("caddy", marks=pytest.mark.long),
        pytest.param("haproxy", marks=pytest.mark.long),
    ],
)
def test_agent_and_person_come_through(tmp_path: Path, name: str) -> None:
    with fronted(tmp_path, name) as (world, front):
        assert not world.lets_in(22)
        request = front.through(lambda c: ask_for(world, c))
        ((_, port),) = request.ports()
        assert (port.state, port.sources) == ("open", (CLIENT,))
        assert world.lets_in(22, wait=2)
        assert not world.lets_stranger_in(22)

        authorization = {"Authorization": f"Bearer {front.bearer()}"}
        forged = {**authorization, "X-Forwarded-For": "203.0.113.9"}
        path = f"/subscriptions/{world.admin['subscription_id']}?api-version=2022-12-01"
        assert front.ask(path, authorization)[1][CALLER] == CLIENT
        assert front.ask(path, forged)[1][CALLER] == CLIENT, "what the caller says of itself"
        assert front.ask(path, forged, direct=True)[1][CALLER] == CLIENT, "of no trusted peer"

        front.stop()  # every stream is cut
        assert until(lambda: not world.agent_status()["connected"], 60)
        assert world.lets_in(22, wait=2), "what is open stays so until its end"
        front.start()
        assert until(lambda: world.agent_status()["connected"], 60), world.logs()
        front.through(lambda c: access.revoke(c, request.id, kill=False))
        assert until(lambda: not world.lets_in(22), 20), world.logs()
