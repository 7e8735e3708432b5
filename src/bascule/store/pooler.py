"""The store's connections through a pooler, such as PgBouncer in transaction mode (ADR 38).

A pooler gives each transaction whichever connection to the server is free. So nothing may be left to a
session: the message that begins a transaction sets the limits on its waits, for this transaction alone,
and looks at what is otherwise looked at when a connection is made: that this is the database that was
seen before, on the same timeline or a later one (EDGES H5), that it can be written, and that it keeps
what it acknowledges. What is prepared is of a session too: statements are prepared only where the pooler
keeps them for each of its clients, which is tried out on each new connection.

Hints, upgrades and commands on the host have connections to the server itself (``postgresql``).
Source: PgBouncer 1.24, "SQL feature map for pooling modes", and of ``max_prepared_statements``.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from bascule.errors import ConfigurationError, Unavailable
from bascule.store.engine import Engine
from bascule.store.failures import log
from bascule.store.lineage import Timeline
from bascule.store.postgresql import (
    IS_WHICH,
    LOOK,
    POSTGRESQL,
    PREPARED,
    SET_COMMIT,
    TURN,
    WAITS,
    Database,
    Identity,
    Place,
    check_begun,
    control,
    driver_of,
    is_useless,
    look,
    open_driver,
)

_SET = "".join(f"SET LOCAL {name} = '{value}'; " for name, value in WAITS.items())
_ASK = (
    f"{LOOK}, pg_is_in_recovery(), current_setting('default_transaction_read_only'), "
    f"current_setting('fsync'), {SET_COMMIT.format(is_local='true')}, {IS_WHICH}"
)
_FIRST = 2  # columns of LOOK
_TRIED = b"bascule_tried"
_KEPT = (  # under a name of PgBouncer's, and not under ours?
    "SELECT count(*) FILTER (WHERE name LIKE 'PGBOUNCER%') > 0 "
    "AND count(*) FILTER (WHERE name = 'bascule_tried') = 0 FROM pg_prepared_statements"
)


class Pooler:
    """Makes connections through one place to a database. Each belongs to whoever holds it; one thread
    at a time.
    """

    def __init__(self, place: Place, database: Database) -> None:
        """``database`` is connected to directly, and knows what was seen of it."""
        self.name = place.name
        self._place = place
        self._database = database
        # What the last look found that was right, and what was known then of the cluster. Direct
        # connections may learn of a failover before this way leads to the new primary.
        self._checked: tuple[tuple[str | None, ...], Timeline | None] = ((), None)
        self._gate = threading.Lock()  # transactions are begun by several threads
        self.engine: Engine = replace(
            POSTGRESQL,
            # SET and LOCK take no snapshot: the look, which does, comes after them.
            begin_write=f"BEGIN ISOLATION LEVEL SERIALIZABLE; {_SET}{TURN}; "
            f"{_ASK}, i.moved_to FROM alembic_version v LEFT JOIN installation i ON true",
            begin_read=f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_SET}"
            f"{_ASK} FROM alembic_version v",
            is_lost=is_useless,  # what a pooler says of the server may be old
            check_begun=self._check_begun,
            check_read=self._check_read,
        )
        self._alchemy = create_engine(
            "postgresql+psycopg://",
            creator=self._driver,
            poolclass=NullPool,
            pool_reset_on_return=None,  # nothing is left to a connection that is given back
            use_native_hstore=False,
            hide_parameters=True,  # its errors reach the log
        )

    def connect(self) -> Connection:
        """Raises what ``engine.failures`` says."""
        return self._alchemy.connect()

    def begin(self) -> Connection:
        """The first connection; raises ConfigurationError when it does not lead to the database."""
        try:
            connection = self.connect()
        except self.engine.failures as error:
            raise self._unusable(error) from error
        try:
            driver = driver_of(connection)
            self._check(look(self.engine.control(driver, self.engine.begin_read)))
            self.engine.control(driver, self.engine.end_read)
        except self.engine.failures as error:
            connection.close()
            raise self._unusable(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _unusable(self, error: Exception) -> ConfigurationError:
        said = " ".join(str(getattr(error, "orig", error)).split())
        return ConfigurationError(
            f"The database cannot be used through the pooler {self.name}: {said}",
            advice="Check that the pooler runs, that --database-pooler names it, and that it pools "
            "transactions (pool_mode = transaction).",
        )

    def _driver(self) -> psycopg.Connection:
        opened = open_driver(self._place)
        try:
            is_kept = _keeps_prepared(opened)
        except psycopg.Error:  # it refuses the trial, and may have ended the connection
            opened.close()
            opened, is_kept = open_driver(self._place), False
        opened.prepared_max = PREPARED
        if not is_kept:
            opened.prepare_threshold = None
        return opened

    def _check_begun(self, begun: PGresult) -> None:
        self._check_read(begun)
        check_begun(begun)

    def _check_read(self, begun: PGresult) -> None:
        row = look(begun)
        try:
            self._check(row)
        except ConfigurationError as error:  # as ``Database.connect_later``
            log.error("database refused", why=error.message, advice=error.advice)
            raise Unavailable(
                "The database cannot be used now.", advice="See the server's log for the reason."
            ) from error

    def _check(self, row: list[str | None]) -> None:
        """Raise ConfigurationError unless this transaction is on the database that we know."""
        found = tuple(row[_FIRST : _FIRST + 7])
        if (found, self._database.lineage) == self._checked:
            return
        is_standby, read_only, fsync, commit, system, number, timeline = (
            str(each) for each in found
        )
        if is_standby == "t" or read_only == "on":
            raise ConfigurationError(
                f"The pooler {self.name} leads to a database that is read-only"
                + (": its server is a standby." if is_standby == "t" else "."),
                advice="Let the pooler connect to the primary.",
            )
        for setting, value in (("fsync", fsync), ("synchronous_commit", commit)):
            if value == "off":
                raise ConfigurationError(
                    f"The server to which the pooler {self.name} leads has {setting} = off: after a "
                    f"power failure, ports could be open that were closed, and granted access "
                    f"forgotten.",
                    advice=f"Set {setting} = on there.",
                )
        identity = Identity(int(number), Timeline(system, int(timeline)))
        with self._gate:
            self._database.recognize(identity, f"behind the pooler {self.name}")
            self._checked = found, self._database.lineage


def _keeps_prepared(driver: psycopg.Connection) -> bool:
    """Does the pooler keep what its clients prepare, and hear of it when one forgets all, as psycopg does
    after a ROLLBACK? (PgBouncer from 1.22 on, unless ``max_prepared_statements`` is 0.) In one
    transaction, so of one session.
    """
    control(driver, f"BEGIN READ ONLY; {_SET}")
    is_kept = _is_kept(driver)
    control(driver, "DEALLOCATE ALL")
    is_kept = is_kept and _is_kept(driver)
    control(driver, "ROLLBACK")
    return is_kept


def _is_kept(driver: psycopg.Connection) -> bool:
    answer = driver.pgconn.prepare(_TRIED, b"SELECT 1")
    if answer.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(answer)
    return control(driver, _KEPT).get_value(0, 0) == b"t"
