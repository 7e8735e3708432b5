"""A certificate that an operator brings: what is refused, who is shown it, and files that change."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from bascule.api.hello import peek_hello
from bascule.api.own_certificate import take_own
from bascule.client.https import pinned
from bascule.clocks import SystemClock
from bascule.errors import ConfigurationError
from bascule.identity.own_certificate import NotValidNow, OwnCertificate
from bascule.identity.tls import CertificateKeeper
from bascule.protocol.hello import wants_ca

NOW = SystemClock().now().replace(microsecond=0)
DAY = timedelta(days=1)
NAME = "bascule.example"
NAMES = ("localhost", "127.0.0.1", "::1", NAME)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Issuer:
    """A CA that is none of ours, with one below it."""

    def __init__(self) -> None:
        self.root_key, self.key = new_key(), new_key()
        self.root = issue("Root", self.root_key, "Root", self.root_key, is_ca=True)
        self.certificate = issue("Between", self.key, "Root", self.root_key, is_ca=True)

    def leaf(self, key: Key, names: tuple[str, ...] = (NAME,), **how: Any) -> x509.Certificate:
        return issue("Leaf", key, "Between", self.key, names=names, **how)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + 90 * DAY,
    is_ca: bool = False,
    use: x509.ObjectIdentifier | None = None,
    odd: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    called = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (subject, issuer)
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(called[0])
        .issuer_name(called[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if names:
        made = made.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
    if use is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    if odd is not None:
        made = made.add_extension(x509.UnrecognizedExtension(odd, b"damaged"), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


class Files:
    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "chain.pem", folder / "key.pem"
        self.issuer = Issuer()

    def put(self, key: Key, *chain: x509.Certificate, password: bytes = b"") -> None:
        pem = serialization.Encoding.PEM
        hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            hidden = serialization.BestAvailableEncryption(password)
        self.certificate.write_bytes(b"".join(each.public_bytes(pem) for each in chain))
        self.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden))
        self.key.chmod(0o600)

    def good(self, names: tuple[str, ...] = (NAME,), key: Key | None = None) -> x509.Certificate:
        key = key or new_key()
        leaf = self.issuer.leaf(key, names)
        self.put(key, leaf, self.issuer.certificate, self.issuer.root)
        return leaf

    def own(self) -> OwnCertificate:
        return OwnCertificate(self.certificate, self.key, NAMES)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_good_pair_is_served_for_its_names(files: Files) -> None:
    files.good((NAME, "*.apps.example"))
    own = files.own()
    taken = own.take_up(NOW)
    assert taken.warnings == ()
    assert taken.ends_at == NOW + 90 * DAY
    assert own.is_for(NAME)
    assert own.is_for("BASCULE.example.")
    assert own.is_for("a.apps.example")
    for other in (None, "", "apps.example", "a.b.apps.example", "localhost", "127.0.0.1"):
        assert not own.is_for(other)


def _mismatch(files: Files) -> None:
    files.good()
    kept = files.certificate.read_bytes()
    files.good()
    files.certificate.write_bytes(kept)


def _reversed(files: Files) -> None:
    key = new_key()
    files.put(key, files.issuer.certificate, files.issuer.leaf(key))


def _encrypted(files: Files) -> None:
    key = new_key()
    files.put(key, files.issuer.leaf(key), password=b"secret")


def _leaf(**how: Any) -> Callable[[Files], None]:
    def put(files: Files) -> None:
        key = new_key()
        files.put(key, files.issuer.leaf(key, **how), files.issuer.certificate)

    return put


def _unknown_curve(files: Files) -> None:
    """Of which the certificate says that its key is."""
    der = bytearray(files.good().public_bytes(serialization.Encoding.DER))
    p256 = bytes.fromhex("06082a8648ce3d030107")
    der[der.index(p256) + len(p256) - 1] = 0x7F
    files.certificate.write_text(ssl.DER_cert_to_PEM_cert(bytes(der)))


def _then(change: Callable[[Files], object]) -> Callable[[Files], None]:
    def put(files: Files) -> None:
        files.good()
        change(files)

    return put


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (_mismatch, "is not the key of the certificate"),
        (_reversed, "not the server's own, but one of an issuer"),
        (_encrypted, "encrypted with a passphrase"),
        (_leaf(begins=NOW - 9 * DAY, ends=NOW), "has expired"),
        (_leaf(begins=NOW + DAY), "not valid before"),
        (_leaf(names=("other.example",)), "is for other.example; the server is called"),
        (_leaf(names=()), "is for no name at all"),
        (_leaf(use=ExtendedKeyUsageOID.CLIENT_AUTH), "is not for servers"),
        (_leaf(odd=ExtensionOID.NAME_CONSTRAINTS), "cannot be read"),
        (_leaf(odd=ExtensionOID.EXTENDED_KEY_USAGE), "cannot be read"),
        (_unknown_curve, "cannot be read"),
        (_then(lambda files: files.key.chmod(0o604)), "by other accounts"),
        (_then(lambda files: files.key.chmod(0o660)), "by other accounts"),
        (_then(lambda files: files.key.unlink()), "cannot be read: No such file"),
        (_then(lambda files: files.certificate.unlink()), "cannot be read: No such file"),
        (_then(lambda files: files.certificate.write_text("nothing")), "contains no certificate"),
        (_then(lambda files: files.key.write_text("nothing")), "contains no private key"),
        (
            _then(lambda files: files.key.write_text(files.key.read_text()[:90])),
            "is damaged",
        ),
        (_then(lambda files: files.certificate.write_bytes(b"-" * 2_000_000)), "is larger than"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_sentence(
    files: Files, put: Callable[[Files], None], said: str
) -> None:
    put(files)
    own = files.own()
    with pytest.raises(ConfigurationError, match=said) as caught:
        own.take_up(NOW)
    assert caught.value.advice
    assert said in own.problem
    assert own.context is None
    assert not own.is_for(NAME)


def test_a_small_key_is_refused(files: Files) -> None:
    files.good(key=rsa.generate_private_key(65537, 1024))  # noqa: S505  # reason: it is to be refused
    with pytest.raises(ConfigurationError, match="cannot be used for TLS"):
        files.own().take_up(NOW)


def test_a_missing_chain_and_a_missing_name_are_warned_of(files: Files) -> None:
    key = new_key()
    files.put(key, files.issuer.leaf(key))
    (warning,) = files.own().take_up(NOW).warnings
    assert "lacks the certificate of the issuer 'CN=Between'" in warning
    files.good()
    own = OwnCertificate(files.certificate, files.key, (*NAMES, "b.example"))
    (warning,) = own.take_up(NOW).warnings
    assert "is not for b.example" in warning


def test_a_start_goes_on_without_one_that_is_over(files: Files) -> None:
    """Agents do not need it; a restart must not fail because of a renewal that failed."""
    _leaf(begins=NOW - 9 * DAY, ends=NOW)(files)
    own = take_own((files.certificate, files.key), NAMES, NOW)
    assert own is not None
    assert own.context is None
    _mismatch(files)
    with pytest.raises(ConfigurationError):
        take_own((files.certificate, files.key), NAMES, NOW)
    assert take_own(None, NAMES, NOW) is None


def test_one_that_was_too_early_is_good_later(files: Files) -> None:
    _leaf(begins=NOW + DAY)(files)
    own = files.own()
    with pytest.raises(NotValidNow):
        own.take_up(NOW)
    assert not own.has_changed()
    assert not own.may_be_good_now(NOW)
    assert own.may_be_good_now(NOW + DAY)
    own.take_up(NOW + DAY)
    assert not own.may_be_good_now(NOW + DAY)


def test_a_broken_pair_keeps_the_one_before(files: Files) -> None:
    files.good()
    own = files.own()
    before = own.take_up(NOW)
    context = own.context
    _mismatch(files)
    assert own.has_changed()
    with pytest.raises(ConfigurationError):
        own.take_up(NOW)
    assert (own.taken, own.context) == (before, context)
    assert own.problem
    files.good()
    own.take_up(NOW)
    assert own.context is not context
    assert own.problem == ""
    assert not own.has_changed()


# -- who is shown what


def hello_of(trust: ssl.SSLContext, name: str | None) -> bytes:
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(inward, outward, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outward.read()


def shown(keeper: CertificateKeeper, trust: ssl.SSLContext, name: str) -> bytes:
    """The certificate, as DER, that whoever trusts so is shown and accepts."""
    inputs = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    client = trust.wrap_bio(inputs[0], inputs[1], server_hostname=name)
    context = keeper.context_for(hello_of(trust, name))
    server = context.wrap_bio(inputs[1], inputs[0], server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_people_are_shown_it_and_agents_the_installations(files: Files, tmp_path: Path) -> None:
    leaf = files.good().public_bytes(serialization.Encoding.DER)
    own = files.own()
    own.take_up(NOW)
    keeper = CertificateKeeper(tmp_path / "data", [NAME], own=own)
    keeper.ensure(NOW)
    root = files.issuer.root.public_bytes(serialization.Encoding.PEM).decode()
    browser = ssl.create_default_context(cadata=root)
    browser.verify_flags &= ~ssl.VERIFY_X509_STRICT
    by_file = ssl.create_default_context(cafile=keeper.ca_file)
    agent = pinned(ssl.create_default_context(cafile=keeper.ca_file))
    assert shown(keeper, browser, NAME) == leaf
    assert shown(keeper, agent, NAME) != leaf
    for name in ("localhost", "127.0.0.1"):  # which the operator's is not for
        assert shown(keeper, by_file, name) == shown(keeper, agent, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(keeper, by_file, NAME)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(keeper, browser, "localhost")
    assert [str(each.what) for each in keeper.endings] == ["ca", "server", "own"]


def test_without_one_nothing_is_chosen(tmp_path: Path) -> None:
    keeper = CertificateKeeper(tmp_path / "data", [NAME])
    keeper.ensure(NOW)
    assert not keeper.has_choice
    assert keeper.context_for(b"") is keeper.context
    assert [str(each.what) for each in keeper.endings] == ["ca", "server"]


@pytest.mark.sockets
@pytest.mark.parametrize("cut", [0, 1, 5, 90, None])
def test_a_hello_in_pieces_is_read_whole_and_left_there(cut: int | None) -> None:
    hello = hello_of(pinned(ssl.create_default_context()), NAME)
    assert wants_ca(hello)
    assert not wants_ca(hello_of(ssl.create_default_context(), NAME))

    async def read() -> tuple[bytes, bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer, here = socket.create_connection(listener.getsockname()), listener.accept()[0]
        here.setblocking(False)
        with peer, here:
            if cut is None:
                peer.sendall(hello[:100])
                peer.shutdown(socket.SHUT_WR)
                return await peek_hello(here, 5), hello[:100]
            peer.sendall(hello[:cut])
            reading = asyncio.create_task(peek_hello(here, 5))
            await asyncio.sleep(0.05)
            peer.sendall(hello[cut:])
            return await reading, here.recv(65536)

    found, left = asyncio.run(read())
    assert found == left


@pytest.mark.sockets
def test_what_is_no_tls_or_too_slow_is_not_waited_for() -> None:
    async def read(sent: bytes) -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer, here = socket.create_connection(listener.getsockname()), listener.accept()[0]
        here.setblocking(False)
        with peer, here:
            peer.sendall(sent)
            return await peek_hello(here, 0.1)

    assert asyncio.run(read(b"GET / HTTP/1.1\r\n")) == b""
    assert asyncio.run(read(b"\x16\x03\x01\xff\xff")) == b"\x16\x03\x01\xff\xff"
