"""``bascule admin install-server``: what it writes, what it keeps, and whose unit it leaves alone."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from bascule.bootstrap import install_server as module
from bascule.bootstrap.admin import admin
from bascule.bootstrap.server_unit import OPTIONS, UNIT_NAME, is_unedited, marked, unit_text
from bascule.errors import ConfigurationError, Conflict


class Host:
    """A host's files below ``folder``; the account is the test's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.units = folder, folder / "units"
        self.options, self.data = folder / "default/bascule-server", folder / "lib/bascule"
        self.asked: list[tuple[object, ...]] = []
        own = pwd.getpwuid(os.getuid())
        monkeypatch.setattr(pwd, "getpwnam", lambda _: own)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "chown", lambda *_: None)
        monkeypatch.setattr(module, "DATA", str(self.data))
        monkeypatch.setattr(module, "OPTIONS_FILE", str(self.options))
        monkeypatch.setattr(module, "PACKAGED_UNIT", folder / "packaged")
        monkeypatch.setattr(module, "is_systemd_running", lambda: False)
        monkeypatch.setattr(module, "program", lambda: ("/opt/bascule/bin/python", "-m", "x"))
        monkeypatch.setattr(module, "check_program", lambda *words: self.asked.append(words))

    @property
    def unit(self) -> Path:
        return self.units / UNIT_NAME

    def install(self) -> Result:
        return CliRunner().invoke(admin, ["install-server", "--unit-folder", str(self.units)])

    def files(self) -> dict[str, str]:
        found = (each for each in self.folder.rglob("*") if each.is_file())
        return {str(each.relative_to(self.folder)): each.read_text() for each in found}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_it_writes_unit_options_and_directory(host: Host) -> None:
    done = host.install()
    assert done.exit_code == 0, (done.output, done.exception)
    assert "ExecStart=/opt/bascule/bin/python -m x serve --data" in host.unit.read_text()
    assert host.options.read_text() == OPTIONS
    assert host.options.stat().st_mode & 0o777 == 0o600
    assert host.unit.stat().st_mode & 0o777 == 0o644
    assert host.data.stat().st_mode & 0o777 == 0o700
    assert "systemctl enable --now bascule" in done.output
    ((_, view, words),) = host.asked
    assert {"User=bascule", "ProtectHome=yes"} <= set(cast("tuple[str, ...]", view))
    assert words == ("serve", "--help")


def test_again_it_keeps_what_is_there(host: Host) -> None:
    host.install()
    host.options.write_text("BASCULE_SERVE=--this\n")
    before = host.files()
    done = host.install()
    assert done.exit_code == 0
    assert "is kept" in done.output
    assert "is as it should be" in done.output
    assert host.files() == before


def test_a_unit_of_an_older_version_that_nobody_edited_is_replaced(host: Host) -> None:
    host.units.mkdir()
    host.unit.write_text(marked(unit_text(("/opt/older/bin/bascule",)).replace("RestartSec=5", "")))
    assert host.install().exit_code == 0
    assert "/opt/older" not in host.unit.read_text()
    assert "RestartSec=5" in host.unit.read_text()


@pytest.mark.parametrize("edit", ["append", "inside", "foreign", "mark"])
def test_an_edited_unit_is_not_overwritten(host: Host, edit: str) -> None:
    text = marked(unit_text(("/usr/local/bin/bascule",)))
    host.units.mkdir()
    host.unit.write_text(
        {
            "append": text + "# mine\n",
            "inside": text.replace("UMask=0077", "UMask=0027"),
            "foreign": "[Service]\nExecStart=/bin/true\n",
            "mark": text.partition("\n")[2],
        }[edit]
    )
    before = host.files()
    done = host.install()
    assert isinstance(done.exception, Conflict), done.output
    assert "Nothing was changed" in done.exception.message
    assert "systemctl edit" in done.exception.advice
    assert host.files() == before


def test_a_program_that_the_account_cannot_run_gets_no_unit(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ConfigurationError("A service cannot run it.")

    monkeypatch.setattr(module, "check_program", refuse)
    assert isinstance(host.install().exception, ConfigurationError)
    assert host.files() == {}


def test_where_the_package_brought_a_unit_nothing_is_written(host: Host) -> None:
    (host.folder / "packaged").write_text("")
    done = host.install()
    assert done.exit_code == 0
    assert "Nothing was changed" in done.output
    assert set(host.files()) == {"packaged"}


def test_only_root(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = host.install()
    assert isinstance(done.exception, ConfigurationError)
    assert host.files() == {}


@pytest.mark.parametrize("path", ["/opt/my folder/bascule", "/opt/100%/bascule", "/opt/a$b"])
def test_a_program_that_a_unit_cannot_name_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(module, "program", lambda: (path,))
    done = host.install()
    assert isinstance(done.exception, ConfigurationError)
    assert "cannot name" in done.exception.message
    assert host.files() == {}


def test_one_byte_makes_it_edited() -> None:
    text = marked(unit_text(("/usr/bin/bascule",)))
    assert is_unedited(text)
    assert not is_unedited(text + " ")
    assert not is_unedited(text[:-1])
    assert not is_unedited("")
