"""Connections to PostgreSQL as we want them: where it is, how it is reached, what it must be.

Sources: PostgreSQL 15's documentation of libpq, of ``SET TRANSACTION`` and of ``LOCK``.

Transactions that write are serializable, and they take turns: each begins with a lock on one table,
before its first look at any row (``LOCK TABLE`` takes no snapshot). So each sees all that the one
before it has committed, as on SQLite, whichever process it is of: numbers of events, generations and
positions of the chain are given in the order of commits, and nothing is used twice. Serializable
keeps this true beside a program that takes no turn: of two that do not fit, one fails and is done
again. The lock lets reads go on, and a dump.

``synchronous_commit`` and ``fsync`` must be on, because a port that was granted or closed must not be
forgotten. A session keeps the ``synchronous_commit`` that it began with. These waits end: for a
connection, a lock, a statement, and of the server for us. A COMMIT that waits for a synchronous
standby does not.

A turn begins with a look, in the same message: whether the record is still here, and whether a newer
program upgraded the tables meanwhile. Reads look at the latter too (EDGES H6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import cast

import psycopg
from psycopg import conninfo, generators
from psycopg.abc import Params, Query
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow
from sqlalchemy import Connection, create_engine
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.pool import NullPool

from bascule.clocks import FollowedClock
from bascule.errors import ConfigurationError, Unavailable
from bascule.interfaces.clock import Clock
from bascule.interfaces.store import outdated, record_moved
from bascule.store import migrations
from bascule.store.engine import Engine, enter
from bascule.store.failures import log
from bascule.store.lineage import Lineage, Timeline
from bascule.store.postgresql_failures import FAILURES, translate
from bascule.store.prepared import Forms

OLDEST = 15  # version of PostgreSQL
VERIFIED = "verify-full"
PREPARED = 512  # statements that a connection keeps prepared
_REACH = {  # of libpq; what --database says goes first, but for sslmode
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "fallback_application_name": "bascule",
    "client_encoding": "UTF8",
    "gssencmode": "disable",  # it would be used in place of TLS
}
WAITS = {  # of the server, in a transaction
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
}
_SESSION = {  # likewise; each ends a wait
    **WAITS,
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_connection_check_interval": "10s",
}
_SET = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
)
# Kept as it is, for a session or for a transaction alone.
SET_COMMIT = "set_config('synchronous_commit', current_setting('synchronous_commit'), {is_local})"
IS_WHICH = (  # cluster, database, timeline of the log that is written now
    "(SELECT system_identifier FROM pg_control_system()), "
    "(SELECT oid FROM pg_database WHERE datname = current_database()), "
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE "
    "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END"
)
_ASK = (
    "SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), "
    "current_setting('transaction_read_only'), current_setting('fsync'), "
    f"{SET_COMMIT.format(is_local='false')}, "
    "current_setting('server_encoding'), pg_backend_pid(), "
    f"{IS_WHICH}, current_setting('synchronous_standby_names')"
)
TURN = "LOCK TABLE alembic_version IN EXCLUSIVE MODE"
LOOK = "SELECT v.oldest_program, v.program"


def is_useless(driver: psycopg.Connection) -> bool:
    """Closed, or a statement with many rows failed on it (``_Cursor``)."""
    return driver.closed or getattr(driver, "is_in_doubt", False)


def _is_lost(driver: psycopg.Connection) -> bool:
    """Useless, or its server does not let us write any more: another may be the primary now.

    The server says the latter unasked (``GUC_REPORT``), with its answer to any statement.
    """
    if is_useless(driver):
        return True
    told = driver.info.parameter_status
    return "on" in (told("default_transaction_read_only"), told("in_hot_standby"))


class _Cursor(psycopg.Cursor[TupleRow]):
    """Marks a connection on which a statement with many rows failed, so that another takes its place.

    psycopg sends the rows as a pipeline. When one fails, psycopg may believe that the statement is
    prepared where the server refused to prepare it: each later use would fail (SQLSTATE 26000). And a
    connection that ends meanwhile may be left open to psycopg, in a pipeline: no transaction would
    begin on it again. (Seen with psycopg 3.3.)
    """

    def executemany(
        self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
    ) -> None:
        try:
            super().executemany(query, params_seq, returning=returning)
        except (psycopg.IntegrityError, psycopg.DataError, UnicodeEncodeError, OverflowError):
            raise  # a row was refused: the statement itself was prepared
        except BaseException:
            self.connection.is_in_doubt = True  # type: ignore[attr-defined]  # reason: it is a _Connection
            # What is left of the transaction is done on it: other units of the same group.
            self.connection.prepare_threshold = None
            raise


class _Connection(psycopg.Connection):
    """With one cursor for statements that are read before the next: to make one takes as long as the
    server's part of a short statement.
    """

    is_in_doubt = False

    @cached_property
    def one(self) -> psycopg.Cursor:
        return self.cursor()


def control(driver: psycopg.Connection, text: str) -> PGresult:
    """What the last of these statements came to. A cursor would do much more for it, and cost twice
    what they cost the server.
    """
    sent = driver.pgconn
    sent.send_query(text.encode())
    last: PGresult = driver.wait(generators.execute(sent))[-1]
    if last.status == ExecStatus.FATAL_ERROR:
        raise psycopg.errors.error_from_result(last)
    return last


def check_begun(begun: PGresult) -> None:
    """A server that was paused while its record was moved, or upgraded, must not go on with it
    (EDGES H7, H6).
    """
    *_, moved_to = look(begun)
    if moved_to is not None:
        log.error("nothing is written: the record was moved", to=moved_to)
        raise record_moved()


def look(begun: PGresult) -> list[str | None]:
    """What ``LOOK`` found, and more. Raises Outdated when this program must not go on."""
    if not begun.ntuples:
        raise Unavailable("The database is empty: there is no record of Bascule in it.")
    found = [begun.get_value(0, column) for column in range(begun.nfields)]
    row = [None if value is None else value.decode() for value in found]
    oldest_program, program = str(row[0]), str(row[1])
    if oldest_program > migrations.REVISION:
        raise outdated(program)
    return row


def _check_kept(driver: psycopg.Connection) -> None:
    """``fsync`` is of the server, and may be changed while it runs."""
    row = driver.execute("SHOW fsync").fetchone()
    if row is None or row[0] == "off":
        raise Unavailable(
            "The server of the database has fsync = off: after a power failure, changes that were "
            "acknowledged could be lost.",
            advice="Set fsync = on there.",
        )


POSTGRESQL = enter(
    "postgresql",
    Engine(
        forms=Forms(dialects.dialect(paramstyle="format")),  # type: ignore[no-untyped-call]  # reason: SQLAlchemy's
        failures=FAILURES,
        translate=translate,
        begin_write="BEGIN ISOLATION LEVEL SERIALIZABLE; "
        f"{TURN}; "
        f"{LOOK}, i.moved_to FROM alembic_version v LEFT JOIN installation i ON true",
        begin_read=f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {LOOK} FROM alembic_version v",
        end_read="COMMIT",  # at a ROLLBACK psycopg forgets what it has prepared
        is_in_transaction=lambda driver: (
            driver.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        ),
        is_failed=lambda driver: driver.info.transaction_status == TransactionStatus.INERROR,
        is_lost=_is_lost,
        control=control,
        one_by_one=lambda driver: driver.one,
        check_begun=check_begun,
        check_read=look,
        check_kept=_check_kept,
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is; made by ``place_of``."""

    reach: str  # libpq's connection string, without a password
    name: str  # for people
    password: str = field(default="", repr=False)


def place_of(
    url: str, password: str = "", *, may_be_unverified: bool = False, option: str = "--database"
) -> Place:
    """Read ``postgresql://...`` or ``host=... dbname=...``. Raises ConfigurationError, which names the
    ``option`` that it is of.

    Of a server that is not reached by a local socket the certificate is verified, and its name;
    a weaker ``sslmode`` is refused unless ``may_be_unverified``.
    """
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigurationError(
            f"{option} is not an address of PostgreSQL.",  # not what it is: it may hold a password
            advice=f"Write {option} postgresql://USER@HOST/DATABASE",
        ) from None
    if secret := {"password", "sslpassword"} & given.keys():
        raise ConfigurationError(
            f"{option} contains a {min(secret)}. Other users of this machine can read it in the "
            f"list of processes.",
            advice="Remove it from there and change it. Use --database-password-file FILE, "
            "PGPASSWORD, PGPASSFILE or a service file.",
        )
    mode = str(given.get("sslmode", VERIFIED))
    if mode != VERIFIED and not may_be_unverified:
        raise ConfigurationError(
            f"{option} has sslmode={mode}, with which another server could take the place of "
            f"yours, or read what is sent.",
            advice=f"Use sslmode={VERIFIED} with sslrootcert=FILE, or say "
            f"--allow-unverified-database.",
        )
    host = str(given.get("host") or given.get("hostaddr") or "")
    several = {"target_session_attrs": "read-write"} if "," in host else {}
    reach = conninfo.make_conninfo("", **{**_REACH, **several, **given, "sslmode": mode})
    database = given.get("dbname") or given.get("service") or "its default"
    name = f"{database} at {host}" if host else str(database)
    return Place(reach, name, password)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database it is. Its standbys have the same number and ``lineage.system``."""

    number: int
    lineage: Timeline


def open_driver(place: Place) -> psycopg.Connection:
    """Raises what ``FAILURES`` says."""
    more = {"password": place.password} if place.password else {}
    return _Connection.connect(place.reach, autocommit=True, cursor_factory=_Cursor, **more)  # type: ignore[arg-type]  # reason: of libpq, whatever it is


class Database:
    """Makes connections to one place. Each belongs to whoever holds it; one thread at a time."""

    def __init__(
        self, place: Place, own: Clock | None = None, lineage: Lineage | None = None
    ) -> None:
        """``own`` is this host's clock. ``lineage`` is what this server has seen before."""
        self.name = place.name
        self.is_kept_elsewhere = False  # does a standby have what is acknowledged?
        self._lineage = lineage or Lineage()
        self.clock = FollowedClock(own)  # the database's; set by the first connection
        self._place = place
        self._first: Identity | None = None  # that was connected to
        # Nothing is pooled, and a broken connection is thrown away whole.
        self._engine: SqlEngine = create_engine(
            "postgresql+psycopg://",
            creator=self._driver,
            poolclass=NullPool,
            pool_reset_on_return=None,  # it is closed: its server undoes what is left
            use_native_hstore=False,
            hide_parameters=True,  # its errors reach the log
        )

    def connect(self) -> Connection:
        """Raises what ``failures`` says, or ConfigurationError when the server is not fit."""
        return self._engine.connect()

    def connect_later(self) -> Connection:
        """``connect``, of a program that has begun: its callers may be strangers, and are told
        neither what the database is called nor where it is.
        """
        try:
            return self.connect()
        except ConfigurationError as error:
            log.error("database refused", why=error.message, advice=error.advice)
            raise Unavailable(
                "The database cannot be used now.", advice="See the server's log for the reason."
            ) from error

    @property
    def lineage(self) -> Timeline | None:
        """What was seen last, by whichever way; None: nothing yet."""
        return self._lineage.known

    def recognize(self, found: Identity, name: str) -> None:
        """Raise ConfigurationError unless it is the one that was connected to first, and has what
        this server has seen acknowledged. ``name`` is for people.
        """
        self._first = self._first or found
        if (found.number, found.lineage.system) != (self._first.number, self._first.lineage.system):
            raise ConfigurationError(
                f"The database {name} is another one than when this program started.",
                advice="Start the server again, if the record was moved or restored.",
            )
        self._lineage.follow(found.lineage, name)

    def _driver(self) -> psycopg.Connection:
        opened = open_driver(self._place)
        try:
            opened.prepared_max = PREPARED
            found = _check(opened, self.name)
            self.recognize(found.identity, self.name)
            self.is_kept_elsewhere = found.is_kept_elsewhere
            opened.execute(_SET)
            measure(self.clock, opened)
        except BaseException:
            opened.close()
            raise
        return opened


def measure(clock: FollowedClock, driver: psycopg.Connection) -> None:
    """Have the clock follow the database's."""
    began = clock.boottime()
    row = driver.execute("SELECT clock_timestamp()").fetchone()
    ended = clock.boottime()
    if row is not None:
        clock.note(row[0].astimezone(UTC), began, ended)


def driver_of(connection: Connection) -> psycopg.Connection:
    """As ``engine.driver_of``, of a connection to PostgreSQL."""
    return cast("psycopg.Connection", connection.connection.dbapi_connection)


@dataclass(frozen=True, slots=True)
class _Found:
    identity: Identity
    is_kept_elsewhere: bool


def _check(driver: psycopg.Connection, name: str) -> _Found:
    """Raises ConfigurationError unless this server keeps what it acknowledges."""
    (row,) = driver.execute(_ASK).fetchall()
    version, is_standby, read_only, fsync, commit, encoding, pid, system, number, *rest = row
    timeline, standbys = rest
    if version < OLDEST:
        raise ConfigurationError(
            f"The server of the database {name} is PostgreSQL {version}. Bascule needs {OLDEST} "
            f"or later.",
            advice="Upgrade the database server.",
        )
    if is_standby or read_only == "on":
        raise ConfigurationError(
            f"The database {name} is read-only"
            + (": its server is a standby." if is_standby else "."),
            advice="Name the primary with --database.",
        )
    for setting, value in (("fsync", fsync), ("synchronous_commit", commit)):
        if value == "off":
            raise ConfigurationError(
                f"The server of the database {name} has {setting} = off: after a power failure, "
                f"ports could be open that were closed, and granted access forgotten.",
                advice=f"Set {setting} = on there.",
            )
    if pid != driver.info.backend_pid:
        raise ConfigurationError(
            f"Between this program and the database {name} is a pooler. It could give a connection "
            f"to several programs, and what a session keeps would be lost.",
            advice="Name the database server itself with --database, and the pooler with "
            "--database-pooler.",
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The database {name} has the encoding {encoding}. Bascule needs UTF8.",
            advice="Create it with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
        )
    is_kept_elsewhere = bool(standbys.strip()) and commit != "local"
    return _Found(Identity(number, Timeline(str(system), timeline)), is_kept_elsewhere)
