"""Losing the right ends the grant, in the same commit (EDGES B3).

Every act that takes rights away calls ``end_unheld`` after its change and in its own
transaction: one that disables or deletes a principal, takes a member out of a group, or
changes or deletes an assignment or a role. So does one that gives a membership an end. What is
held is then read anew, so that a right that is left by another way keeps the grant, no longer than
that right is to be held, and nobody has to reason about what was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bascule.domain.access import PrincipalKind
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import StatusReason
from bascule.domain.roles import Reach
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.sign_in import SignInReads
from bascule.services.act import Act
from bascule.services.approvers import VoidWrites, void_lost
from bascule.services.grants import (
    GrantEndWrites,
    change,
    end_drains,
    end_grants,
    record_shortened,
)
from bascule.services.request_rights import needed_to_ask
from bascule.services.right_ends import ended_in_time, right_ends
from bascule.services.rights import RightsReads, rights_of


class LossWrites(GrantEndWrites, VoidWrites, RightsReads, Protocol):
    """What losing a right touches: what is held, and the grants that rested on it."""


class PrincipalLossWrites(
    LossWrites,
    InventoryReads,
    MakerWrites,
    PrincipalWrites,
    ProviderReads,
    SignInReads,
    Protocol,
):
    """The same for whoever changes or deletes a principal: an owner must be left."""


def end_unheld(
    tx: LossWrites,
    act: Act,
    principal_ids: Iterable[str] | None,
    cause: str,
    *,
    by_own_end: bool = False,
) -> list[Grant]:
    """End each live grant whose requestor could not ask for its machine any more, and what drains.

    ``principal_ids`` are those whose rights may have shrunk: users and service principals,
    groups for their members. None means everybody with a live grant, and so does an id that
    is not there (any more), which may have been a group's: its members cannot be told.
    ``cause`` stands in each event, as in "removal of role assignment 1234". Returns the
    grants as they now are; sessions live on or are cut as the policy's onExpiry says.

    Requests that wait are judged anew. Approvals of theirs are void from then on, but where only
    a membership ran out at its own end (``by_own_end``, EDGES J7).
    """
    wanted = None if principal_ids is None else _requestors(tx, principal_ids)
    if not by_own_end:
        void_lost(tx, wanted, act.now)
    tx.judge_anew(requestor_ids=wanted)
    live = tx.live_grants() if wanted is None else tx.live_grants_of(wanted)
    held: dict[tuple[str, bool], list[Reach]] = {}

    def is_lost(grant: Grant) -> bool:
        whose = grant.requestor_id, grant.is_emergency
        if whose not in held:
            rights = rights_of(tx, grant.requestor_id, act.now)
            needed = needed_to_ask(is_emergency=grant.is_emergency)
            held[whose] = [rights.reach(action) for action in needed]
        return not all(reach.covers(grant.machine_id.key) for reach in held[whose])

    lost = [grant for grant in live if is_lost(grant)]
    ended = end_grants(tx, act, lost, StatusReason.USER_REQUESTED, cause)
    _shorten_others(tx, act, [grant for grant in live if not is_lost(grant)])
    end_drains(tx, act, filter(is_lost, tx.draining_grants_of(wanted, act.now)))
    return ended


def _shorten_others(tx: LossWrites, act: Act, kept: Iterable[Grant]) -> None:
    """Have what now rests on a membership with an end last no longer than that (EDGES J9)."""
    by_requestor: dict[tuple[str, bool], list[Grant]] = {}
    for grant in kept:
        by_requestor.setdefault((grant.requestor_id, grant.is_emergency), []).append(grant)
    for (requestor_id, is_emergency), grants in by_requestor.items():
        machines = [grant.machine_id for grant in grants]
        needed = needed_to_ask(is_emergency=is_emergency)
        ends = right_ends(tx, requestor_id, act.now, machines, needed)
        for grant in grants:
            shorter = ended_in_time(grant, ends.get(grant.machine_id))
            if shorter != grant:
                change(tx, act, shorter)
                record_shortened(tx, act, grant, shorter)


def _requestors(tx: PrincipalReads, principal_ids: Iterable[str]) -> frozenset[str] | None:
    """Who may hold a grant among these; None when it may be anybody."""
    found: set[str] = set()
    for principal_id in dict.fromkeys(principal_ids):
        kind = tx.principal_kind(principal_id)
        if kind is None:
            return None
        if kind is PrincipalKind.GROUP:
            found.update(each.member_id for each in tx.members_of(principal_id))
        else:
            found.add(principal_id.lower())
    return frozenset(found)
