"""ID tokens of external providers: taken only when every part is right.

Sources: OpenID Connect Core 1.0 sections 2 and 3.1.3.7 (the checks, in their numbers
below), 3.1.3.6 (at_hash), RFC 7517 (key sets), RFC 8725 (no ``none``, no algorithm of the
token's own choice, no key that a token brings along). Keys come from the provider's key set
alone; ``jku``, ``jwk``, ``x5u`` and ``x5c`` in a header are never looked at.

What is not here: how keys are fetched (``identity.oidc``), for whom the claims speak
(``domain.providers``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from bascule.errors import AuthenticationFailed
from bascule.json_text import read_json

# Which kind of key, and which curve, an algorithm belongs to. No HS*: a client secret is no key.
KEY_OF: Mapping[str, tuple[str, str]] = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
LONGEST_ID_TOKEN = 65_536  # characters; Entra ID's with 200 groups have about 10,000
LEEWAY = timedelta(seconds=60)  # between the provider's clock and ours
OLDEST = timedelta(minutes=10)  # since it was issued: it was made for this very sign-in
SMALLEST_RSA = 2048  # bits
MOST_KEYS = 100  # of one key set that are looked at
_LAST_INSTANT = 1e15  # seconds; a float is exact up to there


class UnknownKey(AuthenticationFailed):
    """The key set has no key for this token: it may have been rotated."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say to be the one that was asked for."""

    issuer: str
    client_id: str
    nonce_hash: str | None  # SHA-256 hex; None: of a renewal, which need not carry one
    access_token: str  # that came along, for at_hash; empty: none


def read_id_token(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, now: datetime
) -> Mapping[str, Any]:
    """The claims; raise AuthenticationFailed that says what is wrong.

    UnknownKey when only its key is: the caller may fetch the key set anew and try again.
    """
    header = _header(token)
    algorithm = header["alg"]
    key = _find_key(keys, algorithm, header.get("kid"))
    claims = _decode(token, key, algorithm)
    _check_parties(claims, expected)
    _check_times(claims, now)
    _check_nonce(claims, expected.nonce_hash)
    _check_access_token(claims, expected.access_token, algorithm)
    return claims


def _decode(token: str, key: Key, algorithm: str) -> Mapping[str, Any]:
    # Other header fields are passed over, as RFC 7515 section 4 says.
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        with warnings.catch_warnings():
            # RFC 9864 renames EdDSA; providers sign with it all the same.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(token, key, algorithms=[algorithm], registry=registry).claims
    except (JoseError, ValueError, RecursionError) as error:
        raise refused("its signature is wrong, or its claims cannot be read") from error


def refused(why: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"The provider's ID token is refused: {why}.",
        code="ExternalSignInRefused",
        advice="Sign in again. If this persists, an owner can check the provider: bascule "
        "provider test NAME.",
    )


def _header(token: str) -> dict[str, Any]:
    if len(token) > LONGEST_ID_TOKEN or not token.isascii() or token.count(".") != 2:
        raise refused("it is not a signed token")
    try:
        text = token.partition(".")[0]
        header = read_json(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise refused("it is not a signed token") from None
    if not isinstance(header, dict):
        raise refused("it is not a signed token")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in KEY_OF:
        offered = ", ".join(KEY_OF)
        raise refused(f"its algorithm is {str(algorithm)[:20]!r}, not one of {offered}")
    if "crit" in header:  # RFC 7515 4.1.11: what is not understood must be refused
        raise refused("it has extensions that are not understood (crit)")
    return header


def _find_key(keys: Sequence[Mapping[str, Any]], algorithm: str, kid: object) -> Key:
    """The one key for this; without a kid, the only one of its kind."""
    fit = [each for each in keys[:MOST_KEYS] if _is_fit(each, algorithm)]
    if kid is not None:
        fit = [each for each in fit if each.get("kid") == kid]
    if len(fit) != 1:
        raise UnknownKey(
            "The provider's ID token is signed by a key that its key set does not have."
            if not fit
            else "The provider's ID token does not name its signing key.",
            code="ExternalSignInRefused",
            advice="Sign in again in a minute.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # its size is looked at below
            key = import_key(dict(fit[0]))
    except (JoseError, ValueError, TypeError) as error:
        raise refused("its key is malformed") from error
    if isinstance(key, RSAKey) and key.raw_value.key_size < SMALLEST_RSA:
        raise refused(f"its key has fewer than {SMALLEST_RSA} bits")
    if not isinstance(key, (RSAKey, ECKey, OKPKey)):
        raise refused("its key type is not supported")
    return key


def _is_fit(key: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = KEY_OF[algorithm]
    return (
        key.get("kty") == kind
        and (not curve or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    """Core 3.1.3.7, numbers 2 to 5."""
    if claims.get("iss") != expected.issuer:
        raise refused("it is of another issuer")
    said = claims.get("aud")
    audiences = [said] if isinstance(said, str) else said
    if not isinstance(audiences, list) or expected.client_id not in audiences:
        raise refused("it is for another client")
    authorized = claims.get("azp")
    if (len(audiences) > 1 or authorized is not None) and authorized != expected.client_id:
        raise refused("it was issued to another client (azp)")


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    """Numbers 9 and 10; ``nbf`` where a provider sends it."""
    at = now.timestamp()
    leeway = LEEWAY.total_seconds()
    if _instant(claims, "exp") <= at - leeway:
        raise refused("it has expired")
    issued_at = _instant(claims, "iat")
    if issued_at > at + leeway:
        raise refused("it was issued in the future: the provider's clock or this server's is wrong")
    if issued_at < at - OLDEST.total_seconds():
        raise refused("it is too old for this sign-in")
    if "nbf" in claims and _instant(claims, "nbf") > at + leeway:
        raise refused("it is not valid yet")


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # Python reads NaN, which is neither before nor after anything; and numbers without end.
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not abs(value) < _LAST_INSTANT
    ):
        raise refused(f"its {name} is missing or not a number")
    return float(value)


def _check_nonce(claims: Mapping[str, Any], wanted: str | None) -> None:
    """Number 11: it was made for the sign-in that this browser began."""
    if wanted is None:
        return
    nonce = claims.get("nonce")
    text = nonce if isinstance(nonce, str) and nonce.isascii() else ""
    said = hashlib.sha256(text.encode()).hexdigest()
    if not hmac.compare_digest(said, wanted):
        raise refused("its nonce does not match this sign-in")


def _check_access_token(claims: Mapping[str, Any], access_token: str, algorithm: str) -> None:
    """3.1.3.6: when there is an at_hash, the access token that came along is the one meant."""
    said = claims.get("at_hash")
    if said is None:
        return
    # EdDSA's hash is SHA-512 (as the other implementations have it), all others' here SHA-256.
    is_edwards = KEY_OF[algorithm][0] == "OKP"
    digest = (hashlib.sha512 if is_edwards else hashlib.sha256)(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    given = said if isinstance(said, str) and said.isascii() else ""
    if not hmac.compare_digest(given, half):
        raise refused("its at_hash does not match the access token")
