"""The base of every fact."""

from __future__ import annotations

from typing import ClassVar

MOST_PLACES = 20  # machines at which one event is found


class Fact:
    """Marker of every audit fact; ``name`` is what the record calls it."""

    name: ClassVar[str] = "Fact"
    __slots__ = ()


def fact_name(fact: Fact) -> str:
    return type(fact).__name__
