"""Rows of access requests: what was asked, newest first.

What a request asked for is one JSON column: it is written once and read whole. What came
of it are its grants, and those say which machine (by uid) it was about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, not_, or_, select, tuple_

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.store import tables as t
from bascule.store.columns import from_microseconds, to_microseconds
from bascule.store.rows import Rows, prefixes, resource_id, slices

_REQUEST = select(t.requests).where(t.requests.c.id == bindparam("wanted"))
_REQUESTS = select(t.requests).where(t.requests.c.id.in_(bindparam("wanted", expanding=True)))
_INSERT = t.requests.insert()
_LIVE = select(t.grants.c.request_id).where(t.IS_LIVE)
# By way of the machines, as that leads to an index.
_CLOSING = select(t.grants.c.request_id).where(
    t.grants.c.machine_uid.in_(select(t.machine_generations.c.machine_uid)),
    t.grants.c.state == GrantState.CLOSING,
)
_HAS_LIVE = t.requests.c.id.in_(_LIVE)
_IS_UNSETTLED = or_(_HAS_LIVE, t.requests.c.id.in_(_CLOSING))


class RequestReads(Rows):
    __slots__ = ()

    def request(self, request_id: str) -> AccessRequest | None:
        row = self._first(_REQUEST, {"wanted": request_id})
        return None if row is None else _request(row)

    def requests_of(self, request_ids: Sequence[str]) -> Mapping[str, AccessRequest]:
        return {
            row.id: _request(row)
            for some in slices(request_ids)
            for row in self._all(_REQUESTS, {"wanted": some})
        }

    def requests(
        self,
        policy_id: ResourceId | None = None,
        machine_uid: str | None = None,
        requestor_id: str | None = None,
        since: datetime | None = None,
        is_live: bool | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 1000,
    ) -> Sequence[AccessRequest]:
        wanted: Select[Any] = select(t.requests)
        if policy_id is not None:
            wanted = wanted.where(t.requests.c.policy_key == policy_id.key)
        if machine_uid is not None:
            on_machine = select(t.grants.c.request_id).where(t.grants.c.machine_uid == machine_uid)
            wanted = wanted.where(t.requests.c.id.in_(on_machine))
        if requestor_id is not None:
            wanted = wanted.where(t.requests.c.requestor_id == requestor_id)
        if since is not None:
            wanted = wanted.where(or_(t.requests.c.started_at >= since, _HAS_LIVE))
        if is_live is not None:
            wanted = wanted.where(_IS_UNSETTLED if is_live else not_(_IS_UNSETTLED))
        if after is not None:
            place = tuple_(t.requests.c.started_at, t.requests.c.id)
            wanted = wanted.where(place < after)
        newest_first = (t.requests.c.started_at.desc(), t.requests.c.id.desc())
        return [_request(row) for row in self._all(wanted.order_by(*newest_first).limit(limit))]


class RequestWrites(RequestReads):
    __slots__ = ()

    def add_request(self, request: AccessRequest) -> None:
        self._run(
            _INSERT,
            {
                "id": request.id,
                "policy_key": request.policy_id.key,
                "policy_id": str(request.policy_id),
                "requestor_id": request.requestor_id,
                "requestor": request.requestor,
                "justification": request.justification,
                "started_at": request.started_at,
                "machines": [_machine_json(machine) for machine in request.machines],
            },
        )


def _request(row: Row[Any]) -> AccessRequest:
    return AccessRequest(
        id=row.id,
        policy_id=resource_id(row.policy_id),
        requestor_id=row.requestor_id,
        requestor=row.requestor,
        justification=row.justification,
        started_at=row.started_at,
        machines=tuple(_requested_machine(each) for each in row.machines),
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
            )
            for port in held["ports"]
        ),
    )
