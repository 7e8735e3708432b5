"""What a request that waits, or has waited, says of its approval; and the answers to it.

Source: docs/approval.md. Ids of principals and the digest are passed on as they came.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from bascule.client.access import AccessRequest, read_request, requests_path
from bascule.client.reading import (
    Data,
    flag,
    inner,
    instant,
    number,
    objects,
    required_instant,
    text,
    texts,
)
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.ids import ResourceId
from bascule.domain.times import format_duration, format_utc, parse_duration

if TYPE_CHECKING:
    from bascule.client.connection import Connection


class Cause(NamedTuple):
    """What of a policy wants a stage: a rule, or the approval of one port."""

    policy: str  # its name
    rule: str  # empty: a port's own approval
    machine: str  # its name; empty: a rule
    port: int  # 0: a rule


class Vote(NamedTuple):
    """One person's yes."""

    name: str
    at: datetime
    counts: bool  # False: the person may not approve any more
    span: timedelta | None  # shortened to this; None: as asked for
    ends_at: datetime | None
    is_self: bool  # of the requestor's own request
    note: str


class Stage(NamedTuple):
    """So many of these people must approve."""

    number: int  # from 1
    state: str  # met, asked, later
    needed: int
    given: int
    because: tuple[Cause, ...]
    approvers: tuple[str, ...]  # names of users and groups
    is_by_role: bool  # whoever may approve at every machine
    escalates_at: datetime | None  # when others are asked as well; None: never, or they are
    votes: tuple[Vote, ...]


class Denial(NamedTuple):
    name: str
    at: datetime
    reason: str


class Ticket(NamedTuple):
    """What a ticket system said last."""

    policy: str
    ticket: str
    answer: str  # yes, no, unavailable
    text: str


class Protocols(NamedTuple):
    """What the policy opens at a port now that is not TCP alone."""

    machine: ResourceId
    port: int
    protocols: tuple[str, ...]  # TCP, UDP, or "*" for both


class Approval(NamedTuple):
    """For whom a request waits, and what they have said."""

    digest: str  # of what is approved; goes back with the answer
    waiting_since: datetime
    pending_until: datetime
    decided_at: datetime | None
    span: timedelta | None  # asked for; None: an end was asked for
    ends_at: datetime | None
    up_to: timedelta | None  # asked for with its extensions; None: no longer
    stages: tuple[Stage, ...]
    denial: Denial | None  # None: nobody said no
    may_approve: bool
    may_deny: bool
    may_withdraw: bool
    may_not: str  # the code of why the caller may not approve; empty: may
    tickets: tuple[Ticket, ...] = ()
    protocols: tuple[Protocols, ...] = ()

    @property
    def asked(self) -> Stage | None:
        """The first stage of which people are asked now."""
        return next((each for each in self.stages if each.state == "asked"), None)


def approve(
    connection: Connection,
    request_id: str,
    digest: str,
    *,
    span: timedelta | None = None,
    ends_at: datetime | None = None,
    remark: str = "",
) -> AccessRequest:
    """Say yes to what has this digest; ``span`` or ``ends_at`` shortens it."""
    body: dict[str, object] = {"digest": digest}
    if span is not None:
        body["duration"] = format_duration(span)
    if ends_at is not None:
        body["endTimeUtc"] = format_utc(ends_at)
    if remark:
        body["note"] = remark
    return _answer(connection, request_id, "approve", body)


def deny(connection: Connection, request_id: str, digest: str, reason: str) -> AccessRequest:
    """Say no to what has this digest."""
    return _answer(connection, request_id, "deny", {"digest": digest, "reason": reason})


def review(connection: Connection, request_id: str, remark: str) -> AccessRequest:
    """Say what you found of somebody else's emergency access."""
    return _answer(connection, request_id, "review", {"note": remark})


def _answer(
    connection: Connection, request_id: str, act: str, body: dict[str, object]
) -> AccessRequest:
    path = f"{requests_path(connection)}/{request_id}/{act}"
    return read_request(connection.call("POST", path, BASCULE_VERSION, body=body).body)


def read_approval(data: Data) -> Approval:
    asks_for = inner(data, "asksFor")
    denial = data.get("denial")
    return Approval(
        digest=text(data, "digest"),
        waiting_since=required_instant(data, "waitingSince"),
        pending_until=required_instant(data, "pendingUntil"),
        decided_at=instant(data, "decidedAt"),
        span=_span(asks_for),
        ends_at=instant(asks_for, "endTimeUtc"),
        up_to=_span(asks_for, "upTo"),
        stages=tuple(_read_stage(each) for each in objects(data, "stages")),
        denial=_read_denial(inner(data, "denial")) if denial else None,
        may_approve=flag(data, "mayApprove"),
        may_deny=flag(data, "mayDeny"),
        may_withdraw=flag(data, "mayWithdraw"),
        may_not=text(data, "mayNot", ""),
        tickets=tuple(
            Ticket(
                ResourceId.parse(text(each, "policyId")).name,
                *(text(each, name) for name in ("ticket", "answer", "text")),
            )
            for each in (objects(data, "tickets") if data.get("tickets") else ())
        ),
        protocols=tuple(
            Protocols(
                ResourceId.parse(text(each, "machineId")),
                number(each, "port"),
                texts(each, "protocols"),
            )
            for each in (objects(asks_for, "protocols") if asks_for.get("protocols") else ())
        ),
    )


def _span(data: Data, name: str = "duration") -> timedelta | None:
    written = text(data, name, "")
    return parse_duration(written) if written else None


def _read_stage(data: Data) -> Stage:
    approvers = inner(data, "approvers")
    named = [*objects(approvers, "users"), *objects(approvers, "groups")]
    return Stage(
        number=number(data, "number"),
        state=text(data, "state"),
        needed=number(data, "needed"),
        given=number(data, "given"),
        because=tuple(_read_cause(each) for each in objects(data, "because")),
        approvers=tuple(text(each, "displayName", "") or text(each, "id") for each in named),
        is_by_role=flag(approvers, "role"),
        escalates_at=instant(data, "escalatesAt"),
        votes=tuple(_read_vote(each) for each in objects(data, "votes")),
    )


def _read_cause(data: Data) -> Cause:
    machine = text(data, "machineId", "")
    return Cause(
        ResourceId.parse(text(data, "policyId")).name,
        text(data, "rule", ""),
        ResourceId.parse_machine(machine).name if machine else "",
        number(data, "port", 0),
    )


def _read_vote(data: Data) -> Vote:
    return Vote(
        name=text(data, "displayName", "") or text(data, "principalId"),
        at=required_instant(data, "at"),
        counts=flag(data, "counts"),
        span=_span(data),
        ends_at=instant(data, "endTimeUtc"),
        is_self=flag(data, "isSelf"),
        note=text(data, "note", ""),
    )


def _read_denial(data: Data) -> Denial:
    return Denial(
        text(data, "displayName", "") or text(data, "principalId"),
        required_instant(data, "at"),
        text(data, "reason", ""),
    )
