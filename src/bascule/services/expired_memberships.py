"""Ending memberships at their end: the one that somebody here gave them (EDGES J9), or that of an
external provider's word (EDGES B3).

They give nothing from that instant on (``memberships_of`` leaves them out); the sweep takes
them away soon after, and with them what rested on them. Whoever signs in again at the provider in
the meantime has its word renewed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Protocol

from bascule.domain.facts.groups import MembershipEnded
from bascule.domain.principals import Membership
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalWrites
from bascule.services.act import Act
from bascule.services.losses import LossWrites, end_unheld
from bascule.services.principal_rights import identity_id, name_of


class MembershipEndWrites(LossWrites, InventoryReads, PrincipalWrites, Protocol):
    """Memberships, and what is lost with one."""


def end_memberships(tx: MembershipEndWrites, act: Act) -> int:
    """Take those away that are over, a bounded number; returns how many."""
    over = sorted(tx.ended_memberships(act.now), key=lambda each: each.member_id)
    for member_id, ended in groupby(over, key=lambda each: each.member_id):
        _end(tx, act, member_id, list(ended))
    return len(over)


def _end(tx: MembershipEndWrites, act: Act, member_id: str, ended: Iterable[Membership]) -> None:
    member = name_of(tx, member_id)
    for each in ended:
        tx.delete_membership(each.group_id, member_id, each.provider_id)
        group = name_of(tx, each.group_id)
        gone = end_unheld(
            tx,
            act,
            [member_id],
            f"end of the membership of {member} in group {group}",
            by_own_end=True,
        )
        act.record(
            tx,
            MembershipEnded(each.group_id, group, member_id, member, each.provider_id, len(gone)),
            identity_id(tx, "groups", each.group_id),
        )
