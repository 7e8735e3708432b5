"""All kinds of facts; lookup of a fact's or record's description and fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from bascule.domain.facts import (
    agents,
    calls,
    delivery,
    enrolments,
    grants,
    groups,
    installation,
    machines,
    policies,
    providers,
    record,
    replicas,
    roles,
    service_principals,
    sessions,
    sign_in,
    users,
)
from bascule.domain.facts.fact import Fact, fact_name
from bascule.domain.facts.fields import Holds
from bascule.domain.facts.kind import Kind, unknown_kind

_SUBJECTS = (
    agents,
    calls,
    delivery,
    enrolments,
    grants,
    groups,
    installation,
    machines,
    policies,
    providers,
    record,
    replicas,
    roles,
    service_principals,
    sessions,
    sign_in,
    users,
)


def collect(subjects: Iterable[ModuleType]) -> dict[str, type[Fact]]:
    """All facts by name; raise TypeError for one that is declared twice or not at all."""
    found: dict[str, type[Fact]] = {}
    for subject in subjects:
        for name, each in vars(subject).items():
            if not (isinstance(each, type) and issubclass(each, Fact)) or each is Fact:
                continue
            if "described" not in vars(each):
                raise TypeError(f"{name} is not declared: put @fact(...) above it.")
            if found.setdefault(name, each) is not each:
                raise TypeError(f"{name} is declared in two modules.")
    return found


FACTS: Mapping[str, type[Fact]] = collect(_SUBJECTS)
SORTS: Mapping[str, Kind] = {  # by ``sort_of``
    sort: kind for each in FACTS.values() for sort, kind in each.described.sorts().items()
}


def sort_of(fact: Fact) -> str:
    """The name that activity is counted and filtered by: the kind, for some with a field's value."""
    name, kind = fact_name(fact), getattr(fact, "described", None)
    return f"{name}.{getattr(fact, kind.varies_by)}" if kind and kind.varies_by else name


def places_of(fact: Fact) -> tuple[tuple[str, ...], int]:
    """The machines at which a refusal is listed in addition to its own resource, which is a
    policy or a path; and how many machines it concerns in all.
    """
    places: tuple[str, ...] = tuple(values_of(fact, Holds.PLACES))
    return places, len(places) + sum(values_of(fact, Holds.MORE_PLACES))


def values_of(fact: Fact, *wanted: Holds) -> list[Any]:
    """The values of the fields that hold these; a tuple's values one by one."""
    kind: Kind | None = getattr(fact, "described", None)
    values = [getattr(fact, name) for name in kind.fields_of(*wanted)] if kind else []
    return [one for each in values for one in (each if isinstance(each, tuple) else (each,))]


def fields_of(name: str, *wanted: Holds) -> list[str]:
    """Names of a kind's fields that hold these; none if the kind is unknown."""
    return FACTS[name].described.fields_of(*wanted) if name in FACTS else []


def kind_of(fact: Fact) -> Kind:
    """The description of this event."""
    kind: Kind | None = getattr(fact, "described", None)
    if kind is None:
        return unknown_kind(fact_name(fact))
    return kind.for_values(lambda name: getattr(fact, name))


def kind_named(name: str, data: Mapping[str, Any]) -> Kind:
    """The description of a record's event; its data may be damaged."""
    known = FACTS.get(name)
    return known.described.for_values(data.get) if known else unknown_kind(name)
