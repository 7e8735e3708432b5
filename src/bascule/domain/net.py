"""Ports, transport protocols and address prefixes: normal form, order, containment.

Sources: RFC 4632 (IPv4 prefixes), RFC 4291 (IPv6, 2.5.5.2 for IPv4-mapped addresses),
RFC 6335 section 6 (port numbers; 0 is reserved and never a service).

Rules: a prefix with host bits set is refused, not rounded; a zone id is refused; an
IPv4-mapped IPv6 address is its IPv4 address, and ``::ffff:0:0/96`` itself is refused;
``*`` means every IPv4 and every IPv6 address, ``::/0`` IPv6 alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import NamedTuple

from bascule.errors import InvalidInput
from bascule.sentences import sentence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

ANY = "*"
EVERY_IPV4 = IPv4Network("0.0.0.0/0")
EVERY_IPV6 = IPv6Network("::/0")
_MAPPED = IPv6Network("::ffff:0:0/96")


class TransportProtocol(StrEnum):
    """What a packet carries; nftables' ``inet_proto`` names are the lower-case forms."""

    TCP = "TCP"
    UDP = "UDP"


class RuleProtocol(StrEnum):
    """The protocol of a port rule; ``*`` is TCP and UDP."""

    TCP = "TCP"
    UDP = "UDP"
    ALL = "*"

    @property
    def transports(self) -> tuple[TransportProtocol, ...]:
        if self is RuleProtocol.ALL:
            return (TransportProtocol.TCP, TransportProtocol.UDP)
        return (TransportProtocol(self.value),)


@dataclass(frozen=True, slots=True, order=True)
class PortKey:
    """One transport protocol and port number: what a firewall can close."""

    protocol: TransportProtocol
    number: int  # 1..65535

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.lower()}"

    @property
    def at(self) -> Address | None:
        """Where it is reached through the firewall's host; None: it is that host's own port."""
        return None

    @property
    def own(self) -> PortKey:
        """The same port as its machine names it."""
        return PortKey(self.protocol, self.number)

    def mapped(self, public: PublicPort, to: PortBehind | None = None) -> PortMapped:
        """The public port that stands for this one, over the same protocol."""
        return PortMapped(self.protocol, public.number, public.address, to)

    def behind(self, address: Address) -> PortBehind:
        """The same port of a machine to which the firewall's host forwards."""
        return PortBehind(self.protocol, self.number, address)


@dataclass(frozen=True, slots=True)
class PortBehind(PortKey):
    """A port of a machine behind a gateway, at the address to which the gateway forwards.

    It equals no port of the gateway's own, nor the same port at another address. It is known to
    the gateway's firewall alone: leases, reports and policies name the machine's ports.
    """

    address: Address

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.lower()} of {self.address}"

    @property
    def at(self) -> Address:
        return self.address


@dataclass(frozen=True, slots=True, order=True)
class PublicPort:
    """A port number at one of a gateway's public addresses."""

    address: Address
    number: int  # 1..65535

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.number}"
            if self.address.version == 6
            else (f"{self.address}:{self.number}")
        )


@dataclass(frozen=True, slots=True)
class PortMapped(PortKey):
    """A public port of a gateway that stands for a port of a machine behind it.

    Closed, it leads nobody anywhere. In the key of an opening, ``to`` is where it leads that source.
    """

    address: Address
    to: PortBehind | None = None

    def __str__(self) -> str:
        named = f"{self.number}/{self.protocol.lower()} at {self.address}"
        return named if self.to is None else f"{named}, for {self.to},"

    @property
    def at(self) -> Address:
        """The gateway's public address."""
        return self.address

    @property
    def own(self) -> PortKey:
        """The machine's, for whom it leads there; closed, it is nobody's but the gateway's."""
        return PortKey(self.protocol, self.number) if self.to is None else self.to.own


# By a machine's own port, the public ports that stand for it.
PublicPorts = Mapping[PortKey, tuple[PublicPort, ...]]


def port_order(port: PortKey) -> tuple[int, int, TransportProtocol, int]:
    """Sorts the host's own ports first, then those of each address behind it."""
    version, address = (0, 0) if port.at is None else (port.at.version, int(port.at))
    return version, address, port.protocol, port.number


def parse_port_number(value: int, target: str = "") -> int:
    """Return ``value`` when it is a port that a service can have, 1 to 65535 inclusive."""
    if not 1 <= value <= 65535:
        raise InvalidInput(
            sentence("Port {value} does not exist. A port number is from 1 to 65535.", value=value),
            code="InvalidPort",
            target=target,
        )
    return value


def parse_address(text: str, target: str = "") -> Address:
    """Parse one address; a zone id is refused, an IPv4-mapped one becomes IPv4."""
    if "%" in text:
        raise InvalidInput(
            sentence("{text} has a zone id. Give the address without %zone.", text=repr(text[:80])),
            code="InvalidAddress",
            target=target,
        )
    try:
        return _address(text)
    except ValueError:
        raise InvalidInput(
            sentence("{text} is not an IPv4 or IPv6 address.", text=repr(text[:80])),
            code="InvalidAddress",
            target=target,
        ) from None


@lru_cache(maxsize=4096)  # where a call came from is asked several times a call
def _address(text: str) -> Address:
    """Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class AddressPrefix:
    """A source: one address, a CIDR prefix, or ``*``."""

    network: Network | None  # None is ``*``: every address of both families

    def __str__(self) -> str:
        if self.network is None:
            return ANY
        if self.network.prefixlen == self.network.max_prefixlen:
            return str(self.network.network_address)
        return str(self.network)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The prefix as one network a family: two for ``*``, else one."""
        return (EVERY_IPV4, EVERY_IPV6) if self.network is None else (self.network,)

    @classmethod
    def parse(cls, text: str, target: str = "") -> AddressPrefix:
        """Parse ``*``, an address, or a prefix with no host bits set."""
        if text == ANY:
            return cls(None)
        if "/" not in text:
            return cls.of(parse_address(text, target))
        return cls(_parse_network(text, target))

    @classmethod
    def of(cls, address: Address) -> AddressPrefix:
        return cls(ip_network(address))


def _parse_network(text: str, target: str) -> Network:
    bare, _, length = text.partition("/")
    if "%" in text or not length.isascii() or not length.isdigit():
        raise InvalidInput(
            sentence(
                "{text} is not an address prefix: write it as 192.0.2.0/24 or "
                "2001:db8::/64, without a zone id.",
                text=repr(text[:80]),
            ),
            code="InvalidAddressPrefix",
            target=target,
        )
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput(
            sentence(
                "{text} is not an address prefix: write it as 192.0.2.0/24 or 2001:db8::/64.",
                text=repr(text[:80]),
            ),
            code="InvalidAddressPrefix",
            target=target,
        ) from None
    if network.network_address != ip_address(bare):
        raise InvalidInput(
            sentence(
                "{text} has host bits set. Did you mean {network}?",
                text=repr(text[:80]),
                network=network,
            ),
            code="InvalidAddressPrefix",
            target=target,
        )
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return _unmapped(network, text, target)
    return network


def _unmapped(network: IPv6Network, text: str, target: str) -> IPv4Network:
    mapped = network.network_address.ipv4_mapped
    if network.prefixlen == _MAPPED.prefixlen or mapped is None:
        raise InvalidInput(
            sentence(
                "{text} stands for all IPv4 addresses in IPv6 form. If you mean that, "
                "write 0.0.0.0/0.",
                text=repr(text[:80]),
            ),
            code="InvalidAddressPrefix",
            target=target,
        )
    return IPv4Network((mapped, network.prefixlen - 96))


def is_within(asked: Iterable[AddressPrefix], allowed: Iterable[AddressPrefix]) -> bool:
    """Is every address of ``asked`` in the union of ``allowed``? Both empty sides deny."""
    return within(allowed)(asked)


def within(allowed: Iterable[AddressPrefix]) -> Callable[[Iterable[AddressPrefix]], bool]:
    """``is_within`` of the same union, asked many times."""
    granted = _union(tuple(allowed))

    def holds(asked: Iterable[AddressPrefix]) -> bool:
        wanted = [network for prefix in asked for network in prefix.networks]
        return bool(wanted) and all(_holds(granted[each.version], each) for each in wanted)

    return holds


class _Spans(NamedTuple):
    """Disjoint networks of one family, in order, both ends inclusive."""

    firsts: tuple[int, ...]
    lasts: tuple[int, ...]


@lru_cache(maxsize=256)  # a rule is asked about once a port, a guard once a lease
def _union(prefixes: tuple[AddressPrefix, ...]) -> Mapping[int, _Spans]:
    """All their addresses, by IP version."""
    every = [network for prefix in prefixes for network in prefix.networks]
    return {
        4: _spans(collapse_addresses(each for each in every if isinstance(each, IPv4Network))),
        6: _spans(collapse_addresses(each for each in every if isinstance(each, IPv6Network))),
    }


def _spans(disjoint: Iterable[Network]) -> _Spans:
    networks = list(disjoint)
    return _Spans(
        tuple(int(each.network_address) for each in networks),
        tuple(int(each.broadcast_address) for each in networks),
    )


def _holds(spans: _Spans, network: Network) -> bool:
    """Is it inside one of these? Only the last that begins no later can hold it."""
    place = bisect_right(spans.firsts, int(network.network_address)) - 1
    return place >= 0 and int(network.broadcast_address) <= spans.lasts[place]
