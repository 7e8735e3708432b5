"""The record itself."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class RecordPruned(Fact):
    """Old events were deleted by retention; a signed checkpoint stands for them."""

    before: str  # the date that was asked for
    through: int  # position of the last one deleted
    checkpoint_hash: str
    events: int  # how many were deleted
    is_on_host: bool = False  # by bascule admin, for which the floor does not hold


@dataclass(frozen=True, slots=True)
class RecordBroken(Fact):
    """The server's own look at the chain found it broken."""

    position: int
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class RecordDisputed(Fact):
    """An enforcement point has seen another chain than this server tells of (EDGES B9)."""

    machine: str
    what: str
