"""For whom requests wait, and who decided them: as conditions of other queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Select, exists, not_, or_, select, union

from bascule.domain.roles import Reach
from bascule.interfaces.approvals import Approver, AskedBy
from bascule.store.tables import approvals as t
from bascule.store.within import clauses_within

_asked, _votes, _approvals = t.approval_asked, t.approval_votes.c, t.approvals.c


def is_asked(approver: Approver, now: datetime) -> Select[Any]:
    """Ids of requests that wait for them now: not their own, unless they may approve those, and none
    that they have approved, unless that yes is void.
    """
    ways: list[Select[Any]] = [
        _rows(AskedBy.USER, now).where(_asked.c.who == approver.principal_id)
    ]
    if approver.groups:
        ways.append(_rows(AskedBy.GROUP, now).where(_asked.c.who.in_(sorted(approver.groups))))
    if approver.reach.keys:
        ways.append(_by_role(approver.reach, now))
    named = union(*ways) if len(ways) > 1 else ways[0]
    has_voted = exists().where(
        _votes.request_id == _approvals.request_id,
        _votes.principal_id == approver.principal_id,
        _votes.digest == _approvals.digest,
        _votes.is_void.is_(False),
    )
    return select(_approvals.request_id).where(
        t.IS_WAITING,
        _approvals.request_id.in_(named),
        or_(_approvals.requestor_id != approver.principal_id, _approvals.may_approve_own.is_(True)),
        not_(has_voted),
    )


def _rows(by: AskedBy, now: datetime) -> Select[Any]:
    return select(_asked.c.request_id).where(_asked.c.kind == str(by), _asked.c.since <= now)


def _by_role(reach: Reach, now: datetime) -> Select[Any]:
    """Held at every machine that is concerned."""
    other = _asked.alias()
    outside = exists().where(
        other.c.request_id == _asked.c.request_id,
        other.c.kind == str(AskedBy.ROLE),
        not_(or_(*clauses_within(reach, other.c.who))),
    )
    return _rows(AskedBy.ROLE, now).where(not_(outside))


def decided(principal_id: str) -> CompoundSelect[Any]:
    """Ids of requests that this person approved or denied."""
    return union(
        select(_votes.request_id).where(_votes.principal_id == principal_id),
        select(_approvals.request_id).where(_approvals.denied_by == principal_id),
    )
