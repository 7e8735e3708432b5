"""A receiver's name turned into addresses that may be reached.

Every address that the name has is judged, and one that is not allowed refuses all: a name that
leads outside and inside at once is somebody's trick. The connection is then made to one of the
judged addresses, never to the name, so that the name cannot mean another by then.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from bascule.domain.destinations import objection
from bascule.domain.net import Address, AddressPrefix

RESOLVE_SECONDS = 10.0
MOST_ADDRESSES = 16  # that are tried or judged; a name with more is nobody's receiver
SETTING = "--allow-sink-network"

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class NotAllowed(Exception):
    """The receiver is not to be reached as its name stands; the message says why."""


class NotFound(Exception):
    """The name leads nowhere now."""


async def system_addresses(host: str, port: int) -> Sequence[str]:
    """As this host's resolver has them, in its order of preference."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def judged_addresses(
    host: str, port: int, allowed: Sequence[AddressPrefix], resolve: Resolver
) -> Sequence[str]:
    """The addresses to connect to, best first; raises NotAllowed or NotFound."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = list(dict.fromkeys(await resolve(host, port)))
    except (OSError, TimeoutError, UnicodeError):
        raise NotFound(f"The address of {host} cannot be found.") from None
    if not found or len(found) > MOST_ADDRESSES:
        raise NotFound(f"{host} has {len(found)} addresses.")
    for text in found:
        refused = refusal(host, ip_address(text), allowed)
        if refused:
            raise NotAllowed(refused)
    return found


def refusal(host: str, address: Address, allowed: Sequence[AddressPrefix]) -> str:
    """Why a host is not reached at this address; empty when it may be."""
    word = objection(address, allowed)
    if not word:
        return ""
    where = host if host == str(address) else f"{host} has the address {address}, which"
    return (
        f"{where} is {word}. Sending anything there must be allowed on the server: bascule "
        f"serve {SETTING} NETWORK."
    )
