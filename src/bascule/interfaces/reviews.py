"""What the store keeps of reviews of emergency access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bascule.domain.emergency import Review


class ReviewReads(Protocol):
    def reviews_of(self, request_ids: Sequence[str]) -> Mapping[str, Review]:
        """By request id; those that nobody has reviewed are missing."""
        ...


class ReviewWrites(ReviewReads, Protocol):
    def add_review(self, request_id: str, review: Review) -> None:
        """Raises Conflict where it has one."""
        ...
