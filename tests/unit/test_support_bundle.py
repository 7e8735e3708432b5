"""``bascule admin support-bundle``: no secret is in it, wherever one lies (docs/operations.md)."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.bootstrap.admin import admin
from bascule.bootstrap.support import scrub
from bascule.clocks import SystemClock
from bascule.errors import ConfigurationError
from bascule.identity.record_key import RecordKey
from bascule.identity.sealing import Sealer
from bascule.identity.signing_keys import SigningKeys
from bascule.identity.tls import CertificateKeeper
from bascule.identity.trust_key import TrustKey
from tests.unit.filled_installation import fill


class Planted:
    """Secrets, each where one may lie."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def new(self) -> str:
        self.all.append(f"planted{secrets.token_urlsafe(24)}")
        return self.all[-1]


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def data(tmp_path: Path, planted: Planted) -> Path:
    made = tmp_path / "data"
    fill(made)
    CertificateKeeper(made, ()).ensure(SystemClock().now())
    for key in (SigningKeys, TrustKey, RecordKey, Sealer):
        key(made)
    (made / "admin.json").write_text(json.dumps({"client_secret": planted.new()}))
    (made / "set-up-link").write_text(f"https://localhost/portal/welcome?link={planted.new()}\n")
    (made / "wrapping.key").write_text(planted.new())
    _plant_in_every_text(made / "bascule.db", planted)
    return made


def _plant_in_every_text(database: Path, planted: Planted) -> None:
    """Each column of text in which the database takes anything: names, justifications, hashes, secrets."""
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in connection.execute(
                f"PRAGMA table_info('{table}')"
            ).fetchall():
                keeps = {"alembic_version", "request_transitions", "grant_transitions", "agents"}
                if "CHAR" in kind.upper() and table not in keeps:
                    try:
                        with connection:
                            connection.execute(
                                f'UPDATE "{table}" SET "{column}" = ?',  # noqa: S608  # reason: its own names
                                (planted.new(),),
                            )
                    except sqlite3.Error:
                        planted.all.pop()  # a rule of the table: nothing lies there


def _log(path: Path, planted: Planted) -> Path:
    new = planted.new
    lines = [
        {"event": "call", "path": f"/x?token={new()}", "caller": "192.0.2.77", "status": 200},
        {"event": "call", "path": f"/portal/welcome/{new()}", "principal": new(), "status": 404},
        {"event": "failed", "why": f"The token {new()} is wrong.", "advice": new()},
        {"event": "failed", "error": f"postgresql://bascule:{new()}@db.example/bascule is away"},
        {"event": "failed", "exception": f"Traceback\n  password='{new()}'\nValueError: {new()}"},
        {"event": "failed", "why": f"Authorization: Bearer {new()}", "password": new()},
        {"event": f"odd {new()}", "justification": new(), "code": new()},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(f"{text}recovery key: {new()}\n[1, 2]\nnot JSON {new()}\n")
    return path


def test_no_secret_is_in_it(
    data: Path, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BASCULE_JOIN_TOKEN", "BASCULE_RECOVERY_KEY", "PGPASSWORD", "ANYTHING"):
        monkeypatch.setenv(name, planted.new())
    bundle = tmp_path / "bundle.tar.gz"
    log = _log(tmp_path / "log", planted)
    arguments = ["support-bundle", str(bundle), "--data", str(data), "--log", str(log)]
    done = CliRunner().invoke(admin, arguments)
    assert done.exit_code == 0, done.exception
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    with tarfile.open(bundle) as tar:
        contents = {
            member.name: content.read().decode()
            for member in tar
            if (content := tar.extractfile(member)) is not None
        }
    assert len(planted.all) > 100
    keys = [each.read_text()[40:80] for each in data.glob("*-signing.key")]
    for name, text in contents.items():
        assert "192.0.2.77" not in text
        for secret in (*planted.all, *keys):
            assert secret not in text, (name, secret)
            assert secret[10:30] not in text, (name, "a part of it")
    counts = json.loads(contents["bascule-support/counts.json"])
    assert counts["rows"]["machines"] == 2
    assert json.loads(contents["bascule-support/check.json"])
    lines = contents["bascule-support/log.jsonl"].splitlines()
    assert len(lines) == 7
    assert json.loads(lines[0]) == {"event": "call", "status": 200}
    assert "ca.key" in contents["bascule-support/files.txt"]
    assert json.loads(contents["bascule-support/about.json"])["sqlite"]


@pytest.mark.parametrize(
    "text",
    [
        "The database cannot be read: the disk is full (database or disk is full).",
        "cannot connect to the server: connection refused",
        "src/bascule/bootstrap/serve.py, line 300, in _serve",
        "/var/lib/bascule/bascule.db is not a database.",
        "AgentKeyRefused",
    ],
)
def test_what_helps_is_left(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("DROP TABLE told_endings; UPDATE alembic_version SET version_num = '0001'", "revision"),
        ("UPDATE agents SET capabilities = '{'", "rows"),
    ],
)
def test_it_is_made_where_the_database_is_older_or_damaged(
    data: Path, tmp_path: Path, harm: str, says: str
) -> None:
    (data / "bascule.db").unlink()
    for path in data.glob("bascule.db-*"):
        path.unlink()
    fill(tmp_path / "sound")
    shutil.copy(tmp_path / "sound" / "bascule.db", data / "bascule.db")
    with closing(sqlite3.connect(data / "bascule.db")) as connection:
        connection.executescript(harm)
    bundle = tmp_path / "bundle.tar.gz"
    done = CliRunner().invoke(admin, ["support-bundle", str(bundle), "--data", str(data)])
    assert done.exit_code == 0, done.exception
    with tarfile.open(bundle) as tar:
        content = tar.extractfile("bascule-support/counts.json")
        assert content is not None
        assert says in json.load(content)


@pytest.mark.parametrize(
    "secret",
    [
        "JPYFN-GHH4E-G0K7V-MMRVC-BDQZZ-KNPPY",  # a recovery key
        "XXT4-69KH-5E3V-1AQ3",  # a recovery code
        "n9lvcONI2KR-LiB79fhpNm7-ZracGQGQ8-5-1WBV0zA",  # a secret that has many dashes
        "whsec_8CGxR/ZUDirN/vhSQ1D38Is/IN1GMfLBTB4/s7Fbhrg=",
        "https://user:pass/wo@rd@host.example/x",
        "ada@example.com",
        "fd00::5",
        "2001:db8::",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
    ],
)
@pytest.mark.parametrize("around", ["{}", "The thing {} is wrong.", "[{}]:8443", "'{}'"])
def test_what_looks_like_a_secret_or_an_address_is_taken_out(secret: str, around: str) -> None:
    left = scrub(around.format(secret))
    kept = ("host", "example", "x", "https", "eth0", "The", "thing", "is", "wrong", "8443")
    words = re.findall(r"\w+", left)
    assert set(words) <= {*kept, "hidden", "address"}, left


def test_a_file_that_is_there_is_left(data: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    done = CliRunner().invoke(admin, ["support-bundle", str(there), "--data", str(data)])
    assert isinstance(done.exception, ConfigurationError)
    assert there.read_text() == "mine"
