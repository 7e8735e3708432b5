"""Faults of the cluster of PostgreSQL that three replicas use: a failover, no connection left, no room.

The lab has one cluster. It dies, comes back as its own standby, which may be read and not written, and is
promoted: a timeline of its own begins, as with any standby that had all of it. Source: PostgreSQL 15,
"Standby Server Operation" (standby.signal) and pg_promote.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import psycopg
from psycopg.conninfo import make_conninfo

from bascule.lab.units import DATABASE, DATABASE_NAME
from tests.faults.history import Disturbed, History, boottime, told_by
from tests.faults.people import Person
from tests.faults.schedule import (
    FillDisk,
    FreeDisk,
    GiveConnectionsBack,
    OfDatabase,
    Promote,
    UseUpConnections,
)
from tests.faults.world import World

STANDBY_FOR = 1.0  # seconds in which it can only be read
ANSWERS_WITHIN = 60.0  # seconds
_END_ALL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "  # noqa: S608  # reason: a name of ours
    f"WHERE usename = '{DATABASE_NAME}'"
)


class Cluster:
    """Each fault waits for the one before it to be over, in a thread of its own; a disk is filled and
    freed at once.
    """

    def __init__(self, world: World, history: History) -> None:
        self._world, self._history = world, history
        self._used_up: Disturbed | None = None
        self._full: Disturbed | None = None
        self._person = Person("who waits for the database")

    @property
    def _socket(self) -> Path:
        """The folder of the database's socket; a world over SQLite has none."""
        return self._world.folder.database

    def do(self, fault: OfDatabase) -> None:
        match fault:
            case Promote():
                self._person.do(self._promote)
            case UseUpConnections():
                self._person.do(self._use_up_connections)
            case GiveConnectionsBack():
                self._person.do(self._give_connections_back)
            case FillDisk(is_log):
                self._fill_disk(is_log=is_log)
            case FreeDisk():
                self._free_disk()
            case _:
                assert_never(fault)

    def _fill_disk(self, *, is_log: bool) -> None:
        """Its disk is a small one of its own (``supervisor``). A server that cannot write its data says
        so; one that cannot begin another file of its log ends, and begins again when it can.
        """
        if self._full is not None:
            return
        self._full = self._begin("fill the database's disk")
        with self._ballast.open("wb", buffering=0) as file:
            for size in (2**20, 2**12):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        if is_log:
            self._person.do(self._begin_log)

    def _begin_log(self) -> None:
        with contextlib.suppress(psycopg.Error):  # it ends by it
            self._ask("SELECT pg_switch_wal()")

    def _free_disk(self) -> None:
        """At once: what else is done to the database may wait for it."""
        if self._full is not None:
            self._ballast.unlink()
            self._full.healed, self._full = boottime(), None

    @property
    def _ballast(self) -> Path:
        return self._socket / "ballast"

    def heal(self) -> None:
        self._free_disk()
        self._person.do(self._give_connections_back)
        if not self._person.finish(ANSWERS_WITHIN) or self._person.failure is not None:
            failure = self._person.failure
            self._history.complain(f"a fault of the database did not come to its end: {failure!r}")

    def _begin(self, what: str) -> Disturbed:
        made = Disturbed(told_by(DATABASE), what, boottime())
        self._history.disturbed.append(made)
        return made

    def _promote(self) -> None:
        """Kill the primary and promote what comes back."""
        disturbed = self._begin("promote")
        data = self._socket / "data"
        self._make(data / "standby.signal")
        self._world.send(DATABASE, signal.SIGKILL)
        self._until("SELECT pg_is_in_recovery()", lambda found: found is True)
        time.sleep(STANDBY_FOR)
        # It may be killed by another step meanwhile.
        self._until("SELECT NOT pg_is_in_recovery() OR pg_promote()", lambda found: found is True)
        disturbed.healed = boottime()

    def _use_up_connections(self) -> None:
        """The servers lose theirs and get no other."""
        self._used_up = self._used_up or self._begin("use up connections")
        self._until(f"ALTER ROLE {DATABASE_NAME} CONNECTION LIMIT 0")
        self._until(_END_ALL)

    def _give_connections_back(self) -> None:
        if self._used_up is not None:
            self._until(f"ALTER ROLE {DATABASE_NAME} CONNECTION LIMIT -1")
            self._used_up.healed, self._used_up = boottime(), None

    def _make(self, file: Path) -> None:
        file.touch(mode=0o600)
        owner = file.parent.stat()
        if os.geteuid() == 0:
            shutil.chown(file, owner.st_uid, owner.st_gid)

    def _ask(self, statement: str) -> object:
        place = make_conninfo("", host=str(self._socket), user="postgres", dbname="postgres")
        with psycopg.connect(place, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description is not None else None
            return None if row is None else row[0]

    def _until(self, statement: str, is_so: Callable[[object], bool] = lambda _: True) -> None:
        """Ask until it is so; the cluster may be dead or starting."""
        deadline = boottime() + ANSWERS_WITHIN
        while True:
            try:
                if is_so(self._ask(statement)):
                    return
                failure = ""
            except psycopg.Error as error:
                failure = str(error)
            assert boottime() < deadline, f"{statement}: {failure}"
            time.sleep(0.05)
