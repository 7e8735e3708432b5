"""``bascule admin check``: each thing that is wrong is said, with what to do, and counts (docs/backups.md)."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bascule import __version__
from bascule.bootstrap import health
from bascule.bootstrap.admin import admin
from bascule.clocks import SystemClock
from bascule.identity import x509 as certificates
from bascule.identity.ca_rotation import ROTATION, Phase, Rotation, begin, switch
from bascule.identity.record_key import RecordKey
from bascule.identity.sealing import Sealer
from bascule.identity.signing_keys import SigningKeys
from bascule.identity.tls import CertificateKeeper
from bascule.identity.trust_key import TrustKey
from tests.unit.filled_installation import fill


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample") / "data"
    fill(made)
    CertificateKeeper(made, ()).ensure(SystemClock().now())
    for key in (SigningKeys, TrustKey, RecordKey, Sealer):
        key(made)
    _change(made, "UPDATE agents SET agent_version = ?", __version__)
    for command in (["recovery-key"], ["backup", str(made.parent / "backup")]):
        assert CliRunner().invoke(admin, [*command, "--data", str(made)]).exit_code == 0
    return made


@pytest.fixture
def data(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All is well, on a host on which all is well."""
    monkeypatch.setattr(health, "_adjtimex", lambda: 0)
    monkeypatch.setattr(health, "_unit_told", lambda: None)
    room = SimpleNamespace(f_bavail=10**6, f_frsize=4096, f_files=10**6, f_favail=10**6)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    return Path(shutil.copytree(sample, tmp_path / "data"))


def _change(data: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(data / "bascule.db")) as connection, connection:
        connection.execute(statement, values)


def _check(data: Path) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and the findings by their areas."""
    done = CliRunner().invoke(admin, ["check", "--data", str(data), "-o", "json"])
    by_area: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        assert (each["state"] == "ok") == (each["advice"] is None), "each says what to do"
        by_area.setdefault(each["area"], []).append(each)
    return done.exit_code, by_area


def _break_chain(data: Path) -> None:
    _change(data, "UPDATE event_seals SET hash = 'x' WHERE position = 3")


def _no_file(data: Path) -> None:
    (data / "bascule.db").unlink()
    (data / "bascule.db").mkdir()


def _old_backup(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    _change(data, "UPDATE events SET at = at - 9 * 86400 * 1000000 WHERE kind = 'BackupMade'")


def test_all_is_well(data: Path) -> None:
    code, found = _check(data)
    assert {each["state"] for area in found.values() for each in area} == {"ok"}, found
    assert code == 0
    areas = {"database", "record", "keys", "disk", "clock", "service", "backup", "agents"}
    assert areas | {"recovery key", "certificates"} == set(found)
    done = CliRunner().invoke(admin, ["check", "--data", str(data)])
    assert done.exit_code == 0
    assert "All is well." in done.stderr


@pytest.mark.parametrize(
    ("harm", "area", "code", "says"),
    [
        (lambda d: (d / "ca.key").unlink(), "keys", 2, "ca.key is missing"),
        (lambda d: (d / "trust-signing.key").chmod(0o640), "keys", 2, "Other accounts may use"),
        (lambda d: d.chmod(0o750), "keys", 2, "mode 0750"),
        (lambda d: (d / "bascule.db").write_text("no database" * 99), "database", 2, "database"),
        (_break_chain, "record", 2, "The record is broken"),
        (
            lambda d: _change(d, "UPDATE installation SET recovery_key = ''"),
            "recovery key",
            1,
            "none",
        ),
        (lambda d: _change(d, "DELETE FROM events WHERE kind = 'BackupMade'"), "backup", 1, "None"),
        (lambda d: _change(d, "UPDATE agents SET agent_version = '0.0.1'"), "agents", 1, "0.0.1"),
        (lambda d: _change(d, "UPDATE record_clock SET has_leapt = 1"), "clock", 1, "jumped"),
        (lambda d: (d / "ca.pem").write_text("nothing"), "certificates", 2, "cannot be read"),
        (lambda d: _change(d, "UPDATE agents SET capabilities = '{'"), "database", 2, "Not all of"),
        (lambda d: (d / "database.json").write_text("{"), "database", 2, "database.json"),
        (_no_file, "database", 2, "Not all of"),
        (lambda d: (d / "server.pem").write_text("no"), "certificates", 2, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(
    data: Path, harm: Callable[[Path], object], area: str, code: int, says: str
) -> None:
    if area == "clock":
        _change(data, "DELETE FROM record_clock")
        columns = "(id, at, boottime, stepped, has_leapt, boot)"
        _change(data, f"INSERT INTO record_clock {columns} VALUES (1, 0, 0, 0, 0, '')")  # noqa: S608  # reason: ours
    harm(data)
    exit_code, found = _check(data)
    wrong = [each for each in found[area] if each["state"] != "ok"]
    assert any(says in each["what"] for each in wrong), found
    assert exit_code == code


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"LoadState": "not-found"}, 0),
        ({"LoadState": "loaded", "ActiveState": "failed", "Result": "watchdog"}, 2),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}, 1),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}, 1),
        (
            {
                "LoadState": "loaded",
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "WatchdogUSec": "1min",
            },
            0,
        ),
    ],
)
def test_the_service(
    data: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, str], code: int
) -> None:
    monkeypatch.setattr(health, "_unit_told", lambda: told)
    assert _check(data)[0] == code


@pytest.mark.parametrize(("answer", "code"), [(0, 0), (1, 0), (5, 1), (None, 1)])
def test_the_clock_of_the_host(
    data: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None, code: int
) -> None:
    monkeypatch.setattr(health, "_adjtimex", lambda: answer)
    assert _check(data)[0] == code


def test_the_kernel_answers() -> None:
    assert health._adjtimex() in range(6)


@pytest.mark.parametrize(("free", "code"), [(10_000_000, 2), (100_000_000, 1), (10**9, 0)])
def test_the_disk(data: Path, monkeypatch: pytest.MonkeyPatch, free: int, code: int) -> None:
    room = SimpleNamespace(f_bavail=free, f_frsize=1, f_files=10**6, f_favail=10**6)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    assert _check(data)[0] == code


def test_files_that_come_and_go_meanwhile_are_no_finding(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server at work, or a backup, makes some for a moment."""
    (data / "ca.pem.new").write_text("left by a server that was killed")
    listed = Path.iterdir

    def vanishing(self: Path) -> Iterator[Path]:
        for name in ("timeline.json.new", "bascule.db-journal"):
            (data / name).touch(mode=0o600)
        found = [*listed(self), data / "bascule.db-wal"]
        for name in ("timeline.json.new", "bascule.db-journal"):
            (data / name).unlink()
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", vanishing)
    assert _check(data)[0] == 0


@pytest.mark.parametrize(("days", "code"), [(1, 0), (4, 1), (20, 2)])
def test_the_age_of_the_last_backup(data: Path, days: int, code: int) -> None:
    _change(data, "UPDATE installation SET id = id")
    now = SystemClock().now()
    findings = {
        each.area: each.state
        for each in health.find(data, now.replace(tzinfo=UTC) + _days(days), is_silent=True)
    }
    assert findings["backup"] == code


@pytest.mark.parametrize("life", [1, 7, 90])
@pytest.mark.parametrize(("left", "code"), [(1, 0), (0.3, 0), (0.1, 1), (-0.1, 2)])
def test_a_server_certificate_is_told_where_it_was_not_renewed(
    data: Path, life: int, left: float, code: int
) -> None:
    """It is renewed with a third of its life left, however long ``--certificate-life`` is."""
    (data / "server.pem").unlink()
    made_at = SystemClock().now()
    CertificateKeeper(data, (), lifetime=timedelta(days=life)).ensure(made_at)
    now = made_at + timedelta(days=life) * (1 - left)
    assert _certificates(data, now) == code


def test_a_rotation_under_way_ends_no_server_certificate(data: Path) -> None:
    """What the old CA vouches for ends with it; the server's own certificate does not."""
    made_at = SystemClock().now()
    old_end = made_at + certificates.CA_LIFETIME
    keeper = CertificateKeeper(data, ())
    first = Rotation(0, Phase.DONE, (data / "ca.pem").read_text(), (data / "ca.key").read_text())
    now = old_end - timedelta(days=3)
    (data / ROTATION).write_bytes(switch(begin(first, now)).dump())
    keeper.ensure(now)
    assert _certificates(data, now) == 0


def _certificates(data: Path, now: datetime) -> int:
    found = health.find(data, now, is_silent=True)
    return max(each.state for each in found if each.area == "certificates")


def _days(days: int) -> Any:
    return datetime(2030, 1, 1 + days, tzinfo=UTC) - datetime(2030, 1, 1, tzinfo=UTC)
