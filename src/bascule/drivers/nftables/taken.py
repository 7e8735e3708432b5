"""Public ports that something else has: a mapping of such a one is refused (EDGES G6).

Ours would win over a listener and over most rules of others, and so take from others what they serve;
and whoever it does not lead on would be dropped.
"""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.net import PortKey, PortMapped
from bascule.drivers.linux.nat_rules import translations
from bascule.drivers.linux.own_ports import listens
from bascule.drivers.nftables.shadowed import is_ours


def taken(ports: Collection[PortMapped]) -> set[PortMapped]:
    """Those of ``ports``. Raises OSError."""
    found = listens(ports)
    for address in {port.at for port in ports}:
        own = {PortKey(each.protocol, each.number): each for each in ports if each.at == address}
        for number, port in own.items():
            there = translations([number], is_ours, address)
            if there.targets or there.redirected:
                found.add(port)
    return found
