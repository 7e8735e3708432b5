"""The kinds of enforcement points that the server knows, and how several stand before one machine.

The server's registry: how long it waits for a point is a matter of the point's kind, never of what
an agent reports (EDGES G4). What is not here: drivers, of which a host's commands choose one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypeVar


class PointKind(StrEnum):
    HOST = "host"  # the machine's own agent
    GATEWAY = "gateway"


# How long a point has to report a grant in force, from the decision. Then it is given up.
PATIENCE = {
    PointKind.HOST: timedelta(seconds=60),
    PointKind.GATEWAY: timedelta(seconds=60),
}
LONGEST_PATIENCE = max(PATIENCE.values())


class Standing(Protocol):
    """One of the points that guard a machine."""

    @property
    def is_own(self) -> bool:
        """Is it the machine's own agent?"""
        ...

    @property
    def is_parallel(self) -> bool:
        """Is it an alternative to the others that are bound so?"""
        ...


S = TypeVar("S", bound=Standing)


def patience_of(point: Standing) -> timedelta:
    return PATIENCE[PointKind.HOST if point.is_own else PointKind.GATEWAY]


def stages(points: Sequence[S]) -> list[list[S]]:
    """What a packet has to pass, one after the other; of each, one point is enough.

    The machine's own agent and each gateway in series are stages of their own. All gateways in
    parallel are one.
    """
    beside = [each for each in points if each.is_parallel and not each.is_own]
    alone = [[each] for each in points if each.is_own or not each.is_parallel]
    return [*alone, beside] if beside else alone


def first_patience(points: Sequence[Standing]) -> timedelta:
    """When the first of them is given up. Nothing guards the machine: as ``patience_with``."""
    return min(map(patience_of, points), default=PATIENCE[PointKind.HOST])


def patience_with(points: Sequence[Standing]) -> timedelta:
    """How long a request waits at most: until the first stage has no point left to wait for.
    Nothing guards the machine: as long as for a host's agent, which may come.
    """
    longest = [max(map(patience_of, stage)) for stage in stages(points)]
    return min(longest, default=PATIENCE[PointKind.HOST])
