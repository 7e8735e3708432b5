"""``$filter``: comparisons and functions joined by ``and``, as lists offer it.

Source: OData 4.01, URL conventions 5.1.1; atScope(), atScopeAndBelow() and assignedTo() are
Azure RBAC's own.

Values may be quoted or bare: clients of Azure send instants both ways (CLIENTS 1.4).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from bascule.errors import InvalidInput

STARTS_WITH = "startswith"
CONTAINS = "contains"
HOLDS = "()"  # the operator of a function without a value, as in atScope()
HOLDS_FOR = "('...')"  # of one with a value, as in assignedTo('...')

_QUOTED = r"'((?:[^']|'')*)'"
_CLAUSE = re.compile(
    rf"\s*(?:([A-Za-z]+)\s+(eq|ge|gt|le|lt)\s+(?:{_QUOTED}|([^\s']+))"
    rf"|(startswith|contains)\(\s*([A-Za-z]+)\s*,\s*{_QUOTED}\s*\)"
    rf"|([A-Za-z]+)\(\s*(?:{_QUOTED})?\s*\))(?:\s+and(?=\s)|\s*$)",
    re.IGNORECASE,
)
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Clause:
    field: str  # spelt as the list offers it; a function's name
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
        field, operator, value = _parts(match)
        if (field, operator) not in spelling:
            raise _unreadable(text, offered)
        clauses.append(Clause(spelling[field, operator], operator, value))
        position = match.end()
    return clauses


def _parts(match: re.Match[str]) -> tuple[str, str, str]:
    """Field (folded), operator and value of one clause."""
    if match[8] is not None:
        operator = HOLDS if match[9] is None else HOLDS_FOR
        return match[8].casefold(), operator, _unquoted(match[9] or "")
    if match[5] is not None:
        return match[6].casefold(), match[5].lower(), _unquoted(match[7])
    value = match[4] if match[3] is None else _unquoted(match[3])
    return match[1].casefold(), match[2].lower(), value


def _unquoted(text: str) -> str:
    return text.replace("''", "'")


def _form(field: str, operator: str) -> str:
    if operator in (HOLDS, HOLDS_FOR):
        return f"{field}{operator}"
    is_function = operator in (STARTS_WITH, CONTAINS)
    return f"{operator}({field},'...')" if is_function else f"{field} {operator} '...'"


def _unreadable(text: str, offered: Collection[tuple[str, str]]) -> InvalidInput:
    forms = ", ".join(_form(field, operator) for field, operator in offered)
    return InvalidInput(
        f"$filter: {text[:200]!r} cannot be parsed. It may contain, joined by and: {forms}.",
        code="InvalidFilter",
        target="$filter",
    )
