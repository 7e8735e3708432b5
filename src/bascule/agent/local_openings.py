"""What root opened on this host, kept until it was reported to the server (EDGES A25).

Kept on disk beside the key, so that neither the agent's death nor a server that is away for
a week takes an opening off the record. And the opening itself when no agent lives: whoever
opens then takes the table over, writes, and leaves it to the next agent.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import structlog

from bascule.agent.memory import HeldFile
from bascule.domain.desired import HeldLease
from bascule.domain.net import AddressPrefix, PortKey
from bascule.errors import BasculeError, EnforcementFailed
from bascule.files import write_atomically
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import HostDriver, Keeper
from bascule.protocol.report import LOCAL, LocalOpening
from bascule.reconcile.reconciler import Outcome, Reconciler

log = structlog.get_logger("bascule.agent")

FILE = "local-openings.json"
MOST_TOLD = 64  # as many notes as the server takes of one report, in which these come first
MOST_KEPT = 500  # while the server is away; it takes as many in a minute


class LocalOpenings:
    """Those not reported yet, oldest first; nothing on disk while there are none."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._pending = self._read()

    def add(self, opening: LocalOpening) -> None:
        self._pending = [*self._pending, opening][-MOST_KEPT:]
        self._write()

    def pending(self) -> tuple[LocalOpening, ...]:
        """The oldest, as many as one report tells of."""
        return tuple(self._pending[:MOST_TOLD])

    def forget(self, reported: Sequence[LocalOpening]) -> None:
        """Drop what the server has now; what came meanwhile stays."""
        if reported:
            self._pending = self._pending[len(reported) :]
            self._write()

    def _read(self) -> list[LocalOpening]:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return [
                LocalOpening(
                    str(each["port"]),
                    tuple(each["sources"]),
                    int(each["seconds"]),
                    str(each.get("id", "")),  # of before it was kept
                )
                for each in json.loads(self._path.read_text())
            ]
        return []

    def _write(self) -> None:
        try:
            if self._pending:
                write_atomically(self._path, json.dumps([asdict(each) for each in self._pending]))
            else:
                self._path.unlink(missing_ok=True)
        except (BasculeError, OSError) as error:  # root must get in on a full disk too
            log.error("a local opening is not on disk until it is reported", why=str(error))


def local_lease(
    clock: Clock, port: PortKey, sources: tuple[AddressPrefix, ...], duration: timedelta
) -> tuple[str, HeldLease, LocalOpening]:
    """An opening by root's word: its id, what is held of it, and what is told of it."""
    seconds = duration.total_seconds()
    grant_id = f"{LOCAL}{uuid.uuid4()}"
    return (
        grant_id,
        HeldLease((port,), sources, clock.boottime() + seconds, is_local=True),
        LocalOpening(str(port), tuple(map(str, sources)), int(seconds), grant_id),
    )


def open_recorded(
    reconciler: Reconciler,
    local: LocalOpenings,
    enforce: Callable[[], Outcome],
    grant_id: str,
    lease: HeldLease,
    opening: LocalOpening,
) -> None:
    """Open by root's word; on record and in memory before anything is open, whoever dies then.

    Raises EnforcementFailed where no opening would end by itself, with nothing done, and when the
    firewall refused: root is not told that it opened. It is
    held all the same, since it may be their only way in, and they are told that too.
    """
    reconciler.require_leases()
    local.add(opening)
    reconciler.open_locally(grant_id, lease, None)
    reconciler.save()
    try:
        outcome = enforce()
    except EnforcementFailed as error:
        raise _waiting(error.message) from error
    reconciler.save()
    if outcome.refused and grant_id not in outcome.in_force:
        raise _waiting(outcome.refused)


def _waiting(refusal: str) -> EnforcementFailed:
    return EnforcementFailed(
        "Not open yet. It is on record and waits: it opens as soon as the firewall takes it, "
        f"within its time. Why it does not: {refusal}",
        advice="It is tried again at each look: see bascule agent status.",
    )


def open_without_agent(
    driver: HostDriver,
    state: Path,
    clock: Clock,
    port: PortKey,
    sources: tuple[AddressPrefix, ...],
    duration: timedelta,
    keeper: Keeper,
) -> bool:
    """Make the rules ours and open; the caller holds the lock on ``state``. Is the port closed here?

    ``keeper`` gives up what it keeps of an agent that is stopped. Raises EnforcementFailed while
    somebody else still owns the rules.
    """
    reconciler = Reconciler(driver, HeldFile(state, clock), clock)
    reconciler.restore(driver.observe().rules)
    driver.own(keeper)
    open_recorded(
        reconciler,
        LocalOpenings(state),
        reconciler.reconcile,
        *local_lease(clock, port, sources, duration),
    )
    return any(closed.port == port for closed in reconciler.held.closed)
