"""*My IP*: the source of a request that names none is the caller's address (CONTRACT 1.4).

Refused when that address would open the port for somebody else, or for nobody: loopback,
link-local, or one of the server's own (EDGES A21). Which headers of proxies count is
``origin``'s matter.
"""

from __future__ import annotations

import socket

from bascule.api.origin import Proxies
from bascule.domain.net import Address, AddressPrefix, parse_address
from bascule.errors import InvalidInput

DISCARD = 9  # RFC 863; any port would do


def source_of_caller(address: str, proxies: Proxies) -> AddressPrefix:
    """The caller's address as a source; raise InvalidInput when it cannot be meant.

    ``address`` is empty when the transport did not say where the call came from.
    """
    if not address:
        raise _refused("this server does not know your address")
    seen = f"the address from which you call, {address}, is"
    parsed = parse_address(address)
    if parsed in proxies:
        raise _refused(f"{seen} the proxy's")
    why = _why_not(parsed)
    if why:
        raise _refused(f"{seen} {why}")
    return AddressPrefix.of(parsed)


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"No source was given, and {why}. The opening would not be for you.",
        code="SourceRequired",
        target="allowedSourceAddressPrefix",
        advice="Give your address as the machine will see it: allowedSourceAddressPrefix, or "
        "bascule request --from ADDRESS.",
    )


def _why_not(address: Address) -> str:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_unspecified or address.is_multicast:
        return "no host's address"
    return "the server's own" if is_own_address(address) else ""


def is_own_address(address: Address) -> bool:
    """Does this host have the address? No packet is sent.

    That it can be bound says nothing where ip_nonlocal_bind is set, as for keepalived. So IPv4
    is asked for the interface that has it (ip(7), IP_MULTICAST_IF); on IPv6 an own address is
    reached from itself (RFC 6724 5, rule 1), which on IPv4 a secondary one is not.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if family == socket.AF_INET:
                probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address.packed)
                return True
            probe.connect((str(address), DISCARD))
            return parse_address(probe.getsockname()[0]) == address
    except OSError:
        return False
