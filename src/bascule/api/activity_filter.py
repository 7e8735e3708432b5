"""Filters of Bascule.Audit's activity: by place, person, operation, outcome and time.

Operations and outcomes are asked for as the activity log calls them; the record knows
sorts of events, and ``domain.facts.kinds.SORTS`` joins the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bascule.api.filters import Clause
from bascule.domain.facts.kind import Outcome
from bascule.domain.facts.kinds import SORTS
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.sentences import sentence
from bascule.services.activity import WrittenFilter

OFFERED = (
    ("machine", "eq"),
    ("resourceId", "eq"),
    ("caller", "eq"),
    ("operation", "eq"),
    ("status", "eq"),
    ("at", "ge"),
    ("at", "lt"),
)
STATUSES = tuple(dict.fromkeys(each.status for each in Outcome))


def displays() -> list[str]:
    """What operations are called, each once, in the order of the alphabet."""
    return sorted({each.display for each in SORTS.values()}, key=str.casefold)


def sorts_for(operation: str = "", status: str = "") -> tuple[str, ...] | None:
    """The sorts of events that are called so and end so; None: any.

    Raises InvalidInput, which names what there is, for a word that is none of ours: it
    would be answered with nothing, as if nothing had happened.
    """
    if not operation and not status:
        return None
    _check("operation", operation, displays())
    _check("status", status, STATUSES)
    return tuple(
        sort
        for sort, each in SORTS.items()
        if (not operation or each.display.casefold() == operation.casefold())
        and (not status or each.outcome.status.casefold() == status.casefold())
    )


def _check(name: str, given: str, known: Sequence[str]) -> None:
    if given and given.casefold() not in {each.casefold() for each in known}:
        raise InvalidInput(
            sentence("{name}: there is no {given}.", name=name, given=repr(given[:80])),
            code="InvalidFilter",
            target=name,
            advice=sentence("Possible values: {known}.", known=", ".join(known)),
        )


def read_asked(clauses: Sequence[Clause]) -> WrittenFilter:
    asked, words = WrittenFilter(), {"operation": "", "status": ""}
    for clause in clauses:
        if clause.field in words:
            words[clause.field] = clause.value
        elif clause.field == "at":
            instant = parse_instant(clause.value, "$filter")
            is_begin = clause.operator == "ge"
            asked = replace(asked, since=instant) if is_begin else replace(asked, until=instant)
        elif clause.field == "caller":
            asked = replace(asked, person=clause.value)
        else:
            asked = replace(asked, resource=clause.value)
    return replace(asked, sorts=sorts_for(**words))
