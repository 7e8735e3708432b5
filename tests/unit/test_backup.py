"""``bascule admin backup``, ``restore`` and ``recovery-key``: all of it comes back, or nothing (EDGES I6, I7)."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bascule.bootstrap import backup as making
from bascule.bootstrap import restoring
from bascule.bootstrap.admin import admin
from bascule.bootstrap.data_directory import check_data_directory
from bascule.clocks import SystemClock
from bascule.domain.facts.installation import BackupMade, InstallationRestored
from bascule.errors import BasculeError, ConfigurationError
from bascule.identity.backup_file import CHUNK, FIRST_LINE, Sealed
from bascule.identity.recovery_key import parse_public_recovery_key, parse_recovery_key
from bascule.identity.sealing import Sealer
from bascule.identity.signing_keys import SIGNING_KEY, SigningKeys
from bascule.identity.tls import CertificateKeeper
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.record import EventFilter
from bascule.store import tables as t
from bascule.store.long_work import reading
from bascule.store.recovery import VOIDED
from bascule.store.transaction import SqlReader
from tests.support import postgresql
from tests.unit.filled_installation import fill

has_postgresql = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
# What a restore leaves as it is. A new table belongs here or in VOIDED: does a row work once?
KEPT = {
    *(
        "approval_asked",
        "approval_votes",
        "approvals",
        "clock_starts",
        "makers",
        "reviews",
        "runs",
    ),  # what waits lapses, and what a run used is closed, by its use case
    *("access_stamp", "agents", "bindings", "checkpoints", "closed_ports", "credentials", "duties"),
    *("event_counts", "event_places", "event_seals", "events", "exposure_history"),
    *("exposure_spans", "exposure_steps", "external_identities", "grant_transitions", "grants"),
    *("groups", "held_rules", "identity_providers", "installation", "knock_hours", "knocks"),
    *("known_networks", "listed_machines", "machine_generations", "machines", "mail_choices"),
    *("warned_grants", "warned_starts"),
    "memberships",
    *("passkeys", "passwords", "plans", "point_lines", "policies", "policy_generations"),
    *("policy_machines", "policy_ports", "public_ports", "recent_window", "record_clock"),
    *("record_holds", "refused_at", "request_transitions", "requests", "resource_groups"),
    *("role_assignments", "role_definitions", "sealed_keys", "service_principals"),
    *("sign_in_counts", "sink_progress", "sink_secrets", "sinks", "totp_factors"),
    *("used_assertions", "used_challenges", "users"),
    *("told_endings", "trusting"),
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample") / "data"
    fill(made)
    CertificateKeeper(made, ()).ensure(SystemClock().now())
    SigningKeys(made)
    TrustKey(made)
    Sealer(made)
    (made / "admin.json").write_text(json.dumps({"ca_file": "/elsewhere/ca.pem"}))
    (made / "set-up-link").write_text("a link that works once")
    return made


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "data"))


@pytest.fixture
def key(data: Path, tmp_path: Path) -> Path:
    """A file with the recovery key of ``data``."""
    path = tmp_path / "key"
    path.write_text(_run("recovery-key", "--data", data).stdout)
    return path


@pytest.fixture
def backup(data: Path, key: Path, tmp_path: Path) -> Path:
    assert key.exists()
    path = tmp_path / "backup"
    done = _run("backup", path, "--data", data)
    assert done.exit_code == 0, done
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(admin, list(map(str, arguments)))


def _restore(backup: Path, to: Path, key: Path, *more: object) -> Result:
    return _run("restore", backup, "--data", to, "--recovery-key-file", key, *more)


def _refusal(done: Result) -> BasculeError:
    assert isinstance(done.exception, BasculeError), (done.output, done.exception)
    return done.exception


def _rows(data: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data / "bascule.db")) as connection:
        return connection.execute(statement).fetchall()


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or {each.name for each in folder.iterdir()} <= {"lock"}


def test_a_recovery_key_is_printed_once_and_only_its_public_half_is_kept(data: Path) -> None:
    printed = _run("recovery-key", "--data", data).stdout.strip()
    made = parse_recovery_key(printed)
    (public,) = _rows(data, "SELECT recovery_key FROM installation")[0]
    assert parse_public_recovery_key(str(public)) == made.public
    for path in data.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert made.secret not in content
        assert printed.encode() not in content
    assert "already" in _refusal(_run("recovery-key", "--data", data)).message
    assert _run("recovery-key", "--data", data, "--replace").stdout.strip() != printed


def test_a_key_is_checked(data: Path, key: Path, tmp_path: Path) -> None:
    asked = ("recovery-key", "--data", data, "--check", "--recovery-key-file")
    assert "the installation's recovery key" in _run(*asked, key).stdout
    other = tmp_path / "other"
    other.write_text("00000-00000-00000-00000-00000-00000")
    assert "checksum" in _refusal(_run(*asked, other)).message
    assert "groups" in _refusal(_run(*asked, "/dev/null")).message


def test_typing_is_forgiven_where_it_is_unambiguous(key: Path) -> None:
    text = key.read_text().strip()
    sloppy = text.lower().replace("-", "  ").replace("0", "o").replace("1", "l")
    assert parse_recovery_key(sloppy) == parse_recovery_key(text)


def test_one_wrong_letter_is_found(key: Path) -> None:
    text = key.read_text().strip()
    for at in (0, 14, len(text) - 1):
        wrong = text[:at] + ("X" if text[at] != "X" else "Y") + text[at + 1 :]
        with pytest.raises(BasculeError, match="checksum"):
            parse_recovery_key(wrong)


def test_everything_comes_back(data: Path, backup: Path, key: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    there = tmp_path / "there"
    done = _restore(backup, there, key, "--reason", "disk failed", "-o", "json")
    told = json.loads(done.stdout)
    assert told["isSigned"]
    assert told["reason"] == "disk failed"
    for name in (
        "ca.key",
        "ca.pem",
        "trust-signing.key",
        "record-signing.key",
        "sign-in-sealing.key",
    ):
        assert (there / name).read_bytes() == (data / name).read_bytes()
        mode = 0o644 if name == "ca.pem" else 0o600
        assert stat.S_IMODE((there / name).stat().st_mode) == mode
    assert (there / SIGNING_KEY).read_bytes() != (data / SIGNING_KEY).read_bytes()
    assert json.loads((there / "admin.json").read_text())["ca_file"] == str(there / "ca.pem")
    assert not (there / "set-up-link").exists()
    for table in ("machines", "agents", "policies", "credentials", "closed_ports", "requests"):
        count = f"SELECT count(*) FROM {table}"  # noqa: S608  # reason: names of this test
        assert _rows(there, count) == _rows(data, count)
    checked = _run("database", "check", "--data", there, "-o", "json")
    assert json.loads(checked.stdout)["isSound"], checked.stdout
    check_data_directory(there)


def test_a_restore_ends_what_was_open_and_voids_what_works_once(
    data: Path, key: Path, tmp_path: Path
) -> None:
    live = "SELECT count(*) FROM grants WHERE state IN ('opening', 'open')"
    enrolments = "SELECT count(*) FROM enrolments"
    assert _rows(data, live) != [(0,)]
    assert _rows(data, enrolments) != [(0,)]
    backup, there = tmp_path / "b", tmp_path / "there"
    assert _run("backup", backup, "--data", data).exit_code == 0
    assert _restore(backup, there, key).exit_code == 0
    assert _rows(there, live) == [(0,)]
    for table in VOIDED:
        assert _rows(there, f"SELECT count(*) FROM {table.name}") == [(0,)]  # noqa: S608  # reason: ours
    (before,), (after,) = (
        _rows(each, "SELECT sum(generation) FROM machine_generations")[0] for each in (data, there)
    )
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after > before, "hosts are told that the grants ended"


def test_each_table_is_kept_or_voided() -> None:
    """Whoever adds a table has to say whether its rows work once (EDGES I7)."""
    voided = {table.name for table in VOIDED}
    assert {table.name for table in t.metadata.sorted_tables} == KEPT | voided
    assert not KEPT & voided


def test_it_is_on_record(data: Path, backup: Path, key: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    _restore(backup, there, key)
    with reading(data / "bascule.db") as connection:
        found = SqlReader(connection).events(EventFilter(kinds=("BackupMade",)))
        ((_, event),) = found
        assert isinstance(event.fact, BackupMade)
        assert event.fact.is_sealed
        assert event.fact.file == str(backup)
    with reading(there / "bascule.db") as connection:
        reader = SqlReader(connection)
        ((_, event),) = reader.events(EventFilter(kinds=("InstallationRestored",)))
        assert isinstance(event.fact, InstallationRestored)
        (restored,) = reader.recovery().restored
        head, installation = reader.chain_head(), reader.installation()
    assert restored.new == head
    assert restored.old.position < head.position
    assert installation is not None
    assert installation.number == restored.number
    assert parse_recovery_key(key.read_text()).public.has_signed(restored)


def test_of_two_restores_the_later_one_counts(backup: Path, key: Path, tmp_path: Path) -> None:
    """On two hosts too: agents take nothing from the one with the lower number (EDGES H7)."""
    first, second = tmp_path / "one", tmp_path / "two"
    numbers = []
    for each in (first, second):
        done = _restore(backup, each, key, "-o", "json")
        numbers.append(json.loads(done.stdout)["installationNumber"])
        threading.Event().wait(1.1)  # numbers are seconds
    assert numbers[0] < numbers[1]
    assert "has an installation" in _refusal(_restore(backup, first, key)).message


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without_end(content: bytes) -> bytes:
    """Whole chunks, the last one missing."""
    begin = content.index(b"\n", len(FIRST_LINE)) + 1
    chunks = (len(content) - begin) // (CHUNK + 16)
    return content[: begin + chunks * (CHUNK + 16)]


def _changed(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _other_header(content: bytes) -> bytes:
    return content.replace(b'"version": "', b'"version": "9', 1)


@pytest.mark.parametrize("harm", [_cut, _without_end, _changed, _other_header, lambda _: b""])
def test_a_backup_that_was_harmed_leaves_nothing(
    backup: Path, key: Path, tmp_path: Path, harm: object
) -> None:
    assert callable(harm)
    there, harmed = tmp_path / "there", tmp_path / "harmed"
    harmed.write_bytes(harm(backup.read_bytes()))
    refused = _refusal(_restore(harmed, there, key))
    assert "damaged or cut off" in refused.message or "no backup of Bascule" in refused.message
    assert _is_empty(there)


@pytest.mark.parametrize("harm", [_cut, _changed])
def test_a_plain_backup_that_was_harmed_leaves_nothing(
    data: Path, key: Path, tmp_path: Path, harm: object
) -> None:
    assert callable(harm)
    plain, there = tmp_path / "plain.tar", tmp_path / "there"
    assert _run("backup", plain, "--data", data, "--plain").exit_code == 0
    plain.write_bytes(harm(plain.read_bytes()))
    assert "damaged or cut off" in _refusal(_restore(plain, there, key)).message
    assert _is_empty(there)


def test_the_wrong_key_opens_nothing(data: Path, backup: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(_run("recovery-key", "--data", data, "--replace").stdout)
    there = tmp_path / "there"
    assert "not the recovery key of this backup" in _refusal(_restore(backup, there, wrong)).message
    assert _is_empty(there)
    done = _run("restore", backup, "--data", there, "--without-recovery-key")
    assert "only the recovery key opens it" in _refusal(done).message


def test_no_key_is_on_the_command_line_and_none_is_asked_of_a_program(
    backup: Path, tmp_path: Path
) -> None:
    refused = _refusal(_run("restore", backup, "--data", tmp_path / "there"))
    assert "no terminal" in refused.message


def test_the_environment_may_have_it(
    backup: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASCULE_RECOVERY_KEY", key.read_text())
    assert _run("restore", backup, "--data", tmp_path / "there").exit_code == 0


def test_a_plain_backup_is_a_tar_and_needs_no_key(data: Path, key: Path, tmp_path: Path) -> None:
    plain, there = tmp_path / "plain.tar", tmp_path / "there"
    done = _run("backup", plain, "--data", data, "--plain")
    assert "every key of the installation" in done.stderr
    with tarfile.open(plain) as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    assert {"data/ca.key", "database.sqlite"} <= set(names)
    other = tmp_path / "other-key"
    other.write_text(_run("recovery-key", "--data", data, "--replace").stdout)
    assert (
        "not the recovery key of the installation"
        in _refusal(_restore(plain, there, other)).message
    )
    assert _is_empty(there)
    done = _run("restore", plain, "--data", there, "--without-recovery-key", "-o", "json")
    assert not json.loads(done.stdout)["isSigned"]
    assert _rows(there, "SELECT restored FROM installation") == [("[]",)]
    assert key.exists()


def test_without_a_recovery_key_nothing_is_sealed(data: Path, tmp_path: Path) -> None:
    refused = _refusal(_run("backup", tmp_path / "b", "--data", data))
    assert "no recovery key" in refused.message
    assert not (tmp_path / "b").exists()


def test_a_file_that_is_there_is_left(data: Path, backup: Path) -> None:
    before = backup.read_bytes()
    assert "exists" in _refusal(_run("backup", backup, "--data", data)).message
    assert backup.read_bytes() == before
    assert _run("backup", backup, "--data", data, "--overwrite").exit_code == 0
    assert backup.read_bytes() != before


def test_no_backup_lies_among_what_is_backed_up(data: Path, key: Path, tmp_path: Path) -> None:
    """Otherwise each backup has all before it, and after some nights the server's disk is full."""
    (tmp_path / "link").symlink_to(data)
    for folder in (data, tmp_path / "link"):
        refused = _refusal(_run("backup", folder / "night", "--data", data, "--plain"))
        assert "itself" in refused.message
        assert not (data / "night").exists()


def test_a_further_file_may_be_named_from_where_one_is(
    data: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "more.conf").write_text("more")
    monkeypatch.chdir(tmp_path / "here")
    made = _run("backup", "../b", "--data", data, "--include", "../more.conf")
    assert made.exit_code == 0, made.exception
    assert _restore(tmp_path / "b", tmp_path / "new", key).exit_code == 0
    kept = tmp_path / "new" / "configuration" / tmp_path.relative_to("/") / "more.conf"
    assert kept.read_text() == "more"


def test_what_this_account_may_not_read_is_said(
    data: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's account may not read the options file that the package brings."""
    options = tmp_path / "options"
    options.write_text("")
    monkeypatch.setattr(making, "CONFIGURATION_FILES", (options,))
    monkeypatch.setattr(making, "_may_read", lambda path: path != options)
    done = _run("backup", tmp_path / "b", "--data", data)
    assert f"{options} is not in it" in done.stderr
    told = json.loads(_run("backup", tmp_path / "c", "--data", data, "-o", "json").stdout)
    assert told["leftOut"] == [str(options)]
    refused = _refusal(_run("backup", tmp_path / "d", "--data", data, "--include", options))
    assert "may not be read" in refused.message
    assert not (tmp_path / "d").exists()


def test_what_a_killed_backup_left_is_in_nobodys_way(data: Path, key: Path, tmp_path: Path) -> None:
    (data / "bascule.db.backup").write_bytes(b"half of a copy")
    assert _run("backup", tmp_path / "b", "--data", data).exit_code == 0
    assert not (data / "bascule.db.backup").exists()
    assert _restore(tmp_path / "b", tmp_path / "new", key).exit_code == 0


def test_a_folder_with_anything_in_it_is_left(backup: Path, key: Path, tmp_path: Path) -> None:
    there = tmp_path / "home"
    there.mkdir()
    (there / "letter").write_text("mine")
    assert "'letter'" in _refusal(_restore(backup, there, key)).message
    assert [each.name for each in there.iterdir()] == ["letter"]


def test_what_is_read_back_wrong_is_no_backup(
    data: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that writes something else."""
    assert key.exists()
    seal = Sealed.write

    def spoil(self: Sealed, block: object) -> int:
        count = seal(self, block)
        self._file.seek(-1, 1)
        self._file.write(b"\0")
        return count

    monkeypatch.setattr(Sealed, "write", spoil)
    with pytest.raises(ConfigurationError, match="damaged"):
        raise _refusal(_run("backup", tmp_path / "b", "--data", data))
    assert {each.name for each in tmp_path.iterdir()} == {"data", "key"}
    assert not (data / making.COPY).exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_what_fails_after_the_database_is_in_place_takes_no_key_away(
    backup: Path,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    """Otherwise a server would start on the database, and make another CA."""
    there = tmp_path / "there"

    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr(restoring, "sync_directory", fail)
    done = _restore(backup, there, key)
    assert done.exit_code != 0
    assert "Nothing of it is left" not in str(done.exception)
    assert (there / "bascule.db").exists()
    assert (there / "ca.key").exists()


@pytest.mark.parametrize("moment", ["_settle", "_put_in_place", "_point_to"])
def test_a_restore_that_was_killed_is_run_again(
    backup: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As after SIGKILL: nothing is cleared. No server starts on what is left."""
    there = tmp_path / "there"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restoring, moment, killed)
        patched.setattr(restoring, "_clear", lambda _: None)
        assert _restore(backup, there, key).exit_code != 0
    assert (there / "restoring").exists()
    with pytest.raises(ConfigurationError, match="did not finish"):
        check_data_directory(there)
    assert _restore(backup, there, key).exit_code == 0
    check_data_directory(there)
    assert not (there / "restoring").exists()


def test_a_restore_that_was_killed_between_two_files_is_run_again(
    backup: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, rename = tmp_path / "there", Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name == "record-signing.key":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        patched.setattr(restoring, "_clear", lambda _: None)
        assert _restore(backup, there, key).exit_code != 0
    assert (there / "ca.key").exists()
    with pytest.raises(ConfigurationError, match="did not finish"):
        check_data_directory(there)
    assert _restore(backup, there, key).exit_code == 0


def test_a_backup_is_of_one_moment_while_others_write(
    data: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change neither begins the copy anew nor is half in it."""
    from bascule.store import snapshot

    monkeypatch.setattr(snapshot, "PAGES", 5)  # many steps
    written: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(data / "bascule.db", timeout=10)) as connection:
            while not stop.is_set():
                with connection:
                    connection.execute("UPDATE record_clock SET id = id")
                    at = len(written)
                    connection.execute(
                        "INSERT INTO resource_groups VALUES (?, ?)", (f"k{at}", f"a{at}")
                    )
                    connection.execute("INSERT INTO used_challenges VALUES (?, 1)", (f"k{at}",))
                written.append(at)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            done = _run("backup", tmp_path / f"b{number}", "--data", data)
            assert done.exit_code == 0, done.exception
    finally:
        stop.set()
        writer.join()
    assert len(written) > 3
    there = tmp_path / "there"
    assert _restore(tmp_path / "b2", there, key).exit_code == 0
    groups = _rows(there, "SELECT count(*) FROM resource_groups WHERE key LIKE 'k%'")
    challenges = _rows(there, "SELECT count(*) FROM used_challenges WHERE challenge LIKE 'k%'")
    assert groups == challenges


@has_postgresql
def test_it_is_the_same_on_postgresql(data: Path, key: Path, tmp_path: Path) -> None:
    """A backup of either engine goes to either."""
    cluster = postgresql.cluster()
    names = [cluster.make(), cluster.make()]
    try:
        one, two = (cluster.address(name) for name in names)
        copied = _run("database", "copy", "--data", data, "--to", one)
        assert copied.exit_code == 0, copied.exception
        backup, there = tmp_path / "b", tmp_path / "there"
        done = _run("backup", backup, "--data", data)
        assert done.exit_code == 0, done.exception
        done = _restore(backup, there, key, "--database", two)
        assert done.exit_code == 0, done.exception
        assert not (there / "bascule.db").exists()
        assert json.loads((there / "database.json").read_text())["database"] == two
        check_data_directory(there)
        checked = json.loads(_run("database", "check", "--data", there, "-o", "json").stdout)
        assert checked["isSound"], checked
        again = tmp_path / "again"
        refused = _refusal(_restore(backup, again, key, "--database", one))
        assert "already" in refused.message
        assert _is_empty(again)
        back = tmp_path / "back"
        assert _restore(backup, back, key).exit_code == 0
        assert json.loads(_run("database", "check", "--data", back, "-o", "json").stdout)["isSound"]
    finally:
        for name in names:
            cluster.drop(name)
