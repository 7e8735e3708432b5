"""Calls to ticket systems: POST to an address that was judged, with the name's certificate.

As webhooks (``webhook``) are, but the answer is read, up to a bound. Each call has a connection of its
own, and no call follows a redirect, keeps a cookie or uses a proxy of the environment. Names are looked
up by threads of their own: a slow resolver holds up nothing else.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import httpx2

from bascule import __version__
from bascule.domain.delivery import Target
from bascule.domain.net import AddressPrefix
from bascule.domain.tickets import TicketCheck
from bascule.interfaces.tickets import CallFailed
from bascule.outward.resolve import NotAllowed, NotFound, Resolver, judged_addresses, refusal
from bascule.outward.trust import trust
from bascule.outward.webhook import failure_words

CALL_SECONDS = 5.0  # for all of one call
CONNECT_SECONDS = 3.0
LARGEST_ANSWER = 16 * 1024
MOST_TRIED = 2  # addresses of one call
RESOLVING_THREADS = 4


class TicketCalls:
    """``networks`` may be reached although they are not global."""

    def __init__(
        self, networks: Sequence[AddressPrefix] = (), resolve: Resolver | None = None
    ) -> None:
        self._networks = tuple(networks)
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, "ticket-names")
        self._resolve = resolve or self._addresses

    def objection(self, check: TicketCheck) -> str:
        try:
            trust(check.ca_certificates)
        except ValueError as error:
            return str(error)
        host = check.target.host
        try:
            address = ip_address(host)
        except ValueError:
            return ""  # a name: judged whenever it is connected to
        return refusal(host, address, self._networks)

    async def call(self, check: TicketCheck, headers: Mapping[str, str], body: bytes) -> bytes:
        target = check.target
        try:
            async with asyncio.timeout(CALL_SECONDS):
                addresses = await judged_addresses(
                    target.host, target.port, self._networks, self._resolve
                )
                return await _post(target, addresses[:MOST_TRIED], check, headers, body)
        except (NotAllowed, NotFound) as error:
            raise CallFailed(str(error)) from None
        except TimeoutError:
            raise CallFailed(f"It did not answer within {CALL_SECONDS:.0f} seconds.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise CallFailed(f"It was not reached: {failure_words(error)}.") from None

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]


async def _post(
    target: Target,
    addresses: Sequence[str],
    check: TicketCheck,
    headers: Mapping[str, str],
    body: bytes,
) -> bytes:
    """Try one address after the other until one can be connected to."""
    async with httpx2.AsyncClient(
        verify=trust(check.ca_certificates),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
    ) as client:
        for address in addresses[:-1]:
            try:
                return await _call(client, target, address, headers, body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await _call(client, target, addresses[-1], headers, body)


async def _call(
    client: httpx2.AsyncClient,
    target: Target,
    address: str,
    headers: Mapping[str, str],
    body: bytes,
) -> bytes:
    host = f"[{address}]" if ":" in address else address
    request = client.build_request(
        "POST",
        f"https://{host}:{target.port}{target.path}",
        content=body,
        headers={
            **headers,
            "host": target.authority,
            "user-agent": f"bascule/{__version__}",
            "accept": "application/json",
            "accept-encoding": "identity",
        },
        extensions={"sni_hostname": target.host},
    )
    answer = await client.send(request, stream=True)
    try:
        if answer.status_code != 200:
            raise CallFailed(f"It answered HTTP {answer.status_code}.")
        found = b""
        async for piece in answer.aiter_raw():
            found += piece
            if len(found) > LARGEST_ANSWER:
                raise CallFailed(f"Its answer is longer than {LARGEST_ANSWER // 1024} KiB.")
        return found
    finally:
        await answer.aclose()
