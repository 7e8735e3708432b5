"""Rows of access requests: what was asked, newest first.

What a request asked for is one JSON column: it is written once and read whole. Its grants say
which machine (by uid) it was about, and its state follows them: it is written with each of their
moves, and the pair of old and new state is a foreign key, as theirs is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import (
    AZURE_REQUESTS,
    REQUEST_LIVE,
    STATES,
    GrantState,
    RequestState,
    request_state,
)
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.errors import Conflict, Problem
from bascule.interfaces.approvals import Approver
from bascule.store import tables as t
from bascule.store.asked_approvers import decided, is_asked
from bascule.store.columns import from_microseconds, to_microseconds
from bascule.store.failures import log
from bascule.store.rows import Rows, prefixes, resource_id, slices
from bascule.store.tables.reviews import reviews

_MICROSECOND = timedelta(microseconds=1)
_REQUEST = select(t.requests).where(t.requests.c.id == bindparam("wanted"))
_REQUESTS = select(t.requests).where(t.requests.c.id.in_(bindparam("wanted", expanding=True)))
INSERT = t.requests.insert()
# What was approved begins to open.
OPEN = (
    update(t.requests)
    .where(
        t.requests.c.id == bindparam("request"),
        t.is_request_in_state([RequestState.WAITING, RequestState.SCHEDULED]),
    )
    .values(previous_state=t.requests.c.state, state=str(RequestState.OPENING))
)
_IS_REVIEWED = exists().where(reviews.c.request_id == t.requests.c.id)
_IS_LIVE = t.is_request_in_state(REQUEST_LIVE)
_STATES = (
    select(t.requests.c.state.label("stored"), t.grants.c.state)
    .join(t.grants, t.grants.c.request_id == t.requests.c.id)
    .where(t.requests.c.id == bindparam("request"))
)
# ``lifecycle.request_state`` of its grants; null where no grant of it has a state that is known.
# Written out, not bound: each run would bind some forty values.
_PLACES: list[tuple[ColumnElement[str], ColumnElement[int]]] = [
    (literal_column(f"'{name}'"), literal_column(str(place)))
    for place, name in enumerate(STATES)
    if name in tuple(GrantState)
]
_FIRST = select(
    func.min(case(*((t.grants.c.state == name, place) for name, place in _PLACES)))
).where(t.grants.c.request_id == bindparam("request"))
_BECOMES = case({place: name for name, place in _PLACES}, value=_FIRST.scalar_subquery())
_FOLLOW = (
    update(t.requests)
    .where(
        t.requests.c.id == bindparam("request"),
        exists()
        .where(
            t.request_transitions.c.from_state == t.requests.c.state,
            t.request_transitions.c.to_state == _BECOMES,
        )
        .correlate(t.requests),
    )
    .values(previous_state=t.requests.c.state, state=_BECOMES)
)


class RequestReads(Rows):
    __slots__ = ()

    def request(self, request_id: str) -> AccessRequest | None:
        row = self._first(_REQUEST, {"wanted": request_id})
        return None if row is None else request_of_row(row)

    def requests_of(self, request_ids: Sequence[str]) -> Mapping[str, AccessRequest]:
        return {
            row.id: request_of_row(row)
            for some in slices(request_ids)
            for row in self._all(_REQUESTS, {"wanted": some})
        }

    def requests(
        self,
        policy_id: ResourceId | None = None,
        machine_uid: str | None = None,
        requestor_id: str | None = None,
        since: datetime | None = None,
        states: Collection[RequestState] = AZURE_REQUESTS,
        after: tuple[datetime, str] | None = None,
        limit: int = 1000,
        waiting_for: tuple[Approver, datetime] | None = None,
        decided_by: str | None = None,
        needs_review: bool = False,
    ) -> Sequence[AccessRequest]:
        wanted: Select[Any] = select(t.requests).where(t.is_request_in_state(states))
        if policy_id is not None:
            wanted = wanted.where(t.requests.c.policy_key == policy_id.key)
        if machine_uid is not None:
            on_machine = select(t.grants.c.request_id).where(t.grants.c.machine_uid == machine_uid)
            refused = select(t.refused_at.c.request_id).where(
                t.refused_at.c.machine_uid == machine_uid
            )
            wanted = wanted.where(t.requests.c.id.in_(union_all(on_machine, refused)))
        if requestor_id is not None:
            wanted = wanted.where(t.requests.c.requestor_id == requestor_id)
        if waiting_for is not None:
            wanted = wanted.where(t.requests.c.id.in_(is_asked(*waiting_for)))
        if decided_by is not None:
            wanted = wanted.where(t.requests.c.id.in_(decided(decided_by)))
        if needs_review:
            wanted = wanted.where(t.NEEDS_REVIEW, not_(_IS_REVIEWED))
        if since is not None:
            wanted = wanted.where(or_(t.requests.c.started_at >= since, _IS_LIVE))
        if after is not None:
            place = tuple_(t.requests.c.started_at, t.requests.c.id)
            wanted = wanted.where(place < after)
        newest_first = (t.requests.c.started_at.desc(), t.requests.c.id.desc())
        return [
            request_of_row(row) for row in self._all(wanted.order_by(*newest_first).limit(limit))
        ]


class RequestStates(Rows):
    """How a request's state follows its grants."""

    __slots__ = ()

    def _follow_grants(self, request_id: str, *, is_new: bool = False) -> None:
        """Called when a grant was moved or, with ``is_new``, added, in its transaction.

        Raises Conflict for a new grant of a request that was refused, or has gone on. No move of a
        grant is ever held up: where a row was damaged, the request's state is left as it is.
        """
        if self._run(_FOLLOW, {"request": request_id}):
            return
        found = self._beside_record(_STATES, {"request": request_id})
        rows = [row for row in found if row.state in STATES]
        if not rows:
            return
        was, becomes = rows[0].stored, request_state(row.state for row in rows)
        if was == becomes:
            return
        if is_new:
            raise Conflict(
                f"Request {request_id} is {was}; no grant can be added to it.",
                code="IllegalTransition",
            )
        log.error(
            "the state of a request does not fit its grants",
            request=request_id,
            state=was,
            grants=becomes,
            next="Its grants are not affected. Repair its row in the database.",
        )


class RequestWrites(RequestReads):
    __slots__ = ()

    def add_request(self, request: AccessRequest) -> None:
        self._run(INSERT, request_values(request))
        if not STATES[request.state].has_grants:
            keys = sorted({machine.machine_id.key for machine in request.machines})
            for some in slices(keys):
                for row in self._all(select(t.machines.c.uid).where(t.machines.c.id_key.in_(some))):
                    self._run(
                        t.refused_at.insert(), {"request_id": request.id, "machine_uid": row.uid}
                    )

    def forget_refused(self, requestor_id: str, most: int) -> None:
        mine = (t.REQUEST_IS_REFUSED, t.requests.c.requestor_id == requestor_id)
        newest_first = (t.requests.c.started_at.desc(), t.requests.c.id.desc())
        old = select(t.requests.c.id).where(*mine).order_by(*newest_first).offset(most).limit(1000)
        for row in self._all(old):
            self._run(delete(t.requests).where(t.requests.c.id == row.id))


def request_values(request: AccessRequest) -> dict[str, Any]:
    """The row of a request that has not moved yet."""
    return {
        "id": request.id,
        "policy_key": request.policy_id.key,
        "policy_id": str(request.policy_id),
        "requestor_id": request.requestor_id,
        "requestor": request.requestor,
        "justification": request.justification,
        "started_at": request.started_at,
        "machines": [_machine_json(machine) for machine in request.machines],
        "previous_state": None,
        "state": request.state,
        "reasons": [[each.code, each.message] for each in request.reasons],
        "left_out": request.left_out,
        "has_waited": request.has_waited,
        "is_emergency": request.is_emergency,
        "factor_age": request.factor_age,
        "starts_at": request.starts_at,
        "credential_id": request.credential_id,
    }


def request_of_row(row: Row[Any]) -> AccessRequest:
    return AccessRequest(
        id=row.id,
        policy_id=resource_id(row.policy_id),
        requestor_id=row.requestor_id,
        requestor=row.requestor,
        justification=row.justification,
        started_at=row.started_at,
        machines=tuple(_requested_machine(each) for each in row.machines),
        state=RequestState(row.state),
        reasons=tuple(Problem(code, message) for code, message in row.reasons),
        left_out=row.left_out,
        has_waited=row.has_waited,
        is_emergency=row.is_emergency,
        factor_age=row.factor_age,
        starts_at=row.starts_at,
        credential_id=row.credential_id,
    )


def _machine_json(machine: RequestedMachine) -> dict[str, Any]:
    return {
        "id": str(machine.machine_id),
        "ports": [
            {
                "number": port.number,
                "sources": [str(source) for source in port.sources],
                "endsAt": to_microseconds(port.ends_at),
                "endsAtText": port.ends_at_text,
                "isSourceList": port.is_source_list,
                **({} if port.length is None else {"length": port.length // _MICROSECOND}),
                **({} if port.up_to is None else {"upTo": port.up_to // _MICROSECOND}),
            }
            for port in machine.ports
        ],
    }


def _requested_machine(held: dict[str, Any]) -> RequestedMachine:
    return RequestedMachine(
        resource_id(held["id"]),
        tuple(
            RequestedPort(
                number=port["number"],
                sources=prefixes(port["sources"]),
                ends_at=from_microseconds(port["endsAt"]),
                ends_at_text=port["endsAtText"],
                is_source_list=port["isSourceList"],
                length=timedelta(microseconds=port["length"]) if "length" in port else None,
                up_to=timedelta(microseconds=port["upTo"]) if "upTo" in port else None,
            )
            for port in held["ports"]
        ),
    )
