"""Sources that let in more than a person's own network: allowed, but not without a warning.

EDGES C3: everybody, or wider than a /24 of IPv4 or a /48 of IPv6, which are what one site
usually has. Prefixes that lie side by side count as the one that they make up.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from bascule.domain.net import AddressPrefix

WIDEST_IPV4 = 24  # bits of a prefix that still needs no warning
WIDEST_IPV6 = 48


def wide_ones(sources: Iterable[AddressPrefix]) -> tuple[AddressPrefix, ...]:
    """The sources, put together, that a warning is due for; ``*`` as itself."""
    given = list(sources)
    if any(each.network is None for each in given):
        return (AddressPrefix(None),)
    networks = [network for each in given for network in each.networks]
    v4 = collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    v6 = collapse_addresses(each for each in networks if isinstance(each, IPv6Network))
    return (
        *(AddressPrefix(each) for each in v4 if each.prefixlen < WIDEST_IPV4),
        *(AddressPrefix(each) for each in v6 if each.prefixlen < WIDEST_IPV6),
    )


def is_everybody(source: AddressPrefix) -> bool:
    """``*``, or every address of one family."""
    return source.network is None or source.network.prefixlen == 0
