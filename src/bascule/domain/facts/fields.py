"""What the fields of facts may hold.

The type of a field says what it holds and classifies it as readable by everybody who may
read the record. There is no type for a secret, because no fact holds one. A field of any
other type keeps its module from being imported (``facts.fact``).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated


class Holds(Enum):
    """What faces and lists ask of a field."""

    VALUE = auto()  # shown as it stands
    MACHINE = auto()  # the machine that the event belongs to, by its ARM id; or several
    PLACES = auto()  # machines at which a refusal is found beside its own resource
    MORE_PLACES = auto()  # how many there were besides those
    POLICY = auto()
    REQUEST = auto()  # the request whose access the event tells of
    GRANT = auto()
    PORT = auto()  # 22/tcp; or several
    SOURCES = auto()
    END = auto()  # when the access ends
    SECONDS = auto()  # from the event on, after which the access ends
    JUSTIFICATION = auto()  # what the requestor typed
    BULK = auto()  # too long or too internal for a table; /events has it whole


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
Bulk = Annotated[str, Holds.BULK]

MOST_PLACES = 20  # machines at which one event is found


def held_by(annotation: object) -> Holds | None:
    """What a field of that annotation holds; None: it is not classified."""
    found = globals().get(annotation) if isinstance(annotation, str) else annotation
    marks = getattr(found, "__metadata__", ())
    return marks[0] if marks and isinstance(marks[0], Holds) else None
