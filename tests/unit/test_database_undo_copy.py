"""``bascule admin database undo-copy``, and what a move and a check refuse: one record lives."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from bascule.bootstrap import moving
from bascule.bootstrap.admin import admin
from bascule.bootstrap.database import Record
from bascule.clocks import SystemClock
from bascule.config import parse_database
from bascule.errors import BasculeError, ConfigurationError, Unavailable
from bascule.identity.signing_keys import SigningKeys
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import Replica
from bascule.store import whole
from bascule.store.long_work import commit, holding, reading
from bascule.store.postgresql import place_of
from bascule.store.postgresql_open import is_away, open_postgresql
from bascule.store.transaction import SqlReader
from tests.contracts.store.samples import close, write
from tests.support import postgresql
from tests.unit.filled_installation import fill

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample") / "data"
    fill(made)
    return made


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "data"))


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make()
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def address(name: str) -> str:
    return postgresql.cluster().address(name)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(admin, ["database", *map(str, arguments)])


def _copy(data: Path, to: str) -> Result:
    return _run("copy", "--data", data, "--to", to)


def _refusal(done: Result) -> BasculeError:
    assert isinstance(done.exception, BasculeError), done.output
    return done.exception


def _sums(where: Record) -> dict[str, whole.Sum]:
    with reading(where.where) as connection:
        return {each.name: whole.sum_of(connection, each) for each in whole.tables()}


def _installation(where: Record) -> Installation:
    with reading(where.where) as connection:
        made = SqlReader(connection).installation()
    assert made is not None
    return made


def _change(where: Record, statement: str) -> None:
    with holding(where.where) as connection:
        connection.execute(text(statement))
        commit(connection)


def _undo(data: Path, *more: str) -> Result:
    return _run("undo-copy", "--data", data, "--yes", *more)


def _record_is_in(data: Path, kind: str) -> None:
    """And the database of before is retired, or not yet: one record lives."""
    record = Record(data)
    assert record.kind == kind
    record.check_current(_installation(record))


def test_a_move_is_not_undone_while_a_server_goes_on_where_the_record_is(
    data: Path, name: str, address: str
) -> None:
    """It would go on granting. One that was seen and has no connection now comes back."""
    assert _copy(data, address).exit_code == 0
    place = Record(data).where
    assert not isinstance(place, Path)
    server = open_postgresql(place)
    write(
        server, lambda tx: tx.see_replica(Replica("r", "b", "https://b.example:8443", "1", "0100"))
    )
    assert "uses the database" in _refusal(_undo(data)).message
    close(server)
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "b (https://b.example:8443)" in _refusal(_undo(data)).message
    assert Record(data).kind == "PostgreSQL"
    retired = Record(data).before
    assert retired is not None
    assert _installation(retired).moved_to, "nothing was changed"
    _change(Record(data), "DELETE FROM replicas")
    _change(Record(data), "UPDATE installation SET moved_to = 'elsewhere'")
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "moved to elsewhere" in _refusal(_undo(data)).message, "from another data directory"
    _change(Record(data), "UPDATE installation SET moved_to = NULL")
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert _undo(data).exit_code == 0


def test_a_move_is_undone_without_a_database_that_is_away(
    data: Path, name: str, address: str
) -> None:
    """Nobody can use it now; it is retired by the next run that finds it."""
    assert _copy(data, address).exit_code == 0
    left = Record(data)
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    nobody = parse_database(
        address.replace("user=bascule", "user=nobody"), None, may_be_unverified=False
    )
    assert not isinstance(there := Record(data, nobody).where, Path)
    assert not is_away(there), "a server that refuses us is there"
    postgresql.cluster().do(f"ALTER DATABASE {name} RENAME TO {name}_gone")
    refused, kind = _refusal(_undo(data)), Record(data).kind
    done = _undo(data, "--left-is-gone")
    postgresql.cluster().do(f"ALTER DATABASE {name}_gone RENAME TO {name}")
    assert "from two records" in refused.message, "a server elsewhere may reach it"
    assert "--left-is-gone" in refused.advice
    assert kind == "PostgreSQL", "nothing was changed"
    assert done.exit_code == 0, done.output
    assert "no server may use it" in done.stderr
    assert "copy --data DATA --to sqlite" in done.stderr
    assert "rotate-signing-key --now" in done.stderr
    assert Record(data).kind == "SQLite"
    assert Record(data).is_retiring
    assert not _installation(left).moved_to
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert "there already" in _copy(data, "sqlite").stderr
    assert _installation(left).moved_to
    assert not Record(data).is_retiring


def test_a_move_is_undone_without_a_database_that_was_made_anew(
    data: Path, name: str, address: str
) -> None:
    """There is nothing in it to retire, and the next run asks nothing of it."""
    assert _copy(data, address).exit_code == 0
    postgresql.cluster().drop(name)
    postgresql.cluster().do(f"CREATE DATABASE {name}")
    assert "is empty" in _refusal(_undo(data)).message
    done = _undo(data, "--left-is-gone")
    assert done.exit_code == 0, done.output
    _record_is_in(data, "SQLite")
    assert not Record(data).is_retiring


@pytest.mark.parametrize("is_undone", [True, False])
def test_what_could_not_be_retired_is_said_when_the_move_has_happened(
    data: Path, name: str, address: str, is_undone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error would look as if nothing had happened, and somebody would start the other one."""
    assert _copy(data, address).exit_code == 0
    left, real = Record(data), Record.take_over

    def lose(*given: Any) -> None:  # reason: of what is replaced
        real(*given)
        postgresql.cluster().do(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # reason: a name of ours
        )

    monkeypatch.setattr(Record, "take_over", lose)
    done = _undo(data) if is_undone else _copy(data, "sqlite")
    monkeypatch.undo()
    assert done.exit_code == 0, done.output
    assert "was not marked as retired" in done.stderr
    assert "bascule admin database copy --data DATA --to sqlite" in done.stderr
    _record_is_in(data, "SQLite")
    assert Record(data).is_retiring
    if not is_undone:
        assert "which is not marked as retired, to" in done.stdout
    assert not _installation(left).moved_to
    assert "there already" in _copy(data, "sqlite").stderr
    assert _installation(left).moved_to
    assert not Record(data).is_retiring


def test_a_place_that_was_not_marked_is_not_forgotten_unless_it_is_gone(
    data: Path, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further move would overwrite the only place where it is known."""
    assert _copy(data, address).exit_code == 0
    third = postgresql.cluster().make()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(moving, "_mark_retired", _fail)
            assert _copy(data, "sqlite").exit_code == 0
            assert Record(data).is_retiring
            to = postgresql.cluster().address(third)
            refused = _copy(data, to).exception
        assert isinstance(refused, ConfigurationError)
        assert "two servers would grant access" in refused.message
        assert "--left-is-gone" in refused.advice
        _record_is_in(data, "SQLite")
        postgresql.cluster().drop(name)  # never to be marked any more
        assert isinstance(_copy(data, to).exception, ConfigurationError)
        _record_is_in(data, "SQLite")
        done = _run("copy", "--data", data, "--to", to, "--left-is-gone")
        assert done.exit_code == 0, done.output
        assert "which is retired, to" in done.stdout
        assert not Record(data).is_retiring
    finally:
        postgresql.cluster().drop(third)


def _fail(*_: object) -> None:
    raise Unavailable("The database cannot be written.")


@contextlib.contextmanager
def _answering(folder: Path, answer: bytes, *, is_tcp: bool = False) -> Iterator[int]:
    """A server that answers each connection with this, on ``folder``'s socket or a port of TCP. In a
    process of its own: libpq's ping lets no other thread run.
    """
    if is_tcp:
        made = socket.create_server(("127.0.0.1", 0))
    else:
        folder.mkdir()
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(folder / ".s.PGSQL.5432"))
        made.listen()
    child = os.fork()
    if child == 0:
        while True:
            with contextlib.suppress(OSError):
                connection, _ = made.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)
    port = made.getsockname()[1] if is_tcp else 5432
    made.close()
    try:
        yield port
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _message(kind: bytes, body: bytes) -> bytes:
    """Of PostgreSQL's protocol 3.0."""
    return kind + struct.pack("!i", len(body) + 4) + body


def _error(severity: str, state: str, words: str) -> bytes:
    fields = (f"S{severity}", f"C{state}", f"M{words}")
    return _message(b"E", b"".join(each.encode() + b"\0" for each in fields) + b"\0")


def _standby() -> bytes:
    told = (
        ("server_version", "15.0"),
        ("in_hot_standby", "on"),
        ("default_transaction_read_only", "on"),
    )
    parameters = (_message(b"S", f"{name}\0{value}\0".encode()) for name, value in told)
    ready = _message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I")
    return _message(b"R", struct.pack("!i", 0)) + b"".join(parameters) + ready


MISSING = _error("FATAL", "3D000", 'database "ours" does not exist')


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("answer", "is_tcp"),
    [
        (_error("FATAL", "28000", 'role "bascule" does not exist'), False),
        (_error("FATAL", "57P03", "the database system is starting up"), False),
        (_standby(), False),
        (b"N", True),  # it has no TLS
        (_error("\u0412\u0410\u0416\u041d\u041e", "28000", "\u0440\u043e\u043b\u044c"), False),
    ],
    ids=["no role", "starting", "standby", "no TLS", "another language"],
)
def test_of_several_hosts_each_must_be_away(tmp_path: Path, answer: bytes, is_tcp: bool) -> None:
    """One that has no such database, or is dead, says nothing of the other, which may be in use."""
    dead, missing = tmp_path / "dead", tmp_path / "missing"
    with (
        _answering(missing, MISSING),
        _answering(tmp_path / "there", answer, is_tcp=is_tcp) as port,
    ):
        host = "127.0.0.1" if is_tcp else tmp_path / "there"

        def away(*hosts: object) -> bool:
            ports = ",".join(str(port if each == host else 5432) for each in hosts)
            names = ",".join(map(str, hosts))
            return is_away(place_of(f"host={names} port={ports} dbname=ours user=bascule"))

        assert away(dead, missing)
        assert away(missing, dead)
        for other in (dead, missing):
            assert not away(host, other)
            assert not away(other, host)


def test_a_key_that_was_forgotten_since_a_move_does_not_come_back_with_its_undoing(
    data: Path, name: str, address: str
) -> None:
    stolen = SigningKeys(data).kid
    assert _copy(data, address).exit_code == 0
    rotate = ["rotate-signing-key", "--data", str(data), "--now"]
    assert CliRunner().invoke(admin, rotate).exit_code == 0
    assert SigningKeys(data).kid == stolen, "the files are not changed by it"
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    done = _undo(data)
    assert done.exit_code == 0, done.output
    assert SigningKeys(data).kid != stolen
    assert SigningKeys(data).find(stolen, SystemClock().now()) is None


def test_a_primary_that_was_replaced_is_neither_checked_nor_moved(
    data: Path, name: str, address: str, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("none is asked for")
    password.chmod(0o600)
    done = _run("copy", "--data", data, "--to", address, "--database-password-file", password)
    assert f"--database-password-file {password}" in done.stderr.splitlines()[-1]
    seen = data / "timeline.json"
    known = json.loads(seen.read_text())
    seen.write_text(json.dumps({**known, "timeline": 99}))
    before = _sums(Record(data))
    for command in (
        ["check", "--data", data],
        ["migrate", "--data", data],
        ["copy", "--data", data, "--to", "sqlite"],
        ["undo-copy", "--data", data, "--yes"],
    ):
        assert "was on 99" in _refusal(_run(*command)).message, command
    assert Record(data).kind == "PostgreSQL"
    assert _sums(Record(data)) == before
    done = CliRunner().invoke(admin, ["accept-database", "--data", str(data)])
    assert done.exit_code == 0, done.output
    postgresql.wait(lambda: postgresql.connections(name) == 0)
    assert _copy(data, "sqlite").exit_code == 0


def test_a_source_that_was_lost_meanwhile_has_the_record_still(
    data: Path, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may have written to it, once it was not held any more."""
    assert _copy(data, address).exit_code == 0
    with holding(Record(data).where) as connection:
        asked = connection.execute(text("SHOW idle_in_transaction_session_timeout"))
        assert asked.scalar_one() == "0"
    real = moving._note

    def lose(*given: Any, **named: Any) -> None:  # reason: of what is replaced
        real(*given, **named)
        postgresql.cluster().do(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # reason: a name of ours
        )

    monkeypatch.setattr(moving, "_note", lose)
    _refusal(_copy(data, "sqlite"))
    assert Record(data).kind == "PostgreSQL"
    monkeypatch.undo()
    assert _copy(data, "sqlite").exit_code == 0
