"""What seals a text by a key of this installation, for one purpose."""

from __future__ import annotations

from typing import Protocol


class Seals(Protocol):
    def seal(self, purpose: str, content: bytes) -> str: ...

    def open(self, purpose: str, sealed: str) -> bytes | None:
        """None: it was not sealed for this purpose, or not by this key."""
        ...
