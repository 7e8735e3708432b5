"""Existing connections: which may continue, which are to end, and how many there are.

Connections of the host with itself use ``lo`` and are ignored here. The choices are pure;
only ``connections`` and ``destroy`` talk to the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import ip_address

from bascule.domain.desired import OpeningKey, RuleSet
from bascule.domain.net import (
    Address,
    AddressPrefix,
    Network,
    PortBehind,
    PortKey,
    TransportProtocol,
)
from bascule.drivers.linux import sockets
from bascule.drivers.linux.addresses import local_addresses
from bascule.drivers.linux.conntrack import forwarded_connections, translated_connections
from bascule.drivers.linux.sockets import LIVE, Connection, local_connections
from bascule.drivers.nftables.render import ElementKey
from bascule.drivers.nftables.rules import adopted, adopted_port
from bascule.errors import EnforcementFailed


def connections(ports: Collection[PortKey], has_conntrack: bool) -> Sequence[Connection]:
    """TCP connections from other hosts to these ports: to local sockets, to published ports, and
    forwarded to machines behind.

    Raises EnforcementFailed when the kernel cannot be asked.
    """
    wanted = {port for port in ports if port.protocol is TransportProtocol.TCP}
    behind = [port for port in wanted if isinstance(port, PortBehind)]
    numbers = {port.number for port in wanted if port.at is None}
    if not wanted:
        return []
    try:
        found = list(local_connections(numbers))
        if has_conntrack and numbers:
            found += [each for each in translated_connections() if each.port in numbers]
        if has_conntrack and behind:
            found += forwarded_connections(behind)
        ours = local_addresses()
    except OSError as error:
        raise EnforcementFailed(
            f"The kernel's connections cannot be read: {error}.",
            advice="Check the modules tcp_diag and nf_conntrack_netlink.",
        ) from error
    return [each for each in found if not each.source.is_loopback and each.source not in ours]


def destroy(unwanted: Iterable[Connection]) -> None:
    """End those that have a socket here. Raises EnforcementFailed when that is refused."""
    try:
        sockets.destroy(each for each in unwanted if each.identity)
    except OSError as error:
        raise EnforcementFailed(
            f"Connections cannot be ended: {error}.", advice="Give the agent CAP_NET_ADMIN."
        ) from error


class Reach:
    """The sources and ports of openings or cuts, indexed for lookups of many connections."""

    def __init__(self, keys: Iterable[OpeningKey]) -> None:
        self._lengths: dict[tuple[PortKey, int], set[int]] = {}  # (port, IP version)
        self._networks: dict[PortKey, set[tuple[int, int, int]]] = {}
        for key in keys:
            if key.port.protocol is TransportProtocol.TCP:
                port, network = key.port, key.source
                self._lengths.setdefault((port, network.version), set()).add(network.prefixlen)
                self._networks.setdefault(port, set()).add(_masked(network))

    def holds(self, connection: Connection) -> bool:
        return self.reaches(connection.source, connection.to)

    def reaches(self, source: Address, port: PortKey) -> bool:
        version, bits = source.version, source.max_prefixlen
        return any(
            (version, length, int(source) >> (bits - length)) in self._networks[port]
            for length in self._lengths.get((port, version), ())
        )


def _masked(network: Network) -> tuple[int, int, int]:
    bits = network.max_prefixlen - network.prefixlen
    return network.version, network.prefixlen, int(network.network_address) >> bits


def unadmitted(
    found: Iterable[Connection], rules: RuleSet, adoptions: Collection[ElementKey]
) -> list[Connection]:
    """Connections on kill ports that do not drain, or from cut sources, without an opening or
    adoption.
    """
    is_over = _judge(rules)
    return [
        each for each in found if is_over(each.source, each.to) and adopted(each) not in adoptions
    ]


def ended_adoptions(again: Iterable[ElementKey], rules: RuleSet) -> set[ElementKey]:
    """Adoptions, of connections found when a port was closed again, that must now end."""
    is_over = _judge(rules)
    return {key for key in again if is_over(ip_address(key[1][0]), adopted_port(key))}


def _judge(rules: RuleSet) -> Callable[[Address, PortKey], bool]:
    """A test: is this source on a kill port and not to stay, or cut, without an opening that admits
    it?
    """
    kill = {closed.port for closed in rules.closed if closed.is_kill}
    opened, cut, drain = Reach(rules.openings), Reach(rules.cuts), Reach(rules.drains)

    def is_over(source: Address, port: PortKey) -> bool:
        is_ended = cut.reaches(source, port) or (port in kill and not drain.reaches(source, port))
        return is_ended and not opened.reaches(source, port)

    return is_over


def count(found: Collection[Connection], wanted: Sequence[tuple[PortKey, str]]) -> Sequence[int]:
    """How many connections live on each (port, source prefix); none on a UDP port."""
    live = [each for each in found if each.state in LIVE]
    totals = []
    for port, source in wanted:
        reach = Reach(OpeningKey(each, port) for each in AddressPrefix.parse(source).networks)
        totals.append(sum(reach.holds(each) for each in live))
    return totals
