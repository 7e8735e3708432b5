"""What an enforcement point and its server say to each other, as the web framework takes it.

The shapes are ``protocol``'s. What is not here: their fields and bounds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Body
from pydantic import PlainValidator, WithJsonSchema

from bascule.interfaces.store import Reader
from bascule.protocol.codec import decode, schema_of
from bascule.protocol.enrolment import Enrol
from bascule.protocol.report import Report
from bascule.protocol.state import RecordMark

T = TypeVar("T")


def _body_of(kind: type[T]) -> tuple[Any, ...]:
    """What annotates a parameter that is a whole body of this shape."""
    return (
        Body(),
        PlainValidator(lambda value: decode(kind, value)),
        WithJsonSchema(schema_of(kind)),
    )


ReportBody = Annotated[Report, *_body_of(Report)]
EnrolBody = Annotated[Enrol, *_body_of(Enrol)]


def record_mark(reader: Reader, seen: int, floor: timedelta, told: int = 0) -> RecordMark:
    """Where the record begins and ends, its hashes at the places that the agent has seen and was
    told of, and for how long nothing of it is deleted. 0 is no place.
    """
    head, begin, recovery = reader.record_ends()
    return RecordMark(
        head.position,
        head.hash,
        begin.position,
        floor,
        reader.seal_at(seen) if seen else None,
        reader.seal_at(told) if told else None,
        recovery.public_key or None,
        recovery.restored or None,
    )
