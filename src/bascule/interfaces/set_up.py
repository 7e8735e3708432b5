"""The link by which a fresh installation gets its first person."""

from __future__ import annotations

from typing import Protocol

from bascule.domain.set_up import SetUpLink


class SetUpReads(Protocol):
    def set_up_link(self, link_hash: str) -> SetUpLink | None:
        """The one that waits, if this is its hash; ended or not."""
        ...


class SetUpWrites(SetUpReads, Protocol):
    def put_set_up_link(self, link: SetUpLink) -> None:
        """There is one at a time: whatever waited before is forgotten."""
        ...

    def take_set_up_link(self, link_hash: str) -> bool:
        """Forget it; False when it is not there (any more). Atomic."""
        ...
