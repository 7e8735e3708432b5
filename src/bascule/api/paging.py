"""Lists in pages: ``{"value": [...], "nextLink": URL}``, on $top and $skiptoken.

A skip token is the place after which the next page begins (keys, never an offset, so that
what is added meanwhile shifts nothing). It is opaque to callers and checked when it
comes back.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Query

from bascule.api.arm_call import path_of
from bascule.api.auth import Call
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.json_text import read_json

T = TypeVar("T")
P = TypeVar("P")

LARGEST_PAGE = 1000
USUAL_PAGE = 100
MOST_LOOKED_AT = 2000  # rows behind one page that is sifted
MOST_SEARCHED = 20_000  # events behind one page, when the store alone can tell which are meant


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page that a call asks for."""

    top: int
    skip_token: str

    @property
    def limit(self) -> int:
        """One more than the page holds, so that it shows whether there is a next one."""
        return self.top + 1

    def text_after(self) -> str:
        """Where to begin, for lists ordered by one text; empty to begin."""
        if not self.skip_token:
            return ""
        place = self._place(1)[0]
        if not isinstance(place, str):
            raise _unknown_token()
        return place

    def number_after(self) -> int:
        if not self.skip_token:
            return 0
        place = self._place(1)[0]
        if isinstance(place, bool) or not isinstance(place, int) or not 0 < place < 2**63:
            raise _unknown_token()
        return place

    def texts_after(self) -> tuple[str, str] | None:
        if not self.skip_token:
            return None
        first, second = self._place(2)
        if not isinstance(first, str) or not isinstance(second, str):
            raise _unknown_token()
        return first, second

    def number_and_text_after(self) -> tuple[int, str] | None:
        if not self.skip_token:
            return None
        number, text = self._place(2)
        is_number = isinstance(number, int) and not isinstance(number, bool)
        if not is_number or not 0 <= number < 2**63 or not isinstance(text, str):
            raise _unknown_token()
        return number, text

    def moment_after(self) -> tuple[datetime, int] | None:
        """Where to begin, for lists ordered by an instant and a number; None to begin."""
        if not self.skip_token:
            return None
        at, number = self._place(2)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
            raise _unknown_token()
        return parse_instant(str(at), "$skiptoken"), number

    def _place(self, length: int) -> list[Any]:
        try:
            padded = self.skip_token + "=" * (-len(self.skip_token) % 4)
            place = read_json(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            raise _unknown_token() from None
        if not isinstance(place, list) or len(place) != length:
            raise _unknown_token()
        return place


def _unknown_token() -> InvalidInput:
    return InvalidInput(
        "$skiptoken: is not a token that this server issued for this list.",
        code="InvalidSkipToken",
        target="$skiptoken",
        advice="Follow nextLink unchanged, or start without $skiptoken.",
    )


async def wanted_page(
    top: Annotated[int, Query(alias="$top", ge=1, le=LARGEST_PAGE)] = USUAL_PAGE,
    skip_token: Annotated[str, Query(alias="$skiptoken", max_length=1000)] = "",
) -> Wanted:
    return Wanted(top, skip_token)


WantedPage = Annotated[Wanted, Depends(wanted_page)]


def page_json(
    call: Call,
    wanted: Wanted,
    found: Sequence[T],
    write: Callable[[T], Any],
    place_of: Callable[[T], tuple[Any, ...]],
) -> dict[str, Any]:
    """The page of ``found``, which has up to ``wanted.limit`` entries."""
    shown = found[: wanted.top]
    page: dict[str, Any] = {"value": [write(each) for each in shown]}
    if len(found) > wanted.top:
        page["nextLink"] = next_link(call, place_of(shown[-1]))
    return page


@dataclass(frozen=True, slots=True)
class Sifted(Generic[T, P]):
    """A page of a list whose rows are looked at one by one."""

    shown: list[T]
    goes_on: P | None  # the last row looked at, after which the next page begins; None: the end


def sift(
    wanted: Wanted,
    after: P | None,
    read: Callable[[P | None, int], Sequence[T]],
    keeps: Callable[[T], bool] | None,
    place_of: Callable[[T], P],
) -> Sifted[T, P]:
    """Read on until a page is full of rows that are kept; None keeps all.

    A page ends after MOST_LOOKED_AT rows whatever was found, so that who may see little does
    not hold the server up; it may then be short, or empty, and goes on all the same.
    """
    shown: list[T] = []
    batch = wanted.top if keeps is None else max(wanted.top, USUAL_PAGE)
    place = after
    for _ in range(0, MOST_LOOKED_AT, batch):
        rows = read(place, batch + 1)
        for row in rows[:batch]:
            place = place_of(row)
            if keeps is None or keeps(row):
                shown.append(row)
            if len(shown) == wanted.top:
                return Sifted(shown, place if row is not rows[-1] else None)
        if len(rows) <= batch:
            return Sifted(shown, None)
    return Sifted(shown, place)


def sifted_json(
    call: Call,
    sifted: Sifted[Any, P],
    value: Sequence[Any],
    place_json: Callable[[P], tuple[Any, ...]],
) -> dict[str, Any]:
    """The page as ``page_json`` writes it; ``value`` is what is shown, as JSON."""
    page: dict[str, Any] = {"value": list(value)}
    if sifted.goes_on is not None:
        page["nextLink"] = next_link(call, place_json(sifted.goes_on))
    return page


def next_link(call: Call, place: tuple[Any, ...]) -> str:
    """The same call, for what comes after ``place``."""
    compact = json.dumps(place, separators=(",", ":")).encode()
    token = base64.urlsafe_b64encode(compact).decode().rstrip("=")
    request = call.request
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "$skiptoken"]
    return (
        f"{call.base_url}{quote(path_of(request))}?"
        f"{urlencode([*query, ('$skiptoken', token)], quote_via=quote, safe='$')}"
    )
