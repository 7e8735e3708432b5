"""Receivers of the record on loopback: HTTPS with faults of its own, syslog over TCP, TLS and UDP.

Each is a thread that a ``with`` begins and ends; what came in is kept in the order in which it
came. A webhook's signature is checked as docs/delivery.md says. What is not here: judgement.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.syslog_text import read_counted, read_message

NAME = "receiver.example"


@dataclass(frozen=True)
class Certificate:
    """A certificate that is its own CA."""

    file: Path  # key and certificate
    pem: str  # what a sink trusts


def make_certificate(folder: Path, *names: str) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)  # noqa: TID251  # reason: TLS libraries read the real clock
    alternatives = [_general(each) for each in names]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{names[0]}-{built.serial_number}.pem"
    file.write_bytes(secret + pem)
    return Certificate(file, pem.decode())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def context_of(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file)
    return context


@dataclass(frozen=True)
class Call:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        data = json.loads(self.body)
        return data if isinstance(data, list) else [data]

    def is_signed_with(self, secret: str) -> bool:
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = hmac.new(key, signed + self.body, hashlib.sha256).digest()
        wanted = f"v1,{base64.b64encode(mac).decode()}"
        return wanted in self.headers["webhook-signature"].split(" ")


Answering = Callable[["Handler"], None]


def status(code: int, **headers: str) -> Answering:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def closes(handler: Handler) -> None:
    """Read the call and say nothing."""
    handler.close_connection = True
    handler.connection.close()


def slow(seconds: float) -> Answering:
    def answer(handler: Handler) -> None:
        time.sleep(seconds)
        status(200)(handler)

    return answer


def huge(handler: Handler) -> None:
    """An answer that goes on until nobody listens."""
    handler.send_response(200)
    handler.send_header("content-length", str(10**12))
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100_000):
            handler.wfile.write(b"x" * 65_536)


def drips(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(200):
            handler.wfile.write(b"x")
            time.sleep(0.1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HookServer

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.path, headers, body)
        with self.server.gate:
            self.server.calls.append(call)
        self.server.answer(self)

    def do_GET(self) -> None:  # nobody of ours sends one
        self.server.calls.append(Call(f"GET {self.path}", {}, b""))
        status(200)(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # reason: the library's
        """Nothing: tests look at the calls."""


class HookServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, certificate: Certificate, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), Handler)
        self.gate = threading.Lock()
        self.calls: list[Call] = []
        self.answer: Answering = status(200)
        self._context = context_of(certificate)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        raw, address = super().get_request()
        raw.settimeout(20)
        return self._context.wrap_socket(
            raw, server_side=True, do_handshake_on_connect=False
        ), address

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that turned away: a certificate that he did not like, or our own fault."""


@contextlib.contextmanager
def hook(
    certificate: Certificate, address: str = "127.0.0.1", port: int = 0
) -> Iterator[HookServer]:
    server = HookServer(certificate, address, port)
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


# -- syslog ----------------------------------------------------------------------------------


class _Stream(socketserver.BaseRequestHandler):
    server: CollectorServer

    def handle(self) -> None:
        left = b""
        with contextlib.suppress(OSError):
            self.request.settimeout(20)
            self.server.open.append(self.request)
            while data := self.request.recv(65_536):
                frames, left = read_counted(left + data)
                for each in frames:
                    read_message(each)
                    self.server.messages.append(each)


class CollectorServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate: Certificate | None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Stream)
        self.messages: list[bytes] = []
        self.open: list[socket.socket] = []
        self._context = None if certificate is None else context_of(certificate)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        raw, address = super().get_request()
        if self._context is None:
            return raw, address
        raw.settimeout(20)
        return self._context.wrap_socket(
            raw, server_side=True, do_handshake_on_connect=False
        ), address

    def handle_error(self, request: object, client_address: object) -> None:
        """As above."""

    def cut(self) -> None:
        """Close every connection, and go on listening."""
        while self.open:
            with contextlib.suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def collector(certificate: Certificate | None = None, port: int = 0) -> Iterator[CollectorServer]:
    server = CollectorServer(certificate, port)
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.cut()
        server.server_close()
        thread.join(10)


@dataclass
class Datagrams:
    port: int
    messages: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def datagrams() -> Iterator[Datagrams]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(0.05)
    found = Datagrams(int(listener.getsockname()[1]))
    is_over = threading.Event()

    def hear() -> None:
        while not is_over.is_set():
            with contextlib.suppress(TimeoutError):
                found.messages.append(listener.recv(65_536))

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join(10)
        listener.close()
