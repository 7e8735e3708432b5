"""A Network whose host is a gateway: two machines behind it, each on a link of its own.

    app   10.78.0.2  fd78::2    the Network's inner
    sql   10.79.0.2  fd79::2

Client and stranger reach both through the host, by IPv4 and IPv6, and keep their own addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

from bascule.domain.behind import behind, part_at, united
from bascule.domain.desired import OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortBehind, PortKey, PortMapped, PublicPort
from bascule.domain.plan import (
    ClosePort,
    DropDrain,
    DropOpening,
    Observed,
    Operation,
    PutCut,
    PutDrain,
    PutOpening,
    Rebuild,
    ReleasePort,
)
from bascule.interfaces.driver import Blocked, Condition
from tests.netns.driver_process import DriverProcess
from tests.netns.network import HOST, HOST6, INNER, Network, Space

APP, APP6 = INNER, "fd78::2"
SQL, SQL6 = "10.79.0.2", "fd79::2"
_ROUTERS = {"app": ("v9", "fd78::1/64"), "sql": ("v8", "fd79::1/64")}


def at(address: str, port: PortKey) -> PortBehind:
    return port.behind(ip_address(address))


class Gateway:
    def __init__(self, network: Network) -> None:
        self._network, self._host = network, network.host
        self.app = network.inner
        self.sql = network.keep(Space(f"{network.host.name}q"))
        host = self._host
        host.run("ip", "link", "add", "v8", "type", "veth", "peer", "e0", "netns", self.sql.name)
        host.run("ip", "link", "set", "v8", "up")
        host.run("ip", "addr", "add", "10.79.0.1/24", "dev", "v8")
        self.sql.run("ip", "link", "set", "lo", "up")
        self.sql.run("ip", "link", "set", "e0", "up")
        self.sql.run("ip", "addr", "add", f"{SQL}/24", "dev", "e0")
        self.sql.run("ip", "route", "add", "default", "via", "10.79.0.1")
        for space, (link, router), address in (
            (self.app, _ROUTERS["app"], APP6),
            (self.sql, _ROUTERS["sql"], SQL6),
        ):
            host.run("ip", "addr", "add", router, "dev", link, "nodad")
            space.run("ip", "addr", "add", f"{address}/64", "dev", "e0", "nodad")
            space.run("ip", "-6", "route", "add", "default", "via", router.split("/")[0])
        host.run("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
        for space in (network.client, network.stranger):
            space.run("ip", "-6", "route", "add", "default", "via", HOST6)

    def translate(
        self, port: int, to: int, address: str = APP, *, masquerade: bool = False
    ) -> None:
        """What somebody else's rules do: the host's ``port`` goes to a machine's, over TCP."""
        family, target = ("ip6", f"[{address}]") if ":" in address else ("ip", address)
        self._host.nft(
            f"table {family} elsewhere {{\nchain pre {{\n"
            "type nat hook prerouting priority dstnat\n"
            f"fib daddr type local tcp dport {port} dnat to {target}:{to}\n}}\n"
            "chain post {\ntype nat hook postrouting priority srcnat\n"
            + (f"{family} daddr {address} masquerade\n" if masquerade else "")
            + "}\n}\n"
        )

    def rewrite(self, port: int, to: int, address: str = APP) -> None:
        """Without connection tracking, in ``forward``: another number of that machine is ``to``."""
        family = "ip6" if ":" in address else "ip"
        self._host.nft(
            "table inet elsewhere {\nchain come {\n"
            f"type filter hook forward priority {2**31 - 1}\n"
            f"{family} daddr {address} tcp dport {port} tcp dport set {to}\n"
            f"{family} saddr {address} tcp sport {to} tcp sport set {port}\n}}\n}}\n"
        )


def public(number: int, address: str = HOST) -> PublicPort:
    return PublicPort(ip_address(address), number)


def through(
    rules: RuleSet, mapped: Mapping[PortKey, Sequence[PublicPort]], *addresses: str
) -> RuleSet:
    """The rules of a machine behind whose ports have public ones; app's by default."""
    there = tuple(map(ip_address, addresses or (APP, APP6)))
    return behind(rules, there, (), {own: tuple(each) for own, each in mapped.items()})


class BehindDriver:
    """A driver of a host's own ports, as the contract knows it, whose ports are app's.

    Each port that the contract names is the same port of app, at its address of either version.
    """

    at = tuple(map(ip_address, (APP, APP6)))

    def __init__(self, driver: DriverProcess) -> None:
        self.capabilities = driver.capabilities
        self._driver = driver

    def condition(self) -> Condition:
        found: Condition = self._driver.condition()
        return found

    def observe(self) -> Observed:
        return self._own(self._driver.observe())

    def _own(self, seen: Observed) -> Observed:
        parts = [part_at(seen.rules, each) for each in self.at]
        assert parts[0].closed == parts[1].closed
        assert part_at(seen.rules, None) == RuleSet()
        return replace(seen, rules=united(parts), blocked_attempts=seen.blocked_behind)

    def taken(self, ports: Collection[PortMapped]) -> Collection[PortMapped]:
        found: Collection[PortMapped] = self._driver.taken(ports)
        return found

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        self._driver.apply([each for own in operations for each in self._there(own)], since)

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int] | None:
        counts = [
            self._driver.sessions([(port.behind(at), source) for port, source in openings])
            for at in self.at
        ]
        return [sum(each) for each in zip(*counts, strict=True)]

    def tidy(self) -> None:
        self._driver.tidy()

    def blocked(self) -> Sequence[Blocked]:
        found: Sequence[Blocked] = self._driver.blocked()
        assert {each.port.at for each in found} <= set(self.at)
        return [replace(each, port=PortKey(each.port.protocol, each.port.number)) for each in found]

    def remove(self) -> None:
        self._driver.remove()

    def _behind(self, rules: RuleSet) -> RuleSet:
        return behind(rules, self.at, ())

    def _there(self, operation: Operation) -> Iterator[Operation]:
        match operation:
            case Rebuild(rules):
                yield Rebuild(self._behind(rules))
            case ClosePort(closed, is_new):
                for at in self.at:
                    yield ClosePort(replace(closed, port=closed.port.behind(at)), is_new)
            case ReleasePort(port):
                for at in self.at:
                    yield ReleasePort(port.behind(at))
            case DropOpening(key):
                yield DropOpening(self._key(key))
            case PutOpening(opening):
                yield PutOpening(replace(opening, key=self._key(opening.key)))
            case PutCut(key, remaining):
                yield PutCut(self._key(key), remaining)
            case PutDrain(key, remaining):
                yield PutDrain(self._key(key), remaining)
            case DropDrain(key):
                yield DropDrain(self._key(key))

    def _key(self, key: OpeningKey) -> OpeningKey:
        (at,) = (each for each in self.at if each.version == key.source.version)
        return replace(key, port=key.port.behind(at))


BEYOND = 20_000  # by which a public port's number is above that of app's own


class MappedDriver(BehindDriver):
    """As that, with public ports of the gateway that stand for app's."""

    def observe(self) -> Observed:
        """Nobody is led anywhere but who is let in, and for as long."""
        seen: Observed = self._driver.observe()
        given = {key: each for key, each in seen.rules.openings.items() if _is_public(key)}
        for key, opening in given.items():
            assert isinstance(key.port, PortMapped)
            assert key.port.to is not None
            own = seen.rules.openings.get(replace(key, port=key.port.to))
            left = timedelta(0) if own is None else own.remaining
            assert opening.remaining - left < timedelta(milliseconds=50)
        rules = RuleSet(
            frozenset(each for each in seen.rules.closed if not isinstance(each.port, PortMapped)),
            {key: each for key, each in seen.rules.openings.items() if key not in given},
            seen.rules.cuts,
            seen.rules.drains,
        )
        return self._own(replace(seen, rules=rules))

    def _there(self, operation: Operation) -> Iterator[Operation]:
        yield from super()._there(operation)
        match operation:
            case ClosePort(closed, is_new):
                for each in self._public(closed.port):
                    yield ClosePort(ClosedPort(closed.port.mapped(each)), is_new)
            case ReleasePort(port):
                for each in self._public(port):
                    yield ReleasePort(port.mapped(each))
            case DropOpening(key):
                yield DropOpening(self._through(key))
            case PutOpening(opening):
                yield PutOpening(replace(opening, key=self._through(opening.key)))

    def _behind(self, rules: RuleSet) -> RuleSet:
        mapped = {each.port: self._public(each.port) for each in rules.closed}
        return behind(rules, self.at, (), mapped)

    def _public(self, port: PortKey) -> tuple[PublicPort, ...]:
        return tuple(public(port.number + BEYOND, each) for each in (HOST, HOST6))

    def _through(self, key: OpeningKey) -> OpeningKey:
        there = self._key(key)
        assert isinstance(there.port, PortBehind)
        (at,) = (e for e in self._public(key.port) if e.address.version == key.source.version)
        return replace(key, port=key.port.mapped(at, there.port))


def _is_public(key: OpeningKey) -> bool:
    return isinstance(key.port, PortMapped)
