"""Security plans and policies of scopes: is just-in-time access on or off there?"""

from __future__ import annotations

from typing import Protocol


class PlanReads(Protocol):
    """Reads of this part; ``interfaces.Reader`` has them all."""


class PlanWrites(PlanReads, Protocol):
    """Writes of this part; ``interfaces.Transaction`` has them all."""
