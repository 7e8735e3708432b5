"""nftables as a host's own firewall: what it needs of the host, and how it is opened."""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, PortKey
from bascule.domain.weaknesses import OWNER_UNKEPT
from bascule.drivers.nftables.doctor import examine
from bascule.drivers.nftables.driver import NftablesDriver, open_driver
from bascule.drivers.nftables.layout import TABLE
from bascule.drivers.nftables.standing import TRIAL, standing_rules
from bascule.interfaces.driver import Examination, HostNeeds, UnitNeeds


class NftablesHost:
    name = "nftables"
    needs = HostNeeds(
        rules=f"the nftables table 'inet {TABLE}'",
        unkept=OWNER_UNKEPT,
        tools={"nft": "nftables"},
        check=("/usr/sbin/nft", "-c", "-f", "-"),
        release=("/usr/sbin/nft", "delete", "table", "inet", TABLE),
        unit=UnitNeeds(
            documentation="man:nft(8)",
            after=("nftables.service",),  # which flushes (EDGES A6)
            capabilities=("CAP_NET_ADMIN",),
            address_families=("AF_NETLINK",),
            stored_descriptors=8,  # one, and those of agents that died before they gave theirs up
            load=("/usr/sbin/nft", "-f"),
            has_rules=("/usr/sbin/nft", "list", "table", "inet", TABLE),
        ),
    )

    def open(self) -> NftablesDriver:
        return open_driver()

    def standing(self, closed: Collection[ClosedPort], *, is_trial: bool = False) -> str:
        return standing_rules(closed, TRIAL if is_trial else TABLE)

    def examine(
        self, ports: Collection[PortKey], gateways: Collection[Address] = ()
    ) -> Examination:
        return examine(ports, gateways)
