"""What a caller may do, read from the store; and the error that says what is missing.

``check`` is called inside the transaction of the act that it guards, on rows read in it:
a right that was lost a moment ago does not count any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.builtin_roles import BUILTIN_ROLES
from bascule.domain.principals import Membership
from bascule.domain.roles import (
    NO_RIGHTS,
    Reach,
    Rights,
    RoleDefinition,
    rights_from,
    roles_giving,
)
from bascule.domain.scopes import Scope
from bascule.errors import Forbidden, Problem, Target
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence


class RightsReads(PrincipalReads, RoleReads, Protocol):
    """Who there is, and what each of them holds."""


_BUILTIN = {role.id: role for role in BUILTIN_ROLES}
_MOST_NAMED = 3  # roles that a denial names


def find_role(reader: RoleReads, role_id: str) -> RoleDefinition | None:
    return _BUILTIN.get(role_id.lower()) or reader.custom_role(role_id)


def all_roles(reader: RoleReads) -> tuple[RoleDefinition, ...]:
    """Built-in and custom ones, ordered by name."""
    every = (*BUILTIN_ROLES, *reader.custom_roles())
    return tuple(sorted(every, key=lambda role: (role.name.casefold(), role.id)))


def rights_of(reader: RightsReads, principal_id: str, now: datetime) -> Rights:
    """All that a principal holds at ``now``, by itself and by its groups.

    One that is disabled, unknown or no caller (an agent) holds nothing. What was worked out
    is kept until anything about access changes, or a membership in it ends.
    """
    return _kept(reader, principal_id, now).rights


def stated_ends(reader: RightsReads, principal_id: str, now: datetime) -> Sequence[Membership]:
    """A principal's memberships that end at a time which somebody here set, soonest first."""
    return _kept(reader, principal_id, now).stated


def lasting_rights(
    reader: RightsReads, principal_id: str, now: datetime, until: datetime | None
) -> Rights:
    """What of its rights a principal holds until then, by what is known now; None: for good."""
    kept = _kept(reader, principal_id, now)
    if all(
        until is not None and each.stated_end >= until for each in kept.stated if each.stated_end
    ):
        return kept.rights
    ending = {
        each.group_id
        for each in kept.stated
        if each.stated_end and (until is None or each.stated_end < until)
    }
    memberships = reader.memberships_of(principal_id, now)
    groups = {
        each.group_id for each in memberships if each.group_id not in ending or not each.stated_end
    }
    return rights_by(reader, [principal_id, *sorted(groups)])


def _kept(reader: RightsReads, principal_id: str, now: datetime) -> _Kept:
    slot = _slot_of(reader.access_stamp(), principal_id)
    kept = slot.kept
    if kept is None or (kept.until is not None and kept.until <= now):
        kept = slot.kept = _work_out(reader, principal_id, now)
    return kept


@dataclass(frozen=True, slots=True)
class _Kept:
    rights: Rights
    until: datetime | None  # not inclusive; None: as long as the stamp stays
    stated: tuple[Membership, ...] = ()  # those with an end that somebody here gave them


@dataclass(slots=True)
class _Slot:
    kept: _Kept | None = None


@lru_cache(maxsize=4096)
def _slot_of(stamp: str, principal_id: str) -> _Slot:  # noqa: ARG001  # reason: they are the key
    """Where this is kept. A stamp is of one state of one database, so it is of no other's."""
    return _Slot()


def _work_out(reader: RightsReads, principal_id: str, now: datetime) -> _Kept:
    if not is_enabled(reader, principal_id):
        return _Kept(NO_RIGHTS, None)
    memberships = reader.memberships_of(principal_id, now)
    until = min((each.expires_at for each in memberships if each.expires_at), default=None)
    ending = [(each.stated_end, each.group_id, each) for each in memberships if each.stated_end]
    stated = tuple(each for *_, each in sorted(ending, key=lambda found: found[:2]))
    return _Kept(holdings_of(reader, principal_id, now), until, stated)


def holdings_of(reader: RightsReads, principal_id: str, now: datetime) -> Rights:
    """The same of a principal that may be disabled, or of a group."""
    groups = (each.group_id for each in reader.memberships_of(principal_id, now))
    return rights_by(reader, [principal_id, *dict.fromkeys(groups)])


def rights_by(reader: RoleReads, holder_ids: Sequence[str]) -> Rights:
    """What is assigned to these principals and groups."""
    assignments = reader.role_assignments_of(holder_ids)
    wanted = dict.fromkeys(each.role_id for each in assignments)
    roles = [role for role_id in wanted if (role := find_role(reader, role_id)) is not None]
    return rights_from(assignments, roles)


def is_enabled(reader: PrincipalReads, principal_id: str) -> bool:
    """Is this a user or a service principal that may call?"""
    principal = reader.service_principal(principal_id) or reader.user(principal_id)
    return principal is not None and principal.is_enabled


@dataclass(frozen=True, slots=True)
class Needed:
    """One action at one scope, and where it was asked for."""

    action: str
    scope: Scope
    target: Target = ""


def check(reader: RightsReads, subject: Subject, now: datetime, needed: Sequence[Needed]) -> None:
    """Raise Forbidden unless all of it may be done; it names everything that may not."""
    missing = missing_of(rights_of(reader, subject.principal_id, now), needed)
    if missing:
        raise denial(reader, subject, missing)


def missing_of(held: Rights, needed: Iterable[Needed]) -> list[Needed]:
    """What of it these rights do not give, in its order."""
    reaches: dict[str, Reach] = {}
    missing: list[Needed] = []
    for each in needed:
        if each.action not in reaches:
            reaches[each.action] = held.reach(each.action)
        if not reaches[each.action].covers(each.scope.key):
            missing.append(each)
    return missing


def denial(reader: RoleReads, subject: Subject, missing: Sequence[Needed]) -> Forbidden:
    """ARM's AuthorizationFailed, one problem for each action and scope that is missing."""
    problems = [_problem(subject, each) for each in missing]
    roles = roles_giving_all(reader, {each.action for each in missing})
    named = ", ".join(repr(role.name) for role in roles[:_MOST_NAMED])
    scope = missing[0].scope
    advice = (
        sentence(
            "Ask for one of these roles at {scope} or above: {roles}.", scope=scope, roles=named
        )
        if named
        else sentence("No single role here gives all of it. An owner can create one.")
    )
    more = f" (and {len(problems) - 1} more, see details)" if len(problems) > 1 else ""
    refused = Forbidden(
        problems[0].message + more,
        code=problems[0].code,
        target=problems[0].target,
        advice=advice,
        problems=problems,
    )
    refused.at = tuple(dict.fromkeys(str(each.scope) for each in missing))
    return refused


def roles_giving_all(reader: RoleReads, actions: Iterable[str]) -> Sequence[RoleDefinition]:
    """Roles that allow each of these actions, the least powerful first."""
    found = all_roles(reader)
    for action in actions:
        found = roles_giving(action, found)
    return found


def _problem(subject: Subject, missing: Needed) -> Problem:
    return Problem(
        Forbidden.code,
        sentence(
            "The client '{name}' with object id '{id}' does not have authorization to "
            "perform action '{action}' over scope '{scope}'.",
            name=subject.name,
            id=subject.principal_id,
            action=missing.action,
            scope=missing.scope,
        ),
        missing.target,
    )
