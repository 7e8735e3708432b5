"""The keys of an installation over PostgreSQL, sealed: all its replicas have the same (EDGES H7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SealedKey:
    name: str  # of its file in a data directory
    number: int  # 1 for the first; each that takes its place has the next
    sealed: str = field(repr=False)  # by the wrapping key, which is in no database
    made_at: datetime  # for people who read the table; the program does not


class KeyReads(Protocol):
    def sealed_keys(self) -> Sequence[SealedKey]:
        """All, by name."""
        ...

    def key_numbers(self) -> Mapping[str, int]:
        """The number of each, by its name: another one says that its content is another."""
        ...


class KeyWrites(KeyReads, Protocol):
    def put_sealed_key(self, key: SealedKey) -> None:
        """Add it, or put it in the place of the one of its name."""
        ...
