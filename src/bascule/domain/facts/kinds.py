"""All kinds of facts, and what is told of a fact, or of a record, by its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from bascule.domain.facts import (
    agents,
    calls,
    delivery,
    grants,
    groups,
    installation,
    machines,
    policies,
    providers,
    record,
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
    grants,
    groups,
    installation,
    machines,
    policies,
    providers,
    record,
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
    """What activity is told apart and counted by: the kind, of some with a field's value."""
    name, kind = fact_name(fact), getattr(fact, "described", None)
    return f"{name}.{getattr(fact, kind.varies_by)}" if kind and kind.varies_by else name


def places_of(fact: Fact) -> tuple[tuple[str, ...], int]:
    """The machines at which a refusal is found beside its own resource, and how many it
    concerns in all: it is about a policy, or a call, and its machines are what is looked at.
    """
    places: tuple[str, ...] = tuple(held(fact, Holds.PLACES))
    return places, len(places) + sum(held(fact, Holds.MORE_PLACES))


def held(fact: Fact, *wanted: Holds) -> list[Any]:
    """The values of those fields, several of one field one by one."""
    kind: Kind | None = getattr(fact, "described", None)
    values = [getattr(fact, name) for name in kind.fields_of(*wanted)] if kind else []
    return [one for each in values for one in (each if isinstance(each, tuple) else (each,))]


def fields_of(name: str, *wanted: Holds) -> list[str]:
    """Names of a kind's fields that hold such; none of a kind that is unknown here."""
    return FACTS[name].described.fields_of(*wanted) if name in FACTS else []


def told_of(fact: Fact) -> Kind:
    """What is told of this event."""
    kind: Kind | None = getattr(fact, "described", None)
    if kind is None:
        return unknown_kind(fact_name(fact))
    return kind.for_values(lambda name: getattr(fact, name))


def told(name: str, data: Mapping[str, Any]) -> Kind:
    """The same of a record, whose data may be damaged."""
    known = FACTS.get(name)
    return known.described.for_values(data.get) if known else unknown_kind(name)
