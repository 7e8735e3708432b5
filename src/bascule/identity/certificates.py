"""A service principal's assertion, signed by the key of one of its certificates.

RFC 7523 section 3, in the form that MSAL makes: RS256 or PS256 (ES256 by a key on P-256),
``x5t`` or ``x5t#S256`` (RFC 7515 sections 4.1.7 and 4.1.8) in the header. These only choose
among the certificates that are stored; a key that the header brings along (``jwk``, ``x5c``,
``jku``) is never looked at (EDGES B5). Refused are assertions past their end, not yet valid, for
another audience, and living over fifteen minutes, from now or from when they say they begin.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from bascule.domain.principals import Credential
from bascule.identity.assertions import LONGEST_LIFE, instant_of, is_for

RSA_ALGORITHMS = ("RS256", "PS256")
EC_ALGORITHMS = ("ES256",)
LONGEST_ASSERTION = 16_384  # characters: an x5c chain that is passed over makes it long
CLOCKS_DIFFER_BY = timedelta(minutes=5)


class _Registry(JWSRegistry):
    """As strict as the library's own, with room for an x5c that is passed over."""

    max_header_length = LONGEST_ASSERTION


_REGISTRY = _Registry(algorithms=[*RSA_ALGORITHMS, *EC_ALGORITHMS])


def check_certificate_assertion(
    assertion: str,
    client_id: str,
    certificates: Sequence[Credential],
    is_audience: Callable[[str], bool],
    now: datetime,
) -> Credential | str:
    """The stored certificate whose key signed it; a text says why it is refused."""
    signed = _signed_by(assertion, certificates, now)
    if signed is None:
        return "no certificate of this client, valid now, has signed it"
    credential, claims = signed
    return _problem_with(claims, client_id, is_audience, now) or credential


def _signed_by(
    assertion: str, certificates: Sequence[Credential], now: datetime
) -> tuple[Credential, Mapping[str, Any]] | None:
    header = _header(assertion)
    for credential in certificates if header is not None else ():
        certificate = x509.load_pem_x509_certificate(credential.proof.encode())
        verifier = _verifier(certificate.public_key())
        if verifier is None or not _is_chosen(header or {}, certificate):
            continue
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            continue
        try:
            key, algorithms = verifier
            claims = jwt.decode(assertion, key, [*algorithms], _REGISTRY).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
        return credential, claims
    return None


def _verifier(key: object) -> tuple[RSAKey | ECKey, tuple[str, ...]] | None:
    """The key with the algorithms that it may sign by; None for a key of another kind."""
    if isinstance(key, RSAPublicKey):
        return RSAKey.import_key(_pem(key)), RSA_ALGORITHMS
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return ECKey.import_key(_pem(key)), EC_ALGORITHMS
    return None


def _pem(key: RSAPublicKey | EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _header(assertion: str) -> Mapping[str, Any] | None:
    if len(assertion) > LONGEST_ASSERTION or not assertion.isascii():
        return None
    try:
        return jws.extract_compact(assertion.encode(), registry=_REGISTRY).headers()
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _is_chosen(header: Mapping[str, Any], certificate: x509.Certificate) -> bool:
    """Does the header name this certificate? Without a name it may be any of them."""
    der = certificate.public_bytes(Encoding.DER)
    for name, digest in (("x5t#S256", hashlib.sha256), ("x5t", _sha1)):
        if name in header:
            return _decoded(header[name]) == digest(der).digest()
    return True


def _sha1(der: bytes) -> Any:  # noqa: ANN401  # reason: hashlib's own type has no public name
    return hashlib.sha1(der, usedforsecurity=False)  # a name (RFC 7515 section 4.1.7), no proof


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


def _problem_with(
    claims: Mapping[str, Any], client_id: str, is_audience: Callable[[str], bool], now: datetime
) -> str:
    names = [claims.get("iss"), claims.get("sub")]
    if any(not isinstance(name, str) or name.casefold() != client_id for name in names):
        return "its iss and sub are not the client_id"
    if not is_for(claims.get("aud"), is_audience):
        return "its aud is not this server's token endpoint"
    try:
        expires_at = instant_of(claims.get("exp"))
        begins_at = instant_of(claims.get("nbf", claims.get("iat", 0)))
        made_at = [instant_of(claims[name]) for name in ("nbf", "iat") if name in claims]
    except ValueError:
        return "its exp, nbf and iat are not instants"
    if expires_at <= now:
        return "it has expired"
    if expires_at - min([now, *made_at]) > LONGEST_LIFE:
        return f"it lives longer than {LONGEST_LIFE.seconds // 60} minutes"
    if begins_at > now + CLOCKS_DIFFER_BY:
        return "it is not valid yet"
    return ""
