"""Rows of requests that wait for approval: what is approved, who is asked, who said yes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    and_,
    bindparam,
    delete,
    func,
    select,
    union_all,
    update,
)

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState, RequestState
from bascule.domain.pending import Denial, Pending
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.rules import Held, Span
from bascule.domain.stages import Because, DueStage, Vote
from bascule.domain.tickets import Answered, TicketAnswer
from bascule.errors import Conflict, Problem
from bascule.interfaces.approvals import Approver, AskedBy, AskedOne
from bascule.protocol.rules import read_stage, stage_json
from bascule.store import tables
from bascule.store.asked_approvers import is_asked
from bascule.store.columns import from_microseconds, to_microseconds
from bascule.store.grants import GrantReads
from bascule.store.policies import policy_of_row, port_rule_of_row
from bascule.store.rows import Rows, resource_id, slices
from bascule.store.tables import approvals as t

Values = dict[str, Any]

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_PENDING = select(t.approvals).where(t.approvals.c.request_id.in_(_IDS))
_VOTES = (
    select(t.approval_votes)
    .where(t.approval_votes.c.request_id.in_(_IDS))
    .order_by(t.approval_votes.c.request_id, t.approval_votes.c.number)
)
_SAME = select(t.approvals.c.request_id).where(
    t.IS_WAITING,
    t.approvals.c.requestor_id == bindparam("requestor"),
    t.approvals.c.same == bindparam("same"),
)
_OF = select(t.approvals.c.request_id).where(
    t.IS_WAITING, t.approvals.c.requestor_id == bindparam("requestor")
)
_DUE = select(t.approvals.c.request_id).where(t.IS_DUE).order_by(t.approvals.c.request_id)
_TO_ASK = select(t.approvals.c.request_id).where(t.IS_TO_ASK).order_by(t.approvals.c.request_id)
_OVER = (
    select(t.approvals.c.request_id)
    .where(t.IS_WAITING, t.approvals.c.pending_until <= bindparam("now"))
    .order_by(t.approvals.c.pending_until, t.approvals.c.request_id)
)
_ESCALATING = (
    select(t.approvals.c.request_id)
    .where(t.ESCALATES, t.approvals.c.escalates_at <= bindparam("now"))
    .order_by(t.approvals.c.escalates_at, t.approvals.c.request_id)
)
_FIRST_ESCALATION = select(func.min(t.approvals.c.escalates_at).label("at")).where(t.ESCALATES)
_FIRST_OVER = select(func.min(t.approvals.c.pending_until).label("at")).where(t.IS_WAITING)
# One that waits for a ticket system's answer goes on by that.
_IS_STARTING = and_(t.approvals.c.opens_at.is_not(None), t.approvals.c.is_to_ask.is_(False))
_STARTS = (
    select(t.approvals.c.request_id)
    .where(_IS_STARTING, t.approvals.c.opens_at <= bindparam("now"))
    .order_by(t.approvals.c.opens_at, t.approvals.c.request_id)
)
_FIRST_START = select(func.min(t.approvals.c.opens_at).label("at")).where(_IS_STARTING)
_WITH_STARTS = (
    select(t.approvals.c.request_id)
    .join(tables.requests, tables.requests.c.id == t.approvals.c.request_id)
    .where(t.IS_WAITING, tables.requests.c.starts_at.is_not(None))
    .order_by(t.approvals.c.request_id)
)
_ASKED = (
    select(t.approval_asked)
    .where(t.approval_asked.c.request_id == bindparam("wanted"))
    .order_by(t.approval_asked.c.kind, t.approval_asked.c.who, t.approval_asked.c.since)
)
_VOTED_BY_ANY = (
    select(t.approvals.c.request_id)
    .join(t.approval_votes, t.approval_votes.c.request_id == t.approvals.c.request_id)
    .where(t.IS_WAITING)
    .distinct()
)
_VOTED = _VOTED_BY_ANY.where(t.approval_votes.c.principal_id.in_(_IDS))
_named, _ports = tables.policy_machines.c, tables.policy_ports.c
_JUDGING = (
    select(tables.policies, _named.machine_id, _named.public_ip_address, tables.policy_ports)
    .select_from(tables.policy_machines)
    .join(tables.policies, tables.policies.c.id_key == _named.policy_key)
    .join(
        tables.policy_ports,
        (_ports.policy_key == _named.policy_key) & (_ports.machine_position == _named.position),
    )
    .where(_named.machine_key.in_(_KEYS), tables.policies.c.has_approval.is_(True))
    .order_by(tables.policies.c.id_key, _named.position, _ports.position)
)
_grants = tables.grants.c
_HELD = select(
    _grants.machine_uid,
    _grants.started_at,
    func.coalesce(_grants.ended_at, _grants.ends_at, type_=_grants.ends_at.type).label("until"),
).where(
    _grants.machine_uid.in_(_IDS),
    _grants.requestor_id == bindparam("requestor"),
    _grants.state != str(GrantState.FAILED),
)
_HELD_SINCE = union_all(  # one statement with "or" would read all that they ever held there
    _HELD.where(_grants.ended_at >= bindparam("since", type_=_grants.ended_at.type)),
    _HELD.where(_grants.ended_at.is_(None)),
)


class ApprovalReads(GrantReads):
    __slots__ = ()

    def pendings_of(self, request_ids: Sequence[str]) -> Mapping[str, Pending]:
        votes: dict[str, list[Vote]] = defaultdict(list)
        rows: list[Row[Any]] = []
        for some in slices(request_ids):
            rows += self._all(_PENDING, {"ids": some})
        for some in slices([row.request_id for row in rows]):
            for vote in self._all(_VOTES, {"ids": some}):
                votes[vote.request_id].append(_vote(vote))
        return {row.request_id: _pending(row, votes[row.request_id]) for row in rows}

    def waiting_same(self, requestor_id: str, same: str) -> str | None:
        row = self._first(_SAME, {"requestor": requestor_id, "same": same})
        return None if row is None else row.request_id

    def count_waiting(self, requestor_id: str, most: int) -> int:
        return len(self._all(_OF.limit(most), {"requestor": requestor_id}))

    def count_waiting_for(self, approver: Approver, now: datetime, most: int) -> int:
        return len(self._all(is_asked(approver, now).limit(most)))

    def asked_of(self, request_id: str) -> Sequence[AskedOne]:
        rows = self._all(_ASKED, {"wanted": request_id})
        return [AskedOne(AskedBy(row.kind), row.who, row.since) for row in rows]

    def due_approvals(self, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_DUE.limit(limit))]

    def approvals_to_ask(self, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_TO_ASK.limit(limit))]

    def over_approvals(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_OVER.limit(limit), {"now": now})]

    def due_escalations(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_ESCALATING.limit(limit), {"now": now})]

    def next_approval(self, now: datetime) -> datetime | None:
        if self._all(_DUE.limit(1)):
            return now
        firsts = (_FIRST_OVER, _FIRST_ESCALATION, _FIRST_START)
        rows = [self._first(each) for each in firsts]
        found = [row.at for row in rows if row is not None and row.at is not None]
        return min(found, default=None)

    def due_starts(self, now: datetime, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_STARTS.limit(limit), {"now": now})]

    def with_starts(self, limit: int = 100) -> Sequence[str]:
        return [row.request_id for row in self._all(_WITH_STARTS.limit(limit))]

    def clock_start(self, boot: str) -> datetime | None:
        row = self._first(select(t.clock_starts.c.at).where(t.clock_starts.c.boot == boot))
        return None if row is None else row.at

    def waiting_voted_by(self, principal_ids: Collection[str] | None) -> Sequence[str]:
        if principal_ids is None:
            return [row.request_id for row in self._all(_VOTED_BY_ANY)]
        return [
            row.request_id
            for some in slices(sorted(set(principal_ids)))
            for row in self._all(_VOTED, {"ids": some})
        ]

    def policies_judging(self, machines: Sequence[ResourceId]) -> Sequence[Policy]:
        policies: dict[str, Row[Any]] = {}
        named: dict[str, dict[str, tuple[Row[Any], list[PortRule]]]] = defaultdict(dict)
        for some in slices(sorted({each.key for each in machines})):
            for row in self._all(_JUDGING, {"keys": some}):
                policies[row.id_key] = row
                _, ports = named[row.id_key].setdefault(row.machine_id, (row, []))
                ports.append(port_rule_of_row(row))
        return [
            policy_of_row(
                policies[key],
                tuple(
                    MachineRules(resource_id(row.machine_id), tuple(ports), row.public_ip_address)
                    for row, ports in named[key].values()
                ),
            )
            for key in sorted(policies)
        ]

    def held_since(self, requestor_id: str, machine_uids: Sequence[str], since: datetime) -> Held:
        held: dict[str, list[Span]] = defaultdict(list)
        for some in slices(machine_uids):
            wanted = {"ids": some, "requestor": requestor_id, "since": since}
            for row in self._all(_HELD_SINCE, wanted):
                held[row.machine_uid].append((row.started_at, row.until))
        return held


class ApprovalWrites(ApprovalReads):
    __slots__ = ()

    def put_pending(self, requestor_id: str, pending: Pending, asked: Sequence[AskedOne]) -> None:
        self._put(
            t.approvals,
            {"request_id": pending.request_id},
            {"requestor_id": requestor_id, "is_due": False, **_values(pending)},
        )
        here = t.approval_asked.c.request_id == pending.request_id
        self._run(delete(t.approval_asked).where(here))
        rows = [
            {
                "request_id": pending.request_id,
                "kind": str(each.by),
                "who": each.who,
                "since": each.since,
            }
            for each in dict.fromkeys(asked)
        ]
        if rows:
            self._run(t.approval_asked.insert(), rows)

    def add_vote(self, request_id: str, vote: Vote) -> None:
        row = self._first(
            select(func.count().label("many")).where(t.approval_votes.c.request_id == request_id)
        )
        self._run(
            t.approval_votes.insert(),
            {
                "request_id": request_id,
                "number": 0 if row is None else row.many,
                "principal_id": vote.principal_id,
                "name": vote.name,
                "at": vote.at,
                "stage": vote.stage,
                "digest": vote.digest,
                "longest": vote.longest,
                "ends_at": vote.ends_at,
                "note": vote.note,
                "is_own": vote.is_own,
                "rests_until": vote.rests_until,
                "provider_id": vote.provider_id,
                "is_void": vote.is_void,
            },
        )

    def void_votes(self, request_id: str, principal_id: str) -> None:
        self._run(
            update(t.approval_votes)
            .where(
                t.approval_votes.c.request_id == request_id,
                t.approval_votes.c.principal_id == principal_id,
            )
            .values(is_void=True)
        )

    def rest_votes(
        self, request_id: str, principal_id: str, until: datetime | None, provider_id: str
    ) -> None:
        self._run(
            update(t.approval_votes)
            .where(
                t.approval_votes.c.request_id == request_id,
                t.approval_votes.c.principal_id == principal_id,
                t.approval_votes.c.is_void.is_(False),
            )
            .values(rests_until=until, provider_id=provider_id)
        )

    def move_request(
        self,
        request_id: str,
        was: RequestState,
        to: RequestState,
        reasons: Sequence[Problem] = (),
    ) -> None:
        moved = self._run(
            update(tables.requests)
            .where(tables.requests.c.id == request_id, tables.requests.c.state == str(was))
            .values(
                previous_state=str(was),
                state=str(to),
                reasons=[[each.code, each.message] for each in reasons],
            )
        )
        if not moved:
            raise Conflict(f"Request {request_id} is not {was} any more.", code="NotWaiting")

    def judge_anew(
        self,
        *,
        machines: Collection[ResourceId] = (),
        requestor_ids: Collection[str] | None = (),
        request_ids: Collection[str] = (),
    ) -> None:
        if requestor_ids is None:
            self._run(update(t.approvals).where(t.IS_WAITING).values(is_due=True))
            return
        for some in slices(sorted({each.key for each in machines})):
            found = (
                select(tables.refused_at.c.request_id)
                .join(tables.machines, tables.machines.c.uid == tables.refused_at.c.machine_uid)
                .where(tables.machines.c.id_key.in_(some))
            )
            self._mark(t.approvals.c.request_id.in_(found))
        for some in slices(sorted(set(requestor_ids))):
            self._mark(t.approvals.c.requestor_id.in_(some))
        for some in slices(sorted(set(request_ids))):
            self._mark(t.approvals.c.request_id.in_(some))

    def note_clock_start(self, boot: str, at: datetime) -> None:
        self._put(t.clock_starts, {"boot": boot}, {"at": at})

    def forget_clock_starts(self) -> None:
        self._run(delete(t.clock_starts))

    def _mark(self, where: ColumnElement[bool]) -> None:
        self._run(update(t.approvals).where(t.IS_WAITING, where).values(is_due=True))


class MakerReads(Rows):
    __slots__ = ()

    def makers_of(
        self, what: str, ids: Collection[str]
    ) -> Sequence[tuple[str, str, datetime, bool]]:
        return [
            (row.id, row.maker_id, row.at, row.is_first)
            for some in slices(sorted(set(ids)))
            for row in self._all(
                select(t.makers).where(t.makers.c.what == what, t.makers.c.id.in_(some))
            )
        ]


class MakerWrites(MakerReads):
    __slots__ = ()

    def note_maker(
        self, what: str, made_id: str, maker_id: str, at: datetime, *, is_first: bool = False
    ) -> None:
        key = {"what": what, "id": made_id.lower(), "maker_id": maker_id.lower()}
        self._put(t.makers, key, {"at": at, "is_first": is_first})


def _values(pending: Pending) -> Values:
    denial = pending.denial
    return {
        "digest": pending.digest,
        "same": pending.same,
        "waiting_since": pending.waiting_since,
        "pending_until": pending.pending_until,
        "uids": dict(pending.uids),
        "stages": [_due_json(each) for each in pending.stages],
        "asked_since": [
            None if each is None else to_microseconds(each) for each in pending.asked_since
        ],
        "may_approve_own": pending.may_approve_own,
        "denial": None
        if denial is None
        else [denial.principal_id, denial.name, to_microseconds(denial.at), denial.reason],
        "denied_by": None if denial is None else denial.principal_id,
        "decided_at": pending.decided_at,
        "tickets": [
            [
                *(each.digest, each.policy_id, each.ticket, str(each.answer), each.text),
                to_microseconds(each.at),
            ]
            for each in pending.tickets
        ],
        "is_to_ask": pending.is_to_ask,
        "makers": sorted(pending.makers),
        "escalated": list(pending.escalated),
        "escalates_at": pending.escalates_at,
        "opens_at": pending.opens_at,
    }


def _due_json(due: DueStage) -> Values:
    return {
        "stage": stage_json(due.stage),
        "because": [
            [each.policy_id, each.rule, each.machine_id, each.number] for each in due.because
        ],
    }


def _pending(row: Row[Any], votes: Sequence[Vote]) -> Pending:
    return Pending(
        request_id=row.request_id,
        digest=row.digest,
        same=row.same,
        waiting_since=row.waiting_since,
        pending_until=row.pending_until,
        uids=row.uids,
        stages=tuple(
            DueStage(read_stage(each["stage"]), tuple(Because(*why) for why in each["because"]))
            for each in row.stages
        ),
        asked_since=tuple(
            None if each is None else from_microseconds(each) for each in row.asked_since
        ),
        may_approve_own=row.may_approve_own,
        votes=tuple(votes),
        denial=_denial(row.denial),
        decided_at=row.decided_at,
        tickets=tuple(map(_answered, row.tickets)),
        is_to_ask=row.is_to_ask,
        makers=frozenset(row.makers),
        escalated=tuple(row.escalated),
        escalates_at=row.escalates_at,
        opens_at=row.opens_at,
    )


def _answered(held: Sequence[Any]) -> Answered:
    digest, policy_id, ticket, answer, text, at = held
    return Answered(digest, policy_id, ticket, TicketAnswer(answer), text, from_microseconds(at))


def _denial(held: Sequence[Any] | None) -> Denial | None:
    if held is None:
        return None
    principal_id, name, at, reason = held
    return Denial(principal_id, name, from_microseconds(at), reason)


def _vote(row: Row[Any]) -> Vote:
    return Vote(
        principal_id=row.principal_id,
        name=row.name,
        at=row.at,
        stage=row.stage,
        digest=row.digest,
        longest=row.longest,
        ends_at=row.ends_at,
        note=row.note,
        is_own=row.is_own,
        rests_until=row.rests_until,
        provider_id=row.provider_id,
        is_void=row.is_void,
    )
