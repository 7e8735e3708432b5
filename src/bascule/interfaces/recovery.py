"""The recovery key's public half, the restores that it signed, and what a restore takes away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.restoration import Restoration


@dataclass(frozen=True, slots=True)
class Recovery:
    public_key: str = ""  # of the recovery key; empty: there is none
    restored: tuple[Restoration, ...] = ()  # the last that were signed, last first


class RecoveryReads(Protocol):
    def recovery(self) -> Recovery: ...


class RecoveryWrites(RecoveryReads, Protocol):
    def keep_recovery_key(self, public_key: str) -> None:
        """Have this one from now on."""
        ...

    def keep_restored(self, restored: Sequence[Restoration]) -> None:
        """Have these, last first, instead of those that are kept."""
        ...

    def void_used_once(self, step: int) -> int:
        """Delete sessions, tokens, invitations and whatever else works for a time or once; how many
        rows. One-time passwords up to ``step`` are used up.
        """
        ...
