"""Signing in: passwords, second factors, providers, codes, refresh tokens, sessions."""

from __future__ import annotations

from typing import Protocol


class SignInReads(Protocol):
    """Reads of this part; ``interfaces.Reader`` has them all."""


class SignInWrites(SignInReads, Protocol):
    """Writes of this part; ``interfaces.Transaction`` has them all."""
