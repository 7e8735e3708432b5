"""Tokens of programs, from sign-in to revocation: codes, families, refresh tokens.

RFC 6749, RFC 7636, RFC 8628 and RFC 9700; the arithmetic is ``domain.tokens``. Every text is
made here, given out once, and kept as its SHA-256. A refusal is a value and no exception,
because what it does (spend a code, revoke a family) must be kept.
What is not here: who signs in (``services.sign_in``), the signed tokens (``identity``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.clients import client_name
from bascule.domain.event import Actor
from bascule.domain.facts import installation, sessions
from bascule.domain.principals import User
from bascule.domain.tokens import (
    AuthorizationCode,
    Flow,
    Origin,
    Poll,
    RefreshToken,
    SignIn,
    TokenFamily,
)
from bascule.errors import Unavailable
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.tokens import TokenReads, TokenWrites
from bascule.services.act import Act, actor_of, new_id

T = TypeVar("T", bound=EventWrites)


class TokenUseWrites(EventWrites, PrincipalReads, TokenWrites, Protocol):
    """Tokens, whose they are, and the record."""


class SignOutEverywhereWrites(TokenUseWrites, PrincipalWrites, Protocol):
    """The same, with the user who signs out."""


MOST_FAMILIES = 100  # of one user; the oldest gives way
REMEMBERED = 1000  # used refresh tokens of a family, whose second use is noticed


@dataclass(frozen=True, slots=True)
class Issued:
    """What a program is given tokens for."""

    user: User
    family: TokenFamily
    refresh_token: str
    audience: str = ""  # empty: the request names it
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class NotIssued:
    why: str  # the rest of a sentence about what was presented
    poll: Poll | None = None  # of a device that is to ask again, or not


def new_text() -> str:
    """43 characters, 256 bits: nobody guesses it, so one round of SHA-256 keeps it."""
    return secrets.token_urlsafe(32)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def open_family(
    tx: TokenUseWrites, act: Act, sign_in: SignIn, client_id: str, flow: Flow, origin: Origin
) -> Issued | NotIssued:
    """Begin a family for a sign-in, which must still hold."""
    user = tx.user(sign_in.user_id)
    if user is None or not sign_in.holds_for(user):
        return NotIssued("its user was disabled, deleted or signed out meanwhile")
    act.actor = actor_of_user(user, origin)
    tx.forget_ended(act.now)
    for old in tx.token_families_of(user.id)[: -(MOST_FAMILIES - 1)]:
        revoke_family(tx, act, old, f"the user has {MOST_FAMILIES} newer ones")
    family = TokenFamily(new_id(), client_id, flow, sign_in, act.now, new_text(), origin=origin)
    text = new_text()
    tx.put_token_family(family)
    tx.put_refresh_token(RefreshToken(hash_of(text), family.id, 1, act.now))
    name = client_name(client_id) or client_id
    methods = sign_in.methods
    act.record(tx, sessions.SignedIn(user.id, user.name, name, client_id, str(flow), methods))
    return Issued(user, family, text)


def redeem_code(
    tx: TokenUseWrites,
    act: Act,
    text: str,
    client_id: str,
    redirect_uri: str,
    challenge: str,
    origin: Origin,
) -> Issued | NotIssued:
    """Take an authorization code, once; whatever is wrong with it, it is spent.

    RFC 6749 section 4.1.2: a second use revokes what came of the first.
    """
    code = tx.authorization_code(hash_of(text))
    if code is None:
        return NotIssued("it is unknown or has expired")
    why = code.misfit(client_id, redirect_uri, challenge, act.now)
    if code.is_used:
        _revoke_stolen(tx, act, code.family_id, "its authorization code was used again", origin)
        return NotIssued(why)
    issued: Issued | NotIssued = NotIssued(why)
    if not why:
        issued = open_family(tx, act, code.sign_in, client_id, Flow.BROWSER, origin)
    family_id = issued.family.id if isinstance(issued, Issued) else ""
    tx.put_authorization_code(replace(code, is_used=True, family_id=family_id))
    if isinstance(issued, NotIssued):
        return issued
    return replace(issued, audience=code.audience, nonce=code.nonce)


def redeem_device_code(
    tx: TokenUseWrites, act: Act, text: str, client_id: str, origin: Origin
) -> Issued | NotIssued:
    """Answer a device's poll."""
    code = tx.device_code(hash_of(text))
    if code is None:
        return NotIssued("it is unknown", Poll.UNKNOWN)
    poll, after = code.polled(client_id, act.now)
    if after != code:
        tx.put_device_code(after)
    if poll is not Poll.READY or code.sign_in is None:
        return NotIssued(str(poll), poll)
    issued = open_family(tx, act, code.sign_in, client_id, Flow.DEVICE, origin)
    if isinstance(issued, NotIssued):
        return replace(issued, poll=Poll.EXPIRED)
    return replace(issued, audience=code.audience)


def family_of(reader: TokenReads, text: str) -> TokenFamily | None:
    """The family of a refresh token, whatever has become of either."""
    token = reader.refresh_token(hash_of(text))
    return None if token is None else reader.token_family(token.family_id)


def refresh(
    tx: TokenUseWrites, act: Act, text: str, client_id: str, origin: Origin
) -> Issued | NotIssued:
    """Take a refresh token and give its successor; one that was used before ends its family."""
    token = tx.refresh_token(hash_of(text))
    family = tx.token_family(token.family_id) if token is not None else None
    if token is None or family is None or family.client_id != client_id:
        return NotIssued("it is unknown, of another client, or has expired")
    user = tx.user(family.sign_in.user_id)
    if user is None or not family.holds(user, act.now) or token.has_expired(act.now):
        return NotIssued("it was revoked or has expired")
    while token is not None and token.used_at is not None:
        if not token.may_be_repeated(act.now):
            _revoke_stolen(tx, act, family.id, "a refresh token was used again", origin)
            return NotIssued("it was used before, so that all tokens of this sign-in are revoked")
        # A retry: what is live now is a successor of the token that it brings.
        text = _successor(family, text)
        token = tx.refresh_token(hash_of(text))
        if token is not None and token.used_at is None:
            return Issued(user, family, text)
    if token is None:
        return NotIssued("it is no longer known")
    family = replace(family, seen_at=act.now, seen_from=origin.address)
    tx.put_token_family(family)
    return Issued(user, family, _rotate(tx, act, family, token, text))


def _rotate(tx: TokenWrites, act: Act, family: TokenFamily, token: RefreshToken, text: str) -> str:
    successor = _successor(family, text)
    following = token.generation + 1
    tx.put_refresh_token(replace(token, used_at=act.now))
    tx.put_refresh_token(RefreshToken(hash_of(successor), family.id, following, act.now))
    tx.forget_refresh_tokens(family.id, following - REMEMBERED)
    return successor


def _successor(family: TokenFamily, text: str) -> str:
    """Made of the token's text, which is stored nowhere, and the seed, which is given to nobody."""
    made = hmac.digest(family.seed.encode(), text.encode(errors="replace"), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def revoke(tx: TokenUseWrites, act: Act, text: str, client_id: str, origin: Origin) -> None:
    """RFC 7009: end the family of a refresh token, if it is one of this client's."""
    token = tx.refresh_token(hash_of(text))
    family = tx.token_family(token.family_id) if token is not None else None
    if family is None or family.client_id != client_id or family.is_revoked:
        return
    user = tx.user(family.sign_in.user_id)
    if user is not None:
        act.actor = actor_of_user(user, origin)
    revoke_family(tx, act, family, "the program signed out")


def revoke_family(
    tx: TokenUseWrites, act: Act, family: TokenFamily, why: str, *, is_theft: bool = False
) -> None:
    tx.put_token_family(replace(family, is_revoked=True))
    user = tx.user(family.sign_in.user_id)
    name = user.name if user is not None else ""
    act.record(
        tx,
        sessions.TokenFamilyRevoked(
            family.sign_in.user_id, name, family.client_id, why, is_theft=is_theft
        ),
    )


def _revoke_stolen(tx: TokenUseWrites, act: Act, family_id: str, why: str, origin: Origin) -> None:
    """Two have it, and which of them is the thief cannot be told: neither keeps it."""
    family = tx.token_family(family_id)
    if family is not None and not family.is_revoked:
        act.actor = Actor(address=origin.address, client=origin.program, name="", kind="Unknown")
        revoke_family(tx, act, family, why, is_theft=True)


def sign_out_everywhere(tx: SignOutEverywhereWrites, act: Act, user: User) -> None:
    """End every session and token that the user has, in browsers and programs alike."""
    tx.put_user(replace(user, epoch=user.epoch + 1))
    tx.forget_sign_ins_of(user.id)
    act.record(tx, sessions.SignedOutEverywhere(user.id, user.name))


def issue_code(tx: TokenUseWrites, act: Act, code: AuthorizationCode) -> bool:
    """Keep a new authorization code; False when its sign-in does not hold any more."""
    if not code.sign_in.holds_for(tx.user(code.sign_in.user_id)):
        return False
    tx.forget_ended(act.now)
    tx.put_authorization_code(code)
    return True


def actor_of_user(user: User, origin: Origin) -> Actor:
    return actor_of(Subject(user.id, PrincipalKind.USER, user.name, origin.address, origin.program))


# -- the key that signs -----------------------------------------------------------------

KeyIds = tuple[str, str]  # of the key before and of the new one


async def rotate_shared_key(
    perform: Callable[[Callable[[T, Act], KeyIds]], Awaitable[KeyIds]],
    put: Callable[[T, Act], KeyIds],
    *,
    is_forgotten: bool,
) -> KeyIds:
    """Sign with a new key that is in the database (``put``): one commit with its event."""

    def work(tx: T, act: Act) -> KeyIds:
        before, made = put(tx, act)
        act.record(tx, installation.SigningKeyRotated(before, made, is_forgotten))
        return before, made

    return await perform(work)


async def rotate_signing_key(
    perform: Callable[[Callable[[EventWrites, Act], KeyIds]], Awaitable[KeyIds]],
    rotate: Callable[[datetime], KeyIds],
    *,
    is_forgotten: bool,
) -> KeyIds:
    """Sign with a new key, and put that on record.

    The key comes first: a full disk must not keep a stolen one in force. Raises Unavailable
    that says so when there is a new key and nothing on record.
    """
    done: list[KeyIds] = []

    def work(tx: EventWrites, act: Act) -> KeyIds:
        if not done:  # the store may do it again: the key is made once
            done.append(rotate(act.now))
        before, made = done[0]
        act.record(tx, installation.SigningKeyRotated(before, made, is_forgotten))
        return before, made

    try:
        return await perform(work)
    except Unavailable as error:
        if not done:
            raise
        raise Unavailable(
            f"Tokens are now signed with the key {done[0][1]}, but this may not be recorded, "
            f"because the database could not be written.",
            advice="See in the activity whether it is. If not, free some space, or find out why the "
            "database cannot be written, and rotate again to record it.",
        ) from error
