"""What the store keeps of enforcement points, and of the tokens that enrol them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.machine import EnforcementPoint


@dataclass(frozen=True, slots=True)
class Enrolment:
    id: str
    machine_uid: str
    token_hash: str  # SHA-256 hex
    expires_at: datetime
    replaces: bool  # may take the place of an enrolled key, alive or not
    used_at: datetime | None = None


class PointReads(Protocol):
    def enforcement_point(self, machine_uid: str) -> EnforcementPoint | None: ...

    def points_of(self, machine_uids: Sequence[str]) -> Mapping[str, EnforcementPoint]:
        """By machine uid; those that have none are missing."""
        ...

    def enforcement_points(
        self, after: str = "", limit: int | None = None
    ) -> Sequence[EnforcementPoint]:
        """Ordered by machine uid; ``after`` is the last uid of the page before; all when
        ``limit`` is None.
        """
        ...

    def points_last_heard(
        self, since: datetime | None, until: datetime
    ) -> Sequence[EnforcementPoint]:
        """Those whose last contact was in that time: from ``since`` (inclusive; None: ever) to
        ``until`` (exclusive). Not those that never had one. Ordered by machine uid.
        """
        ...


class PointWrites(PointReads, Protocol):
    def put_enforcement_point(self, point: EnforcementPoint) -> None: ...

    def delete_enforcement_point(self, machine_uid: str) -> None: ...


class EnrolmentReads(Protocol):
    def enrolment_by_hash(self, token_hash: str) -> Enrolment | None: ...


class EnrolmentWrites(EnrolmentReads, Protocol):
    def add_enrolment(self, enrolment: Enrolment) -> None: ...

    def consume_enrolment(self, enrolment_id: str, now: datetime) -> bool:
        """Mark it used; False when it already was. Atomic."""
        ...

    def delete_enrolments(self, machine_uid: str) -> None:
        """Forget the tokens of a machine, used or not."""
        ...
