"""What becomes of released ports: the agent opens them when it hears of it, and may be bound not to.

A guard file on the host may keep releases to its root (``release = true`` admits them); such a
port stays closed, and its agent goes on naming it: it is then claimed closed (EDGES E7).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bascule.cli.find import port_words
from bascule.cli.machine_words import agent_words
from bascule.cli.printing import note, say
from bascule.cli.waiting import Working
from bascule.client.machines import EnforcementPoint, Machine, get_machine

if TYPE_CHECKING:
    from bascule.client.connection import Connection

HEARD_SECONDS = 5.0
_PAUSE = 0.25
_ROOT_RELEASES = (
    "its host refuses releases. To allow them, root on the host sets release = true in "
    "/etc/bascule/guard.toml and restarts the agent."
)


def tell_released(
    connection: Connection, machine: Machine, ports: Sequence[tuple[int, str]]
) -> None:
    """Say which ports, given as number and protocol, were released, and what their agent did."""
    if not ports:
        return
    if machine.point is not None and machine.point.guard and not machine.point.guard.may_release:
        words = ", ".join(port_words(*each) for each in ports)
        note(f"{machine.name} keeps {words} closed: {_ROOT_RELEASES}")
        return
    what = "its agent opens it for everybody as soon as it hears of this"
    if machine.point is None:
        what = "no agent keeps it closed"
    for number, protocol in ports:
        say(f"{machine.name} port {port_words(number, protocol)} is released; {what}")
    if machine.point is None:
        return
    with Working("waiting for its agent"):
        after = _heard(connection, machine)
    words = ", ".join(
        port_words(port.number, port.protocol)
        for port in (*after.closed_ports, *after.claimed_ports)
        if not port.is_in_policy and (port.number, port.protocol) in ports
    )
    if words:
        note(f"{machine.name} still keeps {words} closed: {_ROOT_RELEASES}")
    elif after.point is not None and not _has_heard(after.point):
        note(
            f"Its agent ({agent_words(after.point, connection.now())}) has not answered yet. "
            f"Until then the ports stay closed. Check with bascule machine show {machine.name}"
        )


def _heard(connection: Connection, machine: Machine) -> Machine:
    """The machine once its agent has applied what the server says now, or some seconds later."""
    ends = time.monotonic() + HEARD_SECONDS
    while True:
        found = get_machine(connection, machine.id)
        if found.point is None or _has_heard(found.point) or time.monotonic() >= ends:
            return found
        time.sleep(_PAUSE)


def _has_heard(point: EnforcementPoint) -> bool:
    return point.observed_generation >= point.generation
