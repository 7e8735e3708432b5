"""Rows of the installation, its resource groups, its machines and closed ports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Row, bindparam, case, delete, func, select, update

from bascule.domain.ids import ResourceId
from bascule.domain.machine import ClosedPort, Machine, OnExpiry, OsType
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.policy import effective_on_expiry
from bascule.domain.roles import Reach
from bascule.errors import Conflict
from bascule.interfaces.closed_ports import Move
from bascule.interfaces.inventory import Installation
from bascule.store import tables as t
from bascule.store.listed import Listed
from bascule.store.rows import Rows, resource_id, slices
from bascule.store.tables.lines import point_lines
from bascule.store.within import clauses_within

_MACHINE = select(t.machines).where(t.machines.c.id_key == bindparam("key"))
_MACHINE_BY_UID = select(t.machines).where(t.machines.c.uid == bindparam("wanted"))
_UIDS = select(t.machines.c.uid).where(t.machines.c.id_key.in_(bindparam("keys", expanding=True)))
_MACHINES_BY_UID = select(t.machines).where(
    t.machines.c.uid.in_(bindparam("wanted", expanding=True))
)
_GENERATION = select(t.machine_generations.c.generation).where(
    t.machine_generations.c.machine_uid == bindparam("wanted")
)
_GENERATIONS = select(t.machine_generations).where(
    t.machine_generations.c.machine_uid.in_(bindparam("wanted", expanding=True))
)
_MOVES = t.machine_generations.c.move
_NEXT_MOVE = select(func.coalesce(func.max(_MOVES), 0) + 1).scalar_subquery()
_MOVES_AFTER = (
    select(t.machine_generations)
    .where(bindparam("number") < _MOVES)
    .order_by(_MOVES)
    .limit(bindparam("most"))
)
_NUMBER = t.machine_generations.c.generation
_NEXT_GENERATION = (
    update(t.machine_generations)
    .where(t.machine_generations.c.machine_uid == bindparam("wanted"))
    .values(
        generation=case((bindparam("beyond") < _NUMBER, _NUMBER), else_=bindparam("beyond")) + 1,
        move=_NEXT_MOVE,
    )
    .returning(_NUMBER)
)
_FIRST_GENERATION = t.machine_generations.insert().values(move=_NEXT_MOVE)
_GROUPS = select(t.resource_groups.c.name).order_by(t.resource_groups.c.key)
_LOCATIONS = (
    select(t.installation.c.location.label("name")),
    select(t.machines.c.location.label("name")).distinct().order_by("name"),
    select(t.policies.c.location_key.label("name")).distinct(),
)
_ALL_PORTS = select(t.closed_ports).where(t.closed_ports.c.machine_uid == bindparam("wanted"))
_PORTS = select(t.closed_ports).where(
    t.closed_ports.c.machine_uid == bindparam("wanted"),
    t.closed_ports.c.is_released == bindparam("is_released"),
)
_NOBODY = ""  # whose line has the last number, after its machine was deleted: the next follows it
_LINE = point_lines.c.point_uid == bindparam("wanted")
_FORGET_LINE = delete(point_lines).where(
    _LINE, point_lines.c.number < select(func.max(point_lines.c.number)).scalar_subquery()
)
_FORGET_NOBODYS = delete(point_lines).where(
    point_lines.c.point_uid == _NOBODY, select(point_lines.c.number).where(_LINE).exists()
)
_KEEP_LAST_NUMBER = update(point_lines).where(_LINE).values(point_uid=_NOBODY)


class Generations(Rows):
    """How far a machine is to come."""

    __slots__ = ()

    def _next_generation(self, machine_uid: str, beyond: int = 0) -> int:
        """What lists tell of the machine is for the caller to follow."""
        rows = self._beside_record(_NEXT_GENERATION, {"wanted": machine_uid, "beyond": beyond})
        if rows:
            return int(rows[0].generation)
        self._run(_FIRST_GENERATION, {"machine_uid": machine_uid, "generation": beyond + 1})
        return beyond + 1


class InventoryReads(Rows):
    __slots__ = ()

    def installation(self) -> Installation | None:
        row = self._first(select(t.installation))
        if row is None:
            return None
        return Installation(
            row.tenant_id,
            row.subscription_id,
            row.location,
            row.created_at,
            row.number,
            row.moved_to or "",
            row.is_arriving,
        )

    def resource_groups(self) -> Sequence[str]:
        return [row.name for row in self._all(_GROUPS)]

    def locations(self) -> Sequence[str]:
        """The installation's and every machine's and policy's, ordered without case."""
        spelt: dict[str, str] = {}
        for statement in _LOCATIONS:
            for row in self._all(statement):
                spelt.setdefault(row.name.casefold(), row.name)
        return [spelt[key] for key in sorted(spelt)]

    def machine(self, machine_id: ResourceId) -> Machine | None:
        row = self._first(_MACHINE, {"key": machine_id.key})
        return None if row is None else machine_of_row(row)

    def machine_by_uid(self, uid: str) -> Machine | None:
        row = self._first(_MACHINE_BY_UID, {"wanted": uid})
        return None if row is None else machine_of_row(row)

    def machines(
        self,
        resource_group: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[Machine]:
        wanted = select(t.machines).where(t.machines.c.id_key > after.casefold())
        if resource_group is not None:
            wanted = wanted.where(t.machines.c.group_key == resource_group.casefold())
        if within is not None:
            parts = [wanted.where(clause) for clause in clauses_within(within, t.machines.c.id_key)]
            return [
                machine_of_row(row) for row in self._first_of(parts, t.machines.c.id_key, limit)
            ]
        return [
            machine_of_row(row)
            for row in self._all(wanted.order_by(t.machines.c.id_key).limit(limit))
        ]

    def machine_uids(self, machine_keys: Collection[str]) -> Sequence[str]:
        return [
            row.uid
            for some in slices(sorted(machine_keys))
            for row in self._all(_UIDS, {"keys": some})
        ]

    def machines_of(self, uids: Sequence[str]) -> Mapping[str, Machine]:
        return {
            row.uid: machine_of_row(row)
            for some in slices(uids)
            for row in self._all(_MACHINES_BY_UID, {"wanted": some})
        }

    def generation(self, machine_uid: str) -> int:
        row = self._first(_GENERATION, {"wanted": machine_uid})
        return 0 if row is None else int(row.generation)

    def generations(self, machine_uids: Sequence[str]) -> Mapping[str, int]:
        return {
            row.machine_uid: int(row.generation)
            for some in slices(machine_uids)
            for row in self._all(_GENERATIONS, {"wanted": some})
        }

    def moves_after(self, number: int, limit: int) -> Sequence[Move]:
        rows = self._all(_MOVES_AFTER, {"number": number, "most": limit})
        return [Move(int(row.move), row.machine_uid, int(row.generation)) for row in rows]

    def closed_ports(self, machine_uid: str) -> frozenset[ClosedPort]:
        rows = self._all(_PORTS, {"wanted": machine_uid, "is_released": False})
        return frozenset(ClosedPort(_port_key(row), OnExpiry(row.on_expiry)) for row in rows)

    def told_ports(self, machine_uid: str) -> tuple[frozenset[ClosedPort], Mapping[PortKey, int]]:
        rows = self._all(_ALL_PORTS, {"wanted": machine_uid})
        closed = [row for row in rows if not row.is_released]
        return (
            frozenset(ClosedPort(_port_key(row), OnExpiry(row.on_expiry)) for row in closed),
            {_port_key(row): int(row.released_in) for row in rows if row.is_released},
        )

    def released_ports(self, machine_uid: str) -> dict[PortKey, int]:
        rows = self._all(_PORTS, {"wanted": machine_uid, "is_released": True})
        return {_port_key(row): int(row.released_in) for row in rows}


class InventoryWrites(InventoryReads, Generations, Listed):
    __slots__ = ()

    def create_installation(self, installation: Installation) -> None:
        if self.installation() is not None:
            raise Conflict("This database already has an installation.")
        self._run(
            t.installation.insert(),
            {
                "id": 1,
                "tenant_id": installation.tenant_id,
                "subscription_id": installation.subscription_id,
                "location": installation.location,
                "created_at": installation.created_at,
                "number": installation.number,
                "moved_to": None,
                "is_arriving": False,
                "recovery_key": "",
                "restored": [],
            },
        )

    def move_installation(self, number: int, *, moved_to: str = "", is_arriving: bool) -> None:
        self._run(
            t.installation.update(),
            {"number": number, "moved_to": moved_to or None, "is_arriving": is_arriving},
        )

    def add_resource_group(self, name: str) -> None:
        """Add a group; one that exists keeps the spelling that it was created with."""
        key = name.casefold()
        known = select(t.resource_groups.c.key).where(t.resource_groups.c.key == key)
        if self._first(known) is None:
            self._run(t.resource_groups.insert(), {"key": key, "name": name})

    def delete_resource_group(self, name: str) -> None:
        gone = delete(t.resource_groups).where(t.resource_groups.c.key == name.casefold())
        self._run(gone)

    def put_machine(self, machine: Machine) -> None:
        """Write a machine; raises Conflict when another uid has its id."""
        holder = self.machine(machine.id)
        if holder is not None and holder.uid != machine.uid:
            raise Conflict(
                f"A machine {machine.id} already exists with another uid.",
                advice="Delete it first. The new machine inherits nothing from it.",
            )
        self._put(
            t.machines,
            {"uid": machine.uid},
            {
                "id_key": machine.id.key,
                "id": str(machine.id),
                "group_key": machine.id.resource_group.casefold(),
                "location": machine.location,
                "location_key": machine.location.casefold(),
                "os_type": machine.os_type,
                "addresses": [str(address) for address in machine.addresses],
                "tags": dict(machine.tags),
                "created_at": machine.created_at,
            },
        )
        self._list_machine(machine)

    def delete_machine(self, uid: str) -> None:
        """Its agent, enrolments and closed ports go by the foreign keys' cascade."""
        self._run(delete(t.machines).where(t.machines.c.uid == uid))
        if not self._run(_FORGET_LINE, {"wanted": uid}):  # none, or the last
            self._run(_FORGET_NOBODYS, {"wanted": uid})
            self._run(_KEEP_LAST_NUMBER, {"wanted": uid})
        for table in (t.knocks.knocks, t.knocks.knock_hours):
            self._run(delete(table).where(table.c.scope == uid))

    def advance_generation(self, machine_uid: str, beyond: int = 0) -> int:
        generation = self._next_generation(machine_uid, beyond)
        self._fall_behind(machine_uid)
        return generation

    def put_closed_port(self, machine_uid: str, closed: ClosedPort) -> None:
        self._put_port(machine_uid, closed.port, closed.on_expiry)

    def release_port(self, machine_uid: str, port: PortKey, generation: int) -> None:
        """Let a port go, one that was never closed here too (its agent may hold it)."""
        on_expiry = effective_on_expiry(port, OnExpiry.KEEP)
        self._put_port(machine_uid, port, on_expiry, released_in=generation)

    def forget_releases(self, machine_uid: str, ports: Collection[PortKey] | None = None) -> None:
        known = t.closed_ports
        those = delete(known).where(known.c.machine_uid == machine_uid, known.c.is_released)
        if ports is None:
            self._run(those)
        for port in ports or ():
            one = (known.c.protocol == port.protocol, known.c.number == port.number)
            self._run(those.where(*one))

    def _put_port(
        self,
        machine_uid: str,
        port: PortKey,
        on_expiry: OnExpiry,
        *,
        released_in: int | None = None,
    ) -> None:
        self._put(
            t.closed_ports,
            {"machine_uid": machine_uid, "protocol": port.protocol, "number": port.number},
            {
                "on_expiry": on_expiry,
                "is_released": released_in is not None,
                "released_in": released_in,
            },
        )
        self._follow_ports(machine_uid)


def machine_of_row(row: Row[Any]) -> Machine:
    return Machine(
        id=resource_id(row.id),
        uid=row.uid,
        location=row.location,
        os_type=OsType(row.os_type),
        addresses=tuple(ip_address(text) for text in row.addresses),
        tags=row.tags,
        created_at=row.created_at,
    )


def _port_key(row: Row[Any]) -> PortKey:
    return PortKey(TransportProtocol(row.protocol), row.number)
