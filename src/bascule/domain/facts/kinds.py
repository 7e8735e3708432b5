"""All kinds of facts, and what is told of a fact by its kind."""

from __future__ import annotations

from collections.abc import Mapping

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
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, fact_name
from bascule.domain.facts.grants import AccessDenied, GrantEnded

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
FACTS: Mapping[str, type[Fact]] = {
    name: kind
    for subject in _SUBJECTS
    for name, kind in vars(subject).items()
    if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
}


def sort_of(fact: Fact) -> str:
    """Its name, an end's with the reason: what activity is told apart and counted by."""
    name = fact_name(fact)
    return f"{name}.{fact.reason}" if isinstance(fact, GrantEnded) else name


def places_of(fact: Fact) -> tuple[tuple[str, ...], int]:
    """The machines at which a refusal is found beside its own resource, and how many it
    concerns in all: it is about a policy, or a call, and its machines are what is looked at.
    """
    if isinstance(fact, (AccessDenied, CallerDenied)):
        return fact.machines, len(fact.machines) + fact.more_machines
    return (), 0
