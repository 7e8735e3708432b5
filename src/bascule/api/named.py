"""Lists of named things: ``name eq '...'`` and ``startswith(name,'...')``, in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Response

from bascule.api.auth import Call
from bascule.api.envelope import CompactJson
from bascule.api.filters import parse_filter
from bascule.api.paging import Wanted, page_json
from bascule.interfaces.store import Reader

T = TypeVar("T")
_CHUNK = 500  # rows looked at in one go

NAME_FILTERS = (("name", "eq"), ("name", "startswith"))


@dataclass(frozen=True, slots=True)
class WantedName:
    """All of it must hold; names are compared without regard to case."""

    exact: tuple[str, ...] = ()  # folded
    prefixes: tuple[str, ...] = ()

    def fits(self, name: str) -> bool:
        folded = name.casefold()
        return all(folded == each for each in self.exact) and all(
            folded.startswith(each) for each in self.prefixes
        )


def wanted_name(text: str, offered: Sequence[tuple[str, str]] = NAME_FILTERS) -> WantedName:
    """What a ``$filter`` of these fields asks for; each of them is a name."""
    clauses = parse_filter(text, offered)
    return WantedName(
        tuple(each.value.casefold() for each in clauses if each.operator == "eq"),
        tuple(each.value.casefold() for each in clauses if each.operator != "eq"),
    )


async def named_page(
    call: Call,
    wanted: Wanted,
    name: WantedName,
    fetch: Callable[[Reader, str, int], Sequence[T]],
    name_of: Callable[[T], str],
    key_of: Callable[[T], str],
    write: Callable[[Reader, T], dict[str, Any]],
) -> Response:
    """One page of those that fit, ordered by ``key_of``; ``fetch`` reads rows after a key."""
    after = wanted.text_after()

    def read(reader: Reader) -> list[tuple[str, dict[str, Any]]]:
        found = _matching(
            lambda key, limit: fetch(reader, key, limit), name_of, key_of, name, after, wanted.limit
        )
        return [(key_of(each), write(reader, each)) for each in found]

    found = await call.read(read)
    return CompactJson(
        page_json(call, wanted, found, lambda each: each[1], lambda each: (each[0],))
    )


def _matching(
    fetch: Callable[[str, int], Sequence[T]],
    name_of: Callable[[T], str],
    key_of: Callable[[T], str],
    name: WantedName,
    after: str,
    limit: int,
) -> list[T]:
    """Up to ``limit`` that fit, after the key ``after``; ``fetch`` reads (after, limit) rows."""
    found: list[T] = []
    while len(found) < limit:
        rows = fetch(after, _CHUNK)
        found.extend(each for each in rows if name.fits(name_of(each)))
        if len(rows) < _CHUNK:
            break
        after = key_of(rows[-1])
    return found[:limit]
