"""A certificate that a service principal is to prove itself with, as it is uploaded.

RFC 7468 (PEM), RFC 5280. Who signed it does not matter: it is known by itself, as Entra ID
does it. Its key must be RSA of 2048 to 8192 bits, or on the curve P-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bascule.errors import InvalidInput
from bascule.identity.x509 import certificate_pem, fingerprint
from bascule.sentences import sentence

LONGEST_PEM = 16_384  # characters
SMALLEST_RSA, LARGEST_RSA = 2048, 8192  # bits; a larger one makes each check slow
_BEGIN = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    pem: str  # this certificate and nothing else
    ends_at: datetime


def read_client_certificate(text: str, now: datetime) -> ClientCertificate:
    """Raise InvalidInput unless the text is one certificate that may be used from now on."""
    if "PRIVATE KEY" in text:
        raise _unfit(
            sentence(
                "The certificate contains a private key, which must now be considered disclosed. "
                "Make a new key and upload only its certificate."
            )
        )
    if len(text) > LONGEST_PEM or text.count(_BEGIN) != 1:
        raise _unfit(
            sentence(
                "The certificate must be one certificate in PEM, from BEGIN to END CERTIFICATE."
            )
        )
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        key = certificate.public_key()
        begins_at, ends_at = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit(sentence("The certificate cannot be read as a certificate in PEM.")) from None
    _check_key(key)
    if not begins_at <= now < ends_at:
        raise _unfit(
            sentence(
                "The certificate is valid only from {begin} to {end}.",
                begin=str(begins_at.date()),
                end=str(ends_at.date()),
            )
        )
    return ClientCertificate(certificate_pem(certificate).decode(), ends_at)


def fingerprint_of(pem: str) -> str:
    """SHA-256 of a stored certificate's DER, as people compare it; lower-case hex."""
    return fingerprint(x509.load_pem_x509_certificate(pem.encode()))


def _check_key(key: object) -> None:
    is_rsa = isinstance(key, rsa.RSAPublicKey) and SMALLEST_RSA <= key.key_size <= LARGEST_RSA
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not (is_rsa or is_p256):
        raise _unfit(
            sentence(
                "The certificate has an unsupported key. Use RSA with {smallest} to {largest} "
                "bits, or EC on P-256.",
                smallest=SMALLEST_RSA,
                largest=LARGEST_RSA,
            )
        )


def _unfit(message: str) -> InvalidInput:
    return InvalidInput(message, code="InvalidCertificate", target="certificate")
