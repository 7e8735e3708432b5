"""The caller's address and the server's name as a request states them, and when each is trusted.

Absolute URLs (nextLink, metadata, issuer) use the Host that a request came by if it names
this server; another Host is misdirected (RFC 9110 section 15.5.20, EDGES A23). The port in
Host is taken as it is, because a forwarded port or a proxy gives the server another number.
The scheme is always https: this server speaks nothing else (RFC 6750 section 5.3).

``X-Forwarded-For`` and ``X-Forwarded-Host`` count only when the peer is a configured proxy
(EDGES A21), read from the right, where our own proxies append; ``Forwarded`` (RFC 7239)
is not read. ``OriginGate`` finds out both once, before anything else looks at the request;
``base_url`` and ``caller_address`` then answer from there.
What is not here: whether an address may be a grant's default source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from bascule.api.envelope import answer_error
from bascule.domain.net import Address, AddressPrefix, parse_address
from bascule.errors import BasculeError, InvalidInput, MisdirectedRequest

SCHEME = "https"
DEFAULT_PORT = 443
MOST_FORWARDERS = 32
LONGEST_HOST = 300  # characters; a DNS name has at most 253
_BASE_URL, _CALLER = "base_url", "caller_address"


def base_url(request: HTTPConnection) -> str:
    """``https://name[:port]`` that the request came by; one of the server's names."""
    return str(request.scope["state"][_BASE_URL])


def caller_address(request: HTTPConnection) -> str:
    """Where the call came from; empty when the transport does not say."""
    return str(request.scope["state"][_CALLER])


@dataclass(frozen=True, slots=True)
class Names:
    """What this server is called, as ``config.parse_names`` gives it: lower case."""

    names: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def base_url(self, host: str) -> str:
        """The base URL of a Host header; raise MisdirectedRequest when it names another."""
        found = _host_and_port(host)
        if found is None or found[0] not in self.names:
            raise MisdirectedRequest(
                f"{host[:100]!r} is not one of this server's names.",
                advice="Use one of its names, or start it with --name for this one.",
            )
        return _base_url(*found)

    def is_base(self, url: str) -> bool:
        """Is ``url`` this server's, by any of its names and any port, and nothing more?"""
        scheme, separator, host = url.partition("://")
        found = _host_and_port(host)
        return scheme == SCHEME and bool(separator) and found is not None and found[0] in self.names


@dataclass(frozen=True, slots=True)
class Proxies:
    """The reverse proxies whose forwarding headers count; none unless configured."""

    networks: tuple[AddressPrefix, ...] = ()

    @classmethod
    def at(cls, *addresses: Address) -> Proxies:
        return cls(tuple(map(AddressPrefix.of, addresses)))

    def __bool__(self) -> bool:
        return bool(self.networks)

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, IPv4Address | IPv6Address):
            return False
        return any(address in network for each in self.networks for network in each.networks)

    def host(self, request: HTTPConnection) -> str:
        """The Host that the caller used; empty when there is none, or more than one."""
        forwarded = request.headers.getlist("x-forwarded-host")
        if forwarded and self.is_peer(request):
            return forwarded[-1].rpartition(",")[2].strip()  # the nearest proxy's word
        hosts = request.headers.getlist("host")
        return hosts[0] if len(hosts) == 1 else ""

    def is_peer(self, request: HTTPConnection) -> bool:
        """Does the call come from one of them, which has ended the caller's TLS?"""
        return _peer(request) in self

    def caller(self, request: HTTPConnection) -> Address | None:
        """The caller, past our own proxies; None when the transport does not say.

        Raises InvalidInput when a proxy's header cannot be read: an unknown caller must
        not become the proxy.
        """
        peer = _peer(request)
        if peer is None or peer not in self:
            return peer
        listed = ",".join(request.headers.getlist("x-forwarded-for"))
        nearest_first = [each.strip() for each in reversed(listed.split(","))] if listed else []
        for text in nearest_first[:MOST_FORWARDERS]:
            address = _forwarded(text)
            if address not in self:
                return address
        return peer


class OriginGate:
    """ASGI middleware: both ends of a request found out, or the request refused."""

    def __init__(self, app: ASGIApp, names: Names, proxies: Proxies) -> None:
        self._app, self._names, self._proxies = app, names, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = HTTPConnection(scope)
            try:
                base = self._names.base_url(self._proxies.host(request))
                caller = self._proxies.caller(request)
            except BasculeError as error:
                await answer_error(error)(scope, receive, send)
                return
            state = scope.setdefault("state", {})
            state[_BASE_URL], state[_CALLER] = base, str(caller or "")
        await self._app(scope, receive, send)


def _forwarded(text: str) -> Address:
    try:
        return parse_address(text)
    except InvalidInput:
        raise InvalidInput(
            f"The proxy sent an X-Forwarded-For with {text[:60]!r}, which is not an address.",
            code="InvalidForwardedFor",
            advice="Configure the proxy to append the address that it sees, without a port.",
        ) from None


def _peer(request: HTTPConnection) -> Address | None:
    if request.client is None:
        return None
    try:
        return parse_address(request.client.host.partition("%")[0])
    except InvalidInput:
        return None


def _host_and_port(host: str) -> tuple[str, int | None] | None:
    """RFC 9110 section 7.2, lower case, an IPv6 address without its brackets."""
    return _read_host(host) if len(host) <= LONGEST_HOST else None


@lru_cache(maxsize=256)
def _read_host(host: str) -> tuple[str, int | None] | None:
    """Nearly all calls have the same one, and each asks for it three times."""
    if not host.isascii() or not host.isprintable() or any(each in host for each in " /?#@\\"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or (host.startswith("[") and ":" not in name):
        return None
    try:
        return str(parse_address(name)), port
    except InvalidInput:
        return name, port


def _base_url(name: str, port: int | None) -> str:
    bracketed = f"[{name}]" if ":" in name else name
    suffix = "" if port in (None, DEFAULT_PORT) else f":{port}"
    return f"{SCHEME}://{bracketed}{suffix}"
