"""``bascule serve``: what its first start says to the person who typed it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from argon2 import PasswordHasher
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from bascule.bootstrap.admin import admin
from bascule.bootstrap.data_directory import OURS, open_data_directory
from bascule.bootstrap.serve import serve
from bascule.clocks import SystemClock
from bascule.domain.facts.record import RecordPruned
from bascule.domain.retention import ClockMark
from bascule.errors import BasculeError, ConfigurationError, Conflict, InvalidInput
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.proofs import IdentityProofs
from bascule.identity.tls import CertificateKeeper
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services
from bascule.services.fleet import hash_token
from bascule.services.hub import Hub
from bascule.services.set_up import FirstOwner, SetUp, SetUpDone, link_of
from bascule.services.sign_in import Visit
from bascule.store.open import open_store

T = TypeVar("T")
Started = Callable[[Sequence[tuple[str, int]]], None]
pytestmark = pytest.mark.sockets  # a start has its port before it makes anything
ANYWHERE = ("--listen", "127.0.0.1:0")


@pytest.mark.parametrize("is_watched", [True, False])
def test_the_first_start_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_watched: bool
) -> None:
    def run_server(
        app: object, listeners: object, keeper: object, started: Started, **_: object
    ) -> int:
        started([("127.0.0.1", 8443)])
        return 0

    monkeypatch.setattr("bascule.api.server.run_server", run_server)
    monkeypatch.setattr("bascule.bootstrap.first_words._is_watched", lambda: is_watched)
    data = tmp_path / "data"
    said = [CliRunner().invoke(serve, [*ANYWHERE, "--data", str(data)], obj=None) for _ in range(2)]
    assert [each.exit_code for each in said] == [0, 0]
    told = [f"next: bascule login --admin-file {data / 'admin.json'}" in e.stderr for e in said]
    assert told == [is_watched, False], "once, and to a person alone"


@pytest.fixture
def started_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], str]:
    """Start and stop a server on ``tmp_path``/data; answers with all that it said."""

    def start(is_watched: bool) -> str:
        def run_server(*given: object, **_: object) -> int:
            started = given[3]
            assert callable(started)
            started([("127.0.0.1", 8443)])
            return 0

        monkeypatch.setattr("bascule.api.server.run_server", run_server)
        monkeypatch.setattr("bascule.bootstrap.first_words._is_watched", lambda: is_watched)
        monkeypatch.setattr("bascule.bootstrap.serve.set_up_logging", lambda: None)
        monkeypatch.setattr("bascule.bootstrap.serve.log", structlog.get_logger())
        with capture_logs() as lines:
            done = CliRunner().invoke(
                serve, [*ANYWHERE, "--data", str(tmp_path / "data")], obj=None
            )
        assert done.exit_code == 0, done.output
        return done.stderr + "".join(map(str, lines))

    return start


def _link(text: str) -> str:
    found = re.search(r"https://localhost:\d+/portal/welcome\?link=[\w-]{43}(?![\w-])", text)
    return found[0] if found else ""


def test_the_first_start_gives_a_person_a_link(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    """EDGES C0: on the terminal and in the data directory, for its owner alone; once."""
    file = tmp_path / "data" / "set-up-link"
    told = started_once(True)
    assert _link(told)
    assert "It works once, until " in told
    assert _link(file.read_text()) == _link(told)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not _link(started_once(True)), "a second start makes none"
    assert file.exists(), "and leaves one that still holds"


def test_a_log_is_told_where_the_link_is_and_not_what_it_is(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    """A service manager keeps what we write to stderr, and many may read it."""
    told = started_once(False)
    file = tmp_path / "data" / "set-up-link"
    assert str(file) in told
    assert _link(file.read_text()).partition("link=")[2] not in told


def test_a_link_that_opens_nothing_any_more_leaves_the_directory(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    file = tmp_path / "data" / "set-up-link"
    file.write_text(file.read_text().replace("link=", "link=x"))
    started_once(False)
    assert not file.exists()


def test_a_data_directory_of_somebody_else_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a fault of Bascule once, or a wrong value for --data."""

    def denied(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", denied)
    for command in ("recover", "set-up-link"):
        done = CliRunner().invoke(admin, [command, "--data", str(tmp_path)])
        assert isinstance(done.exception, ConfigurationError), done.output
        assert "You may not read" in done.exception.message
        assert "as the account that" in done.exception.advice


@pytest.mark.parametrize("is_file_kept", [True, False])
def test_an_administrator_who_was_deleted_does_not_come_back(
    tmp_path: Path, started_once: Callable[[bool], str], is_file_kept: bool
) -> None:
    """A later start makes no Owner: not by a secret that may have leaked, nor a new one."""
    started_once(False)
    file = tmp_path / "data" / "admin.json"
    administrator = json.loads(file.read_text())["client_id"]
    _within(tmp_path, lambda tx, _: tx.delete_principal(administrator))
    if not is_file_kept:
        file.unlink()
    before = file.read_text() if is_file_kept else None
    started_once(False)
    assert not _within(tmp_path, lambda tx, _: tx.service_principals())
    assert (file.read_text() if file.exists() else None) == before


def test_admin_json_carries_the_ca(tmp_path: Path, started_once: Callable[[bool], str]) -> None:
    """A copy elsewhere says whom to trust; one of before, or of another CA, is brought up to date."""
    started_once(False)
    data = tmp_path / "data"
    file, ca = data / "admin.json", (data / "ca.pem").read_text()
    made = json.loads(file.read_text())
    assert made["ca"] == ca
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for change in ({"ca": None}, {"ca": "another"}):
        stale = {name: each for name, each in {**made, **change}.items() if each is not None}
        file.write_text(json.dumps(stale))
        started_once(False)
        assert json.loads(file.read_text()) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = CliRunner().invoke(admin, ["recover", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["ca"] == ca


@pytest.mark.parametrize("content", ["", "[]", "not JSON"])
def test_an_admin_json_that_is_none_keeps_no_server_from_starting(
    tmp_path: Path, started_once: Callable[[bool], str], content: str
) -> None:
    started_once(False)
    file = tmp_path / "data" / "admin.json"
    file.write_text(content)
    started_once(False)
    assert file.read_text() == content


def test_a_first_start_that_was_killed_before_its_commit_is_made_anew(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    """EDGES A26: what admin.json says is what the database holds, however often it began."""
    file = tmp_path / "data" / "admin.json"
    file.parent.mkdir(0o700)
    file.write_text("{}")  # of an installation that was never committed
    started_once(False)
    told = json.loads(file.read_text())
    made = _within(tmp_path, lambda tx, _: tx.installation())
    assert made is not None
    assert told["subscription_id"] == made.subscription_id
    (held,) = _within(tmp_path, lambda tx, _: tx.credentials_of(told["client_id"]))
    assert held.proof == hash_token(told["client_secret"])


def _within(tmp_path: Path, work: Callable[[Transaction, Act], T]) -> T:
    store = open_store(tmp_path / "data" / "bascule.db")
    try:
        return asyncio.run(Services(store, SystemClock(), Hub()).perform(work))
    finally:
        store.close()


def _another(data: Path) -> Result:
    return CliRunner().invoke(admin, ["set-up-link", "--data", str(data)])


def test_another_link_is_made_while_the_server_runs(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    """Whoever came too late need not stop anything; the one before is void."""
    data = tmp_path / "data"
    first = _link(started_once(True))
    lock = open_data_directory(data)  # as a server that runs has it
    store = open_store(data / "bascule.db")
    try:
        done = _another(data)
        assert done.exit_code == 0, done.output
        second = _link(done.stdout)
        assert second not in ("", first)
        assert _link((data / "set-up-link").read_text()) == second
        now = SystemClock().now()

        def opens(url: str) -> bool:
            text = url.partition("link=")[2]
            return asyncio.run(store.read(lambda reader: link_of(reader, text, now))) is not None

        assert [opens(first), opens(second)] == [False, True]
    finally:
        store.close()
        os.close(lock)


def test_no_link_is_made_where_somebody_owns_the_installation(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    data = tmp_path / "data"
    text = _link(started_once(True)).partition("link=")[2]
    store = open_store(data / "bascule.db")
    services = Services(store, SystemClock(), Hub())
    passwords = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    set_up = SetUp(services, IdentityProofs(data, "localhost", passwords))
    anna = FirstOwner("anna", "", "four words of mine")
    assert isinstance(asyncio.run(set_up.make_owner(text, anna, Visit("192.0.2.1"))), SetUpDone)
    store.close()
    done = _another(data)
    assert isinstance(done.exception, Conflict)
    assert "bascule admin recover" in done.exception.advice


def test_a_link_is_made_by_the_data_directorys_own_account(
    tmp_path: Path, started_once: Callable[[bool], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root too: files that it makes beside the database would shut the server out of it."""
    started_once(False)
    before = (tmp_path / "data" / "set-up-link").read_text()
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    done = _another(tmp_path / "data")
    assert isinstance(done.exception, ConfigurationError)
    assert "belongs to another account" in done.exception.message
    assert (tmp_path / "data" / "set-up-link").read_text() == before


def test_no_link_is_made_of_nothing(tmp_path: Path) -> None:
    done = _another(tmp_path)
    assert isinstance(done.exception, ConfigurationError)
    assert "bascule serve" in done.exception.advice


def test_a_database_of_another_version_is_left_alone(
    tmp_path: Path, started_once: Callable[[bool], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may be running on it: nothing is upgraded under its feet."""
    started_once(False)
    monkeypatch.setattr("bascule.store.migrations.REVISION", "9999")
    done = _another(tmp_path / "data")
    assert isinstance(done.exception, ConfigurationError)
    assert "another version" in done.exception.message


# -- the record, on the host -----------------------------------------------------------------


def _prune(data: Path, *more: str) -> Result:
    return CliRunner().invoke(admin, ["prune", "--data", str(data), "--before", *more])


def test_the_host_may_delete_below_the_floor_and_it_is_on_record(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    data = tmp_path / "data"
    asked = _prune(data, "1s")
    assert isinstance(asked.exception, SystemExit), "it asks first"
    assert _pruned(tmp_path) == []
    time.sleep(1.1)
    done = _prune(data, "1s", "--yes")
    assert done.exit_code == 0, done.output
    (fact,) = _pruned(tmp_path)
    assert fact.is_on_host
    assert f"Deleted {fact.events} events" in done.output
    assert fact.events >= 2


def _pruned(tmp_path: Path) -> list[RecordPruned]:
    found = _within(tmp_path, lambda tx, _: tx.events(EventFilter(kinds=("RecordPruned",))))
    return [each.fact for _, each in found if isinstance(each.fact, RecordPruned)]


def test_it_deletes_nothing_under_a_server_that_runs(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    lock = open_data_directory(tmp_path / "data")
    try:
        done = _prune(tmp_path / "data", "1s", "--yes")
        assert isinstance(done.exception, ConfigurationError)
        assert "Another server runs" in done.exception.message
    finally:
        os.close(lock)


def test_the_clock_is_confirmed_on_the_host_while_the_server_runs(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    data = tmp_path / "data"
    leapt = ClockMark(SystemClock().now() - timedelta(days=9), SystemClock().boottime())
    _within(tmp_path, lambda tx, _: tx.put_clock_mark(leapt))
    lock = open_data_directory(data)
    try:
        said = [CliRunner().invoke(admin, ["confirm-clock", "--data", str(data)]) for _ in range(2)]
    finally:
        os.close(lock)
    assert [each.exit_code for each in said] == [0, 0]
    assert "is confirmed" in said[0].output
    assert "was not in doubt" in said[1].output
    mark = _within(tmp_path, lambda tx, _: tx.clock_mark())
    assert mark is not None
    assert not mark.has_leapt


def test_a_start_marks_the_clock(tmp_path: Path, started_once: Callable[[bool], str]) -> None:
    started_once(False)
    mark = _within(tmp_path, lambda tx, _: tx.clock_mark())
    assert mark is not None
    assert not mark.has_leapt


@pytest.mark.parametrize("floor", ["PT1H", "P0D", "P4000D", "90"])
def test_a_floor_that_protects_nothing_is_refused_before_anything_is_made(
    tmp_path: Path, floor: str
) -> None:
    data = tmp_path / "data"
    done = CliRunner().invoke(serve, ["--data", str(data), "--record-floor", floor], obj=None)
    assert isinstance(done.exception, InvalidInput)
    assert not data.exists()


# -- a start that is refused (and leaves nothing) -----------------------------------------------


def refused(*options: str) -> ConfigurationError:
    done = CliRunner().invoke(serve, list(options), obj=None)
    assert isinstance(done.exception, ConfigurationError), done.output
    return done.exception


def test_a_port_in_use_leaves_no_installation(tmp_path: Path) -> None:
    """Else it would have the wrong address for good, and a link whose minutes run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused("--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}")
    assert "in use" in error.message
    assert not (tmp_path / "data").exists()


def test_nor_does_it_change_one_that_is_there(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    data = tmp_path / "data"
    before = {each.name: each.read_bytes() for each in data.iterdir()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused("--data", str(data), "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert {each.name: each.read_bytes() for each in data.iterdir()} == before


def test_the_address_that_is_told_is_the_one_that_is_listened_on(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    told = json.loads((tmp_path / "data" / "admin.json").read_text())["endpoint"]
    assert re.fullmatch(r"https://localhost:[1-9]\d*", told)


@pytest.mark.parametrize(
    "names", [[".bashrc"], ["index.html", "ca.pem"], ["notes.db"], ["lock", "admin.json.bak"]]
)
def test_a_directory_with_other_things_is_refused_and_not_touched(
    tmp_path: Path, names: list[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    for name in names:
        (home / name).write_text(name)
    error = refused(*ANYWHERE, "--data", str(home))
    assert "is not a data directory of Bascule" in error.message
    assert "--data" in error.advice
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert sorted(each.name for each in home.iterdir()) == sorted(names)


def test_what_a_start_that_was_killed_left_is_continued(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    """Whatever is there before the database is known; so is a disk of its own, which is empty."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "lost+found").mkdir()
    keeper = CertificateKeeper(data, ("localhost",))
    keeper.ensure(SystemClock().now())
    (data / "server.pem.new").write_text("half")
    (data / "lock").touch()
    started_once(False)
    assert (data / "bascule.db").exists()


def test_all_that_a_start_makes_is_known_to_be_ours(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    made = {each.name for each in (tmp_path / "data").iterdir()}
    assert made - OURS == {"bascule.db"}


def test_of_two_servers_on_one_directory_the_second_is_told_so(
    tmp_path: Path, started_once: Callable[[bool], str]
) -> None:
    started_once(False)
    lock = open_data_directory(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        error = refused("--data", str(tmp_path / "data"), "--listen", listen)
    os.close(lock)
    assert "Another server runs" in error.message


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("free", [0, 4096, 65_536, 300_000])
def test_a_full_disk_is_said_to_be_one(tmp_path: Path, free: int) -> None:
    """Wherever in the start it is that the disk has no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "bascule-test", disk],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a disk")
    try:
        (disk / "data").mkdir()
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            ballast.write(b"x" * (1_048_576 - free))
        done = CliRunner().invoke(serve, [*ANYWHERE, "--data", str(disk / "data")], obj=None)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    assert isinstance(done.exception, BasculeError), repr(done.exception)
    assert re.search(r"disk|[Ss]pace", f"{done.exception.message} {done.exception.advice}")
