"""Access to one port of one machine for the caller: an existing grant, or a new one.

A live grant is used again when it covers the address that we come from and has half a
minute left; else one is asked for and waited for. The address to connect to is of the
family that was granted (EDGES A22); where a gateway leads to the port, it is the gateway's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bascule.cli.choose import choose
from bascule.cli.here import is_here
from bascule.cli.reason import reason_for
from bascule.cli.show import SSH_PORT, door_to, unopened
from bascule.cli.waiting import OPEN_SECONDS, Working, may_still_open, wait_until_open
from bascule.client.access import (
    AccessRequest,
    GrantedPort,
    PortRequest,
    initiate,
    list_requests,
)
from bascule.client.machines import Machine
from bascule.client.policies import MachineRules, PolicyRules, get_machine_rules
from bascule.domain.net import Address, AddressPrefix, is_within
from bascule.domain.ways_in import Door
from bascule.errors import EnforcementFailed, InvalidInput, RequestDenied

if TYPE_CHECKING:
    from bascule.client.connection import Connection

LEAST_LEFT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said about the access, all of it optional."""

    port: int | None = None
    span: timedelta | None = None
    why: str = ""
    policy_name: str = ""
    family: int = 0  # 4 or 6; 0 is either
    is_live_only: bool = False  # ask for nothing new


def reach(connection: Connection, machine: Machine, wish: Wish) -> Door:
    """Make sure that the port is open for us, and say where to connect to.

    Raises RequestDenied, EnforcementFailed, NotFound when no address fits.
    """
    rules = get_machine_rules(connection, machine.id)
    number = wish.port or ssh_port(rules)
    _require_tcp(rules, number)
    granted = live_grant(connection, machine, number, wish.family)
    if granted is None:
        if wish.is_live_only:
            raise EnforcementFailed(f"{machine.name} port {number} is not open for you.")
        granted = _ask(connection, machine, rules, number, wish)
    return door_to(machine.name, machine.addresses, granted, wish.family)


def ssh_port(rules: MachineRules) -> int:
    """22 where a policy offers it, else the only TCP port; raises when that says nothing."""
    by_tcp = replace(rules, policies=tuple(map(_tcp_of, rules.policies)))
    numbers = {rule.number for policy in by_tcp.policies for rule in policy.ports}
    if not numbers and any(policy.ports for policy in rules.policies):
        raise RequestDenied(
            f"{rules.machine_id.name} has no TCP port to connect to: its policies offer only UDP.",
            code="PortNotInPolicy",
            advice=f"To see its ports: bascule policy show {rules.machine_id.name}",
        )
    return SSH_PORT if SSH_PORT in numbers else choose(by_tcp, ()).ports[0]


def _tcp_of(policy: PolicyRules) -> PolicyRules:
    return replace(policy, ports=tuple(rule for rule in policy.ports if rule.protocol != "UDP"))


def _require_tcp(rules: MachineRules, number: int) -> None:
    """Raise where policies offer the port by UDP alone; what none offers is the server's to deny."""
    offered = {rule.protocol for policy in rules.policies for rule in policy.rules_for(number)}
    if offered == {"UDP"}:
        name = rules.machine_id.name
        raise RequestDenied(
            f"{name} offers port {number} only for UDP: there is no TCP port to connect to.",
            code="PortNotInPolicy",
            advice=f"To open it all the same: bascule request {name} -p {number}",
        )


def live_grant(
    connection: Connection, machine: Machine, number: int, family: int = 0
) -> GrantedPort | None:
    """A grant of mine that lets this host in for a while yet; the longest."""
    mine = list_requests(connection, is_live=True, is_mine=True, machine=machine.id)
    fitting = [
        port
        for port in _ports_of(mine, machine)
        if port.number == number
        and port.row.was_read_back
        and port.protocol != "UDP"
        and port.ends_at - connection.now() >= LEAST_LEFT
        and _covers(port.sources, connection.caller, family)
    ]
    return max(fitting, key=lambda port: port.ends_at, default=None)


def _ask(
    connection: Connection, machine: Machine, rules: MachineRules, number: int, wish: Wish
) -> GrantedPort:
    choice = choose(rules, [number], wish.policy_name)
    asked = PortRequest(number, wish.span or choice.default_span, None, None)
    why = reason_for(choice, machine.name, wish.why)
    request_id = initiate(connection, choice.policy_id, machine.id, [asked], why)
    words = f"waiting until {machine.name} has opened port {number}"
    with may_still_open(request_id), Working(words):
        answer = wait_until_open(connection, request_id)
    failure = unopened(answer, timedelta(seconds=OPEN_SECONDS))
    if failure is not None:
        raise failure
    return next(port for port in _ports_of([answer], machine) if port.protocol != "UDP")


def _ports_of(requests: Iterable[AccessRequest], machine: Machine) -> Iterable[GrantedPort]:
    return (port for each in requests for host, port in each.ports() if host.id == machine.id)


def _covers(sources: Iterable[str], caller: Address | None, family: int) -> bool:
    """Do they let us in: the address that the server sees, or another one of this host?"""
    try:
        granted = [AddressPrefix.parse(source) for source in sources]
    except InvalidInput:
        return False
    if caller is not None and family in (0, caller.version):
        return is_within([AddressPrefix.of(caller)], granted) or _names_us(granted, family)
    return _names_us(granted, family)


def _names_us(granted: Iterable[AddressPrefix], family: int) -> bool:
    """A loopback address is everybody's own, and no machine sees us come from it."""
    singles = (
        network.network_address
        for prefix in granted
        for network in prefix.networks
        if network.prefixlen == network.max_prefixlen and family in (0, network.version)
    )
    return any(not address.is_loopback and is_here(address) for address in singles)
