"""What an enforcement point tells its server after each pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import HOST, Capabilities
from bascule.domain.knocks import Knock
from bascule.domain.machine import ClosedPort

LOCAL = "local-"  # how ids of openings by root begin


@dataclass(frozen=True, slots=True)
class LocalOpening:
    """Root on the host opened a port by himself."""

    port: str
    sources: tuple[str, ...]
    seconds: int
    id: str = ""  # under which reports have it in force; empty: of an older agent


@dataclass(frozen=True, slots=True)
class Report:
    """What an enforcement point says after it has read its firewall back."""

    generation: int  # 0: the firewall could not be seen to, and nothing is settled
    in_force: frozenset[str]  # grant ids whose openings were read back
    local_port_range: tuple[int, int] | None = None
    blocked_attempts: int = 0
    knocks: tuple[Knock, ...] = ()  # new since the last report that was answered
    # Grant id -> live connections; None: they could not be counted.
    sessions: Mapping[str, int] | None = field(default_factory=dict)
    weaknesses: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    agent_version: str = ""
    drift: tuple[str, ...] = ()
    local_openings: tuple[LocalOpening, ...] = ()
    notes: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()  # how the record differs from what the point has seen
    clock: datetime | None = None
    closed: frozenset[ClosedPort] = frozenset()  # what was read back shut
    guard: Guard | None = None  # the host's own bounds; None: of an older agent
    driver: str = ""  # its name in the registry of drivers
    capabilities: Capabilities = HOST
    refused: Mapping[str, Objection] = field(default_factory=dict)  # by the guard; by grant id
    # All that root opened and that is not over, whether or not its port is shut; None: of an
    # older agent, which tells of each once.
    held_locally: tuple[LocalOpening, ...] | None = None
    # What is left of leases that the host ends earlier than it was told to; by grant id.
    ends: Mapping[str, timedelta] = field(default_factory=dict)
