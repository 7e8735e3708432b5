"""Blocked attempts: who knocked at closed ports, by hour and by source.

Source: Bascule.Access/blockedAttempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import inner, number, objects, required_instant, text
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class Hour:
    since: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Source:
    address: str
    attempts: int
    last_at: datetime
    ports: tuple[tuple[int, str], ...]  # number and protocol


@dataclass(frozen=True, slots=True)
class BlockedAttempts:
    since: datetime
    until: datetime
    attempts: int
    hours: tuple[Hour, ...]  # each hour, the oldest first, those without any too
    sources: tuple[Source, ...]  # the one with most attempts first; not all


def blocked_attempts(
    connection: Connection, machine: ResourceId | None, hours: int, top: int
) -> BlockedAttempts:
    """Of one machine; of all that the caller may see when None."""
    scope = str(machine) if machine is not None else connection.subscription
    path = f"{scope}/providers/Bascule.Access/blockedAttempts/default"
    answer = connection.get(path, BASCULE_VERSION, hours=str(hours), top=str(top))
    properties = inner(answer, "properties")
    return BlockedAttempts(
        since=required_instant(properties, "since"),
        until=required_instant(properties, "until"),
        attempts=number(properties, "attempts"),
        hours=tuple(
            Hour(required_instant(each, "since"), number(each, "attempts"))
            for each in objects(properties, "hours")
        ),
        sources=tuple(
            Source(
                text(each, "address"),
                number(each, "attempts"),
                required_instant(each, "lastAt"),
                tuple(
                    (number(port, "number"), text(port, "protocol"))
                    for port in objects(each, "ports")
                ),
            )
            for each in objects(properties, "sources")
        ),
    )
