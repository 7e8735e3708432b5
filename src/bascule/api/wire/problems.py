"""What pydantic found wrong, as Problems that a person understands.

One Problem a finding, its target the JSON path of the field (``properties.
virtualMachines[0].ports[0].number``), at most MOST_PROBLEMS of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from bascule.api.wire.fields import shown
from bascule.errors import InvalidInput, Problem

MOST_PROBLEMS = 100
GENERAL = "InvalidRequestContent"

_WORDS: Mapping[str, str] = {
    "missing": "is required",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_type": "must be a text",
    "none_required": "must be null",
}


def path_of(location: Sequence[str | int]) -> str:
    """``("properties", "ports", 0)`` as ``properties.ports[0]``."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def problems_of(findings: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Problems for pydantic's error dictionaries; the part of the call (body, query) is cut."""
    return [_problem(finding) for finding in islice(findings, MOST_PROBLEMS)]


def _problem(finding: Mapping[str, Any]) -> Problem:
    part, *rest = finding["loc"]
    kind = finding["type"]
    if kind == "json_invalid":
        return Problem(
            GENERAL,
            f"The body is not JSON: {finding['ctx']['error']}, at character {rest[0] if rest else 0}.",
        )
    target = path_of(rest)
    named = target or f"The {part}"
    if kind == "missing":
        return Problem("MissingField", f"{named}: is required.", target)
    if kind in _WORDS:
        return Problem(GENERAL, f"{named}: {_WORDS[kind]}, not {_input_of(finding)}.", target)
    message = finding["msg"]
    is_ours = kind[:1].isupper()
    return Problem(kind if is_ours else GENERAL, f"{named}: {message}", target)


def _input_of(finding: Mapping[str, Any]) -> str:
    value = finding.get("input")
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return "what was sent"
    return shown(value)


def reject(problems: Sequence[Problem]) -> None:
    """Raise InvalidInput with all of them, when there are any."""
    if problems:
        raise InvalidInput.of(problems[:MOST_PROBLEMS])
