"""What proves a person: a password, and the second factors beside it. As stored: no secrets.

Sources: RFC 6238 (one-time passwords by time), WebAuthn Level 3 (passkeys), RFC 8176 (words
for how somebody signed in). What is not here: the arithmetic of any proof (``identity``),
how often one may be tried (``services.sign_in_limits``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network

from bascule.domain.net import parse_address

HOST_BITS = {4: 32, 6: 64}  # what one line of one household or office is told apart by


class FactorKind(StrEnum):
    """What a person shows after the password, as the wire writes it."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recoveryCode"  # for whoever lost the others; each works once


class Method(StrEnum):
    """How somebody signed in: RFC 8176's words."""

    PASSWORD = "pwd"  # noqa: S105  # reason: a word of RFC 8176
    ONE_TIME_PASSWORD = "otp"  # noqa: S105  # reason: as above
    KEY = "pop"  # a passkey
    SEVERAL = "mfa"  # more than one kind of proof
    ELSEWHERE = "fed"  # at an external provider: no word of RFC 8176, which has none; Entra's


@dataclass(frozen=True, slots=True)
class StoredPassword:
    user_id: str
    hash: str  # Argon2's encoded form, with its salt and parameters
    set_at: datetime


@dataclass(frozen=True, slots=True)
class TotpFactor:
    """A shared secret: pending until a first right code, then active."""

    user_id: str
    is_active: bool
    sealed: str  # the secret, encrypted for this user
    created_at: datetime
    last_step: int = 0  # of the last code taken: it and all before it are used up


@dataclass(frozen=True, slots=True)
class Passkey:
    id: str  # the credential id, base64url
    user_id: str
    name: str  # for people: which key it is
    public_key: str  # COSE, base64url
    sign_count: int  # 0: this key does not count
    created_at: datetime
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """How many there are of the present set; the codes themselves are kept as hashes."""

    made_at: datetime
    left: int


@lru_cache(maxsize=4096)  # where a call came from is asked several times a call
def network_of(address: str) -> str:
    """The network that an address is counted with: its /32 or /64; empty stays empty."""
    if not address:
        return ""
    parsed = parse_address(address)
    return str(ip_network(f"{parsed}/{HOST_BITS[parsed.version]}", strict=False))


def wide_network_of(address: str) -> str:
    """The /48 around an IPv6 address, which one customer may hold whole; else empty."""
    if not address or parse_address(address).version == 4:
        return ""
    return str(ip_network(f"{parse_address(address)}/48", strict=False))
