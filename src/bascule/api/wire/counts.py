"""How much of one body is read: what its nested lists hold, all of them together.

Each list has its bound, and a thousand times a thousand times a thousand would still pass.
So they are counted as they came, before one port or source is read: that happens while
everybody waits, each bad one is an error to be made, and some routes ask for rights only
afterwards. Machines that are too many are refused here too, in the words of their own bound,
which would read as many as it takes before it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic_core import PydanticKnownError

from bascule.api.wire.fields import refuse

MOST_MACHINES = 1000
MOST_PORTS = 10_000  # ten of each of a thousand machines
MOST_SOURCES = 10_000  # in lists


def check_ports(ports: object, most: int = MOST_PORTS) -> None:
    """Refuse raw ports that are too many, or that list too many sources."""
    listed: Sequence[object] = ports if isinstance(ports, list) else ()
    if len(listed) > most:
        raise refuse(f"has {len(listed)} ports; at most {most} are allowed.", "TooManyPorts")
    sources = sum(len(_list_in(port, "allowedSourceAddressPrefixes")) for port in listed)
    if sources > MOST_SOURCES:
        raise refuse(
            f"has {sources} sources; at most {MOST_SOURCES} are allowed.", "TooManySources"
        )


def check_machines(machines: object, most_ports: int = MOST_PORTS) -> None:
    """Refuse raw machines that are too many, or name too many ports or sources between them."""
    if not isinstance(machines, list):
        return
    if len(machines) > MOST_MACHINES:
        bound = {"field_type": "List", "max_length": MOST_MACHINES}
        raise PydanticKnownError("too_long", {**bound, "actual_length": len(machines)})
    check_ports([*_ports_of(machines)], most_ports)


def _ports_of(machines: Sequence[object]) -> Iterator[object]:
    for machine in machines:
        yield from _list_in(machine, "ports")


def _list_in(value: object, name: str) -> Sequence[object]:
    """The list of that name; what has another form than it should has none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else ()
