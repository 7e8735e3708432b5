"""What the store keeps of gateways' public ports (``domain.public_ports``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.public_ports import Claim


class PublicPortReads(Protocol):
    def public_ports_of(self, machine_uids: Sequence[str]) -> Sequence[Claim]:
        """Those that stand or stood last for ports of these machines, ordered by gateway, address,
        protocol and number.
        """
        ...

    def public_ports_at(self, point_uid: str) -> Sequence[Claim]:
        """Those of one gateway, in that order."""
        ...


class PublicPortWrites(PublicPortReads, Protocol):
    def add_public_ports(self, claims: Sequence[Claim]) -> None:
        """Raises Conflict where one is there already."""
        ...

    def put_public_port(self, claim: Claim, was: Claim) -> None:
        """Change one that was read as ``was``. Raises Conflict when it is otherwise by now."""
        ...

    def forget_public_ports(self, released_before: datetime) -> None:
        """Delete those that were released before then, of machines or gateways that are gone."""
        ...
