"""``$filter``: comparisons joined by ``and``, the part of OData 4.01 (5.1.1) that lists offer.

Values may be quoted or bare: clients of Azure send instants both ways (CLIENTS 1.4).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bascule.errors import InvalidInput

_CLAUSE = re.compile(
    r"\s*([A-Za-z]+)\s+(eq|ge|gt|le|lt)\s+(?:'((?:[^']|'')*)'|([^\s']+))(?:\s+and(?=\s)|\s*$)",
    re.IGNORECASE,
)
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Clause:
    field: str  # spelt as the list offers it
    operator: str
    value: str


def parse_filter(text: str, offered: Collection[tuple[str, str]]) -> list[Clause]:
    """The clauses of a filter; ``offered`` are the (field, operator) pairs that may occur."""
    spelling = {(field.casefold(), operator): field for field, operator in offered}
    clauses: list[Clause] = []
    position = 0
    while position < len(text):
        match = _CLAUSE.match(text, position)
        if match is None or len(text) > LONGEST:
            raise _unreadable(text, offered)
        field, operator = match[1].casefold(), match[2].lower()
        if (field, operator) not in spelling:
            raise _unreadable(text, offered)
        value = match[4] if match[3] is None else match[3].replace("''", "'")
        clauses.append(Clause(spelling[field, operator], operator, value))
        position = match.end()
    return clauses


def _unreadable(text: str, offered: Collection[tuple[str, str]]) -> InvalidInput:
    forms = ", ".join(f"{field} {operator} '...'" for field, operator in offered)
    return InvalidInput(
        f"$filter: {text[:200]!r} cannot be read. It may hold, joined by and: {forms}.",
        code="InvalidFilter",
        target="$filter",
    )
