"""The history of what was kept closed and who was let in, as exposure is told from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.exposure import HourStep, KeptSpan, Opening, Place, SpanKind
from bascule.domain.ids import ResourceId
from bascule.domain.net import PortKey
from bascule.domain.roles import Reach


@dataclass(frozen=True, slots=True)
class KnownMachine:
    """A machine of some moment; it may be deleted by now."""

    id: ResourceId
    uid: str


@dataclass(frozen=True, slots=True)
class ExposureFilter:
    """Which machines are meant, at one moment."""

    at: datetime
    is_now: bool = False  # nothing has ended after ``at``: the past is not looked through
    only: SpanKind | None = None  # OPEN: somebody is let in; BARE: nothing is kept closed
    within: Reach | None = None  # scopes, of which one must contain it


class ExposureReads(Protocol):
    def exposure_since(self) -> datetime | None:
        """From when on the history is whole; None: there is no installation yet."""
        ...

    def current_spans(self, machine_uid: str) -> Sequence[KeptSpan]:
        """What is so of a machine now."""
        ...

    def overdue_spans(self, now: datetime) -> Sequence[tuple[KnownMachine, KeptSpan]]:
        """OPEN ones whose last lease has ended by then. Ordered by that end; bounded."""
        ...

    def next_overdue(self) -> datetime | None:
        """The earliest end of a lease among the OPEN ones."""
        ...

    def current_openings(self, machine_uid: str) -> Sequence[Opening]:
        """Those that were not read back closed yet, in the order they were added."""
        ...

    def count_told(
        self,
        machine: KnownMachine,
        since: datetime,
        most: int,
        kinds: Collection[str] = (),
        teller: str | None = None,
    ) -> int:
        """How many ports began to be closed, or not to be, or were opened by root, since then, as
        its agent told; with them its events of these kinds. Not counted beyond ``most``.
        ``teller``: the events of this principal alone.
        """
        ...

    def exposed_machines(
        self, wanted: ExposureFilter, after: str = "", limit: int = 1000
    ) -> Sequence[KnownMachine]:
        """Ordered by id key; ``after`` is the last key of the page before."""
        ...

    def closed_spans(
        self, machine_uids: Sequence[str], at: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        """CLOSED ones that had begun by then, by machine; ended or not, the oldest first."""
        ...

    def openings_at(
        self, machine_uids: Sequence[str], at: datetime, *, is_now: bool = False
    ) -> Mapping[str, Sequence[Opening]]:
        """Those that were read back open by then and not yet closed, the oldest first; with
        ``is_now`` none that was closed since.
        """
        ...

    def spans_between(
        self, machine_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Sequence[KeptSpan]]:
        """CLOSED and OPEN ones that reach into that time, by machine uid; of machines by id key."""
        ...

    def wanted_ports(self, machine_uids: Sequence[str]) -> Mapping[str, frozenset[PortKey]]:
        """What is to be kept closed, whether or not it was ever read back so."""
        ...

    def count_let_in(self, within: Reach | None, now: datetime) -> tuple[int, int]:
        """How many openings there are now, and of how many machines, without those that are
        *ended, not confirmed* by then (EDGES E9).
        """
        ...

    def count_points(self, within: Reach | None) -> tuple[int, int]:
        """How many machines have an enforcement point, and of how many it is silent."""
        ...

    def exposure_counts(self, scope_keys: Collection[str]) -> Mapping[SpanKind, int]:
        """How many there are now of each kind in these subscriptions and resource groups, of
        which none lies in another; what there is none of may be missing.
        """
        ...

    def count_current(self, machine_keys: Collection[str]) -> Mapping[SpanKind, int]:
        """The same of single machines by id key."""
        ...

    def exposure_changes(
        self, scope_keys: Collection[str], since: datetime
    ) -> Mapping[SpanKind, int]:
        """What began there less what ended, in the hours from that one on."""
        ...

    def exposure_steps(
        self, scope_keys: Collection[str], since: datetime, until: datetime
    ) -> Mapping[SpanKind, Sequence[HourStep]]:
        """The hours from ``since`` on that begin before ``until``, in which a port's span began
        or ended there; added up over the scopes, in order.
        """
        ...


class ExposureWrites(ExposureReads, Protocol):
    def begin(self, machine: KnownMachine, *begun: KeptSpan | Opening) -> None:
        """Add them, in this order."""
        ...

    def bound_span(self, machine_uid: str, place: Place, ends_by: datetime | None) -> None:
        """Move the end that is known of what is so now."""
        ...

    def end_span(self, machine_uid: str, place: Place, ended_at: datetime) -> None: ...

    def move_opening_end(self, machine_uid: str, opening_id: str, ends_by: datetime) -> None: ...

    def end_opening(self, machine_uid: str, opening_id: str, closed_at: datetime) -> bool:
        """False when it is not open; nothing is changed then."""
        ...

    def add_steps(
        self, scope_keys: Collection[str], changes: Mapping[SpanKind, Sequence[HourStep]]
    ) -> None:
        """Add these to what is known of their hours and to today's number, in each of the scopes."""
        ...

    def prune_exposure(self, before: datetime) -> None:
        """Forget what ended before that instant; the history is whole from it on."""
        ...
