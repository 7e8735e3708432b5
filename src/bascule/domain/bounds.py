"""What a host's guard file admits: ports, sources, the longest lease, releases (ARCHITECTURE rule 9).

The host reads it and has the last word (``guard``). It tells its server, which refuses before
anybody waits (``decide``) and shows the bounds. A server that is told a lie by an agent refuses
more on that agent's own machine, and never less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bascule.domain.net import AddressPrefix, PortKey, within

GUARD_FILE = "/etc/bascule/guard.toml"  # where it is unless an agent was told otherwise


class Objection(StrEnum):
    """Why a guard does not admit an opening."""

    UNREADABLE = "unreadable"  # its file is there and cannot be used: it admits nothing
    PORT = "port"
    SOURCE = "source"
    LEASELESS = "leaseless"  # not the guard's: the firewall there cannot end an opening by itself


Judge = Callable[[Iterable[PortKey], Iterable[AddressPrefix]], Objection | None]


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
        return self.judge()(ports, sources)

    def judge(self) -> Judge:
        """``objection``, for many openings."""
        admitted = None if self.ports is None else frozenset(self.ports)
        is_admitted = None if self.sources is None else within(self.sources)

        def objection(
            ports: Iterable[PortKey], sources: Iterable[AddressPrefix]
        ) -> Objection | None:
            if self.problem:
                return Objection.UNREADABLE
            if admitted is not None and not admitted.issuperset(ports):
                return Objection.PORT
            if is_admitted is not None and not is_admitted(sources):
                return Objection.SOURCE
            return None

        return objection


NO_BOUNDS = Guard()
