"""A user's sign-ins: browsers by their sessions, programs by their tokens.

They are listed so that people can recognise their own and end the others. Ending one also ends
the codes that it gave and that nobody has redeemed, so that a thief cannot come back by one. The
secret texts, and their hashes, are never shown. Ending another user's sign-ins needs all rights
of that user (EDGES B4). Not here: how sessions and tokens begin (``sessions``, ``tokens``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.clients import client_name
from bascule.domain.facts import sessions as facts
from bascule.domain.principals import User
from bascule.domain.sign_in import Method
from bascule.domain.times import format_utc
from bascule.domain.tokens import REFRESH_LIFE, Origin, Session, TokenFamily
from bascule.errors import Forbidden, NotFound
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads
from bascule.interfaces.sign_in import SignInReads
from bascule.interfaces.tokens import TokenReads, TokenWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.principal_rights import check_may_change, identity_id
from bascule.services.tokens import hash_of, revoke_family, sign_out_everywhere
from bascule.services.users import KIND, find_user


class LiveReads(PrincipalReads, TokenReads, Protocol):
    """Sign-ins that hold, and whose they are."""


class SignOutWrites(EventWrites, InventoryReads, PrincipalReads, TokenWrites, Protocol):
    """The same, to end them, and the record."""


class OthersSignOutWrites(
    SignOutWrites, PrincipalWrites, ProviderReads, RoleReads, SignInReads, Protocol
):
    """The same of another user."""


BY_ITSELF, BY_OWNER, BY_OTHERS = "signed out", "ended by its user", "ended by an administrator"


class SignInKind(StrEnum):
    BROWSER = "browser"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class LiveSignIn:
    """One browser or program that is signed in now."""

    id: str
    kind: SignInKind
    client_id: str  # empty: a browser
    client: str  # what people call the program; empty: a browser
    flow: str  # how the program came to its tokens; empty: a browser
    methods: tuple[str, ...]  # RFC 8176, and Entra's fed
    origin: Origin
    began_at: datetime
    seen_at: datetime  # of a browser to the minute; of a program when it last took new tokens
    seen_from: str  # empty: where it began
    ends_at: datetime  # when it is not used before


def live_of(reader: LiveReads, user_id: str, now: datetime) -> Sequence[LiveSignIn]:
    """All that a user has, what was used last first; half a sign-in is none."""
    user = find_user(reader, user_id)
    sessions = [
        _of_session(each)
        for each in reader.sessions_of(user.id)
        if each.is_whole and each.holds_at(now) and each.sign_in.holds_for(user)
    ]
    programs = [
        _of_family(each) for each in reader.token_families_of(user.id) if each.holds(user, now)
    ]
    live = [each for each in (*sessions, *programs) if now < each.ends_at]
    return sorted(live, key=lambda each: (each.seen_at, each.began_at, each.id), reverse=True)


def own_live(reader: LiveReads, subject: Subject, now: datetime) -> Sequence[LiveSignIn]:
    return live_of(reader, _own(reader, subject).id, now)


def end_own(tx: SignOutWrites, act: Act, subject: Subject, sign_in_id: str) -> None:
    """End one of the caller's own. Raises NotFound if they have none with that id."""
    _end_one(tx, act, _own(tx, subject), sign_in_id, BY_OWNER)


def end_others(tx: SignOutWrites, act: Act, subject: Subject, kept: str) -> int:
    """End all of the caller's own but the one of this id; say how many there were.

    Those that wait for a second factor end too, and every code that is not redeemed yet.
    """
    user = _own(tx, subject)
    live = {each.id for each in live_of(tx, user.id, act.now)} - {kept}
    for session in tx.sessions_of(user.id):
        if session.id != kept:
            _end_session(tx, act, user, session, BY_OWNER)
    for family in tx.token_families_of(user.id):
        if family.id != kept:
            revoke_family(tx, act, family, BY_OWNER)
    tx.forget_codes_of(user.id)
    return len(live)


def end_of(
    tx: OthersSignOutWrites, act: Act, subject: Subject, user_id: str, sign_in_id: str
) -> None:
    """End one of another's; raise Forbidden (EDGES B4) or NotFound."""
    user = find_user(tx, user_id)
    check_may_change(tx, act, subject, user.id)
    _end_one(tx, act, user, sign_in_id, BY_OTHERS)


def sign_out(tx: OthersSignOutWrites, act: Act, subject: Subject, user_id: str) -> None:
    """Sign another out everywhere; raise Forbidden (EDGES B4) or NotFound."""
    user = find_user(tx, user_id)
    check_may_change(tx, act, subject, user.id)
    sign_out_everywhere(tx, act, user)


def end_elsewhere(tx: SignOutWrites, act: Act, user_id: str, why: str) -> None:
    """End all of a user's that rest on an external provider's word, half-way ones too.

    The provider is not recorded: if several vouched for the user, a refusal by one is enough. All
    codes go, including the few that a password gave, because an ended session may have given one.
    """
    user = find_user(tx, user_id)
    for session in tx.sessions_of(user.id):
        if Method.ELSEWHERE in session.sign_in.methods:
            _end_session(tx, act, user, session, why)
    for family in tx.token_families_of(user.id):
        if Method.ELSEWHERE in family.sign_in.methods:
            revoke_family(tx, act, family, why)
    tx.forget_codes_of(user.id)


def sign_out_here(tx: SignOutWrites, act: Act, user: User, text: str) -> None:
    """End the session of this cookie."""
    session = tx.session(hash_of(text))
    if session is not None and session.sign_in.user_id == user.id:
        _end_session(tx, act, user, session, BY_ITSELF)


def _own(reader: PrincipalReads, subject: Subject) -> User:
    if subject.kind is not PrincipalKind.USER:
        raise Forbidden(
            "This is only for people; you are a service principal.",
            advice="To manage a service principal's credentials: bascule sp.",
        )
    return find_user(reader, subject.principal_id)


def _end_one(tx: SignOutWrites, act: Act, user: User, sign_in_id: str, why: str) -> None:
    for session in tx.sessions_of(user.id):
        if session.id == sign_in_id:
            _end_session(tx, act, user, session, why)
            return
    for family in tx.token_families_of(user.id):
        if family.id == sign_in_id:
            revoke_family(tx, act, family, why)
            return
    raise NotFound(
        sentence(
            "'{user}' has no sign-in with the id {sign_in_id}.",
            user=user.name,
            sign_in_id=repr(sign_in_id[:64]),
        ),
        code="SignInNotFound",
        advice="To list sign-ins: bascule session list",
    )


def _end_session(tx: SignOutWrites, act: Act, user: User, session: Session, why: str) -> None:
    tx.delete_session(session.hash)
    tx.forget_codes_of(user.id, session.sign_in.at)
    began_at, address = format_utc(session.sign_in.at), session.origin.address
    fact = facts.SessionEnded(user.id, user.name, session.id, began_at, address, why)
    act.record(tx, fact, identity_id(tx, KIND, user.id))


def _of_session(session: Session) -> LiveSignIn:
    return LiveSignIn(
        session.id,
        SignInKind.BROWSER,
        "",
        "",
        "",
        session.sign_in.methods,
        session.origin,
        session.sign_in.at,
        session.seen_at,
        session.seen_from,
        session.ends_at,
    )


def _of_family(family: TokenFamily) -> LiveSignIn:
    seen_at = family.seen_at or family.created_at
    return LiveSignIn(
        family.id,
        SignInKind.PROGRAM,
        family.client_id,
        client_name(family.client_id) or family.client_id,
        str(family.flow),
        family.sign_in.methods,
        family.origin,
        family.created_at,
        seen_at,
        family.seen_from,
        min(family.ends_at, seen_at + REFRESH_LIFE),
    )
