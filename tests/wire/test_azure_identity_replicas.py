"""azure-identity's own credentials against two running servers on one database of PostgreSQL.

Before them is a balancer that gives every second call to the other (ADR 26).
"""

from __future__ import annotations

import json
import shutil
import ssl
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

import pytest

from bascule.identity.tls import SERVER
from bascule.store.postgresql_open import open_postgresql
from tests.support import postgresql
from tests.wire import test_azure_identity as one
from tests.wire.test_azure_identity import Server, fill, make_certificate, running

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]
OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Balanced(ThreadingHTTPServer):
    """Ends TLS by a server's own certificate, and sends each call to the next server."""

    daemon_threads = True

    def __init__(self, data: Path, ports: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.answered: Counter[int] = Counter()
        self.trust = ssl.create_default_context(cafile=str(data / "ca.pem"))
        self._ports, self._gate = cycle(ports), threading.Lock()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(data / SERVER)
        self.socket = tls.wrap_socket(self.socket, server_side=True)

    def take_next(self) -> int:
        with self._gate:
            port = next(self._ports)
            self.answered[port] += 1
            return port


class Forwarding(BaseHTTPRequestHandler):
    server: Balanced
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = HTTPSConnection(
            "localhost", self.server.take_next(), timeout=60, context=self.server.trust
        )
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in OF_ONE_CONNECTION:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_POST = do_GET  # noqa: N815  # reason: as the library calls it

    def log_message(self, *_: object) -> None:
        """The servers log."""


@contextmanager
def balanced(data: Path, ports: Sequence[int]) -> Iterator[Balanced]:
    balancer = Balanced(data, ports)
    serving = threading.Thread(target=balancer.serve_forever, daemon=True)
    serving.start()
    try:
        yield balancer
    finally:
        balancer.shutdown()
        serving.join()
        balancer.server_close()


@pytest.mark.timeout(300)  # three starts of a server
@pytest.mark.filterwarnings("ignore:This API has been deprecated:DeprecationWarning")
def test_every_way_to_sign_in_over_two_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device code and refresh, code with PKCE, secret, certificate, and a password in ADFS mode."""
    name = postgresql.cluster().make(postgresql.blank())
    options = ("--database", postgresql.cluster().address(name), "--allow-password-grant")
    first, second = tmp_path / "first", tmp_path / "second"
    certificate, program = tmp_path / "program.pem", str(uuid.uuid4())
    with running(first, *options):
        pass
    store = open_postgresql(postgresql.cluster().place(name), is_server=False)
    fill(store, program, make_certificate(certificate))
    shutil.copytree(first, second)
    admin = json.loads((first / "admin.json").read_text())
    with ExitStack() as kept:
        ports = [kept.enter_context(running(each, *options)) for each in (first, second)]
        balancer = kept.enter_context(balanced(first, ports))
        admin["endpoint"] = f"https://localhost:{balancer.server_address[1]}"
        server = Server(**admin, certificate=certificate, program=program)
        one.TestSecret().test_signs_in_and_the_token_works(server, "")
        one.TestSecret().test_prints_why_a_secret_is_refused(server)
        one.TestCertificate().test_signs_in_and_the_token_works(server, sends_chain=False)
        one.TestPeople().test_device_code(server)
        one.TestPeople().test_a_browser(server, monkeypatch)
        one.TestPeople().test_a_password_in_adfs_mode(server)
    assert min(balancer.answered[port] for port in ports) >= 15
    assert abs(balancer.answered[ports[0]] - balancer.answered[ports[1]]) <= 1
    postgresql.cluster().drop(name)
