"""The two certificates of an installation: a small CA, and the server that it vouches for.

Profile: RFC 5280. What OpenSSL's X509_V_FLAG_X509_STRICT demands is stated, because
Python 3.13 sets that flag by default: basicConstraints critical and keyUsage with
keyCertSign in a CA, a subject key identifier in the CA, an authority key identifier in
what it signs. Names stand in subjectAltName alone (RFC 9525 ignores the common name).
Keys are ECDSA P-256 with SHA-256 (FIPS 186-5), which every TLS client of today takes.
Pure: bytes and values in, certificates out. Files are ``tls``'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3652)  # ten years
SKEW_ALLOWED = timedelta(days=1)  # clients whose clocks are behind accept it all the same

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_key(pem: bytes) -> Key:
    """Raise ValueError when it is not an unencrypted EC private key."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError as error:  # encrypted with a passphrase
        raise ValueError(str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")  # noqa: TRY004  # reason: bad data, not a bad call
    return key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def ends_of(pem: str) -> Sequence[datetime]:
    """When the certificates in PEM end, the soonest first; empty: it has none that can be read."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return ()
    return sorted({each.not_valid_after_utc for each in found})


def span_of(pem: bytes) -> tuple[datetime, datetime]:
    """When the first certificate of a file was made here, and when it ends; raise ValueError for none."""
    found = x509.load_pem_x509_certificates(pem)[0]
    return found.not_valid_before_utc + SKEW_ALLOWED, found.not_valid_after_utc


def belongs_to(certificate: x509.Certificate, key: Key) -> bool:
    return certificate.public_key() == key.public_key()


def make_ca(key: Key, now: datetime) -> x509.Certificate:
    """A self-signed CA for one installation: it may sign leaves, and the CA that takes its place."""
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The key's name in the subject keeps two installations' CAs apart in a trust store.
    name = _name(f"Bascule CA {subject_key.digest[:4].hex()}")
    builder = (
        _builder(name, name, key, now - SKEW_ALLOWED, now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(subject_key, critical=False)
        .add_extension(_issued_by(subject_key), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def cross_sign(
    new: x509.Certificate, old: x509.Certificate, old_key: Key
) -> x509.Certificate | None:
    """The new CA's name and key, vouched for by the old CA; None: the old one may sign no CA."""
    bounds = old.extensions.get_extension_for_class(x509.BasicConstraints).value
    if bounds.path_length == 0:
        return None
    subject_key = new.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer_key = old.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(new.subject)
        .issuer_name(old.subject)
        .public_key(new.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(new.not_valid_before_utc, old.not_valid_before_utc))
        .not_valid_after(min(new.not_valid_after_utc, old.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(subject_key, critical=False)
        .add_extension(_issued_by(issuer_key), critical=False)
    )
    return builder.sign(old_key, hashes.SHA256())


def make_server_certificate(
    key: Key,
    names: Sequence[str],
    ca: x509.Certificate,
    ca_key: Key,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """A certificate for ``names`` that ends after ``lifetime``, or with its CA if sooner."""
    ca_subject_key = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    begins = max(now - SKEW_ALLOWED, ca.not_valid_before_utc)
    ends = min(now + lifetime, ca.not_valid_after_utc)
    builder = (
        _builder(_name(names[0]), ca.subject, key, begins, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issued_by(ca_subject_key), critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256())


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The names and addresses that it is for; empty when it says none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = found.get_values_for_type(x509.IPAddress)
    return frozenset([*found.get_values_for_type(x509.DNSName), *map(str, addresses)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _issued_by(subject_key: x509.SubjectKeyIdentifier) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,  # P-256 signs and agrees on keys; only RSA encrypts them
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
