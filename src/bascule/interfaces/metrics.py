"""Counts of the whole installation at one moment, for its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.lifecycle import GrantState


@dataclass(frozen=True, slots=True)
class Behind:
    """Of states that points were to have taken: a machine and one of its points each."""

    states: int = 0  # that are not taken yet, or not reported
    generations: int = 0  # of the one that is behind by most


class MetricReads(Protocol):
    def count_all_machines(self) -> int: ...

    def count_guarded(self) -> Mapping[bool, int]:
        """Machines with an agent or a gateway, by whether one of them is silent, was never heard or
        can enforce nothing.
        """
        ...

    def count_unsettled(self) -> Mapping[GrantState, int]:
        """Those that are not settled, by their state; a state that none is in is left out."""
        ...

    def count_behind(self) -> Behind: ...
