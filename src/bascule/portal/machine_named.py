"""A machine that a visitor calls by its name in a form."""

from __future__ import annotations

from bascule.domain.actions import MACHINE_READ
from bascule.domain.machine import Machine
from bascule.errors import InvalidInput
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.store import Reader
from bascule.portal.guard import Visit

LOOKED_AT = 200  # machines whose names have the text in them


def machine_named(visit: Visit, reader: Reader, text: str, target: str) -> Machine:
    """The machine that is called so, as name or group/name, of those that the visitor may read.

    Raises InvalidInput, which names the field ``target``.
    """
    group, _, name = text.rpartition("/")
    wanted = ListFilter(name_part=name, resource_group=group, within=visit.within(MACHINE_READ))
    listed = reader.listed_machines(wanted, None, LOOKED_AT) if name else ()
    found = [e.machine for e in listed if e.machine.id.name.casefold() == name.casefold()]
    if len(found) > 1:
        raise InvalidInput(
            "Several machines have this name. Give group/name.", target=target, code="NameUnclear"
        )
    if not found:
        raise InvalidInput(
            "You can see no machine of this name.", target=target, code="MachineNotFound"
        )
    return found[0]
