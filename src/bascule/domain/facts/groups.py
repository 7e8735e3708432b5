"""Groups and their members."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class GroupCreated(Fact):
    group_id: str
    group: str


@dataclass(frozen=True, slots=True)
class GroupChanged(Fact):
    group_id: str
    group: str
    description: str
    previous_group: str
    previous_description: str


@dataclass(frozen=True, slots=True)
class GroupDeleted(Fact):
    group_id: str
    group: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class MemberAdded(Fact):
    group_id: str
    group: str
    member_id: str
    member: str


@dataclass(frozen=True, slots=True)
class MembershipEnded(Fact):
    """The time was over for which an external provider had vouched for it (EDGES B3)."""

    group_id: str
    group: str
    member_id: str
    member: str
    provider_id: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class MemberRemoved(Fact):
    group_id: str
    group: str
    member_id: str
    member: str
    grants_ended: int
