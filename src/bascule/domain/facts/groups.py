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
    "Microsoft.Authorization/groups/members/expire/action",
    "End membership of group",
    Activity.UPDATE,
)
class MembershipEnded(Fact):
    """An external provider had vouched for the membership for a limited time, which is over (EDGES B3)."""

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
