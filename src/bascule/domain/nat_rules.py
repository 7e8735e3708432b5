"""What a gateway leads to machines behind it, as rules of an Azure Firewall's NAT collection.

Source: the shape of ``natRuleCollections`` in Microsoft.Network's azureFirewalls (CONTRACT 2.7,
6.2), with one collection of our own names (EDGES G8). A rule has one IP version, one public port
and one target. All rules stand in one collection, so that no priority changes when one comes or
goes; rules of one collection have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bascule.domain.ids import ResourceId
from bascule.domain.net import ANY, Address, AddressPrefix, PortKey, PublicPort
from bascule.domain.security_rules import HeldOpening, allow_description, rule_name

COLLECTION = "BasculeJITRuleCollection"
PRIORITY = 100  # the strongest that Azure admits


@dataclass(frozen=True, slots=True)
class Led:
    """One opening that a gateway was read back to lead to a machine's port."""

    opening: HeldOpening
    machine_uid: str
    machine_id: ResourceId
    port: PortKey  # the machine's own
    public: PublicPort  # of the same IP version as ``to``
    to: Address  # the machine's, as the gateway reaches it


@dataclass(frozen=True, slots=True)
class NatRule:
    name: str
    description: str
    sources: tuple[str, ...]
    led: Led


def nat_rules(leading: Iterable[Led]) -> tuple[NatRule, ...]:
    """In the order of public ports; none for an opening whose sources are all of another version."""
    made = []
    for led in leading:
        sources = _sources(led.opening.sources, led.public.address.version)
        if sources:
            what = f"{led.opening.id} {led.public}/{led.port.protocol}"
            made.append(
                NatRule(
                    rule_name(led.machine_uid, what, is_allow=True),
                    allow_description(led.opening.policy, led.machine_id.name),
                    sources,
                    led,
                )
            )
    return tuple(sorted(made, key=_order))


def _order(rule: NatRule) -> tuple[int, int, int, str, str]:
    public = rule.led.public
    address = public.address
    return (
        address.version,
        int(address),
        public.number,
        str(rule.led.port.protocol),
        rule.name,
    )


def _sources(sources: Iterable[AddressPrefix], version: int) -> tuple[str, ...]:
    """Those of one IP version; ``*`` stays what it is and covers the others."""
    found = tuple(sources)
    if any(source.network is None for source in found):
        return (ANY,)
    networks = (each for source in found for each in source.networks)
    return tuple(
        dict.fromkeys(str(AddressPrefix(each)) for each in networks if each.version == version)
    )
