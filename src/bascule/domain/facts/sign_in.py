"""People who sign in, and what they prove themselves by."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class SignInSucceeded(Fact):
    user_id: str
    user: str
    methods: tuple[str, ...]  # RFC 8176


@dataclass(frozen=True, slots=True)
class SignInRefused(Fact):
    user: str  # empty when nobody has the name that was typed, which may be a password
    what: str  # was shown: password, totp, passkey, recoveryCode
    reason: str


@dataclass(frozen=True, slots=True)
class SecondFactorOwed(Fact):
    """What comes first was right, and a second factor was asked for: nobody is in yet."""

    user_id: str
    user: str
    shown: str  # RFC 8176: pwd, or fed at an external provider


@dataclass(frozen=True, slots=True)
class PasswordSet(Fact):
    user_id: str
    user: str
    is_first: bool  # else it took the place of another, and every token of the user is void


@dataclass(frozen=True, slots=True)
class FactorEnrolled(Fact):
    user_id: str
    user: str
    factor: str  # totp or passkey
    label: str = ""  # a passkey's name


@dataclass(frozen=True, slots=True)
class FactorRemoved(Fact):
    user_id: str
    user: str
    factor: str  # totp, passkey or recoveryCode
    label: str = ""  # a passkey's name


@dataclass(frozen=True, slots=True)
class RecoveryCodesMade(Fact):
    user_id: str
    user: str
    count: int


@dataclass(frozen=True, slots=True)
class RecoveryCodeUsed(Fact):
    user_id: str
    user: str
    left: int
