"""Which addresses the record may be sent to: nobody makes the server reach into its own network.

Sources: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890); RFC 4291 2.4 (only
``2000::/3`` is given out for global unicast), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380
(Teredo): addresses that carry an IPv4 address inside and lead to wherever that one leads.

Rules: an address must be global unicast, or lie in a network that the operator named. What is
no single host's address, and an IPv4 address in IPv6 dress, is never reached.
What is not here: how a name becomes addresses (``outward``).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network, ip_network

from bascule.domain.net import Address, AddressPrefix, Network

_GLOBAL_IPV6 = IPv6Network("2000::/3")


def _networks(words: str) -> tuple[tuple[Network, str], ...]:
    rows = (line.split(" ", 1) for line in words.strip().splitlines())
    return tuple((ip_network(prefix), word) for prefix, word in rows)


_NEVER = _networks("""\
0.0.0.0/8 this network
224.0.0.0/4 multicast
255.255.255.255/32 broadcast
::/128 unspecified
::ffff:0:0/96 IPv4-mapped
ff00::/8 multicast
""")
_SPECIAL = _networks("""\
10.0.0.0/8 private
100.64.0.0/10 shared by a provider's customers
127.0.0.0/8 loopback
169.254.0.0/16 link-local
172.16.0.0/12 private
192.0.0.0/24 set aside for protocols
192.0.2.0/24 documentation
192.88.99.0/24 6to4 relay
192.168.0.0/16 private
198.18.0.0/15 benchmarking
198.51.100.0/24 documentation
203.0.113.0/24 documentation
240.0.0.0/4 reserved
::1/128 loopback
64:ff9b::/96 NAT64
64:ff9b:1::/48 NAT64
fc00::/7 private
fe80::/10 link-local
2001::/32 Teredo
2001::/23 set aside for protocols
2001:db8::/32 documentation
2002::/16 6to4
3fff::/20 documentation
""")


def objection(address: Address, allowed: Sequence[AddressPrefix] = ()) -> str:
    """Why this address is not to be reached, in a word; empty when it may be.

    ``allowed`` are the networks that the operator named.
    """
    never = _word(address, _NEVER)
    if never or any(_holds(network, address) for each in allowed for network in each.networks):
        return never
    special = _word(address, _SPECIAL)
    if special or address.version == 4 or address in _GLOBAL_IPV6:
        return special
    return "not given out"


def _word(address: Address, networks: Sequence[tuple[Network, str]]) -> str:
    return next((word for network, word in networks if _holds(network, address)), "")


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network
