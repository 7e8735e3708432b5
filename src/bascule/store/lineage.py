"""Which cluster a server's database is in, and on which timeline of it (EDGES H5).

A standby that is promoted begins a new timeline of the same cluster. So a higher timeline is a
failover, and is followed. A lower one is a primary that was replaced and runs again, or a copy from
before: it lacks what was acknowledged since. Another cluster is another database, or a restored
one. Both are refused until the host's owner accepts them.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.errors import ConfigurationError
from bascule.files import write_atomically
from bascule.store.failures import log

ADVICE = (
    "Name the current primary with --database. If this is the right database, such as a restored "
    "backup, run on each server's host: bascule admin accept-database --data DIR, and with "
    "--database URL if it has another address."
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a primary is in the life of its cluster."""

    system: str  # the cluster's identifier
    timeline: int

    def is_later_than(self, other: Timeline) -> bool:
        """On a later timeline of the same cluster."""
        return self.system == other.system and self.timeline > other.timeline

    def __str__(self) -> str:
        return f"cluster {self.system}, timeline {self.timeline}"


class Lineage:
    """What one server remembers of it, in a file of its own."""

    def __init__(self, file: Path | None = None, move: int = 0) -> None:
        """Without a file it is remembered as long as the process runs.

        ``move``: the installation's number after its last move. What the file has from before that
        move is of a database that was left, and counts for nothing.
        """
        self._file = file
        self._move = move
        self._known: Timeline | None = None
        self._gate = threading.Lock()  # connections are made by several threads

    @property
    def known(self) -> Timeline | None:
        """What this process has followed or accepted last."""
        return self._known

    def follow(self, found: Timeline, name: str) -> None:
        """Raise ConfigurationError if it lacks what this server has seen acknowledged."""
        with self._gate, self._alone():
            stored = self._read()
            known = self._known or stored
            if stored is not None and known is not None:
                # The host's owner accepted it while this server runs; or a command has seen more.
                was_accepted = stored == found and _is_behind(found, known)
                was_followed = stored.is_later_than(known) and stored.is_later_than(found)
                if was_accepted or was_followed:
                    known = stored
            if known is not None and found.system != known.system:
                raise ConfigurationError(
                    f"The database {name} is in another cluster than before.", advice=ADVICE
                )
            if known is not None and found.timeline < known.timeline:
                raise ConfigurationError(
                    f"The database {name} is on timeline {found.timeline} of its cluster, and was "
                    f"on {known.timeline}: it lacks what was stored since.",
                    advice=ADVICE,
                )
            if known is not None and found.timeline > known.timeline:
                log.warning(
                    "a standby of the database was promoted",
                    timeline=found.timeline,
                    before=known.timeline,
                    lost="what was acknowledged and had not reached it, unless it was synchronous",
                )
            if found != known:
                self._write(found, self.unrecorded)
            self._known = found

    def accept(self, found: Timeline) -> Timeline | None:
        """Take it as the right one from now on; returns what was known. ``unrecorded`` has it, until
        ``note_recorded``.
        """
        with self._gate, self._alone():
            was = self._known
            with suppress(ConfigurationError):
                was = self._read()
            self._known = found
            accepted = ("unknown" if was is None else str(was), str(found))
            self._write(found, (*self.unrecorded, accepted))
        return was

    @property
    def unrecorded(self) -> Sequence[tuple[str, str]]:
        """What was accepted and is not on record yet: what was known, and what was accepted."""
        try:
            told = self._told() or {}
            return [(str(was), str(found)) for was, found in told.get("unrecorded", ())]
        except (OSError, ValueError, TypeError, AttributeError):
            return ()  # a damaged file; ``follow`` says so

    def note_recorded(self, recorded: Sequence[tuple[str, str]]) -> None:
        """These of ``unrecorded`` are on record. What was accepted meanwhile still waits."""
        if not recorded:
            return
        with self._gate, self._alone():
            waiting = list(self.unrecorded)
            for each in recorded:
                if each in waiting:  # who runs beside this one may have noted it too
                    waiting.remove(each)
            if (stored := self._read()) is not None:
                self._write(stored, waiting)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A server and a command use the file at once: it is read and written in one turn."""
        if self._file is None:
            yield
            return
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _told(self) -> dict[str, Any] | None:
        """What the file says; None: nothing of the database that has the record now."""
        if self._file is None or not self._file.exists():
            return None
        told: dict[str, Any] = json.loads(self._file.read_text())
        return None if told.get("move", self._move) < self._move else told

    def _read(self) -> Timeline | None:
        try:
            known = self._told()
            return None if known is None else Timeline(str(known["system"]), int(known["timeline"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{self._file} cannot be read: {error}.",
                advice="Restore it from a backup. Without it, the server does not know whether "
                "this is its database. To take it as the right one: bascule admin accept-database "
                "--data DIR",
            ) from None

    def _write(self, found: Timeline, unrecorded: Sequence[tuple[str, str]]) -> None:
        if self._file is None:
            return
        told: dict[str, object] = {
            "system": found.system,
            "timeline": found.timeline,
            "move": self._move,
        }
        if unrecorded:
            told["unrecorded"] = list(unrecorded)
        write_atomically(self._file, json.dumps(told) + "\n")


def _is_behind(found: Timeline, known: Timeline) -> bool:
    return found.system != known.system or found.timeline < known.timeline
