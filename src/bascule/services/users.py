"""Users: created, changed, disabled, deleted (EDGES B3, B4, B10).

A user is made without a way to sign in; a password or a passkey comes afterwards
(``services.sign_in``). Disabling voids every token and session for good: enabling again
brings none of them back. What is not here: who may call (the route), passwords.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.facts.users import (
    UserChanged,
    UserCreated,
    UserDeleted,
    UserDisabled,
    UserEnabled,
)
from bascule.domain.names import parse_display_name, parse_user_name
from bascule.domain.principals import User
from bascule.errors import Conflict, NotFound
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.losses import PrincipalLossWrites, end_unheld
from bascule.services.makers import Made, note_made
from bascule.services.owners import check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id


class UserWrites(EventWrites, InventoryReads, MakerWrites, PrincipalWrites, Protocol):
    """Users, and the record."""


KIND = "users"


@dataclass(frozen=True, slots=True)
class UserDraft:
    """What a change says; None keeps what is there."""

    name: str | None = None
    display_name: str | None = None
    is_enabled: bool | None = None


def find_user(reader: PrincipalReads, user_id: str) -> User:
    user = reader.user(user_id)
    if user is None:
        raise NotFound(
            sentence("There is no user with the id {user_id}.", user_id=repr(user_id[:64])),
            code="UserNotFound",
            advice="To list users: bascule user list",
        )
    return user


def create_user(
    tx: UserWrites, act: Act, name: str, display_name: str = "", *, is_enabled: bool = True
) -> User:
    """Make a user, who holds nothing yet; raise InvalidInput, or Conflict for a taken name."""
    user = User(
        new_id(),
        parse_user_name(name, "properties.userPrincipalName"),
        parse_display_name(display_name, "properties.displayName", is_required=False) or name,
        is_enabled,
        act.now,
    )
    _check_free(tx, user)
    tx.put_user(user)
    note_made(tx, act, Made.PRINCIPAL, user.id, user.id)
    act.record(tx, UserCreated(user.id, user.name), identity_id(tx, KIND, user.id))
    return user


def change_user(
    tx: PrincipalLossWrites, act: Act, subject: Subject, user_id: str, draft: UserDraft
) -> User:
    """Rename, disable or enable; raise Forbidden (EDGES B4), Conflict, NotFound, InvalidInput."""
    user = find_user(tx, user_id)
    check_may_change(tx, act, subject, user.id)
    named = _named(user, draft)
    if named != user:
        _check_free(tx, named)
        tx.put_user(named)
        fact = UserChanged(user.id, named.name, named.display_name, user.name, user.display_name)
        act.record(tx, fact, identity_id(tx, KIND, user.id))
    if draft.is_enabled is None or draft.is_enabled == named.is_enabled:
        return named
    return _enable(tx, act, named) if draft.is_enabled else _disable(tx, act, named)


def _named(user: User, draft: UserDraft) -> User:
    name, display_name = user.name, user.display_name
    if draft.name is not None and draft.name != name:
        name = parse_user_name(draft.name, "properties.userPrincipalName")
    if draft.display_name is not None and draft.display_name != display_name:
        display_name = parse_display_name(draft.display_name, "properties.displayName")
    return replace(user, name=name, display_name=display_name)


def _enable(tx: UserWrites, act: Act, user: User) -> User:
    enabled = replace(user, is_enabled=True)
    tx.put_user(enabled)
    act.record(tx, UserEnabled(user.id, user.name), identity_id(tx, KIND, user.id))
    return enabled


def _disable(tx: PrincipalLossWrites, act: Act, user: User) -> User:
    is_owner = are_owners(tx, [user.id])
    disabled = replace(user, is_enabled=False, epoch=user.epoch + 1)
    tx.put_user(disabled)
    ended = end_unheld(tx, act, [user.id], f"disabling of user {user.name}")
    fact = UserDisabled(user.id, user.name, len(ended))
    act.record(tx, fact, identity_id(tx, KIND, user.id))
    if is_owner:
        check_owner_left(tx, act)
    return disabled


def delete_user(tx: PrincipalLossWrites, act: Act, subject: Subject, user_id: str) -> bool:
    """Forget a user with memberships, assignments and ways to sign in; False when unknown.

    Requests, grants and events stay on record under the id and the name that they had.
    """
    user = tx.user(user_id)
    if user is None:
        return False
    check_may_change(tx, act, subject, user.id)
    is_owner = are_owners(tx, [user.id])
    # Disabled first, so that the grants of this one alone need to be looked at.
    tx.put_user(replace(user, is_enabled=False))
    ended = end_unheld(tx, act, [user.id], f"deletion of user {user.name}")
    tx.delete_principal(user.id)
    fact = UserDeleted(user.id, user.name, len(ended))
    act.record(tx, fact, identity_id(tx, KIND, user.id))
    if is_owner:
        check_owner_left(tx, act)
    return True


def _check_free(reader: PrincipalReads, user: User) -> None:
    other = reader.user_by_name(user.name)
    if other is not None and other.id != user.id:
        raise Conflict(
            sentence("A user named {other} exists already.", other=repr(other.name)),
            code="UserNameTaken",
            target="properties.userPrincipalName",
            advice="Choose another name. Names are compared without regard to case.",
        )
