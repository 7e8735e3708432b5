"""Rows of grants, and the moves that the database lets them make.

A move writes the state it came from beside the new one; the pair is a foreign key into
``grant_transitions``. The state it came from is also in the WHERE, so that of two who
would move one grant only the first does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, String, bindparam, cast, exists, func, select, update

from bascule.domain.grant import Grant, is_set_back, waits_until
from bascule.domain.lifecycle import GrantState, StatusReason, request_state
from bascule.domain.machine import OnExpiry
from bascule.domain.net import RuleProtocol
from bascule.domain.points import LONGEST_PATIENCE
from bascule.domain.request import AccessRequest
from bascule.errors import Conflict, NotFound
from bascule.store import tables as t
from bascule.store.failures import log
from bascule.store.inventory import Generations
from bascule.store.listed import Listed
from bascule.store.requests import INSERT, OPEN, RequestStates, request_values
from bascule.store.rows import Parameters, Rows, prefixes, resource_id, slices

Values = dict[str, Any]
_Placed = tuple[int, Grant]  # by the order of adding

_BY_END = (t.grants.c.ends_at, t.grants.c.sequence)
_ALL_LIVE = select(t.grants).where(t.IS_LIVE).order_by(*_BY_END)
_LIVE = (
    select(t.grants)
    .where(t.grants.c.machine_uid.in_(bindparam("uids", expanding=True)), t.IS_LIVE)
    .order_by(*_BY_END)
)
# The live ones are few: no index leads to a requestor's, and none is needed.
_LIVE_OF = (
    select(t.grants)
    .where(t.IS_LIVE, t.grants.c.requestor_id.in_(bindparam("ids", expanding=True)))
    .order_by(*_BY_END)
)
# domain.grant.due_at, and what a point in parallel has not opened in time; each line is answered by
# an index of its own.
_OVER = (
    select(t.grants)
    .where(t.IS_LIVE, t.grants.c.ends_at <= bindparam("now", type_=t.grants.c.ends_at.type))
    .order_by(*_BY_END)
)
_AWAITED_TILL = select(t.grants).where(
    t.IS_AWAITED, t.grants.c.answer_by <= bindparam("then", type_=t.grants.c.answer_by.type)
)
_AWAITED_BEYOND = select(t.grants).where(
    t.IS_AWAITED, t.grants.c.answer_by > bindparam("then", type_=t.grants.c.answer_by.type)
)
_FIRST_END = select(func.min(t.grants.c.ends_at).label("at")).where(t.IS_LIVE)
_FIRST_AWAITED = select(func.min(t.grants.c.answer_by).label("at")).where(t.IS_AWAITED)
_LAST_AWAITED = select(func.max(t.grants.c.answer_by).label("at")).where(t.IS_AWAITED)
_OF_REQUESTS = (
    select(t.grants)
    .where(t.grants.c.request_id.in_(bindparam("ids", expanding=True)))
    .order_by(t.grants.c.sequence)
)
UNSETTLED_OF = (
    select(t.grants)
    .where(t.grants.c.machine_uid == bindparam("uid"), t.IS_UNSETTLED)
    .order_by(t.grants.c.sequence)
)
_UNSETTLED_AT = (
    select(t.grants)
    .where(t.grants.c.machine_uid.in_(bindparam("uids", expanding=True)), t.IS_UNSETTLED)
    .order_by(*_BY_END)
)
# What was read back open, and not read back closed since.
_IN_FORCE = (
    select(t.grants)
    .where(
        t.grants.c.machine_uid.in_(bindparam("uids", expanding=True)),
        t.is_in_state([GrantState.OPEN])
        | (t.is_in_state([GrantState.CLOSING]) & (t.grants.c.previous_state == GrantState.OPEN)),
    )
    .order_by(t.grants.c.sequence)
)
_CUT_OF = (
    select(t.grants)
    .where(
        t.IS_CUT,
        t.grants.c.machine_uid == bindparam("uid"),
        t.grants.c.cut_at >= bindparam("since", type_=t.grants.c.cut_at.type),
        t.grants.c.generation > bindparam("beyond"),
    )
    .order_by(t.grants.c.sequence)
)
# By the index of what is not settled, which is little.
_ORPHANED = (
    select(t.grants)
    .where(
        exists().where(t.machine_generations.c.machine_uid == t.grants.c.machine_uid),
        ~exists().where(t.agents.c.machine_uid == t.grants.c.machine_uid),
        ~exists().where(t.bindings.c.machine_uid == t.grants.c.machine_uid),
        t.IS_UNSETTLED,
        t.is_in_state([GrantState.CLOSING]),
    )
    .order_by(*_BY_END)
)
_WITHDRAWN = (
    select(t.grants)
    .where(
        t.IS_UNSETTLED,
        t.is_in_state([GrantState.CLOSING]),
        cast(t.grants.c.withdrawn, String) != "{}",
    )
    .order_by(*_BY_END)
)
_DRAINING = select(t.grants).where(
    t.IS_DRAINING,
    t.grants.c.drained_at > bindparam("now", type_=t.grants.c.drained_at.type),
    t.is_in_state([GrantState.CLOSING, GrantState.CLOSED]),
)
_DRAINING_OF = _DRAINING.where(t.grants.c.requestor_id.in_(bindparam("ids", expanding=True)))
_INSERT = t.grants.insert()
_MOVABLE = (
    *("on_expiry", "max_duration", "ends_at", "ends_at_text", "state", "reason"),
    *("generation", "extension", "ended_at", "failure", "answer_by", "withdrawn"),
    *("drain_for", "drained_at", "ends_with_group", "ends_with_credential"),
)
# Built once: making a statement costs more than running it.
_HERE = update(t.grants).where(
    t.grants.c.id == bindparam("here_id"), t.grants.c.state == bindparam("here_state")
)
_CHANGE = _HERE.values({name: bindparam(name) for name in _MOVABLE})
_MOVE = _HERE.values({name: bindparam(name) for name in (*_MOVABLE, "previous_state")})


class GrantRows(Rows):
    __slots__ = ()

    def _grants(self, statement: Select[Any], parameters: Parameters = None) -> list[_Placed]:
        """Each with its place in the order of adding. What cannot be read is left out and logged:
        it stops no other, is leased no more, and so its point closes it.
        """
        found, wrong = self._readable(
            statement, parameters, lambda row: (row.sequence, grant_of_row(row))
        )
        if wrong:
            known = {grant.id for _, grant in found}
            rows = self._all(statement.with_only_columns(t.grants.c.id), parameters)
            left_out = [row.id for row in rows if row.id not in known]
            for grant_id, error in zip(left_out, wrong, strict=False):
                _say_left_out(grant_id, str(error))
        return found


@lru_cache(maxsize=1024)
def _say_left_out(grant_id: str, why: str) -> None:
    """Once each: what lives is read at every sweep and every call."""
    log.error(
        "a grant cannot be read and is ignored",
        grant=grant_id,
        why=why,
        next="It opens nothing. Repair its row in the database.",
    )


class GrantReads(GrantRows):
    __slots__ = ()

    def grants_of(self, request_ids: Sequence[str]) -> Sequence[Grant]:
        found = self._sliced(_OF_REQUESTS, "ids", request_ids)
        found.sort(key=lambda each: each[0])
        return [grant for _, grant in found]

    def live_grants(self, machine_uids: Sequence[str] | None = None) -> Sequence[Grant]:
        if machine_uids is None:
            return [grant for _, grant in self._grants(_ALL_LIVE)]
        return by_end(self._sliced(_LIVE, "uids", machine_uids))

    def live_grants_of(self, requestor_ids: Collection[str]) -> Sequence[Grant]:
        return by_end(self._sliced(_LIVE_OF, "ids", sorted(set(requestor_ids))))

    def due_grants(self, now: datetime) -> Sequence[Grant]:
        beyond = now + 2 * LONGEST_PATIENCE  # domain.grant.is_set_back
        found = {
            grant.id: (place, grant)
            for statement, wanted in (
                (_OVER, {"now": now}),
                (_AWAITED_TILL, {"then": now}),
                (_AWAITED_BEYOND, {"then": beyond}),
            )
            for place, grant in self._grants(statement, wanted)
        }
        return by_end(list(found.values()))

    def next_due_grant(self, now: datetime) -> datetime | None:
        wanted = (_FIRST_END, _FIRST_AWAITED, _LAST_AWAITED)
        end, first, last = (self._at(each) for each in wanted)
        if last is not None and is_set_back(last, now):
            return now
        return min((each for each in (end, first) if each is not None), default=None)

    def _at(self, statement: Select[Any]) -> datetime | None:
        row = self._first(statement)
        return None if row is None else row.at

    def unsettled_grants(self, machine_uid: str) -> Sequence[Grant]:
        """In the order they were added."""
        return [grant for _, grant in self._grants(UNSETTLED_OF, {"uid": machine_uid})]

    def unsettled_grants_at(self, machine_uids: Sequence[str]) -> Sequence[Grant]:
        return by_end(self._sliced(_UNSETTLED_AT, "uids", machine_uids))

    def grants_in_force(self, machine_uids: Sequence[str]) -> Sequence[Grant]:
        """In the order they were added, a slice of machines after the other."""
        return [grant for _, grant in self._sliced(_IN_FORCE, "uids", machine_uids)]

    def orphaned_grants(self) -> Sequence[Grant]:
        return [grant for _, grant in self._grants(_ORPHANED)]

    def withdrawn_grants(self) -> Sequence[Grant]:
        return [grant for _, grant in self._grants(_WITHDRAWN)]

    def cut_grants(self, machine_uid: str, since: datetime, beyond: int = -1) -> Sequence[Grant]:
        """In the order they were added."""
        wanted = {"uid": machine_uid, "since": since, "beyond": beyond}
        return [grant for _, grant in self._grants(_CUT_OF, wanted)]

    def draining_grants_of(
        self, requestor_ids: Collection[str] | None, now: datetime
    ) -> Sequence[Grant]:
        if requestor_ids is None:
            return by_end(self._grants(_DRAINING, {"now": now}))
        found: list[_Placed] = []
        for some in slices(sorted(set(requestor_ids))):
            found += self._grants(_DRAINING_OF, {"ids": some, "now": now})
        return by_end(found)

    def _sliced(self, statement: Select[Any], name: str, values: Sequence[str]) -> list[_Placed]:
        return [each for some in slices(values) for each in self._grants(statement, {name: some})]


def by_end(found: list[_Placed]) -> list[Grant]:
    found.sort(key=lambda each: (each[1].ends_at, each[0]))
    return [grant for _, grant in found]


class GrantWrites(GrantReads, RequestStates, Generations, Listed):
    __slots__ = ()

    def begin_request(self, request: AccessRequest, grants: Sequence[Grant]) -> Sequence[Grant]:
        if any(grant.request_id != request.id for grant in grants):
            raise ValueError(f"a grant is of another request than {request.id}")
        if request.state is not request_state(grant.state for grant in grants):
            raise Conflict(
                f"Request {request.id} cannot begin as {request.state}.", code="IllegalTransition"
            )
        self._run(INSERT, request_values(request))
        return self._begin(request, grants)

    def open_request(self, request: AccessRequest, grants: Sequence[Grant]) -> Sequence[Grant]:
        if not self._run(OPEN, {"request": request.id}):
            raise Conflict(f"Request {request.id} does not wait any more.", code="NotWaiting")
        return self._begin(request, grants)

    def _begin(self, request: AccessRequest, grants: Sequence[Grant]) -> Sequence[Grant]:
        uids = dict.fromkeys(grant.machine_uid for grant in grants)
        generations = {uid: self._next_generation(uid) for uid in uids}
        begun = [replace(each, generation=generations[each.machine_uid]) for each in grants]
        self._run(_INSERT, [_values(each) for each in begun])
        self._follow_request(uids, request.started_at)
        return begun

    def add_grant(self, grant: Grant) -> None:
        """Add a fresh grant; the database refuses one that is not ``opening``."""
        self._run(_INSERT, _values(grant))
        self._follow_grants(grant.request_id, is_new=True)
        self._count_request(grant)

    def update_grant(self, grant: Grant, was: GrantState) -> None:
        values = {**_movable(grant), "here_id": grant.id, "here_state": was}
        is_move = grant.state is not was
        if is_move:
            values["previous_state"] = was
        try:
            moved = self._run(_MOVE if is_move else _CHANGE, values)
        except Conflict as refusal:
            raise Conflict(
                f"Grant {grant.id} is {was}; it cannot become {grant.state}.",
                code="IllegalTransition",
            ) from refusal
        if not moved:
            raise self._not_moved(grant.id, was)
        if is_move:
            self._follow_grants(grant.request_id)

    def mark_cut(self, grant_id: str, at: datetime) -> None:
        """Raises NotFound for a grant that is not there."""
        if not self._run(
            update(t.grants).where(t.grants.c.id == grant_id).values(cut_at=at, drained_at=None)
        ):
            raise NotFound(f"There is no grant {grant_id}.")

    def _not_moved(self, grant_id: str, was: GrantState) -> Conflict | NotFound:
        row = self._first(select(t.grants.c.state).where(t.grants.c.id == grant_id))
        if row is None:
            return NotFound(f"There is no grant {grant_id}.")
        return Conflict(
            f"Grant {grant_id} is {row.state}, no longer {was}: it was changed in the meantime.",
            code="GrantChanged",
            advice="Read it again and decide again.",
        )


def _values(grant: Grant) -> Values:
    """The row of a grant that has not moved yet."""
    return {
        "id": grant.id,
        "request_id": grant.request_id,
        "policy_id": str(grant.policy_id),
        "machine_uid": grant.machine_uid,
        "machine_id": str(grant.machine_id),
        "requestor_id": grant.requestor_id,
        "requestor": grant.requestor,
        "number": grant.number,
        "protocol": grant.protocol,
        "sources": [str(source) for source in grant.sources],
        "started_at": grant.started_at,
        "is_source_list": grant.is_source_list,
        "is_emergency": grant.is_emergency,
        "approved_until": grant.approved_until,
        "previous_state": None,
        **_movable(grant),
    }


def _movable(grant: Grant) -> Values:
    """What may change in a grant's life; the rest is fixed when it is added."""
    return {
        "on_expiry": grant.on_expiry,
        "max_duration": grant.max_duration,
        "ends_at": grant.ends_at,
        "ends_at_text": grant.ends_at_text,
        "state": grant.state,
        "reason": grant.reason,
        "generation": grant.generation,
        "extension": grant.extension,
        "ended_at": grant.ended_at,
        "failure": grant.failure,
        "answer_by": waits_until(grant) if grant.state is GrantState.OPENING else grant.answer_by,
        "withdrawn": dict(grant.withdrawn),
        "drain_for": grant.drain_for,
        "drained_at": grant.drained_at,
        "ends_with_group": grant.ends_with_group,
        "ends_with_credential": grant.ends_with_credential,
    }


def grant_of_row(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        request_id=row.request_id,
        policy_id=resource_id(row.policy_id),
        machine_uid=row.machine_uid,
        machine_id=resource_id(row.machine_id),
        requestor_id=row.requestor_id,
        requestor=row.requestor,
        number=row.number,
        protocol=RuleProtocol(row.protocol),
        sources=prefixes(row.sources),
        on_expiry=OnExpiry(row.on_expiry),
        max_duration=row.max_duration,
        started_at=row.started_at,
        ends_at=row.ends_at,
        ends_at_text=row.ends_at_text,
        state=GrantState(row.state),
        reason=StatusReason(row.reason),
        generation=row.generation,
        extension=row.extension,
        is_source_list=row.is_source_list,
        ended_at=row.ended_at,
        failure=row.failure,
        cut_at=row.cut_at,
        answer_by=row.answer_by,
        withdrawn=row.withdrawn,
        drain_for=row.drain_for,
        ends_with_group=row.ends_with_group,
        ends_with_credential=row.ends_with_credential,
        is_emergency=row.is_emergency,
        approved_until=row.approved_until,
    )
