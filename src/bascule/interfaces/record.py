"""The record: events in the order of writing, and the chain over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bascule.domain.chain import ChainHead, Checkpoint, Link
from bascule.domain.event import Event
from bascule.interfaces.recovery import Recovery


@dataclass(frozen=True, slots=True)
class EventFilter:
    resource_id: str = ""  # key form; matches the id itself and what lies below it
    kinds: tuple[str, ...] = ()
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    principal_id: str = ""
    # No index finds these two: ask for them by ``events_page``, which bounds what is read.
    caller: str = ""  # a principal's id or name, without regard to case
    correlation_id: str = ""  # without regard to case
    is_exact: bool = False  # the resource's own events alone, not what lies below or refers to it


class EventReads(Protocol):
    def events(
        self, wanted: EventFilter, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[tuple[int, Event]]:
        """(sequence, event); ``after`` is the last sequence of the page before, 0 to begin.

        A row that is no event any more, because somebody damaged it, is left out.
        """
        ...

    def events_page(
        self, wanted: EventFilter, after: int, limit: int, most: int
    ) -> tuple[Sequence[tuple[int, Event]], int]:
        """``events``, newest first, and the sequence after which to look on; 0: nowhere.

        By caller or correlation only ``most`` events are looked through: those that the rest
        of what is wanted leaves, when they are so few, and else the next of all. So there may
        be fewer than ``limit``, or none, and more further on; never before ``since``.
        """
        ...


class EventWrites(EventReads, Protocol):
    def record(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events that are committed and not in the chain yet."""

    events: int = 0
    oldest: datetime | None = None  # when the first of them was recorded


class ChainReads(Protocol):
    def chain_head(self) -> ChainHead:
        """The last sealed event's place; position 0 when nothing was ever sealed."""
        ...

    def chain_begin(self) -> ChainHead:
        """The place before the oldest sealed event that is kept: a checkpoint's, after
        retention; with an empty hash when that checkpoint is missing.
        """
        ...

    def record_ends(self) -> tuple[ChainHead, ChainHead, Recovery]:
        """``chain_head``, ``chain_begin`` and what is told of restores, read at once."""
        ...

    def chain(self, after: int = 0, limit: int = 1000) -> Sequence[Link]:
        """Sealed events after that position, in the order of the chain; with an empty record
        where somebody damaged one so that it cannot be read.
        """
        ...

    def seal_at(self, position: int) -> str | None:
        """The hash at that position; None when it is not there (any more)."""
        ...

    def seals_of(self, sequences: Sequence[int]) -> Mapping[int, ChainHead]:
        """Where events are in the chain, by sequence; those not sealed yet are left out."""
        ...

    def unsealed(self, limit: int = 1000) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """(sequence, record) of committed events that are not in the chain yet, in order; the
        record is empty when it cannot be read.
        """
        ...

    def sealable(self, limit: int = 1000) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Those of ``unsealed`` that may be sealed now: up to the first one for which a running
        transaction may commit an event with a lower number.
        """
        ...

    def backlog(self) -> Backlog:
        """What is not sealed."""
        ...

    def checkpoint(self, position: int) -> Checkpoint | None: ...

    def checkpoints(
        self, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[Checkpoint]:
        """Ordered by position; ``after`` is the last position of the page before."""
        ...

    def prunable(self, before: datetime, below: int | None = None) -> Checkpoint | None:
        """The last checkpoint all of whose events are from before that instant, and at
        positions below ``below``.
        """
        ...


class ChainWrites(ChainReads, Protocol):
    def add_seals(self, seals: Sequence[tuple[int, ChainHead]]) -> None:
        """Put events, by sequence, at their places; raises Conflict when one is taken."""
        ...

    def add_checkpoint(self, checkpoint: Checkpoint) -> None: ...

    def prune_record(self, through: int) -> int:
        """Delete the events up to that position, their seals, and the checkpoints before it;
        returns how many events. Only for retention, and only at a checkpoint.
        """
        ...
