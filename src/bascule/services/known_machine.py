"""Read a machine of the inventory, or say that it does not exist."""

from __future__ import annotations

from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.errors import NotFound
from bascule.interfaces.inventory import MachineReads
from bascule.sentences import sentence


def known_machine(tx: MachineReads, machine_id: ResourceId) -> Machine:
    machine = tx.machine(machine_id)
    if machine is None:
        raise NotFound(
            sentence("Machine {machine_id} does not exist here.", machine_id=machine_id),
            advice=sentence(
                "To list machines: bascule machine list. To add it: bascule machine add {name}.",
                name=machine_id.name,
            ),
        )
    return machine
