"""``bascule serve --database``: which database a start takes, and which it refuses."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from bascule.bootstrap.admin import admin
from bascule.bootstrap.serve import serve
from bascule.clocks import SystemClock
from bascule.errors import BasculeError
from bascule.identity.join_token import parse_join_token
from bascule.interfaces.replicas import Replica
from bascule.store.postgresql_open import open_postgresql
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql

pytestmark = [
    pytest.mark.sockets,  # a start has its port before it makes anything
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL's server is missing"),
]
Start = Callable[..., Result]


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make()
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start and stop a server; ``meanwhile`` runs while it serves."""

    def begin(*options: str, meanwhile: Callable[[], object] = lambda: None) -> Result:
        def run_server(*_: object, **__: object) -> int:
            meanwhile()
            return 0

        monkeypatch.setattr("bascule.api.server.run_server", run_server)
        monkeypatch.setattr("bascule.bootstrap.serve.set_up_logging", lambda: None)
        monkeypatch.setattr("bascule.bootstrap.serve.log", structlog.get_logger())
        given = ["--listen", "127.0.0.1:0", "--data", str(data), *options]
        return CliRunner().invoke(serve, given, obj=None)

    return begin


def _refusal(done: Result) -> BasculeError:
    assert isinstance(done.exception, BasculeError), done.output
    return done.exception


def test_a_first_start_makes_the_installation_in_the_database(
    start: Start, data: Path, name: str
) -> None:
    address = postgresql.cluster().address(name)
    assert start("--database", address).exit_code == 0
    assert not (data / "bascule.db").exists()
    store = open_postgresql(postgresql.cluster().place(name))
    made = read(store, lambda r: r.installation())
    close(store)
    assert made is not None
    assert json.loads((data / "admin.json").read_text())["tenant_id"] == made.tenant_id
    known = data / "database.json"
    assert json.loads(known.read_text())["tenant_id"] == made.tenant_id
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert start("--database", address).exit_code == 0, "and the next start goes on with it"


def test_a_start_that_forgets_its_database_is_refused(start: Start, data: Path, name: str) -> None:
    """Else it would begin anew beside its own record."""
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0
    assert "is in PostgreSQL" in _refusal(start()).message
    assert not (data / "bascule.db").exists()


def test_no_server_on_it_protects_its_own_host(start: Start, data: Path, name: str) -> None:
    """Two hosts of one name would be one machine; each would speak for both."""
    address = postgresql.cluster().address(name)
    refusal = _refusal(start("--database", address, "--this-host"))
    assert "--this-host" in refusal.message
    assert "bascule agent install" in refusal.advice
    assert not data.exists()
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert postgresql.cluster().do(tables, name) == [(0,)]


def test_a_record_in_sqlite_is_not_left_behind(start: Start, name: str) -> None:
    assert start().exit_code == 0
    refusal = _refusal(start("--database", postgresql.cluster().address(name)))
    assert "is in SQLite" in refusal.message
    assert postgresql.cluster().do(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name
    ) == [(0,)]


def test_a_record_whose_keys_are_elsewhere_is_refused(
    start: Start, data: Path, name: str, tmp_path: Path
) -> None:
    address = postgresql.cluster().address(name)
    assert start("--database", address).exit_code == 0
    data.rename(tmp_path / "kept")
    assert "whose keys are not in" in _refusal(start("--database", address)).message


def test_what_a_refused_first_start_has_seen_counts_for_nothing(
    start: Start, data: Path, name: str, tmp_path: Path
) -> None:
    """Else the right database would be refused for being in another cluster than the wrong one."""
    wrong = postgresql.cluster().address(name)
    assert start("--database", wrong, "--data", str(tmp_path / "other")).exit_code == 0
    assert "whose keys are not in" in _refusal(start("--database", wrong)).message
    right = postgresql.Cluster()
    done = start("--database", right.address())
    right.remove()
    assert done.exit_code == 0, done.output
    known = json.loads((data / "timeline.json").read_text())
    (data / "database.json").unlink()
    assert "is not there" in _refusal(start("--database", wrong)).message
    assert json.loads((data / "timeline.json").read_text()) == known


def test_another_database_that_is_empty_is_refused(start: Start, name: str) -> None:
    """A wrong name would make a second installation with the keys of the first."""
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0
    empty = postgresql.cluster().make()
    refusal = _refusal(start("--database", postgresql.cluster().address(empty)))
    assert "is empty" in refusal.message
    postgresql.cluster().drop(empty)


@pytest.mark.parametrize("is_filled", [False, True])
def test_a_database_that_lost_its_record_is_refused(
    start: Start, data: Path, name: str, is_filled: bool
) -> None:
    """Dropped and made again by who restores it: a start meanwhile must not begin anew in it."""
    cluster = postgresql.cluster()
    assert start("--database", cluster.address(name)).exit_code == 0
    before = {each.name: each.read_bytes() for each in data.iterdir()}
    cluster.drop(name)
    cluster.do(f"CREATE DATABASE {name}")
    if is_filled:  # the restore made the tables, and not yet what is in them
        close(open_postgresql(cluster.place(name)))
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    count = cluster.do(tables, name)
    assert "is empty" in _refusal(start("--database", cluster.address(name))).message
    for command in (["recover"], ["rotate-signing-key"], ["prune", "--yes", "--before", "1d"]):
        done = CliRunner().invoke(admin, [*command, "--data", str(data)])
        assert "is empty" in _refusal(done).message, command
    assert cluster.do(tables, name) == count
    assert is_filled == (count != [(0,)])
    if is_filled:
        assert cluster.do("SELECT count(*) FROM installation", name) == [(0,)]
    assert {each.name: each.read_bytes() for each in data.iterdir()} == before


def test_what_is_deleted_of_the_record_is_counted_back_from_the_databases_time(
    start: Start, data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the host is ahead: a day before it is still to come."""
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0

    class Ahead(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(days=40)

    monkeypatch.setattr("bascule.clocks.SystemClock", Ahead)
    asked = CliRunner().invoke(admin, ["prune", "--data", str(data), "--before", "1d"])
    today = SystemClock().now()
    days = [f"{today - timedelta(days=back):%Y-%m-%d}" for back in (1, 2)]
    assert any(f"all events from before {day}" in asked.output for day in days), asked.output
    done = CliRunner().invoke(admin, ["prune", "--yes", "--data", str(data), "--before", "1d"])
    assert "No signed part of the record" in _refusal(done).message


def test_commands_on_the_host_refuse_another_installations_record(
    start: Start, data: Path, name: str
) -> None:
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0
    postgresql.cluster().do("UPDATE installation SET tenant_id = 'another'", name)
    before = (data / "token-signing.key").read_bytes()
    for command in ("rotate-signing-key", "set-up-link"):
        done = CliRunner().invoke(admin, [command, "--data", str(data)])
        assert "whose keys are not in" in _refusal(done).message
    assert (data / "token-signing.key").read_bytes() == before


def test_a_first_start_that_was_killed_before_its_commit_is_made_anew(
    start: Start, data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgresql.cluster().address(name)
    for place in ("ensure_installation", "set_administrator"):
        with monkeypatch.context() as patch:
            patch.setattr(f"bascule.bootstrap.data_directory.{place}", lambda *_: 1 / 0)
            assert isinstance(start("--database", address).exception, ZeroDivisionError)
        assert json.loads((data / "database.json").read_text())["is_made"] is False
    assert start("--database", address).exit_code == 0
    known = json.loads((data / "database.json").read_text())
    assert known["is_made"] is True
    assert known["tenant_id"] == json.loads((data / "admin.json").read_text())["tenant_id"]


@pytest.mark.parametrize("left", [None, "[]", "{}", "no JSON"])
def test_a_data_directory_that_lost_the_place_of_its_record_is_refused(
    start: Start, data: Path, name: str, left: str | None
) -> None:
    """Else a new installation would begin over the keys of the one that is there."""
    address = postgresql.cluster().address(name)
    assert start("--database", address).exit_code == 0
    known = data / "database.json"
    known.unlink()
    if left is not None:
        known.write_text(left)
    before = {each.name: each.read_bytes() for each in data.iterdir() if each.name != "lock"}
    for options in ((), ("--database", address)):
        refusal = _refusal(start(*options))
        assert "database.json" in refusal.message
        assert "from a backup" in refusal.advice
    after = {each.name: each.read_bytes() for each in data.iterdir() if each.name != "lock"}
    assert after == before


def test_other_files_are_excused_where_our_record_is_elsewhere(
    start: Start, data: Path, name: str
) -> None:
    options = ("--database", postgresql.cluster().address(name))
    data.mkdir()
    (data / "notes").touch()
    (data / "database.json").write_text('{"host": "of another program"}')
    assert "is not a data directory" in _refusal(start(*options)).message
    for each in ("notes", "database.json"):
        (data / each).unlink()
    assert start(*options).exit_code == 0
    (data / "notes").touch()
    assert start(*options).exit_code == 0


def test_commands_on_the_host_find_the_database(start: Start, data: Path, name: str) -> None:
    def meanwhile() -> None:
        beside = CliRunner().invoke(admin, ["set-up-link", "--data", str(data)])
        assert beside.exit_code == 0, beside.output
        alone = CliRunner().invoke(admin, ["recover", "--data", str(data)])
        assert "Another server runs" in _refusal(alone).message
        link.append(beside.stdout)

    link: list[str] = []
    address = postgresql.cluster().address(name)
    assert start("--database", address, meanwhile=meanwhile).exit_code == 0
    assert "/portal/welcome?link=" in link[0]
    assert CliRunner().invoke(admin, ["recover", "--data", str(data)]).exit_code == 0


def test_commands_that_need_the_servers_stopped_are_refused_while_one_was_seen(
    start: Start, data: Path, name: str
) -> None:
    """The lock of the data directory says nothing of servers with another."""
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0
    store = open_postgresql(postgresql.cluster().place(name))
    elsewhere = Replica("r", "b.example", "https://b.example:8443", "1", "0100")
    write(store, lambda tx: tx.see_replica(elsewhere))
    refusal = _refusal(CliRunner().invoke(admin, ["recover", "--data", str(data)]))
    assert "b.example (https://b.example:8443)" in refusal.message
    assert CliRunner().invoke(admin, ["set-up-link", "--data", str(data)]).exit_code == 0
    listed = CliRunner().invoke(admin, ["replicas", "--data", str(data)])
    assert "b.example\thttps://b.example:8443\t1\trunning\tseen " in listed.stdout
    write(store, lambda tx: tx.stop_replica("r"))
    listed = CliRunner().invoke(admin, ["replicas", "--data", str(data)])
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert CliRunner().invoke(admin, ["recover", "--data", str(data)]).exit_code == 0
    close(store)


def test_a_host_is_invited_to_where_it_can_reach_a_server(
    start: Start, data: Path, name: str
) -> None:
    assert start("--database", postgresql.cluster().address(name)).exit_code == 0
    store = open_postgresql(postgresql.cluster().place(name))
    invite = ["replica", "invite", "--data", str(data)]

    def see(uid: str, endpoint: str) -> None:
        write(store, lambda tx: tx.see_replica(Replica(uid, uid, endpoint, "1", "0100")))

    see("a", "https://localhost:8443")
    see("b", "https://[::1]:8443")
    refusal = _refusal(CliRunner().invoke(admin, invite))
    assert "cannot reach" in refusal.message
    assert "--endpoint" in refusal.advice
    for uid in "cd":  # both by the balancer's name
        see(uid, "https://b.example:8443")
    token = parse_join_token(CliRunner().invoke(admin, invite).stdout.strip())
    assert token.endpoints == ("https://b.example:8443",)
    given = ["--endpoint", "https://localhost:1"]
    token = parse_join_token(CliRunner().invoke(admin, [*invite, *given]).stdout.strip())
    assert token.endpoints == ("https://localhost:1",)
    close(store)


def test_a_copy_of_the_keys_is_of_the_same_installation(
    start: Start, data: Path, name: str, tmp_path: Path
) -> None:
    """Two servers: each with a data directory of its own, which has the same keys."""
    address = postgresql.cluster().address(name)
    assert start("--database", address).exit_code == 0
    copied = tmp_path / "copied"
    shutil.copytree(data, copied)

    def meanwhile() -> None:
        second = start("--database", address, "--data", str(copied))
        assert second.exit_code == 0, second.output

    assert start("--database", address, meanwhile=meanwhile).exit_code == 0


def test_the_password_is_read_from_a_file_of_the_account_alone(
    start: Start, data: Path, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("a secret of mine\nnot this\n")
    file.chmod(0o644)
    options = ("--database", postgresql.cluster().address(name), "--database-password-file")
    assert "by other accounts" in _refusal(start(*options, str(file))).message
    assert "cannot be read" in _refusal(start(*options, str(tmp_path / "none"))).message
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 65_534, -1)
        assert "belongs to another account" in _refusal(start(*options, str(file))).message
        os.chown(file, 0, -1)
    assert start(*options, str(file)).exit_code == 0
    told = (data / "database.json").read_text()
    assert str(file) in told
    assert "a secret" not in told


@pytest.mark.parametrize(
    "options",
    [("--database-password-file", "/x"), ("--allow-unverified-database",)],
)
def test_options_of_a_database_that_is_not_named_are_refused(
    start: Start, options: tuple[str, ...]
) -> None:
    assert "need --database" in _refusal(start(*options)).message


def test_a_password_on_the_command_line_is_refused(start: Start, data: Path) -> None:
    refusal = _refusal(start("--database", "postgresql://u:hidden@localhost/x"))
    assert "contains a password" in refusal.message
    assert "hidden" not in f"{refusal.message}{refusal.advice}"
    assert not (data / "database.json").exists()


def test_a_server_starts_where_the_record_moved_to_and_nowhere_else(
    start: Start, data: Path, name: str
) -> None:
    """Both ways; and it tells agents the number of the installation (EDGES H7)."""
    address = postgresql.cluster().address(name)

    def move(to: str) -> None:
        done = CliRunner().invoke(admin, ["database", "copy", "--data", str(data), "--to", to])
        assert done.exit_code == 0, (done.output, done.exception)

    assert start().exit_code == 0
    move(address)
    assert "is in PostgreSQL" in _refusal(start()).message
    done = start("--database", address)
    assert done.exit_code == 0, (done.output, done.exception)
    move("sqlite")
    assert "is in SQLite" in _refusal(start("--database", address)).message
    done = start()
    assert done.exit_code == 0, (done.output, done.exception)
    (data / "database.json").unlink()
    (data / "bascule.db").unlink()
    (data / "bascule.db.retired-1").rename(data / "bascule.db")
    assert "is retired" in _refusal(start()).message
