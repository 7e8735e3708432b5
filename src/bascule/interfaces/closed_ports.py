"""What is wanted of each machine: its closed ports, and the generation that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey


@dataclass(frozen=True, slots=True)
class Move:
    """A machine's generation moved."""

    number: int  # counts the moves of all machines
    machine_uid: str
    generation: int


class GenerationReads(Protocol):
    def generation(self, machine_uid: str) -> int:
        """The machine's desired generation; 0 when nothing was ever wanted of it."""
        ...

    def generations(self, machine_uids: Sequence[str]) -> Mapping[str, int]:
        """Of several; of which nothing was ever wanted is missing."""
        ...


class MoveReads(Protocol):
    def moves_after(self, number: int, limit: int) -> Sequence[Move]:
        """The newest move of each machine whose generation moved since, ordered by number."""
        ...


class GenerationWrites(GenerationReads, Protocol):
    def advance_generation(self, machine_uid: str, beyond: int = 0) -> int:
        """Set the generation to max(current, beyond) + 1 and return it."""
        ...


class ToldPortReads(Protocol):
    def told_ports(self, machine_uid: str) -> tuple[frozenset[ClosedPort], Mapping[PortKey, int]]:
        """``closed_ports`` and ``released_ports``, read at once."""
        ...


class ClosedPortReads(ToldPortReads, Protocol):
    def closed_ports(self, machine_uid: str) -> frozenset[ClosedPort]: ...

    def released_ports(self, machine_uid: str) -> Mapping[PortKey, int]:
        """Ports that were let go and not closed again, each with the generation that says so."""
        ...


class ClosedPortWrites(ClosedPortReads, Protocol):
    def put_closed_port(self, machine_uid: str, closed: ClosedPort) -> None: ...

    def release_port(self, machine_uid: str, port: PortKey, generation: int) -> None: ...

    def forget_releases(self, machine_uid: str, ports: Collection[PortKey] | None = None) -> None:
        """Ports that were let go and never closed again: as if nothing had been said of them."""
        ...
