"""What can be reached by whom at a moment; port-hours closed and open.

Source: Bascule.Access/exposures and Bascule.Access/portHours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import (
    Data,
    decimal,
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
from bascule.domain.times import format_utc

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

OPEN, NOTHING_CLOSED = "open", "nothingClosed"  # of which a list can be narrowed to one


@dataclass(frozen=True, slots=True)
class Opening:
    sources: tuple[str, ...]
    requestor: str  # empty: it is not told to you
    justification: str
    opened_at: datetime
    ends_at: datetime | None
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    protocol: str
    is_closed: bool  # to all but those who are let in
    since: datetime | None
    should_be_closed: bool
    openings: tuple[Opening, ...]
    ended: tuple[Opening, ...] = ()  # at an agent that is silent: ended, not confirmed
    shadow: str = ""  # openPastUs, cannotBeTold; empty: closed where ``is_closed`` says so
    reached_at: tuple[str, ...] = ()  # gateways past which that is so; empty: at the machine itself


@dataclass(frozen=True, slots=True)
class Exposure:
    """Of one machine at one moment."""

    id: ResourceId
    is_nothing_closed: bool
    has_agent: bool
    not_confirmed_since: datetime | None
    silent_gateways: tuple[str, ...]  # while others are heard
    not_enforced_since: datetime | None  # its agent says that it can enforce nothing
    ports: tuple[Port, ...]
    hours_closed: float
    hours_open: float
    data: Data  # as the server said it
    closed_at: tuple[str, ...] = ()  # gateways at which alone its ports are closed


@dataclass(frozen=True, slots=True)
class PortHours:
    known_since: datetime
    since: datetime
    until: datetime
    closed: float
    open: float
    machines: int
    machines_with_nothing_closed: int
    data: Data  # as the server said it


@dataclass(frozen=True, slots=True)
class Asked:
    """The moment, and the time over which hours are added up; None: the server's usual."""

    at: datetime | None = None
    since: datetime | None = None

    def query(self) -> dict[str, str]:
        named = {"at": self.at, "from": self.since}
        return {name: format_utc(value) for name, value in named.items() if value is not None}


def list_exposures(connection: Connection, asked: Asked, only: str = "") -> list[Exposure]:
    """All that the caller may see, in the server's order."""
    query = asked.query() | ({"$filter": f"state eq '{only}'"} if only else {})
    path = f"{connection.subscription}/providers/Bascule.Access/exposures"
    return [_exposure(each) for each in connection.pages(path, BASCULE_VERSION, query)]


def get_exposure(connection: Connection, machine: ResourceId, asked: Asked) -> Exposure:
    path = f"{machine}/providers/Bascule.Access/exposures/default"
    return _exposure(connection.get(path, BASCULE_VERSION, **asked.query()))


def get_port_hours(connection: Connection, asked: Asked) -> PortHours:
    path = f"{connection.subscription}/providers/Bascule.Access/portHours/default"
    answer = connection.get(path, BASCULE_VERSION, **asked.query())
    properties = inner(answer, "properties")
    now = inner(properties, "now")
    return PortHours(
        known_since=required_instant(properties, "knownSince"),
        since=required_instant(properties, "from"),
        until=required_instant(properties, "until"),
        closed=decimal(properties, "closed"),
        open=decimal(properties, "open"),
        machines=number(now, "machines"),
        machines_with_nothing_closed=number(now, "machinesWithNothingClosed"),
        data=properties,
    )


def _exposure(data: Data) -> Exposure:
    properties = inner(data, "properties")
    hours = inner(properties, "portHours")
    return Exposure(
        id=ResourceId.parse_machine(text(properties, "machineId")),
        is_nothing_closed=flag(properties, "nothingClosed"),
        has_agent=bool(properties.get("hasAgent", True)),
        not_confirmed_since=instant(properties, "notConfirmedSince"),
        silent_gateways=texts(properties, "silentGateways"),
        not_enforced_since=instant(properties, "notEnforcedSince"),
        ports=tuple(_port(each) for each in objects(properties, "ports")),
        hours_closed=decimal(hours, "closed"),
        hours_open=decimal(hours, "open"),
        data=properties,
        closed_at=texts(properties, "closedAt"),
    )


def _port(data: Data) -> Port:
    return Port(
        number=number(data, "number"),
        protocol=text(data, "protocol"),
        is_closed=flag(data, "closed"),
        shadow=text(data, "shadow", ""),
        reached_at=texts(data, "reachedAt"),
        since=instant(data, "since"),
        should_be_closed=bool(data.get("shouldBeClosed", False)),
        openings=tuple(map(_opening, objects(data, "openings"))),
        ended=tuple(map(_opening, objects(data, "endedNotConfirmed"))),
    )


def _opening(data: Data) -> Opening:
    return Opening(
        texts(data, "sources"),
        text(data, "requestor", ""),
        text(data, "justification", ""),
        required_instant(data, "openedAt"),
        instant(data, "endTimeUtc"),
        flag(data, "confirmed"),
    )
