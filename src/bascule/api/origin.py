"""Whose address, and by which name: what a request says of both ends, believed with care.

Absolute URLs (nextLink, metadata, issuer) use the Host that a request came by if it names
this server; another Host is misdirected (RFC 9110 section 15.5.20, EDGES A23). The port in
Host is taken as it is, because a forwarded port or a proxy gives the server another number.
The scheme is always https: this server speaks nothing else (RFC 6750 section 5.3).

``X-Forwarded-For`` and ``X-Forwarded-Host`` count only when the peer is a configured proxy
(EDGES A21), read from the right, where our own proxies append; ``Forwarded`` (RFC 7239)
is not read. What is not here: whether an address may be a grant's default source.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from bascule.domain.net import Address, parse_address
from bascule.errors import InvalidInput, MisdirectedRequest

SCHEME = "https"
DEFAULT_PORT = 443
MOST_FORWARDERS = 32


@dataclass(frozen=True, slots=True)
class Origins:
    """The server's names, and the proxies in front of it."""

    names: tuple[str, ...]  # as ``config.parse_names`` gives them: lower case
    proxies: tuple[Address, ...] = ()

    def base_url(self, request: HTTPConnection) -> str:
        """``https://name[:port]`` that the request came by; raise MisdirectedRequest."""
        host = self._host(request)
        found = _host_and_port(host)
        if found is None or found[0] not in self.names:
            raise MisdirectedRequest(
                f"{host[:100]!r} is not a name of this server.",
                advice="Call it by one of its names, or start it with --name for this one.",
            )
        return _base_url(*found)

    def is_base(self, url: str) -> bool:
        """Is ``url`` this server's, by any of its names and any port, and nothing more?"""
        scheme, separator, host = url.partition("://")
        found = _host_and_port(host)
        if scheme != SCHEME or not separator or found is None:
            return False
        return found[0] in self.names

    def caller_address(self, request: HTTPConnection) -> str:
        """Where the call came from; empty when the transport does not say.

        Raises InvalidInput when a proxy's header cannot be read: an unknown caller must
        not become the proxy.
        """
        peer = _peer(request)
        if peer is None:
            return ""
        if peer not in self.proxies:
            return str(peer)
        return str(self._forwarded_for(request, peer))

    def is_proxy(self, address: str) -> bool:
        """Is it one of the proxies itself? Its address stands for nobody behind it."""
        return address in {str(proxy) for proxy in self.proxies}

    def _host(self, request: HTTPConnection) -> str:
        peer = _peer(request)
        forwarded = request.headers.getlist("x-forwarded-host")
        if forwarded and peer is not None and peer in self.proxies:
            return forwarded[-1].rpartition(",")[2].strip()  # the nearest proxy's word
        hosts = request.headers.getlist("host")
        return hosts[0] if len(hosts) == 1 else ""

    def _forwarded_for(self, request: HTTPConnection, peer: Address) -> Address:
        listed = ",".join(request.headers.getlist("x-forwarded-for"))
        nearest_first = [each.strip() for each in reversed(listed.split(","))] if listed else []
        for text in nearest_first[:MOST_FORWARDERS]:
            try:
                address = parse_address(text)
            except InvalidInput:
                raise InvalidInput(
                    f"The proxy sent an X-Forwarded-For that holds {text[:60]!r}, not an address.",
                    code="InvalidForwardedFor",
                    advice="Have the proxy append the address that it sees, without a port.",
                ) from None
            if address not in self.proxies:
                return address
        return peer


def _peer(request: HTTPConnection) -> Address | None:
    if request.client is None:
        return None
    try:
        return parse_address(request.client.host.partition("%")[0])
    except InvalidInput:
        return None


def _host_and_port(host: str) -> tuple[str, int | None] | None:
    """RFC 9110 section 7.2, lower case, an IPv6 address without its brackets."""
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
