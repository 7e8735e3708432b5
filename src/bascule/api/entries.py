"""What each route asks of its caller, declared beside its endpoint (EDGES A13, B1).

A route declares the action that it needs and where that is checked, or whom it admits without
one. What is not here: the check itself (``auth``, and the portal's guard).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from bascule.domain.access import CALLERS, PrincipalKind
from bascule.domain.actions import DISPLAY

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Where(Enum):
    """Where a route's actions are checked."""

    NOWHERE = "nowhere"  # it needs none
    PATH = "path"  # here, at the scope that the path names, before the body is read
    BELOW = "below"  # here: whoever holds anything at all, anywhere, may
    ROWS = "rows"  # by the endpoint: it shows the rows at which the caller holds them
    INSIDE = "inside"  # by the use case, in its transaction, at what the body or rows name


@dataclass(frozen=True, slots=True)
class Entry:
    """What a route asks of its caller."""

    kinds: frozenset[PrincipalKind]  # empty: no token is asked for
    actions: tuple[str, ...] = ()
    where: Where = Where.NOWHERE


OPEN = Entry(frozenset())
_ENTRIES: dict[Callable[..., Any], Entry] = {}


def requires(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the action that a caller needs at the scope of the path."""
    return _declare(Entry(CALLERS, (_known(action),), Where.PATH))


def shows(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare that the endpoint shows what the caller holds this action for, and no more."""
    return _declare(Entry(CALLERS, (_known(action),), Where.ROWS))


def tells_holders(action: str) -> Callable[[Endpoint], Endpoint]:
    """Declare an action that every role implies, as Azure shows a subscription to whoever
    holds a role on something in it.
    """
    return _declare(Entry(CALLERS, (_known(action),), Where.BELOW))


def decides(*actions: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the actions that the use case checks in its own transaction."""
    return _declare(Entry(CALLERS, tuple(map(_known, actions)), Where.INSIDE))


def admits_callers(endpoint: Endpoint) -> Endpoint:
    """Declare that every user and service principal may call: it says only what is theirs."""
    return _declare(Entry(CALLERS))(endpoint)


def admits_agents(endpoint: Endpoint) -> Endpoint:
    """Declare that agents may call, each for its own machine, and nobody else."""
    return _declare(Entry(frozenset({PrincipalKind.AGENT})))(endpoint)


def admits_anybody(endpoint: Endpoint) -> Endpoint:
    """Declare that a route needs no token."""
    return _declare(OPEN)(endpoint)


def _declare(entry: Entry) -> Callable[[Endpoint], Endpoint]:
    def declare(endpoint: Endpoint) -> Endpoint:
        _ENTRIES[endpoint] = entry
        return endpoint

    return declare


def _known(action: str) -> str:
    if action not in DISPLAY:
        raise LookupError(f"{action} is not in domain.actions")
    return action


def entry_of(endpoint: Callable[..., Any]) -> Entry:
    """What a route declares; raise LookupError when it declares nothing."""
    return _ENTRIES[endpoint]
