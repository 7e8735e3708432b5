"""The store through PgBouncer in transaction mode, on real clusters: ADR 38, EDGES H1 and H5.

A pooler gives each transaction whichever connection of whichever server it has: what a transaction may
rest on is looked at in its first message.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from bascule.bootstrap.database import Record
from bascule.clocks import SystemClock
from bascule.config import parse_database
from bascule.errors import ConfigurationError, Unavailable
from bascule.identity.tls import CertificateKeeper
from bascule.interfaces.store import Transaction
from bascule.store.lineage import Lineage
from bascule.store.postgresql import driver_of, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read, write
from tests.support import pgbouncer, postgresql
from tests.support.own import free_port
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import Cluster

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None or pgbouncer.program() is None,
    reason="PostgreSQL's server or PgBouncer is missing",
)
_PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def pooler() -> Iterator[PgBouncer]:
    made = PgBouncer(postgresql.cluster())
    yield made
    made.remove()


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make(postgresql.blank())
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def store(name: str, pooler: PgBouncer) -> Iterator[SqlStore]:
    opened = open_postgresql(postgresql.cluster().place(name), pooler=pooler.place(name))
    yield opened
    close(opened)


def _step(store: SqlStore) -> int:
    return write(store, lambda tx: tx.advance_generation("u"))


def _now(store: SqlStore) -> int:
    return read(store, lambda r: r.generation("u"))


def _asked(of: Any, text: str) -> object:
    """The answer on the very connection of this transaction, past all that the store does."""
    return of._driver.execute(text).fetchone()[0]


def test_a_pooler_alone_is_refused(name: str, pooler: PgBouncer) -> None:
    """LISTEN, upgrades and locks of sessions need the server itself."""
    with pytest.raises(ConfigurationError, match="is a pooler") as refusal:
        open_postgresql(pooler.place(name))
    assert "--database-pooler" in refusal.value.advice


def test_turns_of_one_server_go_over_connections_of_several(
    store: SqlStore, pooler: PgBouncer, name: str
) -> None:
    """Else nothing here would show anything of a pooler."""
    used = set()
    for number in range(1, 4):
        assert _step(store) == number
        used.add(write(store, lambda tx: _asked(tx, _PID)))
        with psycopg.connect(pooler.address(name)) as other:  # takes the connection that is free
            other.execute("SELECT 1")
            assert _now(store) == number
            used.add(write(store, lambda tx: _asked(tx, _PID)))
    assert len(used) > 1


def test_waits_end_in_each_transaction_and_nothing_is_left_to_a_session(
    store: SqlStore, pooler: PgBouncer, name: str
) -> None:
    limits = {"statement_timeout": "30s", "lock_timeout": "5s",
              "idle_in_transaction_session_timeout": "10s"}  # fmt: skip
    for setting, value in limits.items():
        shown = f"SHOW {setting}"
        assert write(store, partial(_asked, text=shown)) == value
        assert read(store, partial(_asked, text=shown)) == value
    for _ in range(10):
        _step(store)
        _now(store)
    with psycopg.connect(pooler.address(name), autocommit=True) as other:
        for setting in limits:
            row = other.execute(f"SHOW {setting}".encode(), prepare=False).fetchone()
            assert row == ("0",), setting
        asked = "SELECT (SELECT count(*) FROM pg_prepared_statements) + "
        asked += "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
        assert other.execute(asked.encode(), prepare=False).fetchone() == (0,)


def test_what_a_pooler_keeps_for_each_client_is_prepared(name: str) -> None:
    """As PgBouncer does unless it is told not to: over several sessions, failures and lost ones."""
    cluster = postgresql.cluster()
    bouncer = PgBouncer(cluster, {"max_prepared_statements": "50"})
    store = open_postgresql(cluster.place(name), pooler=bouncer.place(name))
    refused = Unavailable("no")

    def fail(tx: Transaction) -> None:
        tx.advance_generation("u")
        raise refused

    try:
        sessions = set()
        for number in range(1, 31):
            assert _step(store) == number
            with pytest.raises(Unavailable, match="no"):
                write(store, fail)
            with psycopg.connect(bouncer.address(name)) as other:  # takes the session that is free
                other.execute("SELECT 1")
                assert _now(store) == number
                sessions.add(read(store, partial(_asked, text=_PID)))
            if number == 20:
                bouncer.command("RECONNECT")
        assert len(sessions) > 1
        asked = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'PGBOUNCER%'"
        assert int(str(read(store, partial(_asked, text=asked)))) > 1
    finally:
        close(store)
        bouncer.remove()


def test_writers_through_the_pooler_and_beside_it_take_turns(store: SqlStore, name: str) -> None:
    """EDGES H1: two servers, one through the pooler; no number is given twice, none is lost."""
    direct = open_postgresql(postgresql.cluster().place(name), is_server=False)
    both = [threading.Thread(target=lambda s=s: [_step(s) for _ in range(50)])
            for s in (store, direct)]  # fmt: skip
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert _now(store) == _now(direct) == 100
    close(direct)


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_a_server_that_begins_to_forget_is_refused_at_once(store: SqlStore, setting: str) -> None:
    cluster = postgresql.cluster()
    _step(store)
    cluster.do(f"ALTER SYSTEM SET {setting} = off")
    try:
        postgresql.reload(setting, "off")
        postgresql.wait(lambda: _is_refused(lambda: _step(store)))
        assert _is_refused(lambda: _now(store))
    finally:
        cluster.do(f"ALTER SYSTEM RESET {setting}")
        postgresql.reload(setting, "on")
    postgresql.wait(lambda: not _is_refused(lambda: _step(store)))


def test_what_another_client_leaves_to_a_session_does_not_make_us_forget(
    store: SqlStore, pooler: PgBouncer, name: str
) -> None:
    """A pooler in transaction mode hands on what somebody SET."""
    pooler.command("PAUSE")
    pooler.command("RESUME")  # without connections but for the one to come
    with psycopg.connect(pooler.address(name), autocommit=True) as other:
        other.execute("SET synchronous_commit = off")
    assert _is_refused(lambda: _step(store))
    pooler.command("RECONNECT")
    assert _step(store) == 1


def test_a_database_that_becomes_read_only_is_refused_and_found_again(store: SqlStore) -> None:
    cluster = postgresql.cluster()
    _step(store)
    cluster.do("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        postgresql.reload("default_transaction_read_only", "on")
        postgresql.wait(lambda: _is_refused(lambda: _now(store)))
        assert _is_refused(lambda: _step(store))
    finally:
        cluster.do("ALTER SYSTEM RESET default_transaction_read_only")
        postgresql.reload("default_transaction_read_only", "off")
    postgresql.wait(lambda: not _is_refused(lambda: _step(store)))


def test_another_database_in_the_place_of_the_first_is_refused(store: SqlStore, name: str) -> None:
    cluster = postgresql.cluster()
    _step(store)
    cluster.drop(name)
    cluster.do(f"CREATE DATABASE {name} TEMPLATE {postgresql.blank()}")
    postgresql.wait(lambda: _is_refused(lambda: _now(store)))
    assert _is_refused(lambda: _step(store))


def test_a_pooler_that_leads_elsewhere_is_refused_at_the_start(
    name: str, pooler: PgBouncer, tmp_path: Path
) -> None:
    cluster = postgresql.cluster()
    other = cluster.make(postgresql.blank())
    with pytest.raises(ConfigurationError, match="is another one than when this program started"):
        open_postgresql(cluster.place(name), pooler=pooler.place(other))
    cluster.drop(other)
    nowhere = place_of(f"host={tmp_path} dbname={name} user=bascule")
    with pytest.raises(ConfigurationError, match="through the pooler") as refusal:
        open_postgresql(cluster.place(name), pooler=nowhere)
    assert "pool_mode = transaction" in refusal.value.advice


def test_marks_of_a_newer_program_and_of_a_move_are_seen(store: SqlStore, name: str) -> None:
    """EDGES H6 and H7, as without a pooler."""
    cluster = postgresql.cluster()
    cluster.do("UPDATE alembic_version SET oldest_program = '9999', program = '9.9'", name)
    for act in (_now, _step):
        with pytest.raises(Unavailable, match=r"9\.9"):
            act(store)
    cluster.do("UPDATE alembic_version SET oldest_program = version_num", name)
    assert _now(store) == 0
    assert _step(store) == 1


def test_hints_go_to_the_server_itself(store: SqlStore, pooler: PgBouncer, name: str) -> None:
    heard = threading.Event()
    hints = store.hints("11111111-2222-3333-4444-555555555555", lambda _: heard.set())
    assert hints is not None
    try:
        assert heard.wait(10)
        pooler.kill()
        cluster = postgresql.cluster()
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^LISTEN|pg_notify' AND datname = "
        )
        assert cluster.do(f"{asked}'{name}'") == [(1,)]
    finally:
        pooler.start()
        hints.close()


def test_a_pooler_that_dies_is_said_and_taken_up_again(store: SqlStore, pooler: PgBouncer) -> None:
    """Issue 20, point 4: 503 at once, with words, and no restart."""
    assert _step(store) == 1
    pooler.kill()
    try:
        for act, words in ((_step, "cannot be written"), (_now, "cannot be read")):
            began = time.monotonic()
            with pytest.raises(Unavailable, match=words):
                act(store)
            assert time.monotonic() - began < 5
    finally:
        pooler.start()
    assert _now(store) == 1
    assert _step(store) == 2


def test_a_pooler_that_dies_in_a_turn_leaves_nothing_half_done(
    store: SqlStore, pooler: PgBouncer
) -> None:
    def work(tx: Transaction) -> int:
        found = tx.advance_generation("u")
        pooler.kill()
        return found

    try:
        with pytest.raises(Unavailable, match="cannot be written"):
            write(store, work)
    finally:
        pooler.start()
    assert _step(store) == 1


def test_a_promotion_behind_the_pooler_is_followed_and_the_old_primary_is_not(
    tmp_path: Path,
) -> None:
    """EDGES H5: by each transaction, although no connection of ours was made anew."""
    primary = Cluster()
    primary.do("CREATE DATABASE ours")
    standby = primary.standby()
    bouncer = PgBouncer(primary)
    file = tmp_path / "timeline.json"
    either = place_of(f"host={primary.folder},{standby.folder} dbname=ours user=bascule")
    store = open_postgresql(either, pooler=bouncer.place("ours"), lineage=Lineage(file))
    try:
        assert _step(store) == 1
        postgresql.wait(lambda: _has(standby, 1))
        bouncer.leads_to(standby)
        bouncer.command("RELOAD")
        postgresql.wait(lambda: _is_refused(lambda: _now(store)))  # H1: nothing from a standby
        assert _is_refused(lambda: _step(store))
        primary.stop()
        standby.promote()
        with capture_logs() as lines:
            postgresql.wait(lambda: not _is_refused(lambda: _step(store)))
        assert [each for each in lines if each["event"] == "a standby of the database was promoted"]
        assert '"timeline": 2' in file.read_text()
        assert _now(store) == 2
        # The old primary comes back, and the pooler leads to it again.
        primary.start()
        bouncer.leads_to(primary)
        bouncer.command("RELOAD")
        postgresql.wait(lambda: _is_refused(lambda: _now(store)))
        for _ in range(5):
            assert _is_refused(lambda: _now(store))
            assert _is_refused(lambda: _step(store))
        assert primary.do("SELECT generation FROM machine_generations", "ours") == [(1,)]
        # The host's owner accepts it, while the server runs.
        old = open_postgresql(primary.place("ours"), lineage=(seen := Lineage()))
        close(old)
        assert seen.known is not None
        Lineage(file).accept(seen.known)
        assert _step(store) == 2
    finally:
        close(store)
        bouncer.remove()
        standby.remove()
        primary.remove()


def test_a_direct_connection_that_saw_the_promotion_first_counts_for_the_pooler(
    tmp_path: Path,
) -> None:
    """The pooler still leads to the old primary, which lives."""
    primary = Cluster()
    primary.do("CREATE DATABASE ours")
    standby = primary.standby()
    bouncer = PgBouncer(primary)
    file = tmp_path / "timeline.json"
    # Its direct way goes to the primary first, and then to the standby.
    link = tmp_path / "direct"
    link.symlink_to(primary.folder)
    direct = place_of(f"host={link} dbname=ours user=bascule")
    store = open_postgresql(direct, pooler=bouncer.place("ours"), lineage=Lineage(file))
    try:
        assert _step(store) == 1
        postgresql.wait(lambda: _has(standby, 1))
        standby.promote()
        link.unlink()
        link.symlink_to(standby.folder)
        assert store._connect is not None
        store._connect().close()
        for _ in range(3):
            assert _is_refused(lambda: _now(store))
            assert _is_refused(lambda: _step(store))
        bouncer.leads_to(standby)
        bouncer.command("RELOAD")
        postgresql.wait(lambda: not _is_refused(lambda: _now(store)))
    finally:
        close(store)
        bouncer.remove()
        standby.remove()
        primary.remove()


def test_options_of_a_server_name_the_pooler(tmp_path: Path, name: str, pooler: PgBouncer) -> None:
    with pytest.raises(ConfigurationError, match="--database-pooler needs --database"):
        parse_database(None, None, may_be_unverified=False, pooler="host=/x")
    settings = parse_database(
        postgresql.cluster().address(name), None, may_be_unverified=False,
        pooler=pooler.address(name),
    )  # fmt: skip
    store = Record(tmp_path, settings).open(is_server=True)
    assert isinstance(store, SqlStore)
    assert driver_of(store._writer._connection).info.port == pgbouncer.PORT
    close(store)
    secret = parse_database("host=/x", None, may_be_unverified=False, pooler="host=/y password=p")
    with pytest.raises(ConfigurationError, match="--database-pooler contains a password"):
        Record(tmp_path, secret).open(is_server=True)
    weak = "host=db.example sslmode=disable"
    weaker = parse_database("host=/x", None, may_be_unverified=False, pooler=weak)
    with pytest.raises(ConfigurationError, match="--database-pooler has sslmode=disable"):
        Record(tmp_path, weaker).open(is_server=True)


@pytest.mark.sockets
def test_a_pooler_with_tls_and_scram_as_the_docs_have_it(tmp_path: Path) -> None:
    """docs/replicas.md: the same password for both ways, the pooler's certificate verified by name."""
    cluster = Cluster()
    hba = cluster.data / "pg_hba.conf"
    hba.write_text("local all bascule trust\nlocal all app scram-sha-256\n")
    cluster.do("SELECT pg_reload_conf()")
    cluster.do("CREATE ROLE app LOGIN PASSWORD 'a secret'")
    cluster.do("CREATE DATABASE ours OWNER app")
    ((secret,),) = cluster.do("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
    port = free_port()
    keeper = CertificateKeeper(tmp_path, ("localhost",))
    keeper.ensure(SystemClock().now())
    kept = cluster.folder / "server.pem"  # key and certificate, where its account may read them
    kept.write_bytes((tmp_path / "server.pem").read_bytes())
    users = cluster.folder / "userlist.txt"
    users.write_text(f'"app" "{secret}"\n')
    text = re.sub(r"(?m) +#.*", "", _documented())
    told = dict(re.findall(r"(?m)^(\w+) = (.+)$", text.partition("[pgbouncer]")[2]))
    assert told["pool_mode"] == "transaction"
    ours = {
        "listen_addr": "127.0.0.1", "listen_port": str(port), "auth_file": str(users),
        "client_tls_key_file": str(kept), "client_tls_cert_file": str(kept),
    }  # fmt: skip
    assert ours.keys() <= told.keys()
    bouncer = PgBouncer(cluster, {**told, **ours}, forced_user=None)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("a secret\n")
    there = f"postgresql://app@localhost:{port}/ours"
    settings = parse_database(
        f"host={cluster.folder} user=app dbname=ours", password, may_be_unverified=False,
        pooler=f"{there}?sslrootcert={keeper.ca_file}",
    )  # fmt: skip
    try:
        store = Record(tmp_path, settings).open(is_server=True, may_begin=True)
        assert isinstance(store, SqlStore)
        assert _step(store) == _now(store) == 1
        close(store)
        assert settings is not None
        stranger = replace(
            settings, pooler=f"{there}?sslrootcert=/etc/ssl/certs/ca-certificates.crt"
        )
        with pytest.raises(ConfigurationError, match="certificate"):
            Record(tmp_path, stranger).open(is_server=True)
        password.write_text("another\n")
        with pytest.raises(ConfigurationError, match="password"):
            Record(tmp_path, settings).open(is_server=True)
    finally:
        bouncer.remove()
        cluster.remove()


def _documented() -> str:
    """The configuration of PgBouncer in docs/replicas.md."""
    page = (Path(__file__).parents[2] / "docs" / "replicas.md").read_text()
    (found,) = re.findall(r"```\n(\[databases\].*?)```", page, re.DOTALL)
    return str(found)


def _has(standby: Cluster, generation: int) -> bool:
    try:
        found = standby.do("SELECT generation FROM machine_generations", "ours")
    except psycopg.errors.UndefinedTable:
        return False
    return found == [(generation,)]


def _is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except Unavailable:
        return True
    return False
