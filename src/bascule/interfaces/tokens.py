"""Codes, refresh tokens and sessions: what signing in leaves behind."""

from __future__ import annotations

from typing import Protocol


class TokenReads(Protocol):
    """Reads of this part; ``interfaces.Reader`` has them all."""


class TokenWrites(TokenReads, Protocol):
    """Writes of this part; ``interfaces.Transaction`` has them all."""
