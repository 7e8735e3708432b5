"""By which addresses of this gateway do answers of machines behind it come back? (EDGES G7)

By its own, where the machine is its neighbour and sees who asks. Where a rule writes over who asks, the
machine answers this gateway whatever its routes are, and nothing is told of it. Found by reading other
programs' chains of type ``nat`` in ``postrouting``, of nftables and of the old iptables: a rule that
translates sources counts if it may meet a new connection to one of the machine's ports, whoever asks,
and whichever chain of such a table it stands in: a map may lead there.
What is not here: a source that is written over without translation, a finding of its own (``rewriting``).
Source: linux/netfilter/nf_tables.h (nat, masq), xt_MASQUERADE.c, xt_nat.c, xt_NETMAP.c.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence

from bascule.domain.net import Address, PortBehind
from bascule.drivers.linux.addresses import local_addresses
from bascule.drivers.linux.legacy import LegacyTable, legacy_tables
from bascule.drivers.linux.other_rules import AnyTable
from bascule.drivers.linux.rewriting import POSTROUTING
from bascule.drivers.linux.routes import Hop, hop_to
from bascule.drivers.linux.ruleset import Rule, Table, hooked_tables, number_of, text
from bascule.drivers.linux.verdicts import Packet, may_match

_SOURCE = 0  # NFT_NAT_SNAT
_TARGETS = ("MASQUERADE", "SNAT", "NETMAP")  # of iptables


def answered_by(
    machines: Sequence[Collection[PortBehind]], is_ours: Callable[[int, str], bool]
) -> list[frozenset[Address]]:
    """Of each machine with these ports; empty: it cannot be told. Raises OSError."""
    names = dict(socket.if_nameindex())
    addresses = {port.at for ports in machines for port in ports}
    hops = {each: hop_to(each) for each in addresses}
    own = frozenset(each for each in local_addresses() if not each.is_loopback)
    masking = _masking(is_ours) if hops else []
    return [
        own
        if ports and not any(_is_untold(port, hops[port.at], names, masking) for port in ports)
        else frozenset()
        for ports in machines
    ]


def _is_untold(
    port: PortBehind,
    hop: Hop | None,
    names: Mapping[int, str],
    masking: Collection[tuple[AnyTable, Rule]],
) -> bool:
    if hop is None or hop.via is not None or hop.interface not in names:
        return True
    out = hop.interface, names[hop.interface]
    packet = Packet(port.own, port.at, out_interface=out, is_forwarded=True)
    return any(may_match(table, rule, packet) for table, rule in masking)


def _masking(is_ours: Callable[[int, str], bool]) -> list[tuple[AnyTable, Rule]]:
    """The rules that translate sources."""
    tables: list[AnyTable] = [Table(*each) for each in hooked_tables() if not is_ours(*each)]
    tables += [LegacyTable(*each) for each in legacy_tables()]
    return [
        (table, rule)
        for table in tables
        if any(each.hook == POSTROUTING and each.kind == "nat" for each in table.bases.values())
        for rules in table.rules.values()
        for rule in rules
        if any(
            expression == "masq"
            or (expression == "nat" and number_of(parts, 1) == _SOURCE)
            or (expression == "target" and text(parts.get(1, b"")) in _TARGETS)
            for expression, parts in rule
        )
    ]
