"""What a simulated agent is to the fleet, whatever it speaks; and who it is to the server."""

from __future__ import annotations

import hashlib
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.fleet.tls import Address

SCANNERS = 3  # sources that try each machine's closed port while it is scanned
ATTEMPTS_A_SECOND = 2  # of each


@dataclass(slots=True)
class World:
    """What all agents of a fleet have in common."""

    servers: Sequence[Address]  # agents and askers are divided among them
    tenant_id: str
    context: ssl.SSLContext
    # What was done, by name: "reports", "states", "handshakes", "tokens", "beats", "failures".
    done: Counter[str] = field(default_factory=Counter)
    # Of each agent: when it was last told of an opening that it did not have, by perf_counter.
    told_at: dict[int, float] = field(default_factory=dict)

    def failed(self, error: OSError) -> None:
        """Count a call or connection that came to nothing, and why."""
        self.done["failures"] += 1
        self.done[f"failed: {type(error).__name__} {error}"[:80].strip()] += 1

    @property
    def server(self) -> Address:
        """The first."""
        return self.servers[0]

    @property
    def url(self) -> str:
        return url_of(self.server)


class Agent(Protocol):
    """One that speaks a revision's protocol as its real agent does."""

    number: int
    at: int  # place of its server in ``World.servers``

    @property
    def leases(self) -> dict[str, float]:
        """In force: grant id -> its end, by the loop's clock."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Let go of everything at once, without a goodbye."""
        ...

    def scan(self) -> None:
        """Have its closed port tried from now on, by SCANNERS that nobody knows."""
        ...

    @property
    def in_since(self) -> float | None:
        """Since when, by the loop's clock, it is whole: its connection lives, the server has
        told it its state since that began, and has taken a report of it. None: it is not.
        """
        ...


def url_of(server: Address) -> str:
    return f"https://localhost:{server[1]}"


def uid_of(number: int) -> str:
    return f"00000000-0000-4000-9000-{number:012}"


def key_of(number: int) -> bytes:
    """A private Ed25519 key, 32 bytes: the same for the server's filling and the agent."""
    return hashlib.sha256(f"simulated agent {number}".encode()).digest()


def address_of(number: int) -> str:
    """An address of its own on loopback, from 127.16.0.1 on."""
    return f"127.{16 + (number // 64516)}.{number // 254 % 254}.{number % 254 + 1}"


def scanner(number: int) -> str:
    """The address of one that scans."""
    return f"203.0.113.{number + 1}"
