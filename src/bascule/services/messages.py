"""Messages to sinks that have the form of events and are not part of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bascule.domain.chain import Link
from bascule.domain.event import SYSTEM
from bascule.domain.facts.kind import Kind, Severity
from bascule.domain.times import format_utc

GAP, TEST = "RecordGap", "SinkTest"
MESSAGES: Mapping[str, Kind] = {
    GAP: Kind(GAP, "Bascule.Audit/sinks/skip/action", "Skip events", severity=Severity.HIGH),
    TEST: Kind(TEST, "Bascule.Audit/sinks/test/action", "Test sink"),
}
DAMAGED = "these events were damaged in the database and cannot be read"


def message(kind: str, message_id: str, position: int, data: dict[str, Any], at: datetime) -> Link:
    """One message; it has no hash."""
    record = {
        "id": message_id,
        "at": format_utc(at),
        "kind": kind,
        "actor": asdict(SYSTEM),
        "resourceId": "",
        "correlationId": "",
        "data": data,
    }
    return Link(position, record, "")
