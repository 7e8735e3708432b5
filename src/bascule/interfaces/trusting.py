"""Which CAs agents trust, as they said (EDGES I5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class TrustingReads(Protocol):
    def trusting(self) -> Mapping[tuple[str, str], int]:
        """The number of the newest change of trust that each agent has taken, by its point's uid and the
        public key by which it said so. Those that took none are missing.
        """
        ...

    def trusting_of(self, point_uid: str) -> tuple[str, int] | None:
        """The public key and the number of one of them; None: it took none."""
        ...


class TrustingWrites(TrustingReads, Protocol):
    def put_trusting(self, point_uid: str, public_key: str, number: int) -> None: ...
