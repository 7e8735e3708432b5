"""A driver whose firewall state is owned by a socket that can be handed over (EDGES A5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bascule.interfaces.driver import Driver


class OwnedDriver(Driver, Protocol):
    """What a host's agent needs beyond a Driver."""

    @property
    def owner_fd(self) -> int:
        """The socket that owns our rules while it, or a copy of it, is open."""
        ...

    def take_over(self, release_stored: Callable[[], None]) -> None:
        """Own the rules that an earlier agent left, with no gap; nothing when there are none."""
        ...

    def close(self) -> None:
        """Own them no longer; they stay."""
        ...


class HostParts(Protocol):
    """What commands on a host are given by the composition root."""

    def open_host_driver(self) -> OwnedDriver:
        """Give the firewall of this host; raises ConfigurationError when it cannot be had."""
        ...

    def local_port_range(self) -> tuple[int, int] | None:
        """The host's ephemeral ports, both ends inclusive; None when it is not readable."""
        ...
