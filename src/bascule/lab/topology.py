"""Which hosts a lab has, how they are called and where they stand. Pure.

Every lab has the same addresses: its networks are namespaces of its own, so that several labs
do not meet. 10.203.0.0/23 is private (RFC 1918), fd20:3::/64 and fd20:4::/64 unique local (RFC 4193).
What is not here: making any of it (``network``, ``host``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bascule.errors import InvalidInput, NotFound

Role = Literal["server", "replica", "database", "client", "machine", "gateway", "behind"]

IPV4_NETWORK = "10.203.0"
IPV6_NETWORK = "fd20:3:"
IPV4_BEHIND = "10.203.1"  # behind the gateway, which is number 1 there
IPV6_BEHIND = "fd20:4:"
IPV4_LENGTH = 24
IPV6_LENGTH = 64
DEFAULT_LAB = "demo"
SERVER_PORT = 8443  # inside the lab, and on the host unless --port says otherwise
SSH_PORT = 22

MOST_REPLICAS = 5  # as many numbers are free for their addresses
PUBLIC_PORTS = (2200, 2299)  # of the gateway, both ends inclusive

_LAB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)


def check_lab_name(name: str) -> str:
    """Return the name, or say what a lab may be called: it becomes a folder and namespaces."""
    if not _LAB_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a valid lab name",
            advice="use a letter or digit first, then letters, digits, - and _, at most 32",
            target="name",
        )
    return name


@dataclass(frozen=True, slots=True)
class Shape:
    """What the server of a lab is made of."""

    replicas: int = 1  # more than one: behind a balancer
    has_database: bool = False  # of PostgreSQL, in a host of its own; else SQLite

    def __str__(self) -> str:
        return f"{self.replicas}{'+postgresql' if self.has_database else ''}"

    @classmethod
    def parse(cls, text: str) -> Shape:
        number, plus, _ = text.partition("+")
        return cls(int(number), bool(plus))


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host of the lab: a network, UTS and mount namespace of its own."""

    name: str
    role: Role
    number: int  # the last part of both its addresses
    has_agent: bool = True  # of a host that the server knows as a machine

    @property
    def ipv4(self) -> str:
        return f"{IPV4_BEHIND if self.is_behind else IPV4_NETWORK}.{self.number}"

    @property
    def ipv6(self) -> str:
        return f"{IPV6_BEHIND if self.is_behind else IPV6_NETWORK}:{self.number}"

    @property
    def is_behind(self) -> bool:
        """Reached through the gateway alone."""
        return self.role == "behind"

    @property
    def addresses(self) -> tuple[str, str]:
        return (self.ipv4, self.ipv6)


@dataclass(frozen=True, slots=True)
class Topology:
    """The hosts of one lab around two bridges, which have a namespace to themselves."""

    lab: str
    hosts: tuple[LabHost, ...]
    configured: frozenset[str]  # machines that get a rule for port 22 at once

    @property
    def shape(self) -> Shape:
        return Shape(len(self.servers), self.database is not None)

    @property
    def bridge_namespace(self) -> str:
        return f"bascule-{self.lab}-bridge"

    def namespace(self, host: LabHost) -> str:
        """The name under /run/netns."""
        return f"bascule-{self.lab}-{host.name}"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.bridge_namespace, *(self.namespace(host) for host in self.hosts))

    def with_role(self, role: Role) -> Iterator[LabHost]:
        return (host for host in self.hosts if host.role == role)

    @property
    def server(self) -> LabHost:
        """What agents, clients and people call: the server, or the balancer before its replicas."""
        return next(self.with_role("server"))

    @property
    def replicas(self) -> tuple[LabHost, ...]:
        """The servers behind the balancer; none: there is no balancer."""
        return tuple(self.with_role("replica"))

    @property
    def servers(self) -> tuple[LabHost, ...]:
        """Where a server runs; the first makes the installation."""
        return self.replicas or (self.server,)

    @property
    def database(self) -> LabHost | None:
        return next(self.with_role("database"), None)

    @property
    def machines(self) -> tuple[LabHost, ...]:
        return tuple(self.with_role("machine"))

    @property
    def gateway(self) -> LabHost:
        return next(self.with_role("gateway"))

    @property
    def guard_file(self) -> str:
        """What is behind the gateway, and by which public ports of its own it leads there; a server may
        let go of what it closed there, as at machines.
        """
        public = '", "'.join(self.gateway.addresses)
        return (
            f'networks = ["{IPV4_BEHIND}.0/24", "{IPV6_BEHIND}:/64"]\n'
            f'public_addresses = ["{public}"]\n'
            f'public_ports = "{PUBLIC_PORTS[0]}-{PUBLIC_PORTS[1]}"\n'
            "release = true\n"
        )

    @property
    def behind(self) -> tuple[LabHost, ...]:
        """The machines that the gateway guards, with agents of their own or without."""
        return tuple(self.with_role("behind"))

    def public_port(self, machine: LabHost) -> int:
        """The gateway's, by which it leads to ssh of a machine behind it; a policy names it."""
        return PUBLIC_PORTS[0] + self.behind.index(machine)

    @property
    def known(self) -> tuple[LabHost, ...]:
        """All that the server knows as machines; each has an sshd."""
        return (*self.machines, self.gateway, *self.behind)

    @property
    def agents(self) -> tuple[LabHost, ...]:
        return tuple(host for host in self.known if host.has_agent)

    @property
    def client(self) -> LabHost:
        """Where the command line is signed in."""
        return next(self.with_role("client"))

    @property
    def stranger(self) -> LabHost:
        """Who has neither an account nor a key."""
        return list(self.with_role("client"))[1]

    @property
    def server_url(self) -> str:
        return f"https://{self.server.name}:{SERVER_PORT}"

    def host(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise NotFound(f"the lab has no host {name!r}", advice=f"its hosts are {names}")

    def hosts_file(self, own: LabHost) -> str:
        """/etc/hosts of one host; its own name stands for its addresses on the network."""
        lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        for host in self.hosts:
            lines += [f"{host.ipv4} {host.name}", f"{host.ipv6} {host.name}"]
        return f"# {own.name} in the lab {self.lab}\n" + "\n".join(lines) + "\n"


def default_topology(lab: str, shape: Shape = Shape()) -> Topology:
    """The lab that the documents speak of."""
    numbers = range(1, shape.replicas + 1) if shape.replicas > 1 else ()
    return Topology(
        lab=check_lab_name(lab),
        hosts=(
            LabHost("server", "server", 2),
            *([LabHost("database", "database", 3)] if shape.has_database else ()),
            *(LabHost(f"server-{number}", "replica", 3 + number) for number in numbers),
            LabHost("client", "client", 10),
            LabHost("stranger", "client", 11),
            LabHost("web-1", "machine", 21),
            LabHost("db-1", "machine", 22),
            LabHost("gw", "gateway", 23),
            LabHost("app-1", "behind", 31, has_agent=False),
            LabHost("sql-1", "behind", 32),
        ),
        configured=frozenset({"web-1", "app-1", "sql-1"}),
    )


def widest_topology(lab: str) -> Topology:
    """All hosts that a lab of this name may have: to find what is left of it."""
    return default_topology(lab, Shape(MOST_REPLICAS, has_database=True))
