"""What the fields of facts may hold.

The type of a field says what it holds and classifies it as readable by everybody who may
read the record. There is no type for a secret, because no fact holds one. A field of any
other type keeps its module from being imported (``facts.fact``).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated


class Holds(Enum):
    """What lists, exports and pages need to know of a field."""

    VALUE = auto()  # shown as it stands
    MACHINE = auto()  # ARM id, or ids, of the machines that the event belongs to
    PLACES = auto()  # machines at which a refusal is listed in addition to its resource
    MORE_PLACES = auto()  # how many more there were
    POLICY = auto()
    REQUEST = auto()  # id of the request that the access belongs to
    GRANT = auto()
    PORT = auto()  # 22/tcp; or several
    SOURCES = auto()
    END = auto()  # when the access ends
    SECONDS = auto()  # after the event, when the access ends
    JUSTIFICATION = auto()  # what the requestor typed
    POINT = auto()  # uid of a gateway; who reads the event is told its name
    BULK = auto()  # too long or too internal for a table; the events API has it


Text = Annotated[str, Holds.VALUE]
Texts = Annotated[tuple[str, ...], Holds.VALUE]
Number = Annotated[int, Holds.VALUE]
CountIfKnown = Annotated[int | None, Holds.VALUE]
Flag = Annotated[bool, Holds.VALUE]
MachineId = Annotated[str, Holds.MACHINE]
MachineIds = Annotated[tuple[str, ...], Holds.MACHINE]
Places = Annotated[tuple[str, ...], Holds.PLACES]
MorePlaces = Annotated[int, Holds.MORE_PLACES]
PolicyId = Annotated[str, Holds.POLICY]
RequestId = Annotated[str, Holds.REQUEST]
GrantId = Annotated[str, Holds.GRANT]
Port = Annotated[str, Holds.PORT]
Ports = Annotated[tuple[str, ...], Holds.PORT]
Sources = Annotated[tuple[str, ...], Holds.SOURCES]
EndsAt = Annotated[str, Holds.END]
Seconds = Annotated[int, Holds.SECONDS]
Justification = Annotated[str, Holds.JUSTIFICATION]
PointUid = Annotated[str, Holds.POINT]
Bulk = Annotated[str, Holds.BULK]

MOST_PLACES = 20  # machines that one refusal names


def held_by(annotation: object) -> Holds | None:
    """What a field with that annotation holds; None if it is not classified."""
    found = globals().get(annotation) if isinstance(annotation, str) else annotation
    marks = getattr(found, "__metadata__", ())
    return marks[0] if marks and isinstance(marks[0], Holds) else None
