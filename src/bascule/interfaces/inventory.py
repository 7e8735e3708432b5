"""What the store keeps of the installation, its resource groups and its machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.domain.roles import Reach


@dataclass(frozen=True, slots=True)
class Installation:
    tenant_id: str
    subscription_id: str
    location: str
    created_at: datetime
    number: int = 1  # raised when the record moves to another database
    moved_to: str = ""  # where the record is now; empty: here
    is_arriving: bool = False  # copied whole, and not the record yet


class InventoryReads(Protocol):
    def installation(self) -> Installation | None: ...

    def resource_groups(self) -> Sequence[str]:
        """Names as created, ordered by key."""
        ...

    def locations(self) -> Sequence[str]: ...


class InventoryWrites(InventoryReads, Protocol):
    def create_installation(self, installation: Installation) -> None: ...

    def move_installation(self, number: int, *, moved_to: str = "", is_arriving: bool) -> None:
        """Say whether this database has the record: it has if neither is so."""
        ...

    def add_resource_group(self, name: str) -> None: ...

    def delete_resource_group(self, name: str) -> None:
        """Forget a group; the caller has made sure that it is empty."""
        ...


class MachineReads(Protocol):
    def machine(self, machine_id: ResourceId) -> Machine | None: ...

    def machine_by_uid(self, uid: str) -> Machine | None: ...

    def machines(
        self,
        resource_group: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[Machine]:
        """Ordered by id key; ``after`` is the last key of the page before; ``within`` keeps
        those in these scopes.
        """
        ...

    def machine_uids(self, machine_keys: Collection[str]) -> Sequence[str]:
        """Of the machines that have one of these ids, in key form."""
        ...

    def machines_of(self, uids: Sequence[str]) -> Mapping[str, Machine]:
        """By uid; those that are not there are missing."""
        ...


class MachineWrites(MachineReads, Protocol):
    def put_machine(self, machine: Machine) -> None: ...

    def delete_machine(self, uid: str) -> None:
        """Forget a machine, its agent, its enrolments, closed ports and blocked attempts;
        requests, grants and events stay.
        """
        ...
