"""The paths of resources, and the ids that a call's path names.

Names in a path are checked whole (EDGES A18); a resource group is taken in the spelling
in which it was created, a location in the one that is known.

These and all dependencies are coroutines though they await nothing: FastAPI runs a plain
function in a thread of its pool, which costs more than all that they do.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from bascule.api.auth import CurrentCall, current_call
from bascule.api.direct import stands_for
from bascule.domain.ids import ResourceId, machine_id, parse_name, policy_id
from bascule.errors import InvalidInput

SUBSCRIPTION = "/subscriptions/{subscription_id}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{resource_group}}"
MACHINES = "/providers/Microsoft.Compute/virtualMachines"
MACHINE = f"{GROUP}{MACHINES}/{{machine}}"

GroupName = Annotated[str, Path(max_length=90)]


async def group_of(call: CurrentCall, resource_group: GroupName) -> str:  # noqa: ARG001  # reason: describes the path
    """The path's group as it was created; the guard has checked it."""
    return call.resource_group


Group = Annotated[str, Depends(group_of)]


async def machine_of(call: CurrentCall, _group: Group, machine: str) -> ResourceId:
    name = parse_name(machine, "The machine's name")
    return machine_id(call.subscription_id, call.resource_group, name)


async def location_of(call: CurrentCall, location: str) -> str:
    if call.location is None:
        known = await call.read(lambda reader: reader.locations())
        raise InvalidInput(
            f"Location {location[:80]!r} does not exist here. Existing locations: "
            f"{', '.join(known)}.",
            code="InvalidLocation",
        )
    return call.location


Location = Annotated[str, Depends(location_of)]


async def policy_of(
    call: CurrentCall, _group: Group, location: Location, policy: str
) -> ResourceId:
    name = parse_name(policy, "The policy's name")
    return policy_id(call.subscription_id, call.resource_group, location, name)


@stands_for(policy_of)
async def _policy_of(request: Request) -> ResourceId:
    call, named = await current_call(request), request.path_params
    location = await location_of(call, named["location"])
    return await policy_of(call, call.resource_group, location, named["policy"])


@stands_for(machine_of)
async def _machine_of(request: Request) -> ResourceId:
    call = await current_call(request)
    return await machine_of(call, call.resource_group, request.path_params["machine"])


# Answer what the call would change, and change nothing.
DryRun = Annotated[
    bool, Query(alias="dryRun", description="Show what would change, without changing it.")
]
MachinePath = Annotated[ResourceId, Depends(machine_of)]
PolicyPath = Annotated[ResourceId, Depends(policy_of)]
