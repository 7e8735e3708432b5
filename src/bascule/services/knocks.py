"""Blocked attempts: stored as agents report them, listed for one machine or for all (EDGES C2, C3).

An agent writes its own machine's rows and no others. A machine's resource group and
subscription hold sums of what its rows name, so that the whole is looked up and not added up;
they keep what a machine told after it is deleted, whose own rows go at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bascule.domain.knocks import (
    HOUR,
    JUST_NOW,
    KEPT_FOR,
    SOURCES_OF_MACHINE,
    SOURCES_OF_SCOPE,
    Knock,
    Knocker,
    by_hour,
    hours_until,
)
from bascule.domain.machine import Machine
from bascule.domain.net import Address, PortKey
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.knocks import KnockReads, KnockWrites
from bascule.services.act import Act

TOP = 10  # sources of a picture, unless it is asked for more
LONGEST_SPAN = int(KEPT_FOR / HOUR)  # hours
LONGEST_SPAN_OF_ALL = 7 * 24  # hours, of more than one machine
_SCOPES_AT_ONCE = 200  # of an old hour that one round forgets
_OF_GROUP = 4  # slashes of a resource group's key


@dataclass(frozen=True, slots=True)
class KnocksView:
    """Who knocked in the last hours, the running one last."""

    since: datetime
    until: datetime
    hours: tuple[tuple[datetime, int], ...]  # each hour's beginning and attempts, 0 too
    sources: tuple[Knocker, ...]  # most attempts first; not all, and none of those unnamed

    @property
    def attempts(self) -> int:
        return sum(count for _, count in self.hours)


def remember_knocks(tx: KnockWrites, act: Act, machine: Machine, knocks: Iterable[Knock]) -> None:
    """Add what its agent tells of this machine, to its own counts and to those above."""
    group = group_scope(machine.id.subscription_id, machine.id.resource_group)
    whole = subscription_scope(machine.id.subscription_id)
    for hour, told in by_hour(knocks, act.now).items():
        if tx.add_known_knocks((machine.uid, group.key, whole.key), hour, told):
            continue
        kept = tx.add_knocks(machine.uid, hour, told, SOURCES_OF_MACHINE)
        for scope in (group, whole):
            tx.add_knocks(scope.key, hour, kept, SOURCES_OF_SCOPE)


def forget_old_knocks(tx: KnockWrites, act: Act) -> int:
    """Delete what is older than KEPT_FOR, so much at a time; returns how many rows."""
    return tx.forget_knocks(act.now - KEPT_FOR, _SCOPES_AT_ONCE)


def view_knocks(
    reader: KnockReads,
    scopes: Sequence[str],
    now: datetime,
    hours: int = 24,
    top: int = TOP,
    source: Address | None = None,
) -> KnocksView:
    """Who knocked in these scopes, none of which lies in another; ``source`` narrows it to one."""
    begins = hours_until(now, hours)
    only = None if source is None else str(source)
    counts = dict(reader.knock_hours(scopes, begins[0], only))
    return KnocksView(
        begins[0],
        now,
        tuple((begin, counts.get(begin, 0)) for begin in begins),
        tuple(reader.knockers(scopes, begins[0], top, only)),
    )


def scopes_within(
    reader: MachineReads, within: Reach | None, subscription_id: str
) -> tuple[str, ...]:
    """The scopes whose counts make up what may be seen of machines; None: everything."""
    whole = subscription_scope(subscription_id).key
    if within is None:
        return (whole,)
    groups = [key for key in within.keys if key.count("/") == _OF_GROUP]
    single = [key for key in within.keys if key.count("/") > _OF_GROUP]
    return (*sorted(groups), *reader.machine_uids(single))


def seen_just_now(
    reader: KnockReads,
    machine: Machine,
    address: Address,
    now: datetime,
    open_ports: Collection[PortKey] = (),
) -> datetime | None:
    """When this machine last dropped an attempt from that address, if that has just been, at
    another port than ``open_ports``, which are open to it by now.

    It is offered as a source only to a session that has proved the address (EDGES C3).
    """
    return reader.last_knock(machine.uid, str(address), now - JUST_NOW, open_ports)
