"""A page of enforcement points with their machines, filtered and ordered.

A point is in it where the caller may read points at its machine. What a page filters and
orders by is kept beside each machine (``interfaces.listing``); what it shows is read for
the rows of this page alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule import __version__
from bascule.domain.classify import ALL_TRAITS
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.versions import is_older
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.listing import ListFilter, ListingReads, Place
from bascule.interfaces.points import PointReads
from bascule.services.fleet import is_online
from bascule.services.gateways import gateway_names, silent_gateways


class PointListReads(GenerationReads, ListingReads, MachineReads, PointReads, Protocol):
    """Points, as lists tell of them."""


class PointViewReads(GenerationReads, MachineReads, PointReads, Protocol):
    """One point and its machine."""


_WITH_POINT = frozenset(each.code for each in ALL_TRAITS if each.has_point)
_WITHOUT = frozenset(each.code for each in ALL_TRAITS if not each.has_point)


@dataclass(frozen=True, slots=True)
class PointRow:
    """What a list tells of one point, of one moment."""

    machine: Machine
    point: EnforcementPoint
    generation: int  # that it is to hold
    now: datetime
    place: Place  # in the order by name
    silent_gateways: tuple[str, ...] = ()  # of its machine, while others are heard (EDGES G3)

    @property
    def state(self) -> str:
        """neverSeen, online or offline; of several gateways the API also says partlyOnline."""
        if self.point.last_contact_at is None:
            return "neverSeen"
        return "online" if is_online(self.point, self.now) else "offline"

    server_version = __version__

    @property
    def is_old(self) -> bool:
        """Is the agent of before this server?"""
        return is_older(self.point.agent_version, __version__)

    @property
    def is_current(self) -> bool:
        return self.point.observed_generation >= self.generation


def older_versions(reader: ListingReads) -> frozenset[str]:
    """Those that some agent has and that are of before this server's."""
    return frozenset(each for each in reader.agent_versions() if is_older(each, __version__))


def list_points(
    reader: PointListReads, wanted: ListFilter, now: datetime, after: Place | None, limit: int
) -> list[PointRow]:
    """Rows by the machine's name; ``after`` is the place of the last of the page before."""
    listed = reader.listed_machines(replace(wanted, traits=_WITH_POINT), after, limit)
    uids = [each.machine.uid for each in listed]
    points, generations = reader.points_of(uids), reader.generations(uids)
    names = gateway_names(reader, points)
    return [
        PointRow(
            each.machine,
            points[uid],
            generations.get(uid, 0),
            now,
            each.place,
            silent_gateways(points[uid], names, now),
        )
        for uid, each in zip(uids, listed, strict=True)
        if uid in points
    ]


def count_points(reader: ListingReads, wanted: ListFilter) -> int:
    return reader.count_listed(replace(wanted, traits=_WITH_POINT))


def machines_without(reader: ListingReads, wanted: ListFilter, limit: int) -> Sequence[Machine]:
    """Machines that have no point yet, by their name."""
    found = reader.listed_machines(replace(wanted, traits=_WITHOUT), None, limit)
    return [each.machine for each in found]


def view_point(reader: PointViewReads, uid: str, now: datetime) -> PointRow | None:
    machine, point = reader.machine_by_uid(uid), reader.enforcement_point(uid)
    if machine is None or point is None:
        return None
    silent = silent_gateways(point, gateway_names(reader, {uid: point}), now)
    place = Place(machine.id.name.casefold(), machine.id.key)
    return PointRow(machine, point, reader.generation(uid), now, place, silent)
