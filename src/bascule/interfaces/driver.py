"""One kind of firewall, as the agent uses it, and where an agent keeps what it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from bascule.domain.desired import Held
from bascule.domain.net import PortKey
from bascule.domain.plan import Observed, Operation


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver's backend can do here, probed by writing and reading back."""

    is_owned: bool  # other tools cannot write or flush our rules
    weaknesses: tuple[str, ...] = ()  # sentences for the owner, empty when all is well
    facts: Mapping[str, str] = field(default_factory=dict)  # kernel, nft version, ...


@dataclass(frozen=True, slots=True)
class Blocked:
    """Dropped packets of one source to one closed port, while the kernel remembers them."""

    source: str
    port: PortKey
    packets: int
    remaining: timedelta = timedelta(0)  # until it is forgotten, if nothing more comes


class Driver(Protocol):
    """One kind of firewall. Grow the data, not the method list."""

    def capabilities(self) -> Capabilities: ...

    def observe(self) -> Observed:
        """Read the firewall back; raise EnforcementFailed when it cannot be read."""
        ...

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        """Do all of it in one transaction or raise EnforcementFailed with nothing done.

        The times left in it count from ``since`` (CLOCK_BOOTTIME seconds; None: from now):
        what reading, planning and writing take is not given to anybody.
        """
        ...

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int]:
        """How many TCP connections live on each (port, source prefix)."""
        ...

    def tidy(self) -> None:
        """Cut connections that no rule admits any more; renew adopted ones that live on."""
        ...

    def blocked(self) -> Sequence[Blocked]:
        """Who has been knocking; bounded."""
        ...

    def remove(self) -> None:
        """Take every rule of ours away: the ports are open again. For uninstalling only."""
        ...


class HeldStore(Protocol):
    """Where an enforcement point keeps what it knows across its own death and reboots."""

    def save(self, held: Held) -> None: ...

    def load(self) -> Held: ...
