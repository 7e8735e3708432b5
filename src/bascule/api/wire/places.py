"""How the wire names what an error is about: the JSON path of a field."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.errors import Part, Place, Target

_NAMES: Mapping[Part, str] = {
    Part.MACHINES: "virtualMachines",
    Part.MACHINE: "id",
    Part.PORTS: "ports",
    Part.NUMBER: "number",
    Part.SOURCES: "allowedSourceAddressPrefix",
    Part.END: "endTimeUtc",
    Part.LONGEST: "maxRequestAccessDuration",
    Part.JUSTIFICATION: "justification",
}


def path_of_target(target: Target) -> str:
    if not isinstance(target, Place):
        return target
    steps = ["properties"] if target.is_in_policy else []
    if target.machine is not None:
        steps.append(f"virtualMachines[{target.machine}]")
    if target.port is not None:
        steps.append(f"ports[{target.port}]")
    return ".".join([*steps, _NAMES[target.part]])
