"""How lists, sets, maps and values that may be null stand in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import InvalidInput
from bascule.protocol.shape import (
    MOST_ITEMS,
    SKIP,
    Crop,
    Json,
    Most,
    Shape,
    Value,
    further_out,
    inside,
    shown,
    whole,
)


def optional(inner: Shape) -> Shape:
    return Shape(
        lambda value: None if value is None else inner.read(value),
        lambda value: None if value is None else inner.write(value),
        lambda: {"anyOf": [inner.schema(), {"type": "null"}]},
        inner.parts,
    )


def _list_of(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise InvalidInput(f"must be a list, not {shown(value)}.")
    return value


def _limited(count: int, notes: tuple[Any, ...]) -> int:
    """How many of ``count`` items are read; raises InvalidInput when they are too many."""
    bound = next((each for each in notes if isinstance(each, Most | Crop)), None)
    most = whole(bound.most) if bound else MOST_ITEMS
    if count > most and not isinstance(bound, Crop):
        raise InvalidInput(f"has {count} items; at most {most} are allowed.")
    return min(count, most)


def _items(values: list[Json], item: Shape, notes: tuple[Any, ...]) -> list[Any]:
    read = []
    is_skipping = SKIP in notes
    for place, value in enumerate(values[: _limited(len(values), notes)]):
        try:
            read.append(item.read(value))
        except InvalidInput as error:
            if not is_skipping:
                raise further_out(f"[{place}]", error) from None
    return read


def collection(origin: Value, item: Shape, notes: tuple[Any, ...]) -> Shape:
    is_set = origin is frozenset

    def write(values: Value) -> list[Json]:
        written = [item.write(each) for each in values]
        return sorted(written, key=_order) if is_set else written

    def schema() -> dict[str, Any]:
        return {"type": "array", "items": item.schema(), **_most(notes, "maxItems")}

    return Shape(lambda value: origin(_items(_list_of(value), item, notes)), write, schema)


def _order(written: Json) -> Value:
    return tuple(written.values()) if isinstance(written, dict) else written


def _most(notes: tuple[Any, ...], word: str) -> dict[str, int]:
    bound = next((each for each in notes if isinstance(each, Most)), None)
    return {word: whole(bound.most)} if bound else {}


def pair(items: tuple[Shape, ...]) -> Shape:
    def read(value: Json) -> tuple[Any, ...]:
        values = _list_of(value)
        if len(values) > len(items):
            raise InvalidInput(f"has {len(values)} items; at most {len(items)} are allowed.")
        if len(values) < len(items):
            raise further_out(f"[{len(values)}]", InvalidInput("is required.", code="MissingField"))
        return tuple(
            inside(f"[{place}]", item, each)
            for place, (item, each) in enumerate(zip(items, values, strict=True))
        )

    def schema() -> dict[str, Any]:
        prefix = [each.schema() for each in items]
        return {"type": "array", "prefixItems": prefix, "minItems": len(items), "items": False}

    return Shape(
        read,
        lambda values: [item.write(each) for item, each in zip(items, values, strict=True)],
        schema,
    )


def object_of(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {shown(value)}.")
    return value


def mapping(key: Shape, item: Shape, notes: tuple[Any, ...]) -> Shape:
    is_skipping = SKIP in notes

    def read(value: Json) -> dict[str, Any]:
        told = list(object_of(value).items())
        found = {}
        for name, each in told[: _limited(len(told), notes)]:
            try:
                found[key.read(name)] = item.read(each)
            except InvalidInput as error:
                if not is_skipping:
                    raise further_out(str(name)[:64], error) from None
        return found

    def write(values: Value) -> dict[str, Json]:
        written = {str(key.write(name)): item.write(each) for name, each in values.items()}
        return dict(sorted(written.items()))

    def schema() -> dict[str, Any]:
        limits = _most(notes, "maxProperties")
        return {"type": "object", "additionalProperties": item.schema(), **limits}

    return Shape(read, write, schema)


def entries(key: Shape, item: Shape, name: str) -> Shape:
    def one(value: Json) -> tuple[Any, Any]:
        return key.read(value), inside(name, item, object_of(value).get(name))

    def read(value: Json) -> dict[Any, Any]:
        values = _list_of(value)
        _limited(len(values), ())
        return dict(
            inside(f"[{place}]", Shape(one, str, dict), each) for place, each in enumerate(values)
        )

    def schema() -> dict[str, Any]:
        inner = key.schema()
        inner["properties"] = {**inner["properties"], name: item.schema()}
        inner["required"] = [*inner["required"], name]
        return {"type": "array", "items": inner}

    return Shape(
        read,
        lambda values: [
            {**key.write(each), name: item.write(values[each])} for each in sorted(values)
        ],
        schema,
    )
