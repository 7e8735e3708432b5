"""The record, read: Bascule.Audit events, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bascule.client.reading import (
    Data,
    inner,
    instant,
    number,
    objects,
    required_instant,
    text,
    texts,
)
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.times import format_utc

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class About:
    """Whose access an event tells of; empty: of nobody's."""

    request_id: str = ""
    requestor: str = ""
    machines: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ends_at: datetime | None = None
    justification: str = ""
    shown: Data = field(default_factory=dict)  # as the server told it


@dataclass(frozen=True, slots=True)
class AuditEvent:
    sequence: int
    id: str
    at: datetime
    kind: str
    actor: str  # who, for people to read
    actor_address: str
    actor_id: str  # principal id; empty for the system itself
    actor_kind: str
    resource_id: str
    correlation_id: str
    data: Mapping[str, Any]
    position: int = 0  # in the chain; 0 until it is sealed
    hash: str = ""
    client: str = ""  # the actor's program, by its own word
    operation: str = ""  # as the activity log calls it; empty: the server is of before
    status: str = ""
    about: About = field(default_factory=About)  # whose access it tells of
    gateways: Mapping[str, str] = field(default_factory=dict)  # names by uid

    def record(self) -> dict[str, Any]:
        """As the server has it on record."""
        return {
            "id": self.id,
            "at": format_utc(self.at),
            "kind": self.kind,
            "actor": {
                "principal_id": self.actor_id,
                "name": self.actor,
                "kind": self.actor_kind,
                "address": self.actor_address,
                "client": self.client,
            },
            "resourceId": self.resource_id,
            "correlationId": self.correlation_id,
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; empty means any."""

    resource: str = ""  # an ARM id: the resource itself and what lies below it
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    kind: str = ""
    caller: str = ""  # id or name
    correlation_id: str = ""
    is_own: bool = False  # only what the caller did, which needs no right

    def filter(self) -> str:
        terms = [
            f"{field} {operator} '{value.replace(chr(39), chr(39) * 2)}'"
            for field, operator, value in (
                ("resourceId", "eq", self.resource),
                ("at", "ge", format_utc(self.since) if self.since else ""),
                ("at", "lt", format_utc(self.until) if self.until else ""),
                ("kind", "eq", self.kind),
                ("caller", "eq", self.caller),
                ("correlationId", "eq", self.correlation_id),
            )
            if value
        ]
        return " and ".join(terms)


def events(
    connection: Connection, wanted: Wanted = Wanted(), page: int = 100
) -> Iterator[AuditEvent]:
    """Newest first; page by page as they are taken, so that whoever needs ten reads one page."""
    query = {"$top": str(page)}
    if text_of := wanted.filter():
        query["$filter"] = text_of
    kind = "ownEvents" if wanted.is_own else "events"
    path = f"{connection.subscription}/providers/Bascule.Audit/{kind}"
    for each in connection.pages(path, BASCULE_VERSION, query):
        yield _read(each)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many events of each outcome began in which day or hour."""

    is_by_hour: bool
    counted: Mapping[tuple[datetime, str], int]
    shown: Data  # as the server told it


def counts(connection: Connection, wanted: Wanted) -> Counted:
    query = {"$filter": text_of} if (text_of := wanted.filter()) else {}
    path = f"{connection.subscription}/providers/Bascule.Audit/activityCounts"
    answer = connection.get(path, BASCULE_VERSION, **query)
    counted: Counter[tuple[datetime, str]] = Counter()
    for each in objects(answer, "value"):
        counted[required_instant(each, "begin"), text(each, "status")] += number(each, "events", 0)
    return Counted(text(answer, "granularity") == "PT1H", counted, answer)


def _read(data: Data) -> AuditEvent:
    actor = data.get("actor")
    who = actor if isinstance(actor, dict) else {"name": str(actor or "")}
    return AuditEvent(
        sequence=number(data, "sequence", 0),
        id=text(data, "id", ""),
        at=required_instant(data, "at"),
        kind=text(data, "kind"),
        actor=str(who.get("name") or who.get("principalId") or ""),
        actor_address=str(who.get("address") or ""),
        actor_id=str(who.get("principal_id") or who.get("principalId") or ""),
        actor_kind=str(who.get("kind") or ""),
        resource_id=text(data, "resourceId", ""),
        correlation_id=text(data, "correlationId", ""),
        data=inner(data, "data"),
        position=number(data, "position", 0),
        hash=text(data, "hash", ""),
        client=str(who.get("client") or ""),
        operation=text(data, "operation", ""),
        status=text(data, "status", ""),
        about=_read_about(inner(data, "about")),
        gateways={uid: str(name) for uid, name in inner(data, "gateways").items()},
    )


def _read_about(data: Data) -> About:
    return About(
        text(data, "requestId", ""),
        text(data, "requestor", ""),
        texts(data, "machines"),
        texts(data, "ports"),
        texts(data, "sources"),
        instant(data, "endsAt"),
        text(data, "justification", ""),
        data,
    )
