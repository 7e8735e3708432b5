"""What a host's guard file admits: ports, sources, the longest lease, releases (ARCHITECTURE rule 9).

The host reads it and has the last word (``guard``). It tells its server, which refuses before
anybody waits (``decide``) and shows the bounds. A server that is told a lie by an agent refuses
more on that agent's own machine, and never less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bascule.domain.net import AddressPrefix, PortKey, is_within

GUARD_FILE = "/etc/bascule/guard.toml"  # where it is unless an agent was told otherwise


class Objection(StrEnum):
    """Why a guard does not admit an opening."""

    UNREADABLE = "unreadable"  # its file is there and cannot be used: it admits nothing
    PORT = "port"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds of one host; None bounds nothing, an empty tuple admits nothing."""

    ports: tuple[PortKey, ...] | None = None
    sources: tuple[AddressPrefix, ...] | None = None
    max_duration: timedelta | None = None  # of a lease, from when the host is told of it
    may_release: bool = True  # may a server let a closed port go?
    problem: str = ""  # why its file cannot be used; then it admits nothing

    @property
    def is_bounding(self) -> bool:
        return self != NO_BOUNDS

    def objection(
        self, ports: Iterable[PortKey], sources: Iterable[AddressPrefix]
    ) -> Objection | None:
        """Why these ports are not opened to these sources; None: the guard admits it."""
        if self.problem:
            return Objection.UNREADABLE
        if self.ports is not None and not set(ports) <= set(self.ports):
            return Objection.PORT
        if self.sources is not None and not is_within(tuple(sources), self.sources):
            return Objection.SOURCE
        return None


NO_BOUNDS = Guard()
