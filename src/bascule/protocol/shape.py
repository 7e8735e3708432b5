"""How single values stand in JSON, and what a field's annotation can say of its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bascule.domain.net import AddressPrefix, parse_address
from bascule.domain.plain import clean
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput

Json = Any  # a value as the json module makes it
Value = Any  # of whatever type a shape is of

LARGEST = 2**53 - 1  # what JSON numbers carry exactly (RFC 8259 section 6)
LONGEST_TEXT = 2048  # characters of a text without a bound of its own
MOST_ITEMS = 100_000  # of a list or map without a bound of its own
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Most:
    """Bounds, both inclusive, of characters, items, a number or a duration; else refused."""

    most: int | timedelta
    least: int | timedelta = 0


@dataclass(frozen=True, slots=True)
class Crop:
    """A bound beyond which a text, list, map or duration is cut off. Such a text is somebody's words,
    shown on pages and on record: what would not show, or hides what it says, is taken out (EDGES A18).
    """

    most: int | timedelta


class Mark:
    """What else a field's annotation can say."""


INLINE = Mark()  # the dataclass's fields stand beside those around it
SKIP = Mark()  # items that cannot be read are left out
LENIENT = Mark()  # what cannot be read counts as absent
REQUIRED = Mark()  # although the dataclass has a default


@dataclass(frozen=True, slots=True)
class Absent:
    """What an absent field means, whatever the dataclass's default."""

    value: object


@dataclass(frozen=True, slots=True)
class Entries:
    """Of a map whose keys are dataclasses: a list of their fields, the value under this name."""

    value: str


@dataclass(frozen=True, slots=True)
class Shape:
    """How values of one type are read and written. ``read`` raises InvalidInput."""

    read: Callable[[Json], Any]
    write: Callable[[Any], Json]
    schema: Callable[[], dict[str, Any]]
    parts: tuple[Part, ...] = ()  # of a dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a dataclass."""

    field: str
    key: str
    shape: Shape
    default: Callable[[], Any] | None  # None: it is required
    is_inline: bool
    is_lenient: bool
    is_nullable: bool
    is_null_written: bool  # null differs from what an absent field means


def text_of(value: Json) -> str:
    """A text that can be stored and shown: Unicode, without NUL and half surrogate pairs."""
    if not isinstance(value, str):
        raise InvalidInput(f"must be a text, not {shown(value)}.")
    if not value.isprintable() and any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value
    ):
        raise InvalidInput("must be Unicode text without NUL and without half surrogate pairs.")
    return value


def shown(value: Json) -> str:
    """A value as an error may repeat it: short, on one line, ASCII."""
    return json.dumps(value, default=str)[:80]


def text(bound: Most | Crop) -> Shape:
    most, least = whole(bound.most), whole(bound.least) if isinstance(bound, Most) else 0

    def read(value: Json) -> str:
        text = text_of(value)
        if isinstance(bound, Crop):
            return clean(text)[:most]
        if not least <= len(text) <= most:
            raise InvalidInput(
                f"has {len(text)} characters; {f'at least {least}, ' if least else ''}"
                f"at most {most} are allowed."
            )
        return text

    limits = {"minLength": least} if least else {}
    if isinstance(bound, Most):
        limits["maxLength"] = most
    return Shape(read, str, lambda: {"type": "string", **limits})


def truth_of(value: Json) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"must be true or false, not {shown(value)}.")
    return value


def number(bound: Most | Crop) -> Shape:
    most, least = whole(bound.most), whole(bound.least) if isinstance(bound, Most) else 0

    def read(value: Json) -> int:
        count: int = value
        if type(count) is not int:  # a truth value is none, nor is 1.0
            raise InvalidInput(f"must be a whole number, not {shown(value)}.")
        if isinstance(bound, Crop):
            count = min(count, most)
        if not least <= count <= most:
            raise InvalidInput(f"must be a whole number from {least} to {most}.")
        return count

    return Shape(read, int, lambda: {"type": "integer", "minimum": least, "maximum": most})


def whole(bound: int | timedelta) -> int:
    return bound // MILLISECOND if isinstance(bound, timedelta) else bound


def duration(bound: Most | Crop) -> Shape:
    count = number(bound)
    return Shape(
        lambda value: count.read(value) * MILLISECOND,
        lambda span: span // MILLISECOND,
        count.schema,
    )


def choice(kind: type[StrEnum]) -> Shape:
    words = {str(each): each for each in kind}

    def read(value: Json) -> StrEnum:
        found = words.get(value) if isinstance(value, str) else None
        if found is None:
            raise InvalidInput(f"must be one of {', '.join(words)}, not {shown(value)}.")
        return found

    return Shape(read, str, lambda: {"type": "string", "enum": list(words)})


def instant() -> Shape:
    return Shape(
        lambda value: parse_instant(text_of(value)),
        format_utc,
        lambda: {"type": "string", "format": "date-time"},
    )


def prefix() -> Shape:
    return Shape(
        lambda value: AddressPrefix.parse(text_of(value)),
        str,
        lambda: {"type": "string", "maxLength": LONGEST_TEXT},
    )


def address() -> Shape:
    return Shape(
        lambda value: parse_address(text_of(value)),
        str,
        lambda: {"type": "string", "maxLength": LONGEST_TEXT},
    )


def inside(step: str, shape: Shape, value: Json) -> Value:
    try:
        return shape.read(value)
    except InvalidInput as error:
        raise further_out(step, error) from None


def further_out(step: str, error: InvalidInput) -> InvalidInput:
    """The same error, told from one level further out."""
    inner = str(error.target)
    joint = "." if inner and not inner.startswith("[") else ""
    return InvalidInput(error.message, code=error.specific_code, target=f"{step}{joint}{inner}")
