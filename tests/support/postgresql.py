"""A cluster of PostgreSQL for tests: in a temporary folder, on a socket of its own, gone at the end.

It sorts text as people do, not by code point, so that a column without its collation shows. What it
writes goes to memory where there is room: fsync must be on, and costs nothing there.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bascule.store.postgresql import Place, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore

_PREFIX = "bascule-pg-"
_numbers = itertools.count(1)


def programs() -> Path | None:
    """The folder of initdb; None: PostgreSQL's server is not on this machine."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parent.name)
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next((each for each in reversed(folders) if (each / "initdb").exists()), None)


def _remove_left(parent: Path) -> None:
    """End what processes left that were killed: a cluster outlives its test."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if Path("/proc", owner).exists():
            continue
        with contextlib.suppress(OSError, ValueError):
            lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
            if Path("/proc", lines[0], "cmdline").read_bytes().find(os.fsencode(folder)) >= 0:
                os.kill(int(lines[0]), signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """Anybody on this machine who can enter the folder may do anything in it."""

    def __init__(self, settings: dict[str, str] | None = None, parent: Path | None = None) -> None:
        """``parent`` is a folder that others may enter; None: memory, where there is room."""
        found = programs()
        assert found is not None, "PostgreSQL's server is missing: make install as root"
        self._programs = found
        memory = Path("/dev/shm")  # reason: a folder in it is made by mkdtemp
        has_room = memory.exists() and shutil.disk_usage(memory).free > 2 * 2**30
        parent = parent or (memory if has_room else Path(tempfile.gettempdir()))
        _remove_left(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        self.account = self._other_account()
        if self.account is not None:  # postgres refuses to run as root
            account = pwd.getpwnam(self.account)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.data = self.folder / "data"
        self.run(
            "initdb", "-D", str(self.data), "-A", "trust", "-U", "bascule", "-E", "UTF8",
            "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "-N",
        )  # fmt: skip
        ours = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "300",
            "shared_buffers": "64MB",
            **(settings or {}),
        }
        lines = [f"{name} = '{value}'\n" for name, value in ours.items()]
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(lines)
        self.start()
        atexit.register(self.remove)

    @staticmethod
    def _other_account() -> str | None:
        if os.geteuid() != 0:
            return None
        names = {each.pw_name for each in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def run(self, program: str, *arguments: str) -> None:
        account = [] if self.account is None else ["runuser", "-u", self.account, "--"]
        subprocess.run(  # reason: PostgreSQL's own
            [*account, str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def standby(self) -> Cluster:
        """A copy that follows this one, with its own socket; it is removed as any other."""
        made = Cluster.__new__(Cluster)
        made._programs, made.account = self._programs, self.account
        made.folder = Path(tempfile.mkdtemp(prefix=self.folder.name, dir=self.folder.parent))
        if made.account is not None:
            account = pwd.getpwnam(made.account)
            os.chown(made.folder, account.pw_uid, account.pw_gid)
        made.data = made.folder / "data"
        made.run(
            "pg_basebackup", "-D", str(made.data), "-h", str(self.folder), "-U", "bascule",
            "-R", "-c", "fast",
        )  # fmt: skip
        with (made.data / "postgresql.conf").open("a") as file:
            file.write(f"unix_socket_directories = '{made.folder}'\n")
        made.start()
        atexit.register(made.remove)
        return made

    def promote(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-s", "promote")

    def start(self) -> None:
        log = self.folder / "log"
        self.run("pg_ctl", "-D", str(self.data), "-l", str(log), "-w", "-s", "start")

    def stop(self, how: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-s", "-m", how, "stop")

    def remove(self) -> None:
        atexit.unregister(self.remove)
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str = "postgres", user: str = "bascule") -> str:
        return make_conninfo("", host=str(self.folder), dbname=database, user=user)

    def place(self, database: str) -> Place:
        return place_of(self.address(database))

    def do(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def make(self, template: str = "template1") -> str:
        """A database of its own."""
        name = f"test_{next(_numbers)}"
        self.do(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@cache
def cluster() -> Cluster:
    """The one of this process."""
    return Cluster()


@cache
def blank() -> str:
    """A database as the revisions leave it, to be copied."""
    name = cluster().make()
    open_postgresql(cluster().place(name)).close()
    return name


@cache
def _emptying() -> str:
    """Statements that make a database that was used blank again: a copy costs ten times as much.

    What a test changes in tables stays: it makes a database of its own.
    """
    rows = cluster().do(
        "SELECT relname::text, relkind::text FROM pg_class WHERE relkind IN ('r', 'S') "
        "AND relnamespace = 'public'::regnamespace",
        blank(),
    )
    tables = [str(name) for name, kind in rows if kind == "r"]
    lines = ["SET session_replication_role = replica"]  # no foreign keys, no triggers
    lines += [f"DELETE FROM {each}" for each in tables]  # noqa: S608  # reason: ours
    for each in tables:
        ((kept,),) = cluster().do(f"SELECT json_agg(t)::text FROM {each} t", blank())  # noqa: S608  # reason: ours
        if kept is not None:
            text = str(kept).replace("'", "''")
            filled = f"json_populate_recordset(NULL::{each}, '{text}')"
            lines.append(f"INSERT INTO {each} SELECT * FROM {filled}")  # noqa: S608  # reason: ours
    lines += [f"ALTER SEQUENCE {name} RESTART" for name, kind in rows if kind == "S"]
    return "; ".join(lines)


_USES = 50  # of one database: what was deleted from it stays in its files for a while


class _Used:
    def __init__(self, name: str) -> None:
        self.name = name
        self.uses = 0
        self.is_free: Callable[[], bool] = lambda: False
        self.emptying = psycopg.connect(cluster().address(name), autocommit=True)


class Databases:
    """Blank ones, each for one store at a time; once that is closed, for the next one."""

    def __init__(self) -> None:
        self._made: list[_Used] = []

    def make(self) -> Place:
        used = self._emptied() or _Used(cluster().make(blank()))
        if used not in self._made:
            self._made.append(used)
        return cluster().place(used.name)

    def note(self, place: Place, is_closed: Callable[[], bool]) -> None:
        (used,) = (each for each in self._made if each.name == self.name_of(place))
        used.uses, used.is_free = used.uses + 1, is_closed

    @staticmethod
    def name_of(place: Place) -> str:
        return str(psycopg.conninfo.conninfo_to_dict(place.reach)["dbname"])

    def close(self) -> None:
        """At the end: the databases go with their cluster."""
        for used in self._made:
            used.emptying.close()

    def _emptied(self) -> _Used | None:
        for used in [each for each in self._made if each.is_free()]:
            if used.uses < _USES:
                with contextlib.suppress(psycopg.OperationalError):  # a test stopped the cluster
                    used.emptying.execute(_emptying().encode())
                    return used
            self._made.remove(used)
            used.emptying.close()
            cluster().drop(used.name)
        return None


def database_of(store: SqlStore) -> str:
    found = store._writer._driver.info.dbname  # type: ignore[attr-defined]  # reason: psycopg's
    assert isinstance(found, str)
    return found


def open_beside(store: SqlStore) -> SqlStore:
    """The same database once more, as by another process."""
    return open_postgresql(cluster().place(database_of(store)), is_server=False)


def end_connections(store: SqlStore) -> None:
    here = f"FROM pg_stat_activity WHERE datname = '{database_of(store)}'"
    cluster().do(f"SELECT pg_terminate_backend(pid) {here}")
    wait(lambda: cluster().do(f"SELECT count(*) {here}") == [(0,)])


def connections(name: str) -> int:
    """To this database."""
    ((count,),) = cluster().do(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # reason: a name of ours
    )
    assert isinstance(count, int)
    return count


def reload(setting: str, value: str) -> None:
    cluster().do("SELECT pg_reload_conf()")
    wait(lambda: cluster().do(f"SHOW {setting}") == [(value,)])


def wait(is_so: Callable[[], bool]) -> None:
    for _ in range(200):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("not within 10 s")
