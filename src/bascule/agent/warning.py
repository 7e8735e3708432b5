"""When people in a session are told that their access ends, and who is asked to tell them (EDGES J13).

The agent knows the ends of its leases, also while no server answers. Shortly before one it sends a
datagram to the socket of a service of its own (``terminals``), which alone may look at processes and write to
terminals. The datagram is a ``notice``. What is not here:
the connections themselves, which only that service looks for.

The rule is ``Grant.warned_at``'s: five minutes before the end, of a short grant a tenth; and again one minute
before. A lease that a restarted agent finds in its memory counts as a long one.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from pathlib import Path

import structlog

from bascule.agent.notice import MOST_BYTES, Notice
from bascule.agent.warn_units import VARIABLE
from bascule.domain.grant import LONGEST_WARNING
from bascule.domain.held import Held, HeldLease
from bascule.domain.net import Network, TransportProtocol
from bascule.interfaces.clock import Clock

log = structlog.get_logger("bascule.agent")

EVERY_SECONDS = 2.0
LAST_WARNING = 60.0  # seconds before the end
_LONGEST = LONGEST_WARNING.total_seconds()
_MOVED = 1.0  # seconds by which an end moves that was moved on purpose


@dataclass(frozen=True, slots=True)
class _Known:
    length: float  # seconds, as far as is known
    deadline: float
    leads: tuple[float, ...]  # the warnings still to come, in seconds before the end


def _leads(length: float) -> tuple[float, ...]:
    first = min(_LONGEST, length / 10)
    return (first, LAST_WARNING) if first >= 2 * LAST_WARNING else (first,)


class Timing:
    """Which warnings are due. What it finds in memory first, an earlier agent may have warned of."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] | None = None

    def due(self, held: Held, now: float) -> list[Notice]:
        """``now`` is seconds of CLOCK_BOOTTIME. Each warning is returned once.

        Root's own openings are nobody's grant. Machines behind a gateway have terminals elsewhere.
        """
        live = {
            grant_id: lease
            for grant_id, lease in held.leases.items()
            if not lease.is_local and lease.deadline > now
        }
        known, found = {}, []
        for grant_id, lease in live.items():
            left = lease.deadline - now
            each = self._seen(grant_id, lease, left)
            to_come = tuple(lead for lead in each.leads if lead < left)
            if to_come != each.leads:
                found += _warnings(held, grant_id, left)
            known[grant_id] = _Known(each.length, lease.deadline, to_come)
        self._known = known
        return found

    def _seen(self, grant_id: str, lease: HeldLease, left: float) -> _Known:
        if self._known is None:
            to_come = tuple(lead for lead in _leads(math.inf) if lead < left)
            return _Known(math.inf, lease.deadline, to_come)
        known = self._known.get(grant_id)
        if known is None:
            return _Known(left, lease.deadline, _leads(left))
        if lease.deadline > known.deadline + _MOVED:  # extended
            length = known.length + lease.deadline - known.deadline
            return _Known(length, lease.deadline, _leads(length))
        return known


def _warnings(held: Held, grant_id: str, left: float) -> list[Notice]:
    """One for each TCP port of a grant."""
    mine = held.leases[grant_id]
    minutes = min(round(left / 60), round(_LONGEST / 60))
    found = []
    for port in mine.ports:
        if port.protocol is not TransportProtocol.TCP:
            continue
        longer = [
            lease
            for key, lease in held.leases.items()
            if port in lease.ports and (lease.deadline, key) > (mine.deadline, grant_id)
        ]
        found.append(Notice(port.number, minutes, _sources([mine]), _sources(longer)))
    return found


def _sources(leases: Iterable[HeldLease]) -> tuple[Network, ...]:
    networks = [net for lease in leases for source in lease.sources for net in source.networks]
    return (
        *collapse_addresses(each for each in networks if isinstance(each, IPv4Network)),
        *collapse_addresses(each for each in networks if isinstance(each, IPv6Network)),
    )


class Warner:
    """Asks for the warnings that are due, in a thread of its own, until it is stopped.

    Where nobody takes one it is lost: a warning that comes late is wrong.
    """

    def __init__(self, path: Path, held: Callable[[], Held], clock: Clock) -> None:
        """``held`` is called in that thread."""
        self._path, self._held, self._clock = path, held, clock
        self._timing = Timing()
        self._is_failing = False
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="warnings", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while True:
            self.tell()
            if self._stopping.wait(EVERY_SECONDS):
                return

    def tell(self) -> None:
        """Once. Whatever fails is logged when that begins, and ends nothing."""
        for each in self._timing.due(self._held(), self._clock.boottime()):
            try:
                _send(self._path, each.encode())
            except OSError as error:
                if not self._is_failing:
                    log.warning("sessions are not warned before their end", why=error.strerror)
                self._is_failing = True
            else:
                self._is_failing = False


def _send(path: Path, data: bytes) -> None:
    """Raises OSError, and never waits for whoever reads it."""
    if len(data) > MOST_BYTES:
        raise OSError(None, "the grant has too many sources")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(data, str(path))


def warner_from_environment(held: Callable[[], Held], clock: Clock) -> Warner | None:
    """As the agent's unit says; None: it says nothing."""
    where = os.environ.get(VARIABLE)
    return Warner(Path(where), held, clock) if where else None
