"""The CA and the server's certificate: made once, renewed, resumed after any death."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from bascule import files
from bascule.clocks import SystemClock
from bascule.config import DEFAULT_CERTIFICATE_LIFE
from bascule.errors import ConfigurationError
from bascule.identity import tls
from bascule.identity import x509 as certificates
from bascule.identity.tls import CertificateKeeper, ca_fingerprint

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
SYSTEM_PYTHON = Path("/usr/bin/python3")


def made(
    path: Path,
    names: tuple[str, ...] = (),
    life: timedelta = DEFAULT_CERTIFICATE_LIFE,
    now: datetime = NOW,
) -> CertificateKeeper:
    keeper = CertificateKeeper(path, names, life)
    keeper.ensure(now)
    return keeper


def server_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates((path / tls.SERVER).read_bytes())[0]


def shakes_hands(keeper: CertificateKeeper, name: str) -> bytes:
    """The certificate that a client which trusts the CA file is shown, as DER, in memory."""
    trust = ssl.create_default_context(cafile=keeper.ca_file)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    inputs = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    client = trust.wrap_bio(inputs[0], inputs[1], server_hostname=name)
    server = keeper.context.wrap_bio(inputs[1], inputs[0], server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return shown


class TestMaking:
    def test_private_keys_are_readable_by_their_owner_alone(self, tmp_path: Path) -> None:
        made(tmp_path / "data")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()
        }
        assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}

    def test_every_server_is_called_localhost_and_the_given_names(self, tmp_path: Path) -> None:
        made(tmp_path, ("Jit.Example", "192.0.2.7", "2001:DB8::1"))
        found = certificates.names_of(server_certificate(tmp_path))
        assert found == {
            "localhost", "127.0.0.1", "::1", "jit.example", "192.0.2.7", "2001:db8::1",
        }  # fmt: skip

    def test_the_ca_may_sign_leaves_and_its_successor(self, tmp_path: Path) -> None:
        ca = x509.load_pem_x509_certificate(made(tmp_path).ca_file.read_bytes())
        basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 1)
        assert ca.not_valid_after_utc - NOW >= timedelta(days=3650)

    def test_the_fingerprint_is_of_the_der_form(self, tmp_path: Path) -> None:
        keeper = made(tmp_path)
        shown = subprocess.run(
            ["openssl", "x509", "-in", keeper.ca_file, "-noout", "-fingerprint", "-sha256"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert shown.strip().partition("=")[2].replace(":", "").lower() == ca_fingerprint(
            keeper.ca_file
        )

    def test_openssl_finds_nothing_to_object_to_in_the_strict_check(self, tmp_path: Path) -> None:
        keeper = made(tmp_path)
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(certificates.certificate_pem(server_certificate(tmp_path)))
        verify = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp()))]
        purpose = ["-purpose", "sslserver", "-verify_hostname", "localhost"]
        done = subprocess.run(
            [*verify, *purpose, "-CAfile", keeper.ca_file, leaf],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def test_nothing_is_made_anew_by_a_second_start(self, tmp_path: Path) -> None:
        made(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        made(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


class TestKilledAnywhere:
    """A first start may die at any write, before or after it; the next one goes on."""

    @pytest.mark.parametrize("step", [1, 2, 3])
    @pytest.mark.parametrize("is_before", [True, False])
    def test_the_next_start_continues(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, is_before: bool
    ) -> None:
        real = files.write_atomically
        count = 0

        class Killed(BaseException):
            pass

        def dying(path: Path, data: bytes, mode: int) -> None:
            nonlocal count
            count += 1
            if count == step and is_before:
                raise Killed
            real(path, data, mode)
            if count == step:
                raise Killed

        monkeypatch.setattr(tls, "write_atomically", dying)
        now = SystemClock().now()
        with pytest.raises(Killed):
            made(tmp_path, now=now)
        left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        monkeypatch.setattr(tls, "write_atomically", real)
        keeper = made(tmp_path, now=now)
        assert shakes_hands(keeper, "localhost")
        for name in ("ca.key", "ca.pem"):  # what somebody may have pinned already
            assert left.get(name, (tmp_path / name).read_bytes()) == (tmp_path / name).read_bytes()

    def test_a_half_written_file_never_takes_the_real_ones_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "key"
        files.write_atomically(target, b"old", files.PRIVATE)

        def full_disk(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(ConfigurationError, match="No space left"):
            files.write_atomically(target, b"new", files.PRIVATE)
        assert target.read_bytes() == b"old"


class TestRenewal:
    MINUTE = timedelta(seconds=60)

    def test_not_before_two_thirds_of_its_life(self, tmp_path: Path) -> None:
        keeper = made(tmp_path, life=self.MINUTE)
        assert not keeper.renew_if_due(NOW + timedelta(seconds=39))
        assert keeper.renew_if_due(NOW + timedelta(seconds=40))
        assert keeper.server_certificate_ends_at == NOW + timedelta(seconds=100)

    def test_the_same_context_serves_the_new_one(self, tmp_path: Path) -> None:
        now = SystemClock().now()
        keeper = made(tmp_path, life=self.MINUTE, now=now)
        context, first = keeper.context, shakes_hands(keeper, "localhost")
        assert keeper.renew_if_due(now + timedelta(seconds=41))
        assert keeper.context is context
        assert shakes_hands(keeper, "::1") != first

    def test_when_the_names_change(self, tmp_path: Path) -> None:
        ca = ca_fingerprint(made(tmp_path).ca_file)
        keeper = made(tmp_path, ("jit.example",))
        assert "jit.example" in certificates.names_of(server_certificate(tmp_path))
        assert ca_fingerprint(keeper.ca_file) == ca

    def test_when_the_clock_went_back(self, tmp_path: Path) -> None:
        keeper = made(tmp_path, life=self.MINUTE)
        earlier = NOW - timedelta(hours=1)
        assert keeper.renew_if_due(earlier)
        assert keeper.server_certificate_ends_at == earlier + self.MINUTE

    def test_when_the_setting_becomes_shorter(self, tmp_path: Path) -> None:
        made(tmp_path)
        keeper = made(tmp_path, life=self.MINUTE)
        assert keeper.server_certificate_ends_at == NOW + self.MINUTE

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: b"",
            lambda pem: pem[: len(pem) // 2],
            lambda pem: pem.replace(b"BEGIN CERTIFICATE", b"BEGIN NOTHING"),
            lambda pem: pem.replace(b"MI", b"??"),
        ],
    )
    def test_when_it_is_damaged(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        made(tmp_path)
        path = tmp_path / tls.SERVER
        path.write_bytes(damage(path.read_bytes()))
        made(tmp_path)
        assert server_certificate(tmp_path).not_valid_after_utc > NOW

    def test_never_past_the_end_of_its_ca(self, tmp_path: Path) -> None:
        keeper = made(tmp_path)
        ca = x509.load_pem_x509_certificate(keeper.ca_file.read_bytes())
        late = ca.not_valid_after_utc - timedelta(days=10)
        assert keeper.renew_if_due(late)
        assert keeper.server_certificate_ends_at == ca.not_valid_after_utc
        assert not keeper.renew_if_due(late + timedelta(days=9))  # there is no later one to have


class TestRefusals:
    def test_a_ca_without_its_key_serves_but_does_not_renew(self, tmp_path: Path) -> None:
        keeper = made(tmp_path)
        (tmp_path / tls.CA_KEY).unlink()
        made(tmp_path)
        with pytest.raises(ConfigurationError, match="not the key of"):
            keeper.renew_if_due(NOW + timedelta(days=80))

    def test_another_cas_key_is_noticed(self, tmp_path: Path) -> None:
        keeper = made(tmp_path / "a")
        made(tmp_path / "b")
        (tmp_path / "a" / tls.CA_KEY).write_bytes((tmp_path / "b" / tls.CA_KEY).read_bytes())
        with pytest.raises(ConfigurationError, match="not the key of"):
            keeper.renew_if_due(NOW + timedelta(days=80))

    @pytest.mark.parametrize("name", [tls.CA_CERTIFICATE, tls.CA_KEY])
    def test_a_damaged_ca_is_not_replaced_behind_everybodys_back(
        self, tmp_path: Path, name: str
    ) -> None:
        made(tmp_path)
        (tmp_path / name).write_bytes(b"-----BEGIN RUBBISH-----\n")
        (tmp_path / tls.SERVER).unlink()
        with pytest.raises(ConfigurationError, match="damaged") as caught:
            made(tmp_path)
        assert "backup" in caught.value.advice

    def test_a_key_of_another_kind_is_damage(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        with pytest.raises(ValueError, match="elliptic"):
            certificates.read_key(certificates.key_pem(key))  # type: ignore[arg-type]  # reason: that is the test

    def test_a_ca_out_of_its_time_says_what_to_do(self, tmp_path: Path) -> None:
        made(tmp_path)
        for now in (NOW + timedelta(days=4000), NOW - timedelta(days=400)):
            with pytest.raises(ConfigurationError, match="is valid from") as caught:
                made(tmp_path, now=now)
            assert "must enrol again" in caught.value.advice

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigurationError, match="cannot be created"):
            made(tmp_path / "file" / "data")
