"""Security plans of scopes, and machines by what their classification depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.machine import ClosedPort, Machine
from bascule.domain.pricing import PlanSetting
from bascule.domain.roles import Reach
from bascule.domain.scopes import Scope
from bascule.domain.security_rules import HeldOpening


@dataclass(frozen=True, slots=True)
class HeldRules:
    """What an enforcement point was last read back to hold, beside the openings by grants."""

    machine_uid: str
    generation: int
    since: datetime  # when this was first reported
    closed: frozenset[ClosedPort] = frozenset()
    local: tuple[HeldOpening, ...] = ()  # opened by root on the host


@dataclass(frozen=True, slots=True)
class MachineFilter:
    """Which machines are meant; what is left as it is excludes none."""

    resource_group: str | None = None
    within: Reach | None = None  # scopes, of which one must contain it
    traits: frozenset[int] | None = None  # codes of ``domain.classify.Traits``
    groups_off: frozenset[str] = frozenset()  # folded names of groups where the plan is off
    guards_others: bool = False  # only those whose agent guards other machines


class PlanReads(Protocol):
    def plan_setting(self, scope: Scope) -> PlanSetting | None: ...

    def plan_settings(self) -> Sequence[PlanSetting]:
        """All, ordered by scope key."""
        ...

    def plan_settings_at(self, scope_keys: Collection[str]) -> Mapping[str, PlanSetting]:
        """By scope key; where nothing is set is missing."""
        ...

    def held_rules(self, machine_uids: Sequence[str]) -> Mapping[str, HeldRules]:
        """By machine uid; whose point has reported nothing yet is missing."""
        ...

    def machines_where(
        self, wanted: MachineFilter, after: str = "", limit: int = 1000
    ) -> Sequence[Machine]:
        """Ordered by id key; ``after`` is the last key of the page before."""
        ...

    def count_machines(self, wanted: MachineFilter) -> Mapping[int, int]:
        """How many machines have which code of traits; what none has is missing."""
        ...


class PlanWrites(PlanReads, Protocol):
    def put_plan_setting(self, setting: PlanSetting) -> None: ...

    def delete_plan_setting(self, scope: Scope) -> bool:
        """False when nothing was set there."""
        ...

    def put_held_rules(self, held: HeldRules) -> None: ...

    def delete_held_rules(self, machine_uid: str) -> None: ...
