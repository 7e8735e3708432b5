"""Which rows lie within the scopes that a caller holds: conditions that lead to an index.

A resource's own scope is looked up by its key. A wider one (subscription, resource group,
a location in one) is a range: every key below it begins with it and a slash, and "0" is
the letter after the slash.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, or_, true

from bascule.domain.ids import LOCATIONS
from bascule.domain.roles import Reach
from bascule.store.rows import slices

_OF_RESOURCE = 9  # parts of a key between slashes, at least


def clauses_within(reach: Reach, column: Column[Any]) -> Iterator[ColumnElement[bool]]:
    """Conditions on a column of resource keys, that together cover the reach.

    They are several, to be asked one after the other: joined by OR they would have the
    database read the table from end to end.
    """
    wide = sorted(key for key in reach.keys if _is_wide(key))
    for key in wide:
        yield _below(key, column)
    for some in slices(sorted(reach.keys.difference(wide))):
        yield column.in_(some)


def _is_wide(key: str) -> bool:
    """May a machine or a policy lie below it?"""
    parts = key.split("/")
    return len(parts) < _OF_RESOURCE or parts[-2] == LOCATIONS


def _below(key: str, column: Column[Any]) -> ColumnElement[bool]:
    if not key:
        return true()
    return or_(column == key, and_(column > f"{key}/", column < f"{key}0"))
