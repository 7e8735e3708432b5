"""What root opened on this host, kept until it was reported to the server (EDGES A25).

Kept on disk beside the key, so that neither the agent's death nor a server that is away for
a week takes an opening off the record. What is not here: the opening itself (``by_root``).
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import structlog

from bascule.domain.held import Held, HeldLease
from bascule.domain.net import Address, AddressPrefix, PortKey
from bascule.errors import BasculeError
from bascule.files import write_atomically
from bascule.interfaces.clock import Clock
from bascule.protocol.report import LOCAL, LocalOpening

log = structlog.get_logger("bascule.agent")

FILE = "local-openings.json"
MOST_TOLD = 64  # as many notes as the server takes of one report, in which these come first
MOST_KEPT = 500  # while the server is away; it takes as many in a minute


@dataclass(frozen=True, slots=True)
class Recorded:
    """An opening by root, as it waits to be reported."""

    opening: LocalOpening
    machine: str = ""  # uid of the machine behind this host; empty: this host
    place: str = ""  # of that machine's address, for where the server does not ask for it


class LocalOpenings:
    """Those not reported yet, oldest first; nothing on disk while there are none."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._pending = self._read()

    def add(self, opening: LocalOpening, machine: str = "", place: str = "") -> None:
        self._pending = [*self._pending, Recorded(opening, machine, place)][-MOST_KEPT:]
        self._write()

    def pending(self, machine: str = "") -> tuple[LocalOpening, ...]:
        """The oldest of one machine, as many as one report tells of."""
        mine = [each.opening for each in self._pending if each.machine == machine]
        return tuple(mine[:MOST_TOLD])

    def forget(self, reported: Sequence[LocalOpening], machine: str = "") -> None:
        """Drop what the server has now; what came meanwhile stays."""
        left, kept = len(reported), []
        for each in self._pending:
            if left and each.machine == machine:
                left -= 1
            else:
                kept.append(each)
        if reported:
            self._pending = kept
            self._write()

    def take_over(self, named: Collection[str]) -> None:
        """Have this host report what was opened of machines that the server does not ask for."""
        moved = [
            each
            if each.machine in ("", *named)
            else Recorded(replace(each.opening, port=f"{each.opening.port} of {each.place}"))
            for each in self._pending
        ]
        if moved != self._pending:
            self._pending = moved
            self._write()

    def _read(self) -> list[Recorded]:
        try:
            return [
                Recorded(
                    LocalOpening(
                        str(each["port"]),
                        tuple(each["sources"]),
                        int(each["seconds"]),
                        str(each.get("id", "")),  # of before it was kept
                    ),
                    str(each.get("machine", "")),
                    str(each.get("place", "")),
                )
                for each in json.loads(self._path.read_text())
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            log.error("local openings that wait to be reported cannot be read", why=str(error))
            return []

    def _write(self) -> None:
        try:
            if self._pending:
                told = [
                    {**asdict(each.opening), "machine": each.machine, "place": each.place}
                    for each in self._pending
                ]
                write_atomically(self._path, json.dumps(told))
            else:
                self._path.unlink(missing_ok=True)
        except (BasculeError, OSError) as error:  # root must get in on a full disk too
            log.error("a local opening is not on disk until it is reported", why=str(error))


def local_lease(
    clock: Clock,
    port: PortKey,
    sources: tuple[AddressPrefix, ...],
    duration: timedelta,
    at: tuple[Address, ...] = (),
) -> tuple[str, HeldLease, LocalOpening]:
    """An opening by root's word: its id, what is held of it, and what is told of it. ``at``: the
    addresses of a machine behind.
    """
    seconds = duration.total_seconds()
    grant_id = f"{LOCAL}{uuid.uuid4()}"
    return (
        grant_id,
        HeldLease((port,), sources, clock.boottime() + seconds, is_local=True, at=at),
        LocalOpening(str(port), tuple(map(str, sources)), int(seconds), grant_id),
    )


def held_locally(held: Held, now: float) -> tuple[LocalOpening, ...]:
    """What root opened, as many as one report carries: those that last longest."""
    leases = held.leases.items()
    local = [(key, lease) for key, lease in leases if lease.is_local and lease.deadline > now]
    local.sort(key=lambda each: each[1].deadline, reverse=True)
    return tuple(
        LocalOpening(
            str(port), tuple(map(str, lease.sources)), math.ceil(lease.deadline - now), key
        )
        for key, lease in local[:MOST_TOLD]
        for port in lease.ports[:1]  # root opens one at a time
    )
