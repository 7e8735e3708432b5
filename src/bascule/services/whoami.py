"""What callers may read about themselves: identity, groups, and the roles from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bascule.domain.access import Subject
from bascule.domain.principals import Group
from bascule.domain.roles import RoleAssignment
from bascule.services.rights import RightsReads, find_role


@dataclass(frozen=True, slots=True)
class HeldRole:
    assignment: RoleAssignment
    role_name: str
    group_name: str  # of the group that gives it; empty: the caller's own


@dataclass(frozen=True, slots=True)
class Whoami:
    subject: Subject
    display_name: str
    groups: Sequence[Group]
    roles: Sequence[HeldRole]


def whoami(reader: RightsReads, subject: Subject, now: datetime) -> Whoami:
    """Read it anew; a membership that has ended is none."""
    ids = dict.fromkeys(each.group_id for each in reader.memberships_of(subject.principal_id, now))
    groups = [group for each in ids if (group := reader.group(each)) is not None]
    names = {each.id: each.name for each in groups}
    roles = [
        HeldRole(assignment, role.name, names.get(assignment.principal_id, ""))
        for assignment in reader.role_assignments_of([subject.principal_id, *ids])
        if (role := find_role(reader, assignment.role_id)) is not None
    ]
    user = reader.user(subject.principal_id)
    return Whoami(
        subject,
        subject.name if user is None else user.display_name,
        sorted(groups, key=lambda each: each.name.casefold()),
        sorted(roles, key=lambda each: (each.assignment.scope.key, each.role_name)),
    )
