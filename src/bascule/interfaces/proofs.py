"""The arithmetic of proofs, as use cases call it; ``identity`` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bascule.domain.principals import User
from bascule.domain.sign_in import Passkey
from bascule.domain.tokens import SignIn


@dataclass(frozen=True, slots=True)
class PasswordVerdict:
    is_right: bool
    is_outdated: bool = False  # right, but hashed with parameters of another day


class PasswordHasher(Protocol):
    """Slow on purpose, bounded in number; both raise TooManyRequests when it is busy."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, stored: str | None, password: str, *, is_known: bool) -> PasswordVerdict:
        """Takes the same time for None, which nothing is right for.

        Callers who are known (``sign_in_limits.Attempt``) have places in the queue that
        others cannot take.
        """
        ...

    def has_room(self, *, is_known: bool) -> bool:
        """Would ``verify`` take one more now?"""
        ...


@dataclass(frozen=True, slots=True)
class NewTotp:
    sealed: str  # for the store
    secret: str  # base32, shown once
    uri: str  # otpauth://, what a QR code holds


class OneTimePasswords(Protocol):
    def new(self, user: User) -> NewTotp: ...

    def step(self, user_id: str, sealed: str, code: str, now: datetime) -> int | None:
        """The time step that the code is right for; None when for none near ``now``."""
        ...


class RecoveryCodeMaker(Protocol):
    def new(self, user_id: str) -> Sequence[tuple[str, str]]:
        """A set of (code to show once, digest to keep)."""
        ...

    def digest(self, user_id: str, code: str) -> str:
        """Of a code as people type it."""
        ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a browser is given to talk to an authenticator, and what brings it back to us."""

    options: Mapping[str, Any]  # for navigator.credentials
    ticket: str  # sealed: the challenge, whose it is, what for, until when


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an unbroken ticket says."""

    challenge: str  # base64url
    user_id: str  # empty: of whoever's passkey answers
    ends_at: datetime


class Passkeys(Protocol):
    def begin_registration(
        self, user: User, present: Sequence[Passkey], now: datetime
    ) -> Ceremony: ...

    def finish_registration(
        self, ticket: str, answer: Mapping[str, Any], origin: str, now: datetime
    ) -> tuple[Challenge, Passkey]:
        """The new passkey, without a name; raise InvalidInput that says what is wrong."""
        ...

    def begin_assertion(self, user_id: str, present: Sequence[Passkey], now: datetime) -> Ceremony:
        """For one user's keys, or with an empty id for any that the authenticator offers."""
        ...

    def challenge(self, ticket: str, now: datetime) -> Challenge | None:
        """What an assertion's ticket says; None when it is not ours, not for this, or over."""
        ...

    def count(
        self, challenge: Challenge, passkey: Passkey, answer: Mapping[str, Any], origin: str
    ) -> int | None:
        """The key's new sign count when the answer is right, its user verified; else None."""
        ...


class BrowserMarks(Protocol):
    """What a successful sign-in leaves in a browser: a proof that there was one.

    It is no proof of who brings it: whoever copies a mark has it too. EDGES E5.
    """

    def make(self, user: User, now: datetime) -> str: ...

    def sign_in(self, mark: str, now: datetime) -> SignIn | None:
        """The sign-in that left it; None when none of ours did, or too long ago.

        Whether it still holds for its user (``SignIn.holds_for``) is for the caller to ask.
        """
        ...


class Proofs(Protocol):
    """All of them."""

    @property
    def passwords(self) -> PasswordHasher: ...

    @property
    def totp(self) -> OneTimePasswords: ...

    @property
    def recovery(self) -> RecoveryCodeMaker: ...

    @property
    def passkeys(self) -> Passkeys: ...

    @property
    def marks(self) -> BrowserMarks: ...

    @property
    def count_key(self) -> bytes:
        """Of this installation: names what the database counts (``services.sign_in_limits``)."""
        ...
