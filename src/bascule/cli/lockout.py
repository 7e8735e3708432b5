"""Lock nobody out: policy set, typed in an ssh session on that very machine.

Before the port is closed, the agent on this host lets the session's own address in for a
while (EDGES A25). Where gateways alone close it, root of this host has no say there: it is said that the
session continues, and what to do before it is left. Elsewhere, or without an agent here, there is nothing
to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from bascule.cli.here import is_here
from bascule.cli.parameters import Port
from bascule.cli.printing import note
from bascule.client.host_agent import find_control, machine_uid_here, open_on_this_host
from bascule.client.machines import Machine
from bascule.client.ssh_peer import ssh_peer
from bascule.domain.net import Address, parse_address
from bascule.errors import BasculeError, InvalidInput

GRACE_MINUTES = 15


def keep_my_way_in(machine: Machine, ports: Iterable[Port]) -> None:
    """Open the TCP ports about to be closed for the ssh peer, when this host is that machine."""
    peer = ssh_peer()
    if peer is None or not _is_this_host(machine):
        return
    closed = {port.number for port in machine.closed_ports if port.protocol == "TCP"}
    closing = [
        each.number for each in ports if each.protocol != "UDP" and each.number not in closed
    ]
    if machine.closed_at and closing:
        tell_of_gateways(machine, machine.closed_at)
        return
    for number in closing:
        _open(number, peer)


def tell_of_gateways(machine: Machine, gateways: Iterable[str]) -> None:
    """Say what becomes of the ssh session on that machine in which we are, if it is one: root of
    the machine opens nothing at its gateways.
    """
    peer = ssh_peer()
    if peer is None or not _is_this_host(machine):
        return
    named = " and ".join(gateways)
    note(
        f"You are in an ssh session on this machine, from {peer}. {named} keeps the port closed for "
        f"what passes it. This session continues. Before you leave it, run bascule request "
        f"{machine.name}."
    )


def _open(number: int, peer: Address) -> None:
    try:
        open_on_this_host(find_control(), "TCP", number, str(peer), GRACE_MINUTES * 60)
    except BasculeError as error:
        note(
            f"You are in an ssh session on this machine, and its agent did not open the port for "
            f"{peer} for {GRACE_MINUTES} minutes: {error.message} This session continues. Before "
            f"you leave it, run bascule request."
        )
        return
    note(
        f"Your ssh session comes from {peer}. Port {number} stays open for it for {GRACE_MINUTES} "
        f"minutes."
    )


def _is_this_host(machine: Machine) -> bool:
    """The agent here knows; addresses, which a NAT hides, are for where none answers."""
    uid = machine_uid_here()
    if uid:
        return uid == machine.uid
    for text in machine.addresses:
        try:
            if is_here(parse_address(text)):
                return True
        except InvalidInput:
            continue
    return False
