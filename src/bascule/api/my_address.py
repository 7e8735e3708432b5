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


def source_of_caller(address: str, proxies: Proxies) -> AddressPrefix:
    """The caller's address as a source; raise InvalidInput when it cannot be meant.

    ``address`` is empty when the transport did not say where the call came from.
    """
    if not address:
        raise _refused("your address is not known to this server")
    seen = f"your address as this server sees it, {address}, is"
    parsed = parse_address(address)
    if parsed in proxies:
        raise _refused(f"{seen} the proxy's")
    why = _why_not(parsed)
    if why:
        raise _refused(f"{seen} {why}")
    return AddressPrefix.of(parsed)


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        f"No source was named, and {why}; the opening would not be for you.",
        code="SourceRequired",
        target="allowedSourceAddressPrefix",
        advice="Name the address that the machine will see you come from: "
        "allowedSourceAddressPrefix, or bascule request --from ADDRESS.",
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
    """Does this host have the address? Only a local one can be bound (bind(2): EADDRNOTAVAIL)."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
