"""A server that misbehaves on purpose, for clients that must not: TLS, in threads of this process.

It gives everybody a token, revokes none (502), and answers by the resource group in the path:

    pages    two pages, of which the link to the second names another host
    dies     hangs up without an answer
    html     502 with a page of a proxy
    moved    302 to another address
    expired  401 until a second token is used
    slow     answers after 30 s

``GET /calls`` lists what was asked, so that a test may see what was not.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bascule.clocks import SystemClock

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"


@dataclass
class Seen:
    calls: list[str] = field(default_factory=list)
    tokens: int = 0


class BrokenServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.seen = Seen()
        self.stopping = threading.Event()
        self.pem = folder / "broken.pem"
        self.pem.write_bytes(_certificate())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up, too, are what this is for."""


class _Call(BaseHTTPRequestHandler):
    server: BrokenServer
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        parts = urlsplit(self.path)
        if parts.path == "/calls":
            return self._say(200, self.server.seen.calls)
        self.server.seen.calls.append(f"{self.command} {self.path}")
        if parts.path == "/metadata/endpoints":
            return self._say(200, {"authentication": {"tenant": str(uuid.UUID(int=1))}})
        if parts.path.endswith("/oauth2/v2.0/token"):
            self.server.seen.tokens += 1
            token = f"t{self.server.seen.tokens}"
            return self._say(200, {"access_token": token, "expires_in": 3600})
        if parts.path.endswith("/oauth2/v2.0/revoke"):
            return self._html(None)
        if parts.path == "/subscriptions":
            return self._say(200, {"value": [{"subscriptionId": SUBSCRIPTION}]})
        group = parts.path.lower().partition("/resourcegroups/")[2].partition("/")[0]
        behave = getattr(self, f"_{group}", None)
        if behave is None:
            return self._say(404, {"error": {"code": "ResourceNotFound", "message": "none"}})
        behave(parse_qs(parts.query))
        return None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # whatever the method
            return self._answer
        raise AttributeError(name)

    def _pages(self, query: dict[str, list[str]]) -> None:
        number = query.get("page", ["1"])[0]
        page: dict[str, Any] = {"value": [_policy(number)]}
        if number == "1":
            path = self.path.partition("?")[0]
            page["nextLink"] = f"https://elsewhere.invalid{path}?api-version=2020-01-01&page=2"
        self._say(200, page)

    def _dies(self, _: object) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _html(self, _: object) -> None:
        self._say(502, "<html>bad gateway</html>", "text/html")

    def _moved(self, _: object) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.server.endpoint}/calls")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _expired(self, _: object) -> None:
        if self.headers["Authorization"] == "Bearer t1":
            self._say(401, {"error": {"code": "AuthenticationFailed", "message": "ended"}})
        else:
            self._say(200, {"value": [_policy("1")]})

    def _slow(self, _: object) -> None:
        self.server.stopping.wait(30)
        self._say(200, {"value": []})

    def _say(self, status: int, content: object, kind: str = "application/json") -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # reason: its name in the base class
        """Nothing on the terminal."""


@contextmanager
def broken_server(folder: Path) -> Iterator[BrokenServer]:
    with BrokenServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def _policy(name: str) -> dict[str, Any]:
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/pages/providers/Microsoft.Security"
    port = {
        "number": 22,
        "protocol": "TCP",
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": "PT3H",
    }
    return {
        "id": f"{path}/locations/local/jitNetworkAccessPolicies/{name}",
        "name": name,
        "kind": "Basic",
        "properties": {
            "virtualMachines": [{"id": "/subscriptions/x", "ports": [port]}],
            "requests": [],
            "provisioningState": "Succeeded",
        },
    }


def _certificate() -> bytes:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broken")])
    now = SystemClock().now()
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return plain + made.public_bytes(Encoding.PEM)
