"""What a sign-in leaves behind: sessions, codes, and families of refresh tokens. No secrets.

Sources: RFC 6749 sections 4.1 and 6, RFC 7636 (PKCE), RFC 8628 (device codes), RFC 9700
section 4.14 (rotation: a refresh token is used once, and a second use ends its family).
Everything is known by the SHA-256 of its text alone. A memory of a sign-in holds as long as
its user is enabled and of the same epoch; raising the epoch ends all of them at once.
What is not here: texts and hashes (``identity``), who may sign in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bascule.domain.principals import User

CODE_LIFE = timedelta(seconds=60)
DEVICE_LIFE = timedelta(minutes=15)
POLL_INTERVAL = timedelta(seconds=5)
SLOWER = timedelta(seconds=5)  # added at each slow_down, RFC 8628 section 3.5
EARLY = timedelta(seconds=1)  # that a poll may come before its time: clocks and networks jitter
REFRESH_LIFE = timedelta(days=90)  # of a token that is not used
FAMILY_LIFE = timedelta(days=365)  # however often it is used
RETRY_GRACE = timedelta(seconds=30)  # in which the same refresh token leads to the same successor
SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=2)
HALF_LIFE = timedelta(minutes=10)  # of one that still lacks its second factor
MARK_LIFE = timedelta(days=90)  # of what a sign-in leaves in its browser (EDGES E5)
SESSION_NOTED = timedelta(minutes=1)  # how exactly it is known when a session was last used


class Flow(StrEnum):
    """How a program came to a person's tokens."""

    BROWSER = "browser"
    DEVICE = "device code"
    PASSWORD = "password"  # noqa: S105  # reason: the name of a flow


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a browser or a program calls from, and what it calls itself."""

    address: str = ""
    program: str = ""  # a User-Agent, bounded; nobody is believed for it


NOWHERE = Origin()  # of what began before this was kept


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who proved to be whom, when, and by what."""

    user_id: str
    epoch: int  # of the user at that moment
    at: datetime
    methods: tuple[str, ...]  # RFC 8176: pwd, otp, hwk, mfa, ...
    # When a one-time password or passkey was last shown for it; None: none was. A recovery code and
    # what an external provider says of factors do not count. No refresh makes it younger.
    factor_at: datetime | None = None

    def holds_for(self, user: User | None) -> bool:
        """Is it still a proof that this user is here?"""
        return (
            user is not None
            and user.is_enabled
            and (user.id, user.epoch) == (self.user_id, self.epoch)
        )


# -- sessions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that signed in, known by its cookie; or that has got half-way."""

    hash: str
    sign_in: SignIn
    seen_at: datetime
    is_whole: bool = True  # else a second factor is still asked for, and it opens nothing
    id: str = ""  # what it is called where it is listed: says nothing of its text
    origin: Origin = NOWHERE  # of the sign-in
    seen_from: str = ""  # the address of its last use

    @property
    def ends_at(self) -> datetime:
        if not self.is_whole:
            return self.sign_in.at + HALF_LIFE
        return min(self.sign_in.at + SESSION_LIFE, self.seen_at + SESSION_IDLE)

    def holds_at(self, now: datetime) -> bool:
        return now < self.ends_at

    def is_to_be_noted(self, now: datetime) -> bool:
        """Is it worth a write that the session was used now?"""
        return now - self.seen_at >= SESSION_NOTED


# -- authorization codes ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    hash: str
    client_id: str
    redirect_uri: str
    challenge: str  # RFC 7636: base64url of the verifier's SHA-256
    nonce: str  # empty when the client gave none
    audience: str
    sign_in: SignIn
    created_at: datetime
    is_used: bool = False
    family_id: str = ""  # what came of it

    def misfit(self, client_id: str, redirect_uri: str, challenge: str, now: datetime) -> str:
        """Why it may not be redeemed so; empty when it may. ``challenge`` is of the verifier."""
        if self.is_used:
            return "it was used before"
        if now >= self.created_at + CODE_LIFE:
            return "it has expired"
        if client_id != self.client_id:
            return "it was issued to another client"
        if redirect_uri != self.redirect_uri:
            return "its redirect_uri is different"
        if challenge != self.challenge:
            return "its code_verifier does not match its code_challenge"
        return ""


# -- device codes -------------------------------------------------------------------------


class DeviceState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    USED = "used"


class Poll(StrEnum):
    """RFC 8628 section 3.5: what a device is answered."""

    READY = "ready"
    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    REFUSED = "authorization_declined"  # Entra's word for access_denied, which MSAL knows
    EXPIRED = "expired_token"
    UNKNOWN = "bad_verification_code"


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device that waits for somebody to approve it elsewhere."""

    hash: str
    user_code: str  # what a person types: letters alone, upper case
    client_id: str
    audience: str
    address: str  # of the device, as the server saw it
    created_at: datetime
    polled_at: datetime | None = None
    interval: timedelta = POLL_INTERVAL
    state: DeviceState = DeviceState.PENDING
    sign_in: SignIn | None = None  # of who approved it

    @property
    def ends_at(self) -> datetime:
        return self.created_at + DEVICE_LIFE

    def is_waiting(self, now: datetime) -> bool:
        """May somebody still approve or refuse it?"""
        return self.state is DeviceState.PENDING and now < self.ends_at

    def polled(self, client_id: str, now: datetime) -> tuple[Poll, DeviceCode]:
        """The answer to a poll, and the code as it is after it."""
        if client_id != self.client_id or self.state is DeviceState.USED:
            return Poll.UNKNOWN, self
        if now >= self.ends_at:
            return Poll.EXPIRED, self
        if self.state is DeviceState.REFUSED:
            return Poll.REFUSED, self
        if self.polled_at is not None and now < self.polled_at + self.interval - EARLY:
            slower = replace(self, polled_at=now, interval=self.interval + SLOWER)
            return Poll.SLOW_DOWN, slower
        noted = replace(self, polled_at=now)
        if self.state is DeviceState.APPROVED:
            return Poll.READY, replace(noted, state=DeviceState.USED)
        return Poll.PENDING, noted


# -- refresh tokens -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenFamily:
    """All tokens that came of one sign-in of one client."""

    id: str
    client_id: str
    flow: Flow
    sign_in: SignIn
    created_at: datetime
    # A successor is made of its predecessor's text and this: neither alone is of any use.
    seed: str
    is_revoked: bool = False
    origin: Origin = NOWHERE  # of the sign-in
    seen_at: datetime | None = None  # when it last took new tokens; None: not since it began
    seen_from: str = ""

    @property
    def ends_at(self) -> datetime:
        return self.created_at + FAMILY_LIFE

    def holds(self, user: User | None, now: datetime) -> bool:
        return not self.is_revoked and now < self.ends_at and self.sign_in.holds_for(user)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    hash: str
    family_id: str
    generation: int  # 1 for the first of a family
    created_at: datetime
    used_at: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        return now >= self.created_at + REFRESH_LIFE

    def may_be_repeated(self, now: datetime) -> bool:
        """Was it used so lately that a second use is a retry, not a theft?

        An answer that was lost on its way is asked for again, and two programs may share one
        cache. Both get the same successor, so that there is never more than one live token:
        a thief gains no line of their own, and the second use of the two is noticed.
        """
        return self.used_at is not None and now < self.used_at + RETRY_GRACE
