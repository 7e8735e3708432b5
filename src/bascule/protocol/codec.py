"""Dataclasses to JSON and back, derived from their fields: no shape is written twice.

Names are camelCase on the wire; a duration is whole milliseconds, rounded down, and its name ends
in ``Ms``; instants are RFC 3339; sets are sorted lists. A field without a default is required. null
counts as absent unless null is a value of the field. Unknown fields are ignored, so that a newer
peer may say more (EDGES F4).

Input is hostile. Each text, list, map, number and duration has a bound; ``Most`` or ``Crop`` beside
a field's type sets another. Beyond ``Most`` the whole is refused, with the path of the field; what
is beyond ``Crop`` is cut off: a report that is refused settles nothing. How deep JSON nests and how
many values it has is judged before, where it is parsed (``json_text``, ``agent.answers``).

Shapes are made when they are first used: a start that says nothing pays nothing. What is not here:
any shape (``report``, ``state``, ``enrolment``).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

from bascule.domain.net import Address, AddressPrefix
from bascule.errors import InvalidInput
from bascule.protocol.several import collection, entries, mapping, object_of, optional, pair
from bascule.protocol.shape import (
    INLINE,
    LARGEST,
    LENIENT,
    LONGEST_TEXT,
    MILLISECOND,
    REQUIRED,
    Absent,
    Crop,
    Entries,
    Json,
    Most,
    Part,
    Shape,
    Value,
    address,
    choice,
    duration,
    inside,
    instant,
    number,
    prefix,
    text,
    truth_of,
)

T = TypeVar("T")

_DESCRIBED: dict[type, tuple[Mapping[str, Any], Callable[[Any], Any] | None]] = {}


def describe(kind: type, then: Callable[[Any], Any] | None = None, **hints: object) -> None:
    """Say of a domain type what the domain does not: the bounds of its fields on the wire.

    ``then`` judges or mends a whole value that was read; it may raise InvalidInput.
    """
    _DESCRIBED[kind] = hints, then


def encode(value: object) -> dict[str, Json]:
    """A dataclass as a JSON object."""
    written: dict[str, Json] = shape_of(type(value)).write(value)
    return written


def decode(kind: type[T], value: Json) -> T:
    """The dataclass that a JSON value is; raises InvalidInput, its target the field's path."""
    try:
        read: T = shape_of(kind).read(value)
    except InvalidInput as error:
        where = f"{error.target}: " if error.target else "The content "
        raise InvalidInput(
            where + error.message, code=error.specific_code, target=error.target
        ) from None
    return read


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dataclass."""
    return shape_of(kind).schema()


def shape_of(kind: Value) -> Shape:
    """How values of a type are read and written; made once."""
    # What the wire says of domain types is known before any shape is made.
    import bascule.protocol.shapes  # noqa: PLC0415, F401  # reason: it describes types by this module

    return _shape(kind)


@cache
def _shape(hint: Value) -> Shape:
    bare, notes = _unwrapped(hint)
    origin, members = _origin(bare), typing.get_args(bare)
    if bare == Address:
        return address()
    if origin in (types.UnionType, typing.Union):
        (inner,) = (each for each in members if each is not types.NoneType)
        return optional(_shape(Annotated[inner, *notes, None]))
    if origin is tuple and members[-1] is not Ellipsis:
        return pair(tuple(map(_shape, members)))
    if origin in (tuple, frozenset):
        return collection(origin, _shape(members[0]), notes)
    if origin is not None and issubclass(origin, Mapping):
        by = next((each for each in notes if isinstance(each, Entries)), None)
        key, item = _shape(members[0]), _shape(members[1])
        return entries(key, item, by.value) if by is not None else mapping(key, item, notes)
    return _single(bare, notes)


def _origin(hint: Value) -> Value:
    """typing's own answer, whose declared type knows too few of its values."""
    return typing.get_origin(hint)


def _unwrapped(hint: Value) -> tuple[Value, tuple[Any, ...]]:
    """A type and what annotates it."""
    if _origin(hint) is not Annotated:
        return hint, ()
    bare, *notes = typing.get_args(hint)
    return bare, tuple(notes)


def _single(kind: Value, notes: tuple[Any, ...]) -> Shape:
    bound = next((each for each in notes if isinstance(each, Most | Crop)), None)
    if kind is str:
        return text(bound or Most(LONGEST_TEXT))
    if kind is bool:
        return Shape(truth_of, bool, lambda: {"type": "boolean"})
    if kind is int:
        return number(bound or Most(LARGEST))
    if kind is timedelta:
        return duration(bound or Most(LARGEST * MILLISECOND))
    if kind is datetime:
        return instant()
    if kind is AddressPrefix:
        return prefix()
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return choice(kind)
    if is_dataclass(kind):
        return _object(kind)
    raise TypeError(f"{kind!r} has no form on the wire")


def _object(kind: Value) -> Shape:
    hints, then = _DESCRIBED.get(kind, ({}, None))
    known = typing.get_type_hints(kind, include_extras=True)
    parts = tuple(_part(each, hints.get(each.name, known[each.name])) for each in fields(kind))

    def read(value: Json) -> Value:
        told = object_of(value)
        made = kind(**{part.field: _read_part(part, told) for part in parts})
        return then(made) if then is not None else made

    def write(value: Value) -> dict[str, Json]:
        written: dict[str, Json] = {}
        for part in parts:
            each = getattr(value, part.field)
            if each is None and not part.is_null_written:
                continue
            if part.is_inline:
                written |= part.shape.write(each)
            else:
                written[part.key] = part.shape.write(each)
        return written

    return Shape(read, write, lambda: _schema(parts), parts)


def _default(field: Value, notes: tuple[Any, ...]) -> Callable[[], Any] | None:
    """What makes the value of an absent field; None: it is required."""
    absent = next((each for each in notes if isinstance(each, Absent)), None)
    if absent is not None:
        return lambda: absent.value
    if REQUIRED in notes:
        return None
    if field.default_factory is not MISSING:
        made: Callable[[], Any] = field.default_factory
        return made
    return None if field.default is MISSING else lambda: field.default


def _part(field: Value, hint: Value) -> Part:
    bare, notes = _unwrapped(hint)
    default = _default(field, notes)
    members = typing.get_args(bare)
    is_nullable = types.NoneType in members
    is_duration = timedelta in members if is_nullable else bare is timedelta
    head, *rest = field.name.split("_")
    key = head + "".join(each.title() for each in rest) + ("Ms" if is_duration else "")
    is_null_written = is_nullable and (default is None or default() is not None)
    is_inline = INLINE in notes
    if LENIENT in notes and default is None:
        raise TypeError(f"{field.name}: what cannot be read has nothing to stand for it")
    return Part(
        field.name,
        key,
        _shape(hint),
        default,
        is_inline,
        LENIENT in notes,
        is_nullable,
        is_null_written and not is_inline,
    )


def _read_part(part: Part, told: Mapping[str, Json]) -> Value:
    try:
        return _read_strictly(part, told)
    except InvalidInput:
        if part.is_lenient and part.default is not None:
            return part.default()
        raise


def _read_strictly(part: Part, told: Mapping[str, Json]) -> Value:
    if part.is_inline:
        if part.is_nullable and all(told.get(each.key) is None for each in part.shape.parts):
            return None
        return part.shape.read(told)
    if part.key not in told or (told[part.key] is None and not part.is_nullable):
        if part.default is not None:
            return part.default()
        if part.key not in told and not part.is_nullable:
            raise InvalidInput("is required.", code="MissingField", target=part.key)
    return inside(part.key, part.shape, told.get(part.key))


def _schema(parts: tuple[Part, ...]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for part in parts:
        if part.is_inline:
            inner = _schema(part.shape.parts)
            properties |= inner["properties"]
            required += () if part.is_nullable else inner["required"]
        else:
            properties[part.key] = part.shape.schema()
            required += () if part.default is not None else (part.key,)
    return {"type": "object", "properties": properties, "required": required}
