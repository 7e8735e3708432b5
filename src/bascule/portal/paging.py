"""A list page by page, there and back: what the lists of machines share.

A page is told by the place of the row before it or after it, never by a number: rows that come
and go meanwhile are neither left out nor shown twice. Going back reads the order the other way
round. What is not here: which rows, and in which order (``interfaces.listing``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from urllib.parse import urlencode

from bascule.interfaces.listing import ListFilter, ListOrder, Place
from bascule.json_text import read_json

SIZES = (25, 50, 100, 200)  # rows of a page
NUMBERS = (ListOrder.LAST_ACCESS, ListOrder.REQUESTS)  # orders by a number
R = TypeVar("R")
Fetch = Callable[[ListFilter, Place | None, int], Sequence[R]]


@dataclass(frozen=True, slots=True)
class Turn:
    """Which page is meant: the one after a place, the one before it, or the first."""

    after: Place | None = None
    before: Place | None = None
    size: int = 0  # of a page; 0: the list's own

    @property
    def said(self) -> Mapping[str, str]:
        """As an address says it; what is blank is left out there."""
        return {
            "after": _token(self.after) if self.after else "",
            "before": _token(self.before) if self.before else "",
            "size": str(self.size) if self.size else "",
        }


@dataclass(frozen=True, slots=True)
class Sheet(Generic[R]):
    """One page of a list, and the addresses of its neighbours; empty: there is none."""

    rows: Sequence[R]
    total: int  # on all pages
    size: int
    first: str = ""
    previous: str = ""
    following: str = ""
    sizes: Sequence[tuple[int, str]] = ()  # with the address that shows so many


def read_turn(said: Mapping[str, str], order: ListOrder = ListOrder.NAME) -> Turn:
    """What cannot be read counts as not said."""
    size = said.get("size", "")
    return Turn(
        _place(said.get("after", ""), order),
        _place(said.get("before", ""), order),
        next((each for each in SIZES if str(each) == size), 0),
    )


def turn_to(
    fetch: Fetch[R],
    place_of: Callable[[R], Place],
    wanted: ListFilter,
    turn: Turn,
    total: int,
    own_size: int,
    address: Callable[[Turn], str],
) -> Sheet[R]:
    """The rows of a page; ``address`` says where another turn of this list is."""
    size = turn.size or own_size
    rows: Sequence[R] = ()
    before = after = False  # are there rows before these, and after?
    if turn.before is not None:
        turned = replace(wanted, is_descending=not wanted.is_descending)
        found = fetch(turned, turn.before, size + 1)
        # Of fewer the first page is shown, which is to be a whole one.
        if len(found) > size:
            rows, before, after = list(found[:size])[::-1], True, True
    if not rows:
        start = turn.after if turn.before is None else None
        found = fetch(wanted, start, size + 1)
        rows, before, after = found[:size], start is not None, len(found) > size
    return Sheet(
        rows,
        total,
        size,
        address(Turn(size=turn.size)) if before else "",
        address(Turn(before=place_of(rows[0]), size=turn.size)) if before and rows else "",
        address(Turn(after=place_of(rows[-1]), size=turn.size)) if after else "",
        [(each, address(Turn(size=each))) for each in SIZES],
    )


def address_of(path: str, said: Mapping[str, str]) -> str:
    query = urlencode({name: value for name, value in said.items() if value})
    return f"{path}?{query}" if query else path


def _token(place: Place) -> str:
    compact = json.dumps([place.value, place.key], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(compact).decode().rstrip("=")


def _place(token: str, order: ListOrder) -> Place | None:
    try:
        padded = token + "=" * (-len(token) % 4)
        said = read_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(said, list) or len(said) != 2:
        return None
    value, key = said
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    fits = is_number if order in NUMBERS else isinstance(value, str)
    return Place(value, key) if fits and isinstance(key, str) else None
