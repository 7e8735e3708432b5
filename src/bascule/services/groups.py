"""Resource groups: created by name, deleted when empty."""

from __future__ import annotations

from typing import Protocol

from bascule.domain.facts.machines import ResourceGroupCreated, ResourceGroupDeleted
from bascule.domain.scopes import group_scope
from bascule.errors import Conflict, NotFound
from bascule.interfaces.inventory import InventoryReads, InventoryWrites, MachineReads
from bascule.interfaces.plans import PlanWrites
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act
from bascule.services.assignments import AssignmentWrites, forget_scope
from bascule.services.installation import subscription_of


class GroupWrites(EventWrites, InventoryWrites, Protocol):
    """Resource groups, and what is put in them."""


class GroupEndWrites(
    AssignmentWrites, InventoryWrites, MachineReads, PlanWrites, PolicyReads, Protocol
):
    """Resource groups, and what must be empty or go with one."""


def find_group(reader: InventoryReads, name: str) -> str:
    """The group's name as it was created; raise NotFound when there is none."""
    known = _known(reader, name)
    if known is None:
        groups = ", ".join(reader.resource_groups())
        raise NotFound(
            f"Resource group '{name}' could not be found; there is: {groups}.",
            code="ResourceGroupNotFound",
        )
    return known


def put_group(tx: GroupWrites, act: Act, name: str) -> tuple[str, bool]:
    """Make a group; one that exists keeps its spelling. True when it is new."""
    known = _known(tx, name)
    if known is not None:
        return known, False
    tx.add_resource_group(name)
    act.record(tx, ResourceGroupCreated(name), _id_of(tx, name))
    return name, True


def delete_group(tx: GroupEndWrites, act: Act, name: str) -> None:
    """Take an empty group away; raise NotFound, or Conflict that names what is in it.

    Unlike Azure's, it takes nothing with it but the roles assigned at it: no port may open
    and no grant end because a group was tidied up.
    """
    known = find_group(tx, name)
    held = [
        *(str(machine.id) for machine in tx.machines(known, limit=2)),
        *(str(stored.policy.id) for stored in tx.policies(known, limit=2)),
    ]
    if held:
        raise Conflict(
            f"Resource group '{known}' is not empty; it holds {held[0]}"
            f"{' and more' if len(held) > 1 else ''}.",
            code="ResourceGroupNotEmpty",
            advice="Delete its policies and machines first.",
        )
    scope = group_scope(subscription_of(tx), known)
    forget_scope(tx, act, scope, f"deletion of resource group {known}")
    tx.delete_plan_setting(scope)  # a new group of that name inherits nothing
    tx.delete_resource_group(known)
    act.record(tx, ResourceGroupDeleted(known), _id_of(tx, known))


def _known(reader: InventoryReads, name: str) -> str | None:
    return next(
        (each for each in reader.resource_groups() if each.casefold() == name.casefold()), None
    )


def _id_of(reader: InventoryReads, name: str) -> str:
    return str(group_scope(subscription_of(reader), name))
