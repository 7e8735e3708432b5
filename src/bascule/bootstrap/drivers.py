"""The registry of drivers, by name. Each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from bascule.errors import InvalidInput

if TYPE_CHECKING:
    from bascule.domain.net import Address, PortBehind
    from bascule.interfaces.driver import HostFirewall

USUAL = "nftables"


def _nftables() -> HostFirewall:
    from bascule.drivers.nftables.host import NftablesHost

    return NftablesHost()


HOST_FIREWALLS: Mapping[str, Callable[[], HostFirewall]] = {USUAL: _nftables}


class HostParts:
    """``interfaces.driver.HostParts``: what commands on a host may ask for."""

    def firewall(self, name: str = "") -> HostFirewall:
        found = HOST_FIREWALLS.get(name or USUAL)
        if found is None:
            raise InvalidInput(
                f"There is no driver {name[:64]!r}.",
                advice=f"Drivers for a host: {', '.join(sorted(HOST_FIREWALLS))}.",
            )
        return found()

    def local_port_range(self) -> tuple[int, int] | None:
        from bascule.drivers.linux.facts import local_port_range

        return local_port_range()

    def own_addresses(self) -> frozenset[Address]:
        from bascule.drivers.linux.addresses import local_addresses

        try:
            return local_addresses()
        except Exception:  # noqa: BLE001  # reason: no state waits for it
            return frozenset()

    def next_hops(self, destination: Address, source: Address | None) -> Collection[Address] | None:
        from bascule.drivers.linux.routes import next_hops

        try:
            return next_hops(destination, source)
        except Exception:  # noqa: BLE001  # reason: no state waits for it
            return None

    def answered_by(
        self, machines: Sequence[Collection[PortBehind]]
    ) -> Sequence[Collection[Address]]:
        from bascule.drivers.linux.masquerading import answered_by
        from bascule.drivers.nftables.shadowed import is_ours

        try:
            return answered_by(machines, is_ours)
        except Exception:  # noqa: BLE001  # reason: no report waits for others' rules
            return [()] * len(machines)
