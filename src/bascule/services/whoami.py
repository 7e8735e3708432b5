"""What callers may read about themselves: identity, groups, and the roles from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bascule.domain.access import Subject
from bascule.domain.principals import Group, Membership
from bascule.domain.roles import RoleAssignment
from bascule.services.rights import RightsReads, find_role


@dataclass(frozen=True, slots=True)
class HeldRole:
    assignment: RoleAssignment
    role_name: str
    group_name: str  # of the group that gives it; empty: the caller's own


@dataclass(frozen=True, slots=True)
class HeldMembership:
    group: Group
    ends_at: datetime | None  # None: no end
    is_vouched: bool  # by an identity provider alone: the next sign-in there renews it


@dataclass(frozen=True, slots=True)
class Whoami:
    subject: Subject
    display_name: str
    groups: Sequence[HeldMembership]
    roles: Sequence[HeldRole]


def whoami(reader: RightsReads, subject: Subject, now: datetime) -> Whoami:
    """Read it anew; a membership that has ended is none."""
    memberships = reader.memberships_of(subject.principal_id, now)
    ids = dict.fromkeys(each.group_id for each in memberships)
    groups = [
        _held(group, [each for each in memberships if each.group_id == group.id])
        for each in ids
        if (group := reader.group(each)) is not None
    ]
    names = {each.group.id: each.group.name for each in groups}
    roles = [
        HeldRole(assignment, role.name, names.get(assignment.principal_id, ""))
        for assignment in reader.role_assignments_of([subject.principal_id, *ids])
        if (role := find_role(reader, assignment.role_id)) is not None
    ]
    user = reader.user(subject.principal_id)
    return Whoami(
        subject,
        subject.name if user is None else user.display_name,
        sorted(groups, key=lambda each: each.group.name.casefold()),
        sorted(roles, key=lambda each: (each.assignment.scope.key, each.role_name)),
    )


def _held(group: Group, memberships: Sequence[Membership]) -> HeldMembership:
    """All memberships in one group as one, which ends when the last of them does."""
    ends = [each.expires_at for each in memberships]
    last = None if None in ends else max(end for end in ends if end is not None)
    return HeldMembership(group, last, all(each.provider_id for each in memberships))
