"""The pin: a server is believed by its CA's fingerprint, or not at all."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from bascule.client import pin
from bascule.errors import AuthenticationFailed, InvalidInput
from tests.unit.test_identity_tls import made

SERVER = "https://bascule.example:8443"


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return made(tmp_path).ca_file.read_text()


def fingerprint_of(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def shows(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the server show ``text``, whatever the transport."""
    monkeypatch.setattr(pin, "_fetch", lambda _: text)


def test_the_right_one_is_believed(monkeypatch: pytest.MonkeyPatch, ca: str) -> None:
    shows(monkeypatch, ca)
    assert pin.fetch_ca(SERVER, fingerprint_of(ca)).strip() == ca.strip()


def test_colons_and_capitals_are_the_same_fingerprint(
    monkeypatch: pytest.MonkeyPatch, ca: str
) -> None:
    shows(monkeypatch, ca)
    digits = fingerprint_of(ca).upper()
    written = "SHA256:" + ":".join(digits[i : i + 2] for i in range(0, 64, 2))
    assert pin.fetch_ca(SERVER, written).strip() == ca.strip()


def test_another_certificate_is_refused(monkeypatch: pytest.MonkeyPatch, ca: str) -> None:
    """Somebody in between may show what he likes; it is not taken for the server's."""
    shows(monkeypatch, ca)
    with pytest.raises(AuthenticationFailed, match=fingerprint_of(ca)) as refused:
        pin.fetch_ca(SERVER, "0" * 64)
    assert refused.value.specific_code == "FingerprintMismatch"


@pytest.mark.parametrize(
    "text",
    ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_what_is_no_certificate_is_refused(
    monkeypatch: pytest.MonkeyPatch, ca: str, text: str
) -> None:
    shows(monkeypatch, text)
    with pytest.raises(AuthenticationFailed):
        pin.fetch_ca(SERVER, fingerprint_of(ca))


def test_the_right_one_is_found_beside_others(
    monkeypatch: pytest.MonkeyPatch, ca: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = made(tmp_path_factory.mktemp("other")).ca_file.read_text()
    shows(monkeypatch, other + ca)
    assert pin.fetch_ca(SERVER, fingerprint_of(ca)).strip() == ca.strip()


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "0" * 65])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(InvalidInput):
        pin.parse_fingerprint(text)
