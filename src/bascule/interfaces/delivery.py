"""Where the record is sent to, how far it has got there, and who carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bascule.domain.delivery import Outcome, Progress, Sink, SinkSecrets


class DeliveryReads(Protocol):
    """Reads of this part"""

    def sink(self, name: str) -> Sink | None:
        """By its name, without regard to case."""
        ...

    def sink_by_id(self, sink_id: str) -> Sink | None: ...

    def sinks(self) -> Sequence[Sink]:
        """All, ordered by name, folded."""
        ...

    def active_sinks(self) -> Sequence[str]:
        """Ids of those that are to be sent to, also of one whose own row cannot be read."""
        ...

    def sink_progress(self, sink_id: str) -> Progress | None: ...

    def sink_secrets(self, sink_id: str) -> SinkSecrets | None:
        """A webhook's alone; None for other kinds."""
        ...


class DeliveryWrites(DeliveryReads, Protocol):
    """Writes of this part"""

    def put_sink(self, sink: Sink) -> None:
        """Raises Conflict when another has the name."""
        ...

    def delete_sink(self, sink_id: str) -> None:
        """With its progress and its secrets."""
        ...

    def put_sink_secrets(self, sink_id: str, secrets: SinkSecrets) -> None: ...

    def put_progress(self, progress: Progress) -> None: ...

    def move_progress(self, was: Progress, to: Progress) -> bool:
        """Write ``to`` unless position or state are no longer those of ``was``; was it written?"""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes to a receiver at once: one message of a webhook, many of the other kinds."""

    messages: tuple[bytes, ...]
    headers: Mapping[str, str] = field(default_factory=dict)  # of a webhook


class Carrier(Protocol):
    """The way out. It raises nothing for what a receiver or the network does: that is an
    Outcome.
    """

    def objection(self, sink: Sink) -> str:
        """What is wrong with a sink's settings, as far as can be told without asking anybody;
        empty when nothing is.
        """
        ...

    async def carry(self, sink: Sink, parcel: Parcel) -> Outcome: ...

    async def forget(self, sink_id: str) -> None:
        """Close what is open to a sink."""
        ...

    async def close(self) -> None: ...
