"""The decorator ``fact``, which declares a kind of event once, beside its class.

A class whose declaration is missing, doubled or inconsistent, or has a field that is not
classified, fails at import; ``facts.kinds`` finds the missing ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform

from bascule.domain.facts.fields import Holds, held_by
from bascule.domain.facts.kind import (
    OF_CALLS,
    Activity,
    Category,
    Kind,
    Level,
    Outcome,
    Severity,
    Variant,
)

FactType = TypeVar("FactType", bound="Fact")


class Fact:
    """The base of every fact."""

    described: ClassVar[Kind]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # every fact is a dataclass
    __slots__ = ()


@dataclass_transform(frozen_default=True)
def fact(
    action: str = "",
    display: str = "",
    activity: Activity = Activity.OTHER,
    *,
    category: Category = Category.ENTITY,
    severity: Severity = Severity.INFORMATIONAL,
    outcome: Outcome = Outcome.OK,
    level: Level | None = None,  # None: ERROR of a failure, else INFORMATIONAL
    is_call: bool = False,
    critical_if: str = "",
    varies_by: str = "",
    variants: Mapping[str, Variant] | None = None,
    meaning: Callable[[str, str], str] | None = None,
) -> Callable[[type[FactType]], type[FactType]]:
    """Make the class a frozen dataclass and set ``described``; raise TypeError if it is wrong."""
    usual = Level.ERROR if outcome.is_failure else Level.INFORMATIONAL

    def declare(cls: type[FactType]) -> type[FactType]:
        name = cls.__name__
        if "described" in vars(cls):
            raise TypeError(f"{name} is declared twice.")
        made = dataclass(frozen=True, slots=True)(cls)
        made.described = Kind(
            name,
            action,
            display,
            activity,
            category,
            severity,
            outcome,
            level or usual,
            is_call,
            critical_if,
            varies_by,
            variants or {},
            meaning,
            {each.name: _classified(name, each) for each in fields(made)},
        )
        _check(made.described)
        return made

    return declare


def _classified(name: str, one: Field[Any]) -> Holds:
    holds = held_by(one.type)
    if holds is None:
        raise TypeError(f"{name}.{one.name} is not classified: give it a type of facts.fields.")
    return holds


def _check(kind: Kind) -> None:
    operations = list(kind.variants.values()) or [Variant(kind.action, kind.display)]
    if not all(each.action.count("/") and each.display for each in operations):
        raise TypeError(f"{kind.name} has no operation: give its action and what it is called.")
    named = {kind.critical_if, kind.varies_by, *(OF_CALLS if kind.meaning else ())} - {""}
    if not named <= kind.holds.keys() or bool(kind.varies_by) != bool(kind.variants):
        raise TypeError(f"{kind.name} is told apart by a field that it does not have.")
    if (kind.category is Category.ACCESS) != (kind.activity in (Activity.ASSIGN, Activity.REVOKE)):
        raise TypeError(f"{kind.name}: {kind.activity} does not belong to {kind.category}.")


@dataclass(frozen=True, slots=True)
class Unknown(Fact):
    """A fact that a newer program recorded, of a kind that this one does not know."""

    kind: str
    data: Mapping[str, Any]


def fact_name(fact: Fact) -> str:
    """The kind as it is recorded."""
    return fact.kind if isinstance(fact, Unknown) else type(fact).__name__


def fact_data(fact: Fact) -> dict[str, Any]:
    """Its fields, which hold plain values (``facts.fields``): nothing in them is to be copied."""
    if isinstance(fact, Unknown):
        return dict(fact.data)
    return {each.name: getattr(fact, each.name) for each in fields(fact)}
