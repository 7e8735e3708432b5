"""An agent's signed assertion, checked: RFC 7523 section 3 with Ed25519 (RFC 8037, RFC 9864).

Refused are assertions by another key, for another audience, past their end, living more
than fifteen minutes, and used before (EDGES B5). The store keeps what was used
(``services.assertions``). One that was made before this server started is refused too: the
database may have been restored since, and may have forgotten that use.

A refusal tells two cases apart. NOT_THE_KEY: the signature is not by the stored key, and
the agent must give up what it holds open (EDGES A12). UNUSABLE: the key is right and this
assertion is not (a clock, a repeat); a fresh one may do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bascule.domain.times import format_utc

ALGORITHM = "Ed25519"
LONGEST_LIFE = timedelta(minutes=15)
LONGEST_ASSERTION = 4096  # characters
LONGEST_ID = 128  # characters of a jti


class Why(Enum):
    NOT_THE_KEY = "not the key"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class AssertionRefused:
    why: Why
    message: str  # a sentence for the caller


@dataclass(frozen=True, slots=True)
class OneUse:
    """An assertion that is right, if the store says that it was not used before."""

    holder: str  # machine uid
    token_id: str  # jti
    ends_at: datetime


def check_assertion(
    assertion: str,
    machine_uid: str,
    public_key: str,
    is_audience: Callable[[str], bool],
    since: datetime,
    now: datetime,
) -> AssertionRefused | OneUse:
    """Does it prove that its maker holds ``public_key`` (raw, base64url) now?

    ``since`` is when this server started: one that was made before is refused.
    """
    claims = _signed_claims(assertion, public_key)
    if claims is None:
        return AssertionRefused(Why.NOT_THE_KEY, "The assertion is not signed by this agent's key.")
    if why := _problem_with(claims, machine_uid, is_audience, since, now):
        return unusable(why, now)
    return OneUse(machine_uid, claims["jti"], instant_of(claims["exp"]))


def unusable(why: str, now: datetime) -> AssertionRefused:
    return AssertionRefused(
        Why.UNUSABLE, f"The assertion is refused: {why}. The server's time is {format_utc(now)}."
    )


def _signed_claims(assertion: str, public_key: str) -> Mapping[str, Any] | None:
    if len(assertion) > LONGEST_ASSERTION or not assertion.isascii():
        return None
    try:
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_key.rstrip("=")})
        return jwt.decode(assertion, key, algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError, TypeError, RecursionError):
        return None


def _problem_with(
    claims: Mapping[str, Any],
    machine_uid: str,
    is_audience: Callable[[str], bool],
    since: datetime,
    now: datetime,
) -> str:
    if claims.get("iss") != machine_uid or claims.get("sub") != machine_uid:
        return "its iss and sub are not the client_id"
    if not is_for(claims.get("aud"), is_audience):
        return "its aud is not this server"
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 1 <= len(token_id) <= LONGEST_ID:
        return f"its jti is not a text of 1 to {LONGEST_ID} characters"
    try:
        issued_at, expires_at = instant_of(claims.get("iat")), instant_of(claims.get("exp"))
    except ValueError:
        return "its iat and exp are not instants"
    if expires_at <= now:
        return "it has expired"
    if expires_at - now > LONGEST_LIFE or expires_at - issued_at > LONGEST_LIFE:
        return f"it lives longer than {LONGEST_LIFE.seconds // 60} minutes"
    if issued_at < since.replace(microsecond=0):  # claims have whole seconds
        return "it was made before this server started"
    return ""


def is_for(audience: object, is_audience: Callable[[str], bool]) -> bool:
    """RFC 7519 section 4.1.3: one text or a list; here a list has one entry, and it is us."""
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    return isinstance(audience, str) and is_audience(audience)


def instant_of(value: object) -> datetime:
    """RFC 7519 NumericDate; raise ValueError when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)  # noqa: TRY004  # reason: a claim's value, not an argument's type
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(value) from error
