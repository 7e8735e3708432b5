"""An event: a fact with who did it, when, and what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

from bascule.domain.facts.fact import Fact, fact_data, fact_name
from bascule.domain.times import format_utc

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it; the system itself has an empty principal id."""

    principal_id: str = ""
    name: str = "bascule"
    kind: str = "System"
    address: str = ""
    client: str = ""  # the program that called, by its own word


SYSTEM = Actor()


@dataclass(frozen=True, slots=True)
class Event:
    """A fact with its circumstances, as it is stored."""

    id: str
    at: datetime
    actor: Actor
    resource_id: str  # ARM id of what it is about; empty for the installation
    fact: Fact
    correlation_id: str = ""

    def record(self) -> dict[str, object]:
        """The event as plain values, which is also what the chain covers."""
        return {
            "id": self.id,
            "at": format_utc(self.at),
            "kind": fact_name(self.fact),
            "actor": asdict(self.actor),
            "resourceId": self.resource_id,
            "correlationId": self.correlation_id,
            "data": fact_data(self.fact),
        }


def grouped(rows: Sequence[T], request_of: Callable[[T], str]) -> list[T]:
    """The same rows; those of one request stand together, where the first of them stood."""
    together: dict[object, list[T]] = {}
    for n, row in enumerate(rows):
        together.setdefault(request_of(row) or n, []).append(row)
    return [row for of_one in together.values() for row in of_one]


def has_form(record: Mapping[str, Any]) -> bool:
    """Is it in the form that ``Event.record`` gives? Not so a row that somebody damaged."""
    actor, data = record.get("actor"), record.get("data")
    return (
        _are_texts(record, "id", "at", "kind", "resourceId", "correlationId")
        and isinstance(actor, dict)
        and _are_texts(actor, "principal_id", "name", "kind", "address")
        and isinstance(data, dict)
    )


def _are_texts(values: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(values.get(name), str) for name in names)
