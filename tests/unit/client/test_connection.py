"""The connection over real TLS on loopback: trust, the pin, what is said when it fails."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bascule.client.connection import Connection, trust_file
from bascule.client.discovery import find_tenant
from bascule.client.https import proxy_for
from bascule.client.pin import fetch_ca, parse_fingerprint
from bascule.client.reading import UnexpectedAnswer
from bascule.client.tokens import Credentials, TokenFile
from bascule.clocks import SystemClock
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    ConfigurationError,
    InvalidInput,
    ServerUnreachable,
)

pytestmark = pytest.mark.sockets
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"


FROM_NOW = (timedelta(minutes=-5), timedelta(hours=1))


def certificate(
    folder: Path, name: str, address: str, validity: tuple[timedelta, timedelta] = FROM_NOW
) -> tuple[Path, str]:
    """A certificate that is its own CA; PEM file with key, and the certificate's PEM.

    ``validity`` counts from now. It has no keyUsage, as many a corporate CA has none.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + validity[0])
        .not_valid_after(now + validity[1])
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = folder / f"{name}.pem"
    path.write_text(pem + private)
    return path, pem


class Site:
    """An HTTPS server whose answers a test sets: path -> (status, body)."""

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        validity: tuple[timedelta, timedelta] = FROM_NOW,
        chain: Path | None = None,  # another certificate, with its key
    ) -> None:
        own, self.pem = certificate(folder, f"site-{address}", address, validity)
        self.ca_file = folder / f"ca-{address}.pem"
        self.ca_file.write_text(self.pem)
        self.answers: dict[str, tuple[int, object]] = {
            "/t/oauth2/v2.0/token": (200, {"access_token": "x", "expires_in": 3600}),
            "/bascule/ca.pem": (200, self.pem),
        }
        self.seen: list[str] = []
        self.hangs_up_on = ""  # once, without a word
        # What heads an answer, by path, request, status and content.
        self.heads: Callable[[str, bytes, int, bytes], Mapping[str, str]] = lambda *_: {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen.append(self.path)
                if site.hangs_up_on == self.path.partition("?")[0]:
                    site.hangs_up_on = ""
                    self.close_connection = True
                    return
                asked = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, body = site.answers.get(self.path.partition("?")[0], (404, {}))
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                for name, value in site.heads(self.path, asked, status, content).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815  # reason: http.server calls it by this name

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Clients that do not trust us hang up: that is what is tested."""

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain or own)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest()

    def connect(self, ca_file: Path | None = None) -> Connection:
        return Connection(
            self.url, SUBSCRIPTION, Credentials("t", "c", "s"), trust_file(ca_file or self.ca_file), SystemClock(),
            TokenFile(None),
        )  # fmt: skip

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_call_and_our_own_address(site: Site) -> None:
    site.answers["/a"] = (200, {"b": 1})
    with site.connect() as connection:
        assert connection.get("/a", "2026-11-01") == {"b": 1}
        assert str(connection.caller) == "127.0.0.1", (
            "our end of the connection, when nobody says more"
        )
    assert site.seen[-1] == "/a?api-version=2026-11-01"


def test_a_ca_that_is_not_the_servers(site: Site, tmp_path: Path) -> None:
    _, pem = certificate(tmp_path, "stranger", "127.0.0.1")
    other = tmp_path / "other.pem"
    other.write_text(pem)
    with site.connect(other) as connection, pytest.raises(ServerUnreachable) as caught:
        connection.get("/a", "2026-11-01")
    assert caught.value.specific_code == "CertificateNotTrusted"
    assert not site.seen, "no secret was sent"


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    site = Site(tmp_path, "192.0.2.1")
    try:
        with site.connect() as connection, pytest.raises(ServerUnreachable, match="not trusted"):
            connection.get("/a", "2026-11-01")
    finally:
        site.close()


def test_nobody_there(site: Site) -> None:
    connection = site.connect()
    site.close()
    with connection, pytest.raises(ServerUnreachable, match="cannot be reached"):
        connection.get("/a", "2026-11-01")


@pytest.mark.parametrize("body", ["<html>", "[1]", "5"])
def test_what_is_no_answer_of_ours(site: Site, body: str) -> None:
    site.answers["/a"] = (200, body)
    with site.connect() as connection, pytest.raises(UnexpectedAnswer):
        connection.get("/a", "2026-11-01")


def test_an_error_page_of_a_proxy(site: Site) -> None:
    site.answers["/a"] = (502, "<html>bad gateway</html>")
    with site.connect() as connection, pytest.raises(BasculeError) as caught:
        connection.get("/a", "2026-11-01")
    assert caught.value.exit_code == 6


def test_the_next_page_never_leads_elsewhere(site: Site) -> None:
    """A nextLink on another host would carry the token to it."""
    site.answers["/list"] = (
        200,
        {"value": [{"n": 1}], "nextLink": "https://evil.example/next?api-version=1&x=a%20b"},
    )
    site.answers["/next"] = (200, {"value": [{"n": 2}]})
    with site.connect() as connection:
        assert [each["n"] for each in connection.pages("/list", "2026-11-01")] == [1, 2]
    assert "x=a+b" in site.seen[-1]
    assert "api-version=1" in site.seen[-1]


def test_no_ca_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.pem"):
        trust_file(tmp_path / "nothing.pem")


class TestPin:
    def test_the_right_fingerprint_in_any_spelling(self, site: Site) -> None:
        digits = site.fingerprint
        colons = ":".join(digits[i : i + 2] for i in range(0, 64, 2)).upper()
        for spelling in (digits, colons, f"SHA256:{digits}", f" {colons} "):
            assert fetch_ca(site.url, spelling).strip() == site.pem.strip()

    def test_another_ca_is_refused_and_both_are_named(self, site: Site, tmp_path: Path) -> None:
        _, site.answers["/bascule/ca.pem"] = (
            200,
            (200, certificate(tmp_path, "evil", "127.0.0.1")[1]),
        )
        with pytest.raises(AuthenticationFailed, match=site.fingerprint):
            fetch_ca(site.url, site.fingerprint)

    def test_only_the_named_one_of_several_is_trusted(self, site: Site, tmp_path: Path) -> None:
        evil = certificate(tmp_path, "evil", "127.0.0.1")[1]
        site.answers["/bascule/ca.pem"] = (200, evil + site.pem + evil)
        assert fetch_ca(site.url, site.fingerprint).count("BEGIN CERTIFICATE") == 1

    @pytest.mark.parametrize(
        "body",
        ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
    )
    def test_rubbish(self, site: Site, body: str) -> None:
        site.answers["/bascule/ca.pem"] = (200, body)
        with pytest.raises(AuthenticationFailed):
            fetch_ca(site.url, site.fingerprint)

    def test_an_answer_without_end_is_not_read(self, site: Site) -> None:
        site.answers["/bascule/ca.pem"] = (200, "x" * 10**6)
        with pytest.raises(ServerUnreachable, match="longer than 65536 bytes"):
            fetch_ca(site.url, site.fingerprint)

    def test_a_server_that_shows_none(self, site: Site) -> None:
        site.answers["/bascule/ca.pem"] = (404, {})
        with pytest.raises(ServerUnreachable, match="404"):
            fetch_ca(site.url, site.fingerprint)

    @pytest.mark.parametrize("text", ["", "ab", "g" * 64, "a" * 63, "a" * 65])
    def test_no_fingerprint(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_fingerprint(text)


class TestKeptConnection:
    """A server may close a kept connection at any time (RFC 9112 section 9.5)."""

    def test_what_may_be_repeated_is_once(self, site: Site) -> None:
        site.answers["/a"] = (200, {})
        with site.connect() as connection:
            connection.get("/a", "2026-11-01")
            site.hangs_up_on = "/a"
            connection.get("/a", "2026-11-01")
        assert len([path for path in site.seen if path.startswith("/a")]) == 3

    def test_a_post_is_not(self, site: Site) -> None:
        site.answers["/a"] = (200, {})
        with site.connect() as connection:
            connection.get("/a", "2026-11-01")
            site.hangs_up_on = "/a"
            with pytest.raises(ServerUnreachable, match="cannot be reached"):
                connection.call("POST", "/a", "2026-11-01", body={})
        assert len([path for path in site.seen if path.startswith("/a")]) == 2


@pytest.mark.parametrize(
    ("proxy", "except_for", "found"),
    [
        ("", "", ""),
        ("http://proxy:3128", "", "http://proxy:3128"),
        ("http://proxy:3128", "bascule.test,other", ""),
        ("http://proxy:3128", ".test", ""),
        ("http://proxy:3128", "other", "http://proxy:3128"),
    ],
)
def test_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str, except_for: str, found: str) -> None:
    for name in ("HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", except_for)
    assert proxy_for("bascule.test", 8443) == found


def test_discovery(site: Site) -> None:
    site.answers["/metadata/endpoints"] = (200, {"authentication": {"tenant": "t"}})
    assert find_tenant(site.url, trust_file(site.ca_file)) == "t"
    site.answers["/metadata/endpoints"] = (200, "<html>")
    with pytest.raises(UnexpectedAnswer):
        find_tenant(site.url, trust_file(site.ca_file))
