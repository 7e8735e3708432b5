"""What an owner says manages a gateway instead of Bascule (EDGES G9).

Machines behind it are then unsupported: nothing is configured or requested anew for them. What is
closed stays closed, and live grants go on to their ends. What is not here: what a gateway's agent
finds (``domain.weaknesses``), and who refuses (``decide``, ``policies``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.facts.enrolments import GatewayManaged
from bascule.domain.ids import ResourceId
from bascule.domain.machine import BASCULE, LONGEST_MANAGER
from bascule.domain.plain import clean
from bascule.errors import InvalidInput, NotFound
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import PointWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.bindings import check_owned
from bascule.services.rights import RightsReads


class ManagedWrites(EventWrites, MachineReads, PointWrites, RightsReads, Protocol):
    """A point, and the rights at its machine."""


def manage(
    tx: ManagedWrites, act: Act, subject: Subject, machine_id: ResourceId, by: str
) -> tuple[str, bool]:
    """Say what manages a gateway: a name, BASCULE in any case, or empty, so that what its agent finds
    decides. Returns what is kept, and whether that is new.

    It takes the rights that binding a machine takes, at the gateway. Raises Forbidden, NotFound,
    InvalidInput.
    """
    machine = check_owned(tx, act, subject, machine_id)
    name = clean(by).strip()
    if len(name) > LONGEST_MANAGER:
        raise InvalidInput(
            sentence(
                "What manages a gateway is named with at most {most} characters.",
                most=LONGEST_MANAGER,
            ),
            target="managedBy",
        )
    if name.casefold() == BASCULE.casefold():
        name = BASCULE
    point = tx.agent_of(machine.uid)
    if point is None:
        raise NotFound(
            sentence("{name} has no agent, so it is no gateway.", name=machine.id.name),
            advice=sentence("Enrol it: bascule machine enrol {name}.", name=machine.id.name),
        )
    if point.managed_by == name:
        return name, False
    tx.put_enforcement_point(replace(point, managed_by=name))
    fact = GatewayManaged(str(machine.id), machine.uid, name, point.managed_by)
    act.record(tx, fact, machine.id)
    return name, True
