"""Machines, their resource groups and their closed ports."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Bulk, MachineId, Port, Text, Texts
from bascule.domain.facts.kind import Activity, Outcome, Severity


@fact(
    "Microsoft.Resources/subscriptions/resourceGroups/write",
    "Update resource group",
    Activity.CREATE,
    outcome=Outcome.CREATED,
    severity=Severity.LOW,
    is_call=True,
)
class ResourceGroupCreated(Fact):
    group: Text


@fact(
    "Microsoft.Resources/subscriptions/resourceGroups/delete",
    "Delete resource group",
    Activity.DELETE,
    severity=Severity.LOW,
    is_call=True,
)
class ResourceGroupDeleted(Fact):
    group: Text


@fact(
    "Microsoft.Compute/virtualMachines/write",
    "Create or Update Virtual Machine",
    Activity.CREATE,
    outcome=Outcome.CREATED,
    is_call=True,
)
class MachineAdded(Fact):
    machine: MachineId
    uid: Bulk
    addresses: Texts


@fact(
    "Microsoft.Compute/virtualMachines/write",
    "Create or Update Virtual Machine",
    Activity.UPDATE,
    is_call=True,
)
class MachineChanged(Fact):
    machine: MachineId
    uid: Bulk
    addresses: Texts


@fact(
    "Microsoft.Compute/virtualMachines/write",
    "Change tags of Virtual Machine",
    Activity.UPDATE,
    is_call=True,
)
class MachineTagged(Fact):
    """Its tags are others now; each is written as name=value."""

    machine: MachineId
    uid: Bulk
    tags: Texts
    previous_tags: Texts


@fact(
    "Microsoft.Compute/virtualMachines/delete",
    "Delete Virtual Machine",
    Activity.DELETE,
    is_call=True,
)
class MachineDeleted(Fact):
    machine: MachineId
    uid: Bulk


@fact("Bascule.Access/machineRules/close/action", "Close port", Activity.UPDATE)
class PortClosed(Fact):
    machine: MachineId
    port: Port
    on_expiry: Text


@fact(
    "Bascule.Access/machineRules/release/action",
    "Release port",
    Activity.UPDATE,
    severity=Severity.LOW,
)
class PortReleased(Fact):
    machine: MachineId
    port: Port
    by: Text  # which act released it


@fact("Bascule.Access/machineRules/leave/action", "Remove port from policies", Activity.UPDATE)
class PortLeftPolicies(Fact):
    """No policy names the port any more; it stays closed."""

    machine: MachineId
    port: Port
