"""Groups of users and service principals, and their members (EDGES B3, B4, B10).

A member has all rights of its group, so changing a group or its members needs all of these
rights. Groups are not nested. A membership may have an end (EDGES J9). Members added by an external
provider are not removed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.groups import (
    GroupChanged,
    GroupCreated,
    GroupDeleted,
    MemberAdded,
    MemberAddedUntil,
    MemberRemoved,
    MembershipChanged,
)
from bascule.domain.names import parse_display_name, parse_group_name
from bascule.domain.principals import Group, Membership
from bascule.domain.times import format_utc
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.approvals import ApprovalReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.access_rules import check_may_regroup, follow_group
from bascule.services.act import Act, new_id
from bascule.services.approvers import void_lost
from bascule.services.losses import PrincipalLossWrites, end_unheld
from bascule.services.owners import OwnerReads, check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id, name_of
from bascule.services.rights import lasting_rights


class MemberWrites(OwnerReads, ApprovalReads, EventWrites, PrincipalWrites, Protocol):
    """Groups and members, and the right to change them."""


KIND = "groups"
BY_HAND = ""  # the provider of a membership that no provider vouches for


@dataclass(frozen=True, slots=True)
class Member:
    membership: Membership
    name: str
    provider_name: str = ""  # of the provider that vouches for it; empty: put there by hand


def find_group(reader: PrincipalReads, group_id: str) -> Group:
    group = reader.group(group_id)
    if group is None:
        raise NotFound(
            sentence("There is no group with the id {group_id}.", group_id=repr(group_id[:64])),
            code="GroupNotFound",
            advice="To list groups: bascule group list",
        )
    return group


def create_group(tx: MemberWrites, act: Act, name: str, description: str = "") -> Group:
    """Make an empty group, which holds nothing yet; raise Conflict for a taken name."""
    group = Group(
        new_id(), parse_group_name(name, "properties.displayName"), _words(description), act.now
    )
    _check_free(tx, group)
    tx.put_group(group)
    act.record(tx, GroupCreated(group.id, group.name), identity_id(tx, KIND, group.id))
    return group


def change_group(
    tx: MemberWrites,
    act: Act,
    subject: Subject,
    group_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
) -> Group:
    """Rename or describe; None keeps what is there."""
    group = find_group(tx, group_id)
    check_may_change(tx, act, subject, group.id)
    changed = replace(
        group,
        name=group.name if name is None else parse_group_name(name, "properties.displayName"),
        description=group.description if description is None else _words(description),
    )
    if changed == group:
        return group
    _check_free(tx, changed)
    tx.put_group(changed)
    fact = GroupChanged(group.id, changed.name, changed.description, group.name, group.description)
    act.record(tx, fact, identity_id(tx, KIND, group.id))
    return changed


def delete_group(tx: PrincipalLossWrites, act: Act, subject: Subject, group_id: str) -> bool:
    """Forget a group with its assignments; its members stay, less what it gave them."""
    group = tx.group(group_id)
    if group is None:
        return False
    check_may_change(tx, act, subject, group.id)
    check_may_regroup(tx, act, subject, group.id)
    members = [each.member_id for each in tx.members_of(group.id)]
    had_owners = are_owners(tx, members)
    tx.delete_principal(group.id)
    ended = end_unheld(tx, act, members, f"deletion of group {group.name}")
    fact = GroupDeleted(group.id, group.name, len(ended))
    act.record(tx, fact, identity_id(tx, KIND, group.id))
    if members:
        follow_group(tx, act, group, grew=False)
    if had_owners:
        check_owner_left(tx, act)
    return True


def members(reader: OwnerReads, group_id: str) -> Sequence[Member]:
    """Who is in the group, ordered by id."""
    group = find_group(reader, group_id)
    providers = {each.id: each.name for each in reader.identity_providers()}
    return [
        Member(each, name_of(reader, each.member_id), providers.get(each.provider_id, ""))
        for each in reader.members_of(group.id)
    ]


@dataclass(frozen=True, slots=True)
class Until:
    """The end that somebody gives a membership, not inclusive; None: it has none."""

    at: datetime | None


def add_member(
    tx: PrincipalLossWrites,
    act: Act,
    subject: Subject,
    group_id: str,
    member_id: str,
    until: Until | None = None,
) -> tuple[Member, bool]:
    """Put a user or service principal into a group, or move the end of the membership; True when it
    is new there.

    ``until`` None leaves the end of a membership as it is; a new one has none then. The subject must
    hold all rights of the group for that long: what it holds for a time it gives for no longer. Raises
    InvalidInput for an end that is not in the future, Conflict (LastOwner) where an end would leave
    no owner.
    """
    group = find_group(tx, group_id)
    present = _by_hand(tx, group.id, member_id.lower())
    ends_at = until.at if until else present.expires_at if present else None
    own = lasting_rights(tx, subject.principal_id, act.now, ends_at)
    check_may_change(tx, act, subject, group.id, own=own)
    check_may_regroup(tx, act, subject, group.id)
    kind = _kind_of_member(tx, member_id)
    member_id, name = member_id.lower(), name_of(tx, member_id)
    if until is not None and ends_at is not None and ends_at <= act.now:
        raise InvalidInput(
            sentence(
                "The end {end} is not in the future. The server's time is {now}.",
                end=format_utc(ends_at),
                now=format_utc(act.now),
            ),
            code="EndTimePassed",
            target="properties.expiresAt",
        )
    if present is not None:
        return Member(_end_at(tx, act, group, present, name, ends_at), name), False
    membership = Membership(group.id, member_id, kind, expires_at=ends_at)
    tx.put_membership(membership)
    whom = (group.id, group.name, member_id, name)
    fact = MemberAddedUntil(*whom, format_utc(ends_at)) if ends_at else MemberAdded(*whom)
    act.record(tx, fact, identity_id(tx, KIND, group.id))
    follow_group(tx, act, group, grew=True)
    void_lost(tx, [member_id], act.now)  # what they approved as a member before rests on this now
    return Member(membership, name), True


def _end_at(
    tx: PrincipalLossWrites,
    act: Act,
    group: Group,
    present: Membership,
    name: str,
    ends_at: datetime | None,
) -> Membership:
    """Move the end of a membership, and that of each grant which is not to outlast it."""
    if ends_at == present.expires_at:
        return present
    had_owners = are_owners(tx, [present.member_id])
    membership = replace(present, expires_at=ends_at)
    tx.put_membership(membership)
    fact = MembershipChanged(
        group.id,
        group.name,
        present.member_id,
        name,
        _end_text(ends_at),
        _end_text(present.expires_at),
    )
    act.record(tx, fact, identity_id(tx, KIND, group.id))
    end_unheld(tx, act, [present.member_id], f"end of the membership of {name} in {group.name}")
    if had_owners and not are_owners(tx, [present.member_id]):
        check_owner_left(tx, act)
    return membership


def _end_text(ends_at: datetime | None) -> str:
    return "" if ends_at is None else format_utc(ends_at)


def remove_member(
    tx: PrincipalLossWrites, act: Act, subject: Subject, group_id: str, member_id: str
) -> bool:
    """Take a member out, and end the grants that it had by the group; False when not in it."""
    group = find_group(tx, group_id)
    check_may_change(tx, act, subject, group.id)
    check_may_regroup(tx, act, subject, group.id)
    member_id = member_id.lower()
    if _by_hand(tx, group.id, member_id) is None:
        if any(each.member_id == member_id for each in tx.members_of(group.id)):
            raise Conflict(
                sentence(
                    "'{member}' is in '{group}' according to its identity provider.",
                    member=name_of(tx, member_id),
                    group=group.name,
                ),
                code="MembershipFromProvider",
                advice="Remove it from the group there. The membership here then ends within an "
                "hour.",
            )
        return False
    had_owners = are_owners(tx, [member_id])
    tx.delete_membership(group.id, member_id, BY_HAND)
    name = name_of(tx, member_id)
    ended = end_unheld(tx, act, [member_id], f"removal of {name} from group {group.name}")
    fact = MemberRemoved(group.id, group.name, member_id, name, len(ended))
    act.record(tx, fact, identity_id(tx, KIND, group.id))
    follow_group(tx, act, group, grew=False)
    if had_owners:
        check_owner_left(tx, act)
    return True


def _by_hand(reader: PrincipalReads, group_id: str, member_id: str) -> Membership | None:
    found = (each for each in reader.members_of(group_id) if each.member_id == member_id)
    return next((each for each in found if each.provider_id == BY_HAND), None)


def _kind_of_member(reader: PrincipalReads, member_id: str) -> PrincipalKind:
    kind = reader.principal_kind(member_id)
    if kind is None:
        raise NotFound(
            sentence(
                "There is no user or service principal with the id {member_id}.",
                member_id=repr(member_id[:64]),
            ),
            code="PrincipalNotFound",
            advice="To list them: bascule user list, bascule sp list",
        )
    if kind is PrincipalKind.GROUP:
        raise InvalidInput(
            sentence(
                "'{member}' is a group. Groups cannot contain groups.",
                member=name_of(reader, member_id),
            ),
            code="GroupsNotNested",
        )
    return kind


def _words(description: str) -> str:
    return parse_display_name(description, "properties.description", is_required=False)


def _check_free(reader: PrincipalReads, group: Group) -> None:
    other = reader.group_by_name(group.name)
    if other is not None and other.id != group.id:
        raise Conflict(
            sentence("A group named {other} exists already.", other=repr(other.name)),
            code="GroupNameTaken",
            target="properties.displayName",
            advice="Choose another name. Names are compared without regard to case.",
        )
