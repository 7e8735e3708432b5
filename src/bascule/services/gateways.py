"""How faces call the gateways at which alone a machine is closed (EDGES G7).

What is not here: which machines a gateway guards (``bindings``).
"""

from __future__ import annotations

from collections.abc import Mapping

from bascule.domain.machine import EnforcementPoint
from bascule.interfaces.inventory import MachineReads


def gateways_of(
    reader: MachineReads, points: Mapping[str, EnforcementPoint]
) -> Mapping[str, tuple[str, ...]]:
    """Names by machine uid, of the machines that only gateways guard; ``points`` are by machine uid
    too. A name may be gone: then it is the uid.
    """
    elsewhere = {uid: point.elsewhere for uid, point in points.items() if point.elsewhere}
    if not elsewhere:  # nearly always
        return {}
    known = reader.machines_of(sorted({each for uids in elsewhere.values() for each in uids}))
    names = {uid: machine.id.name for uid, machine in known.items()}
    return {
        uid: tuple(names.get(each, each) for each in gateways)
        for uid, gateways in elsewhere.items()
    }
