"""Groups and their members."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Number, Text
from bascule.domain.facts.kind import Activity, Level, Severity


@fact("Microsoft.Authorization/groups/write", "Create group", Activity.CREATE, is_call=True)
class GroupCreated(Fact):
    group_id: Text
    group: Text


@fact("Microsoft.Authorization/groups/write", "Update group", Activity.UPDATE, is_call=True)
class GroupChanged(Fact):
    group_id: Text
    group: Text
    description: Text
    previous_group: Text
    previous_description: Text


@fact(
    "Microsoft.Authorization/groups/delete",
    "Delete group",
    Activity.DELETE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class GroupDeleted(Fact):
    group_id: Text
    group: Text
    grants_ended: Number


@fact(
    "Microsoft.Authorization/groups/members/write",
    "Add member to group",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class MemberAdded(Fact):
    group_id: Text
    group: Text
    member_id: Text
    member: Text


@fact(
    "Microsoft.Authorization/groups/members/write",
    "Add member to group for a time",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class MemberAddedUntil(Fact):
    group_id: Text
    group: Text
    member_id: Text
    member: Text
    ends_at: Text


@fact(
    "Microsoft.Authorization/groups/members/write",
    "Change end of membership of group",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
    is_call=True,
)
class MembershipChanged(Fact):
    """Somebody moved, set or removed the end of a membership."""

    group_id: Text
    group: Text
    member_id: Text
    member: Text
    ends_at: Text  # empty: it has no end
    previous_ends_at: Text


@fact(
    "Microsoft.Authorization/groups/members/expire/action",
    "End membership of group",
    Activity.UPDATE,
)
class MembershipEnded(Fact):
    """The membership was for a limited time, which is over.

    ``provider_id`` is the external provider that vouched for it (EDGES B3). It is empty if somebody
    here had given it an end (EDGES J9).
    """

    group_id: Text
    group: Text
    member_id: Text
    member: Text
    provider_id: Text
    grants_ended: Number


@fact(
    "Microsoft.Authorization/groups/members/delete",
    "Remove member from group",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class MemberRemoved(Fact):
    group_id: Text
    group: Text
    member_id: Text
    member: Text
    grants_ended: Number
