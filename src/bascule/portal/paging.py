"""A list page by page, there and back: what all lists share.

A page is told by the place of the row before it or after it, never by a number: rows that come
and go meanwhile are neither left out nor shown twice. Going back reads the order the other way
round. What is not here: which rows, and in which order (``interfaces.listing``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from bascule.domain.times import format_utc
from bascule.interfaces.listing import ListOrder, Place
from bascule.interfaces.openings import OpenPlace
from bascule.json_text import read_json

SIZES = (25, 50, 100, 200)  # rows of a page
R = TypeVar("R")
P = TypeVar("P", bound=Place | OpenPlace)
# Of rows: the other way round, those after a place, so many.
Fetch = Callable[[bool, P | None, int], Sequence[R]]


@dataclass(frozen=True, slots=True)
class Turn(Generic[P]):
    """Which page is meant: the one after a place, the one before it, or the first."""

    after: P | None = None
    before: P | None = None
    size: int = 0  # of a page; 0: the list's own

    @property
    def first(self) -> Turn[P]:
        """The first page, of as many rows."""
        return Turn(size=self.size)

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


def read_turn(said: Mapping[str, str], order: ListOrder = ListOrder.NAME) -> Turn[Place]:
    """As ``turn_of``, of a list in this order."""
    return turn_of(said, lambda written: _place(written, order))


def turn_of(said: Mapping[str, str], read: Callable[[Sequence[object]], P | None]) -> Turn[P]:
    """What an address says; ``read`` makes a place of its fields. What cannot be read counts as
    not said.
    """
    size = said.get("size", "")
    return Turn(
        read(_untoken(said.get("after", ""))),
        read(_untoken(said.get("before", ""))),
        next((each for each in SIZES if str(each) == size), 0),
    )


def turn_to(
    fetch: Fetch[P, R],
    place_of: Callable[[R], P],
    turn: Turn[P],
    total: int,
    own_size: int,
    address: Callable[[Turn[P]], str],
) -> Sheet[R]:
    """The rows of a page; ``address`` says where another turn of this list is."""
    size = turn.size or own_size
    rows: Sequence[R] = ()
    before = after = False  # are there rows before these, and after?
    if turn.before is not None:
        found = fetch(True, turn.before, size + 1)
        # Of fewer the first page is shown, which is to be a whole one.
        if len(found) > size:
            rows, before, after = list(found[:size])[::-1], True, True
    if not rows:
        start = turn.after if turn.before is None else None
        found = fetch(False, start, size + 1)
        rows, before, after = found[:size], start is not None, len(found) > size
    return Sheet(
        rows,
        total,
        size,
        address(turn.first) if before else "",
        address(Turn(before=place_of(rows[0]), size=turn.size)) if before and rows else "",
        address(Turn(after=place_of(rows[-1]), size=turn.size)) if after else "",
        [(each, address(Turn(size=each))) for each in SIZES],
    )


def address_of(path: str, said: Mapping[str, str]) -> str:
    query = urlencode({name: value for name, value in said.items() if value})
    return f"{path}?{query}" if query else path


def _token(place: Place | OpenPlace) -> str:
    compact = json.dumps(astuple(place), default=format_utc, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(compact).decode().rstrip("=")


def _untoken(token: str) -> Sequence[object]:
    """The fields of a place; none of what cannot be read."""
    try:
        padded = token + "=" * (-len(token) % 4)
        said = read_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return ()
    return said if isinstance(said, list) else ()


def _place(written: Sequence[object], order: ListOrder) -> Place | None:
    if len(written) != 2:
        return None
    value, key = written
    if not isinstance(key, str):
        return None
    if not order.is_number:
        return Place(value, key) if isinstance(value, str) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        return None
    return Place(value, key)
