"""Sessions: a browser that signed in is recognised by a cookie, of which only a hash is stored.

A session begins with a new text at every sign-in, whatever cookie the browser had before,
so that nobody can plant a known one (session fixation). It ends twelve hours after
the sign-in, after two without use, by signing out, and with its user's epoch. What a page
asks by itself is no use: it lengthens nothing, and is noted only when it comes from elsewhere. One that
still lacks its second factor is kept apart: it lasts ten minutes, opens nothing, and pushes
out none but its like, of the same network first: a password alone takes nothing from its owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.principals import User
from bascule.domain.sign_in import FactorKind, Method, network_of
from bascule.domain.tokens import NOWHERE, Origin, Session, SignIn
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.tokens import TokenReads, TokenWrites
from bascule.services.act import Act, Services, new_id
from bascule.services.second_factors import factors_of
from bascule.services.sign_in import PasswordAccepted
from bascule.services.tokens import hash_of, new_text


class SessionReads(PrincipalReads, TokenReads, Protocol):
    """Sessions, and whose they are."""


class SessionWrites(PrincipalReads, TokenWrites, Protocol):
    """The same, to begin one."""


MOST_SESSIONS = 100  # of one user; the oldest gives way
MOST_HALVES = 20  # of one user, that wait for a second factor; likewise
MOST_HALVES_OF_NETWORK = 3  # of these from one network; likewise


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whose browser has a session."""

    user: User
    session: Session

    @property
    def sign_in(self) -> SignIn:
        return self.session.sign_in


def begin(
    tx: SessionWrites,
    act: Act,
    user: User,
    methods: Sequence[str],
    previous: Sequence[str] = (),
    origin: Origin = NOWHERE,
    factor_at: datetime | None = None,
) -> str | None:
    """A new session's text for whoever has just signed in; None when that no longer holds.

    ``previous`` are the cookies that the browser came with: worth nothing from now on.
    """
    sign_in = SignIn(user.id, user.epoch, act.now, tuple(map(str, methods)), factor_at)
    return _begin(tx, sign_in, previous, origin)


def begin_half(
    tx: SessionWrites,
    accepted: PasswordAccepted,
    previous: Sequence[str] = (),
    origin: Origin = NOWHERE,
) -> str | None:
    """As ``begin``, for somebody who has shown a password and owes a second factor."""
    methods = tuple(map(str, accepted.methods))
    sign_in = SignIn(accepted.user.id, accepted.user.epoch, accepted.accepted_at, methods)
    return _begin(tx, sign_in, previous, origin, is_whole=False)


def _begin(
    tx: SessionWrites,
    sign_in: SignIn,
    previous: Sequence[str],
    origin: Origin,
    *,
    is_whole: bool = True,
) -> str | None:
    if not sign_in.holds_for(tx.user(sign_in.user_id)):
        return None
    tx.forget_ended(sign_in.at)
    for old in previous:
        end(tx, old)
    alike = [each for each in tx.sessions_of(sign_in.user_id) if each.is_whole == is_whole]
    for oldest in _crowded_out(alike, origin, is_whole=is_whole):
        tx.delete_session(oldest.hash)
    text = new_text()
    session = Session(hash_of(text), sign_in, sign_in.at, is_whole, new_id(), origin)
    tx.put_session(session)
    return text


def _crowded_out(
    newest_first: Sequence[Session], origin: Origin, *, is_whole: bool
) -> Sequence[Session]:
    """Which of a user's sessions of one kind give way to another from there."""
    if is_whole:
        return newest_first[MOST_SESSIONS - 1 :]
    network = network_of(origin.address)
    neighbours = [each for each in newest_first if network_of(each.origin.address) == network]
    return neighbours[MOST_HALVES_OF_NETWORK - 1 :] or newest_first[MOST_HALVES - 1 :]


def end(tx: TokenWrites, text: str) -> None:
    tx.delete_session(hash_of(text))


async def find(
    services: Services, text: str, address: str = "", *, is_use: bool = True
) -> Visitor | None:
    """Whose session this cookie is now; None when it is nobody's (any more).

    ``address`` is where it is used from, which is noted now and then. Without ``is_use``
    the session is not lengthened. A new address is noted all the same, so that nobody can hide
    where they are.
    """
    visitor = await _read(services, text)
    if visitor is None or not visitor.session.is_whole:
        return None
    session = visitor.session
    if is_use and session.is_to_be_noted(services.clock.now()):
        await services.perform(lambda tx, act: _note(tx, session, act.now, address))
    elif not is_use and address not in (session.seen_from, session.origin.address):
        await services.perform(lambda tx, _: _note(tx, session, None, address))
    return visitor


async def find_half(services: Services, text: str) -> PasswordAccepted | None:
    """Who has shown a password and owes one of these factors; None: begin anew."""
    visitor = await _read(services, text)
    if visitor is None or visitor.session.is_whole:
        return None
    user_id = visitor.user.id
    factors: tuple[FactorKind, ...] = await services.read_few(
        lambda reader: factors_of(reader, user_id)
    )
    first = Method(visitor.sign_in.methods[0])
    return PasswordAccepted(visitor.user, factors, visitor.sign_in.at, first)


def visitor_of(reader: SessionReads, text: str, now: datetime) -> Visitor | None:
    """Whose session a cookie is; asked inside an act's own transaction too. A half one, which
    still owes a second factor, is nobody's.
    """
    visitor = _holder(reader, text, now)
    return visitor if visitor is not None and visitor.session.is_whole else None


def _holder(reader: SessionReads, text: str, now: datetime) -> Visitor | None:
    session = reader.session(hash_of(text)) if text else None
    user = reader.user(session.sign_in.user_id) if session is not None else None
    if session is None or user is None:
        return None
    if not session.holds_at(now) or not session.sign_in.holds_for(user):
        return None
    return Visitor(user, session)


async def _read(services: Services, text: str) -> Visitor | None:
    now = services.clock.now()
    return await services.read_few(lambda reader: _holder(reader, text, now))


def _note(tx: TokenWrites, session: Session, used_at: datetime | None, address: str) -> None:
    """Note from where it was used, and when; None: it was not."""
    found = tx.session(session.hash)
    if found is not None:  # it may have ended since
        tx.put_session(replace(found, seen_at=used_at or found.seen_at, seen_from=address))
