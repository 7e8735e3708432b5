"""What the server's record says of a run: its requests, and its events in order."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bascule.client import audit
from bascule.client.access import AccessRequest, GrantedPort, read_request
from bascule.client.connection import Connection
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.lifecycle import STATES, RequestState
from tests.faults.model import Recorded

PAGE = 500
TRIES = 20  # of reading while nothing is written meanwhile


@dataclass(frozen=True, slots=True)
class Fact:
    sequence: int
    at: float  # seconds of CLOCK_BOOTTIME
    kind: str
    data: Mapping[str, Any]
    resource: str
    actor: str = ""  # the name of who did it


@dataclass(frozen=True, slots=True)
class Record:
    requests: Mapping[str, AccessRequest]  # by justification; those that have grants
    facts: Sequence[Fact]  # oldest first
    wall: float  # seconds since the epoch at boot
    is_settled: bool = True  # nothing was written while it was read
    refused: Mapping[str, AccessRequest] = field(default_factory=dict)  # by justification
    unopened: Mapping[str, AccessRequest] = field(default_factory=dict)  # waited, and nothing more

    def of(self, kind: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.kind == kind]

    def count(self, *kinds: str) -> int:
        return sum(fact.kind in kinds for fact in self.facts)

    def per_grant(self, kind: str) -> Counter[str]:
        return Counter(str(fact.data["grant_id"]) for fact in self.of(kind))

    @property
    def created(self) -> Mapping[str, float]:
        """When each request had its first grant, by its id."""
        found: dict[str, float] = {}
        for fact in self.of("GrantCreated"):
            found.setdefault(str(fact.data["request_id"]), fact.at)
        return found

    def moment(self, at: datetime) -> float:
        return at.timestamp() - self.wall


def newest(connection: Connection) -> int:
    """The sequence of the last event there is."""
    return next((each.sequence for each in audit.events(connection, page=1)), 0)


def read_record(connection: Connection, prefix: str, after: int, wall: float) -> Record:
    """Requests whose justification begins so, and the events after that one.

    Both of one moment: read again until no event was written in between.
    """
    left = TRIES
    while True:
        before = newest(connection)
        requests, refused, unopened = _requests(connection, prefix)
        facts = _facts(connection, after, wall)
        is_settled = newest(connection) == before
        left -= 1
        if is_settled or not left:
            return Record(requests, facts, wall, is_settled, refused, unopened)
        time.sleep(0.1)


def _requests(
    connection: Connection, prefix: str
) -> tuple[dict[str, AccessRequest], dict[str, AccessRequest], dict[str, AccessRequest]]:
    """Those that were granted, those that were refused, and those that only waited."""
    path = f"{connection.subscription}/providers/Bascule.Access/accessRequests"
    requests: dict[str, AccessRequest] = {}
    refused: dict[str, AccessRequest] = {}
    unopened: dict[str, AccessRequest] = {}
    for data in connection.pages(path, BASCULE_VERSION, {"$top": str(PAGE)}):
        found = read_request(data)
        if not found.justification.startswith(prefix):
            break  # newest first, and runs follow one another
        has_grants = STATES[found.state].has_grants
        is_refused = found.state == RequestState.REFUSED
        into = refused if is_refused else requests if has_grants else unopened
        into[found.justification] = found
    return requests, refused, unopened


def _facts(connection: Connection, after: int, wall: float) -> list[Fact]:
    facts: list[Fact] = []
    for each in audit.events(connection, page=PAGE):
        if each.sequence <= after:
            break
        at = each.at.timestamp() - wall
        facts.append(Fact(each.sequence, at, each.kind, each.data, each.resource_id, each.actor))
    return facts[::-1]


def recorded(record: Record) -> dict[tuple[str, int], Recorded]:
    """What the model wants to know of it, by tag and port."""
    closed = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantClosed")}
    extended: dict[str, list[float]] = {}
    for fact in record.of("GrantExtended"):
        end = datetime.fromisoformat(str(fact.data["ends_at"]))
        extended.setdefault(str(fact.data["grant_id"]), []).append(record.moment(end))
    found = {}
    for tag, request in record.requests.items():
        for _, port in request.ports():
            found[tag, port.number] = Recorded(
                record.moment(request.started_at),
                tuple(extended.get(port.grant_id, ())),
                closed.get(port.grant_id, math.inf),
            )
    return found


def describe(facts: Sequence[Fact], began: float) -> str:
    return "\n".join(
        f"  {fact.at - began:7.3f}  {fact.kind} {json.dumps(fact.data)[:260]}" for fact in facts
    )


def is_over(port: GrantedPort) -> bool:
    return port.state in ("closed", "failed", "closing")
