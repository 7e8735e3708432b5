"""PgBouncer for tests, in transaction mode: before one cluster of tests, on a socket of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bascule.store.postgresql import Place, place_of
from tests.support.postgresql import Cluster

PORT = 6432


def program() -> str | None:
    """None: it is not on this machine."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer:
    """Leads to any database of its cluster. It is in the cluster's folder, and goes with it."""

    def __init__(
        self,
        cluster: Cluster,
        settings: dict[str, str] | None = None,
        forced_user: str | None = "bascule",
    ) -> None:
        """``forced_user`` is whoever asks, at the cluster; None: with the password that they have."""
        self._cluster = cluster
        self._settings = settings or {}
        self._forced = f" user={forced_user}" if forced_user else ""
        self.folder = Path(tempfile.mkdtemp(prefix="pooler-", dir=cluster.folder))
        self.folder.chmod(0o777)  # its account is not ours
        self.leads_to(cluster)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        atexit.register(self.kill)

    def leads_to(self, cluster: Cluster) -> None:
        """From its next start or ``reload`` on."""
        ours = {
            "listen_addr": "",
            "listen_port": str(PORT),
            "unix_socket_dir": str(self.folder),
            "auth_type": "any",
            "pool_mode": "transaction",
            "max_prepared_statements": "0",  # as before 1.21: nothing may lean on it
            "default_pool_size": "20",
            "query_wait_timeout": "5",
            "server_login_retry": "1",
            "admin_users": "bascule",
            **self._settings,
        }
        # Two users may lead to one account; auth_type=any ignores who says what.
        lines = ["[databases]", f"* = host={cluster.folder}{self._forced}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in ours.items()]
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        found = program()
        assert found is not None, "PgBouncer is missing: make install-dev as root"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [found, str(self.folder / "pgbouncer.ini")],
                user=self._cluster.account,  # it refuses to run as root
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        port = self._settings.get("listen_port", str(PORT))
        with socket.socket(socket.AF_UNIX) as trial:
            return trial.connect_ex(str(self.folder / f".s.PGSQL.{port}")) == 0

    def command(self, text: str) -> list[tuple[object, ...]]:
        """To its console: SHOW, PAUSE, RELOAD, RECONNECT and the like."""
        there = make_conninfo(
            "", host=str(self.folder), port=PORT, dbname="pgbouncer", user="bascule"
        )
        with psycopg.connect(
            there, autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def kill(self) -> None:
        """As by kill -9; it leaves its socket, which the next start takes over."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            atexit.unregister(self.kill)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str) -> str:
        return make_conninfo("", host=str(self.folder), port=PORT, dbname=database, user="bascule")

    def place(self, database: str) -> Place:
        return place_of(self.address(database))
