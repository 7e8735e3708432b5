"""Open the store on PostgreSQL, or make it, and bring it up to date.

As in ``open``: a new database and every upgrade is one transaction, and of two programs that start
together one does the work and the other finds it done. Several servers may use the database. It is
upgraded beside those that may go on afterwards (``marks``), and not while another one runs.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping
from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from bascule.errors import ConfigurationError
from bascule.interfaces.clock import Clock
from bascule.interfaces.replicas import ALIVE_FOR
from bascule.store import migrations
from bascule.store.columns import Span
from bascule.store.failures import log
from bascule.store.lineage import Lineage
from bascule.store.marks import mark_of, require_admitted
from bascule.store.new import fill
from bascule.store.postgresql import POSTGRESQL, TURN, Database, Place, driver_of, measure
from bascule.store.postgresql_failures import FAILURES, translate
from bascule.store.readers import Readers
from bascule.store.rows import raise_translated
from bascule.store.spelling import database_now
from bascule.store.sql_store import SqlStore
from bascule.store.tables.replicas import replicas
from bascule.store.writer import Writer

if TYPE_CHECKING:
    from bascule.store.upgrade import Step

LOCK_OF_REVISIONS = int.from_bytes(b"bascule0")
IN_ALL = 60  # seconds for which an upgrade may wait
LOCK_WITHIN = 2  # seconds that one of its statements waits, and all others behind it
BESIDE_WITHIN = 10  # seconds that an upgrade takes while servers run
_PAUSE = 1.0  # seconds before it is tried again, at most
_IN_THE_WAY = frozenset({"55P03", "40P01"})  # lock not available, deadlock
_TOOK_TOO_LONG = "57014"
_TABLES = text(
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace "
    "AND c.relkind IN ('r', 'p') ORDER BY c.relname"
)
_FILES = text(  # a table that is written anew has another file
    "SELECT c.relname, c.relfilenode FROM pg_class c "
    "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
)
# By what every revision has: the installation, and where its record is when it was moved.
_WHOSE = text("SELECT tenant_id, moved_to FROM installation")
Admits = Callable[[str, str], None]
_NO_DATABASE = re.compile(r'FATAL:\s+database "[^"]*" does not exist')
_IS_THERE = ("certificate", "SSL", "read-only", "hot standby")  # said of a server that answered
_ALIVE = (  # by what every revision has
    select(replicas.c.host, replicas.c.endpoint, replicas.c.revision)
    .where(database_now() - replicas.c.seen_at <= bindparam("within", type_=Span))
    .order_by(replicas.c.host, replicas.c.endpoint)
)


def open_postgresql(
    place: Place,
    *,
    pooler: Place | None = None,
    is_server: bool = True,
    may_fill: bool = True,
    own: Clock | None = None,
    lineage: Lineage | None = None,
    admits: Admits = lambda *_: None,
) -> SqlStore:
    """Open the store in this database. ``pooler``: what is read and written goes through it.

    ``is_server``: with the right to upgrade; others use it as it is.
    ``may_fill``: such a one makes the tables when it is empty. ``own``: this host's clock. ``admits`` is
    asked before an upgrade, with the installation and where its record was moved to, and raises
    ConfigurationError where it is another's. Raises ConfigurationError when the database cannot be used,
    with what to do.
    """
    database = Database(place, own, lineage)
    connection = _connect(database)
    try:
        _bring_up_to_date(
            connection, place.name, may_upgrade=is_server, may_fill=may_fill, admits=admits
        )
    except FAILURES as error:
        connection.close()
        raise_translated(POSTGRESQL, error, "opened")
    except BaseException:
        connection.close()
        raise
    if is_server and not database.is_kept_elsewhere:
        log.warning(
            "changes that were acknowledged may be lost over a failover",
            why="the database server commits to no synchronous standby",
        )
    engine, connect = POSTGRESQL, database.connect_later
    if pooler is not None:
        from bascule.store.pooler import Pooler  # noqa: PLC0415  # reason: most servers have none

        connection.close()
        through = Pooler(pooler, database)
        engine, connect, connection = through.engine, through.connect, through.begin()
    readers = Readers(engine, connect)

    def connect_again() -> Connection:
        made = connect()
        readers.make_anew()
        return made

    def measure_again(connection: Connection) -> None:
        measure(database.clock, driver_of(connection))

    writer = Writer(connection, connect_again, engine)
    return SqlStore(writer, readers, database.clock, measure_again, database.connect_later)


def connect_to(place: Place, lineage: Lineage | None = None) -> Connection:
    """A connection of a command's own; raises as ``open_postgresql``."""
    return _connect(Database(place, lineage=lineage))


def is_away(place: Place) -> bool:
    """Does no server answer there, or is there no such database? One that refuses us, or whose
    certificate cannot be verified, is there: others may use it. Of several hosts each must be away.
    """
    return all(_is_away(replace(place, reach=each)) for each in _each_host(place.reach))


def _each_host(reach: str) -> Iterator[str]:
    """The same for one host at a time."""
    given = conninfo_to_dict(reach)
    lists = {
        name: str(given[name]).split(",") for name in ("host", "hostaddr", "port") if name in given
    }
    for place in range(max(map(len, lists.values()), default=1)):
        one = {name: each[min(place, len(each) - 1)] for name, each in lists.items()}
        yield make_conninfo(reach, **one)


def _is_away(place: Place) -> bool:
    try:
        Database(place).connect().close()
    except FAILURES as error:
        said = _said(error)  # of each address that the host has
        if any(each in said for each in _IS_THERE):
            return False
        if refusals := said.count("FATAL"):
            return refusals == len(_NO_DATABASE.findall(said))
        return PGconn.ping(place.reach.encode()) == Ping.NO_RESPONSE
    except ConfigurationError:
        return False
    return False


def _connect(database: Database) -> Connection:
    try:
        return database.connect()
    except FAILURES as error:
        raise _not_reached(database.name, error) from error


def _not_reached(name: str, error: Exception) -> Exception:
    """What libpq says has no SQLSTATE: it is told apart by its words, and told whole."""
    if getattr(_original(error), "sqlstate", None):
        return translate(error, "opened")
    said = _said(error)
    if ("password" in said and "authentication failed" in said) or "no password supplied" in said:
        advice = (
            "Give the right password with --database-password-file FILE, PGPASSWORD, PGPASSFILE "
            "or a service file."
        )
    elif "certificate" in said or "SSL" in said:
        advice = (
            "Give the CA of the database server with sslrootcert=FILE in --database, and the name "
            "that is in its certificate."
        )
    elif "does not exist" in said:
        advice = "Create the role and the database first: docs/operations.md has the commands."
    else:
        advice = "Check that the database server runs, and that --database names it."
    return ConfigurationError(f"The database {name} cannot be opened: {said}", advice=advice)


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _said(error: Exception) -> str:
    return " ".join(str(_original(error)).split())


def _bring_up_to_date(
    connection: Connection, name: str, *, may_upgrade: bool, may_fill: bool, admits: Admits
) -> None:
    found = revision(connection, name)
    if found is not None and found >= migrations.REVISION:
        require_admitted(mark_of(driver_of(connection)), name)
        return
    if not may_upgrade:
        raise ConfigurationError(
            f"The database {name} has another version than this program, or is empty.",
            advice="Use the same version of Bascule as the running server, or restart the server "
            "first.",
        )
    deadline = time.monotonic() + IN_ALL
    while True:
        try:
            _upgrade_at_once(connection, name, may_fill=may_fill, admits=admits)
        except FAILURES as error:
            if _state_of(error) not in _IN_THE_WAY or time.monotonic() >= deadline:
                raise
            log.warning("the upgrade waits for another transaction, and lets others pass meanwhile")
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311  # reason: no secret
        else:
            return


def _upgrade_at_once(connection: Connection, name: str, *, may_fill: bool, admits: Admits) -> None:
    """In one transaction. What waits for a lock makes all others wait behind it, so it soon gives up."""
    driver = driver_of(connection)
    driver.execute(f"BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{IN_ALL}s'")
    try:
        driver.execute(f"SELECT pg_advisory_xact_lock({LOCK_OF_REVISIONS})")
        found = revision(connection, name)  # another process may have been quicker
        if found is None and not may_fill:
            raise ConfigurationError(
                f"The database {name} is empty: there is no record of Bascule in it.",
                advice="Restore the record from a backup, with the server stopped. For a new "
                "installation, give bascule serve an empty data directory and an empty database.",
            )
        if found is None:
            fill(connection)
        elif found < migrations.REVISION:
            from bascule.store.upgrade import steps, upgrade  # noqa: PLC0415  # reason: Alembic is slow

            driver.execute(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}s'")
            driver.execute(TURN)  # of the writers: what they do is before the upgrade, or after it
            for whose in connection.execute(_WHOSE):
                admits(whose.tenant_id, whose.moved_to or "")
            if _check_beside(connection, name, steps(found, name)):
                with _beside_servers(connection, name):
                    upgrade(connection, found, name)
            else:
                upgrade(connection, found, name)
        driver.execute("COMMIT")
    except BaseException as error:
        if not driver.closed:
            driver.execute("ROLLBACK")
        if _state_of(error) == _TOOK_TOO_LONG:
            raise ConfigurationError(
                f"The upgrade of the database {name} took longer than {BESIDE_WITHIN} s, for which "
                f"the servers that run would wait. Nothing was changed.",
                advice="Stop all servers, then start one of the newer version.",
            ) from error
        raise


@contextmanager
def _beside_servers(connection: Connection, name: str) -> Iterator[None]:
    """An upgrade meanwhile must be short, since writers wait for it, and write no table anew: a read
    that began before it would find that table empty (PostgreSQL, "Caveats" of concurrency control).
    """
    before = {row.relname: row.relfilenode for row in connection.execute(_FILES)}
    driver, ended = driver_of(connection), threading.Event()

    def end() -> None:
        has_ended = ended.wait(BESIDE_WITHIN)
        while not has_ended:
            with suppress(*FAILURES):
                driver.cancel_safe(timeout=5)
            has_ended = ended.wait(0.1)  # it may have been between two statements

    ending = threading.Thread(target=end, name="bascule-upgrade", daemon=True)
    ending.start()
    try:
        yield
    finally:
        ended.set()
        ending.join()
    after = {row.relname: row.relfilenode for row in connection.execute(_FILES)}
    anew = sorted(each for each, file in before.items() if after.get(each, file) != file)
    if anew:
        raise ConfigurationError(
            f"The upgrade of the database {name} writes tables anew ({', '.join(anew)}), which servers "
            f"that run would read as empty. Nothing was changed.",
            advice="Stop all servers, then start one of the newer version.",
        )


def _check_beside(connection: Connection, name: str, way: Sequence[Step]) -> bool:
    """Do servers run, all of which may go on after the upgrade? Raises ConfigurationError if one must
    not: it would be of no use any more.
    """
    from bascule.store.upgrade import oldest_program  # noqa: PLC0415  # reason: Alembic is slow

    alive = connection.execute(_ALIVE, {"within": ALIVE_FOR}).all()
    oldest = oldest_program(way)
    too_old = [row for row in alive if row.revision < oldest]
    if too_old:
        named = ", ".join(f"{row.host} ({row.endpoint})" for row in too_old)
        raise ConfigurationError(
            f"The database {name} cannot be upgraded, because a server uses it that must not run "
            f"beside this version: {named}. Nothing was changed.",
            advice="Stop all servers, then start one of the newer version. If one was killed, wait "
            "15 s. To upgrade one by one, go by the versions in between.",
        )
    return bool(alive)


def _state_of(error: BaseException) -> str:
    """Its SQLSTATE, if it has one."""
    return getattr(_original(error), "sqlstate", None) or ""


def revision(connection: Connection, name: str) -> str | None:
    """The revision that the database is at, None when it is empty."""
    tables = {row.relname for row in connection.execute(_TABLES)}
    if "alembic_version" in tables and "installation" in tables:
        row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
        found = None if row is None else str(row.version_num)
        if found is not None and found < migrations.BASELINE:
            raise ConfigurationError(
                f"The database {name} was made by a version of Bascule from before its first "
                f"release (its revision is {found}). It cannot be upgraded. Nothing was changed.",
                advice="Give an empty database, or run the version that made it.",
            )
        return found
    if tables:
        raise ConfigurationError(
            f"{name} is another program's database: it has tables, but none of Bascule's.",
            advice="Create a database of its own for Bascule.",
        )
    return None
