"""Why a server was not reached: each obstacle has its own words and its own way out."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bascule.client.connection import trust_file
from bascule.client.https import Https, HttpsFailure
from bascule.client.obstacles import unreachable
from bascule.client.pin import fetch_ca
from bascule.clocks import SystemClock
from bascule.errors import BasculeError, ConfigurationError, ServerUnreachable
from tests.unit.client.test_connection import Site, certificate

pytestmark = pytest.mark.sockets
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def obstacle(endpoint: str, trust: ssl.SSLContext) -> ServerUnreachable:
    """What a call meets that is made with that trust."""
    with closing(Https(endpoint, trust)) as https, pytest.raises(HttpsFailure) as caught:
        https.request("GET", "/healthz", patience=10.0)
    return unreachable(endpoint, caught.value)


def told(site: Site, trust: ssl.SSLContext | None = None) -> ServerUnreachable:
    try:
        found = obstacle(site.url, trust or trust_file(site.ca_file))
    finally:
        site.close()
    assert found.specific_code == "CertificateNotTrusted"
    assert ".." not in found.message
    return found


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    """The CA is the right one: naming another is no way out."""
    found = told(Site(tmp_path, "192.0.2.1"))
    assert "for another name than 127.0.0.1" in found.message
    assert "bascule serve --name 127.0.0.1" in found.advice
    assert "--ca-file" not in found.advice


def signed_without_key_usage(folder: Path) -> tuple[Path, Path]:
    """A server's certificate with its key, and the CA that signed it."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("corp", "site")]
    made = []
    for key, name, is_ca in zip(keys, names, (True, False), strict=True):
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - HOUR)
            .not_valid_after(now + HOUR)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
        )
        made.append(builder.sign(keys[0], hashes.SHA256()))
    ca_pem, pem = (each.public_bytes(serialization.Encoding.PEM) for each in made)
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "chain.pem").write_bytes(pem + private)
    (folder / "corp.pem").write_bytes(ca_pem)
    return folder / "chain.pem", folder / "corp.pem"


@pytest.mark.parametrize(
    ("validity", "expected"),
    [((HOUR, 2 * HOUR), "not valid yet"), ((-2 * HOUR, -HOUR), "has expired")],
)
def test_a_clock_that_is_wrong(
    tmp_path: Path, validity: tuple[timedelta, timedelta], expected: str
) -> None:
    found = told(Site(tmp_path, validity=validity))
    assert expected in found.message
    assert "Check this host's clock" in found.advice
    assert "intercepting" not in found.advice


def test_a_ca_that_the_strict_check_refuses_is_nobody_in_between(tmp_path: Path) -> None:
    """Python 3.13 checks by RFC 5280; a corporate CA without keyUsage is common."""
    chain, ca_file = signed_without_key_usage(tmp_path)
    site = Site(tmp_path, chain=chain)
    trust = trust_file(ca_file)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    found = told(site, trust)
    assert "violates RFC 5280" in found.message
    assert "keyUsage" in found.advice
    assert "intercepting" not in found.advice


def test_a_ca_of_somebody_else(tmp_path: Path) -> None:
    _, pem = certificate(tmp_path, "other", "127.0.0.1")
    (tmp_path / "other-ca.pem").write_text(pem)
    found = told(Site(tmp_path), trust_file(tmp_path / "other-ca.pem"))
    assert "no CA that is trusted here signed it" in found.message
    assert "--ca-file" in found.advice
    assert "somebody may be intercepting the connection" in found.advice


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "does not exist"), ("no PEM", "no certificate in PEM form")]
)
def test_a_ca_file_that_is_none(tmp_path: Path, content: str | None, expected: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        trust_file(file)
    assert "Errno" not in caught.value.message
    assert str(file) in caught.value.message
    assert "--ca-file" in caught.value.advice


@pytest.fixture
def refusing_proxy() -> Iterator[int]:
    """A proxy that lets nobody through; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                caller, _ = listener.accept()
                with caller:
                    caller.recv(4096)
                    caller.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_proxy_in_the_way_is_named_and_its_password_is_not(
    refusing_proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://ada:secret@127.0.0.1:{refusing_proxy}")
    found = obstacle("https://bascule.test:8443", ssl.create_default_context())
    assert f"through the proxy 127.0.0.1:{refusing_proxy}, which https_proxy names" in found.message
    assert "403" in found.message
    assert "no_proxy=bascule.test" in found.advice
    assert "secret" not in found.message + found.advice


def test_nobody_there() -> None:
    found = obstacle("https://127.0.0.1:1", ssl.create_default_context())
    assert found.message == "https://127.0.0.1:1 cannot be reached: Connection refused."


def test_a_server_that_shows_no_ca_is_not_answered_with_an_option_of_another_command(
    tmp_path: Path,
) -> None:
    """``agent install`` has no --ca-file."""
    site = Site(tmp_path)
    site.answers["/bascule/ca.pem"] = (404, {})
    try:
        with pytest.raises(BasculeError) as caught:
            fetch_ca(site.url, "00" * 32)
    finally:
        site.close()
    assert "--ca-file" not in caught.value.advice
