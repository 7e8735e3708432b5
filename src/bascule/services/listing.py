"""A page of machines as the page "Just-in-time VM access" shows them, with what happened there.

A machine is in it where the caller may read both the machine and what policies and requests
say of it: who was last let in, and when, is told by the order of the rows too. What a page
filters and orders by is kept beside each machine (``interfaces.listing``); what it shows is
read for the rows of this page alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.actions import MACHINE_READ, POLICY_READ
from bascule.domain.classify import (
    Classification,
    MachineState,
    Named,
    Traits,
    classify,
    traits_in,
)
from bascule.domain.exposure import Opening
from bascule.domain.grant import Grant, is_believed_over
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.machine_access import AccessState, Doors, access_state
from bascule.domain.net import PublicPort, TransportProtocol
from bascule.domain.pricing import PlanInForce
from bascule.domain.roles import Reach, Rights
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.domain.shadows import past_us
from bascule.interfaces.exposure import ExposureReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.listing import ListedMachine, ListFilter, ListingReads, Place
from bascule.interfaces.plans import MachineFilter
from bascule.interfaces.points import BindingReads, PointReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.services.fleet import is_enforced
from bascule.services.gateways import (
    Names,
    closed_at,
    gateway_names,
    named_of,
    reached_at,
    silent_gateways,
)
from bascule.services.plans import PlanScopeReads, groups_off, plans_at
from bascule.services.public_ports_told import Through, of_grant, public_ports_told


class MachineListReads(
    BindingReads,
    PlanScopeReads,
    ExposureReads,
    ListingReads,
    MachineReads,
    PointReads,
    PublicPortReads,
    Protocol,
):
    """Rows of machines, with what is shown beside them."""


@dataclass(frozen=True, slots=True)
class MachineRow:
    """What a list tells of one machine, of one moment."""

    listed: ListedMachine
    classification: Classification
    named: Named  # how the reasons call what they speak of
    point: EnforcementPoint | None
    # Opening, open and closing ones, by their end, without those *ended, not confirmed*.
    grants: tuple[Grant, ...]
    by_root: tuple[Opening, ...]  # what root on the host opened, without those
    state: AccessState
    closed_at: tuple[str, ...] = ()  # names of gateways at which alone it is closed (EDGES G7)
    reached_at: tuple[str, ...] = ()  # of those past which it is reached, or that cannot be told
    mapped: tuple[Through, ...] = ()  # the public ports by which gateways lead to it
    silent_at: tuple[str, ...] = ()  # of those that are silent, where another point is heard

    def public_port(self, grant: Grant) -> PublicPort | None:
        """The one to name first of those that lead the grant's sources to it now; by TCP, else by UDP."""
        led = [each.claim for each in of_grant(self.mapped, grant)]
        led.sort(key=lambda each: each.port.protocol is not TransportProtocol.TCP)
        return led[0].public if led else None

    @property
    def machine(self) -> Machine:
        return self.listed.machine

    @property
    def is_not_enforced(self) -> bool:
        """Its point says that it can enforce nothing."""
        return self.point is not None and not self.point.is_enforcing


def reach_of_list(rights: Rights, subscription_id: str) -> Reach | None:
    """Where a caller sees rows; None: everywhere, look at no row."""
    reach = rights.reach(MACHINE_READ).meet(rights.reach(POLICY_READ))
    return None if reach.covers(subscription_scope(subscription_id).key) else reach


def list_machines(
    reader: MachineListReads,
    wanted: ListFilter,
    tab: MachineState | None,
    now: datetime,
    after: Place | None = None,
    limit: int = 1000,
) -> list[MachineRow]:
    """Rows in the order of ``wanted``, of one tab or of all; ``after`` as the store takes it."""
    return _rows(
        reader, reader.listed_machines(_on_tab(reader, wanted, tab, now), after, limit), now
    )


def count_rows(
    reader: MachineListReads, wanted: ListFilter, tab: MachineState | None, now: datetime
) -> int:
    """How many rows ``list_machines`` has, on all pages."""
    return reader.count_listed(_on_tab(reader, wanted, tab, now))


def _on_tab(
    reader: PlanScopeReads, wanted: ListFilter, tab: MachineState | None, now: datetime
) -> ListFilter:
    traits = None if tab is None else traits_in(tab)
    return replace(wanted, groups_off=groups_off(reader), traits=traits, now=now)


def count_tabs(reader: PlanScopeReads, within: Reach | None) -> dict[MachineState, int]:
    """How many machines each tab has."""
    counted = reader.count_machines(MachineFilter(within=within, groups_off=groups_off(reader)))
    return {state: sum(counted.get(code, 0) for code in traits_in(state)) for state in MachineState}


def _rows(
    reader: MachineListReads, listed: Sequence[ListedMachine], now: datetime
) -> list[MachineRow]:
    uids = [each.machine.uid for each in listed]
    points = reader.points_of(uids)
    gateways = gateway_names(reader, points)
    mapped = public_ports_told(reader, points)
    grants: dict[str, list[Grant]] = {}
    for grant in reader.unsettled_grants_at(uids):
        grants.setdefault(grant.machine_uid, []).append(grant)
    openings = reader.openings_at(uids, now, is_now=True)
    plans = plans_at(reader, {each.machine.id.resource_group for each in listed})
    return [
        _row(
            each,
            points.get(each.machine.uid),
            grants.get(each.machine.uid, ()),
            [opening for opening in openings.get(each.machine.uid, ()) if not opening.request_id],
            plans,
            now,
            gateways,
            mapped.get(each.machine.uid, ()),
        )
        for each in listed
    ]


def _row(
    listed: ListedMachine,
    point: EnforcementPoint | None,
    grants: Sequence[Grant],
    by_root: Sequence[Opening],
    plans: Mapping[str, PlanInForce],
    now: datetime,
    gateways: Names,
    mapped: tuple[Through, ...],
) -> MachineRow:
    is_heard = is_enforced(point, now)
    if not is_heard:
        grants = [grant for grant in grants if not is_believed_over(grant, now)]
        by_root = [opening for opening in by_root if not opening.is_believed_over(now)]
    doors = Doors(
        has_point=point is not None,
        is_silent=point is not None and not is_heard,
        is_behind=listed.is_behind,
        is_closed=listed.is_closed,
        grants=frozenset(GrantState(grant.state) for grant in grants),
        is_root_in=listed.is_closed and bool(by_root),
        shadow=None if point is None else past_us(point.weaknesses),
    )
    traits, named = _classified(listed, point, plans, gateways)
    classification = classify(traits, named)
    state = access_state(doors)
    return MachineRow(
        listed,
        classification,
        named,
        point,
        tuple(grants),
        tuple(by_root),
        state,
        closed_at(point, gateways),
        reached_at(point, gateways),
        mapped,
        silent_gateways(point, gateways, now),
    )


def _classified(
    listed: ListedMachine,
    point: EnforcementPoint | None,
    plans: Mapping[str, PlanInForce],
    gateways: Names,
) -> tuple[Traits, Named]:
    group = listed.machine.id.resource_group
    plan = plans[group]
    kept = Traits.of(listed.traits)
    is_groups = plan.scope == group_scope(listed.machine.id.subscription_id, group)
    named = named_of(listed.machine, point, gateways, group if is_groups else "")
    return replace(kept, is_plan_on=plan.is_on), named
