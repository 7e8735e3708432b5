"""Packages that a server hands to hosts, and the script that installs them (EDGES I3)."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from bascule.api.packages import Packages, read_packages
from bascule.bootstrap import handed_out as handing
from bascule.bootstrap.handed_out import handed_out
from bascule.errors import ConfigurationError
from tests.support.repository import BOTH, sign, write_repository

PIN = "ab" * 32
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "apt")


@pytest.fixture
def packages(folder: Path) -> Packages:
    return read_packages(folder)


def test_the_script_names_what_it_installs_by_its_digest(packages: Packages, folder: Path) -> None:
    assert packages.version == "1.2"
    script = packages.script.decode()
    for name, version in BOTH:
        path = f"pool/main/{name}_{version}_all.deb"
        assert f"\n{hashlib.sha256((folder / path).read_bytes()).hexdigest()} {path}\n" in script
    assert "@" not in script.replace('"$@"', "")
    assert packages.digest == hashlib.sha256(packages.script).hexdigest()


def test_the_line_has_the_pin_and_the_script_s_digest_and_no_secret(packages: Packages) -> None:
    line = packages.line("https://bascule.example:8443", PIN)
    assert "\n" not in line
    assert f"echo '{packages.digest}  /run/bascule-install' | sha256sum -c --quiet &&" in line
    assert line.endswith(f"sh /run/bascule-install 'https://bascule.example:8443' {PIN}")
    assert "token" not in line.lower()
    assert packages.line("https://x", PIN, replaces=True).endswith(f"{PIN} --replace")


def test_a_script_that_is_cut_at_any_byte_does_nothing(packages: Packages, tmp_path: Path) -> None:
    """Every program that it could call is a stub that notes the call; ``id`` is its first."""
    noted, stubs = tmp_path / "noted", tmp_path / "bin"
    stubs.mkdir()
    for name in ("id", "mktemp", "cat", "rm", "sha256sum", "apt-get", "printf"):
        stub = stubs / name
        stub.write_text(f'#!/bin/sh\necho {name} >>"{noted}"\n[ {name} != id ] || echo 1000\n')
        stub.chmod(0o755)
    part, said = tmp_path / "part", tmp_path / "said"
    command = ["/bin/sh", str(part), "https://bascule.example:8443", PIN]
    to_said = [(os.POSIX_SPAWN_OPEN, each, str(said), _APPEND, 0o600) for each in (1, 2)]

    def run(length: int) -> None:
        part.write_bytes(packages.script[:length])
        pid = os.posix_spawn(command[0], command, {"PATH": str(stubs)}, file_actions=to_said)
        os.waitpid(pid, 0)

    whole = len(packages.script)
    run(whole)
    assert "Run this as root" in said.read_text()
    assert noted.read_text() == "id\n"
    noted.unlink()
    said.unlink()
    for length in range(whole - 1):  # the last byte ends a line that is whole
        run(length)
        assert not noted.exists(), f"cut after {length} bytes"
    lines = said.read_text().splitlines()
    assert [line for line in lines if "yntax error" not in line] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "Copy the whole line"),
        (("http://bascule.example", PIN), "Copy the whole line"),
        (("https://bascule.example",), "fingerprint is missing"),
    ],
)
def test_the_script_does_nothing_for_half_a_line(
    packages: Packages, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    file = tmp_path / "script"
    file.write_bytes(packages.script)
    done = subprocess.run(
        ["/bin/sh", str(file), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert expected in done.stderr


def test_a_package_that_is_not_what_was_listed_is_not_handed_out(folder: Path) -> None:
    for name in ("pool/main/bascule-agent_1.2_all.deb", "dists/stable/main/binary-amd64/Packages"):
        file = folder / name
        before = file.read_bytes()
        for damaged in (b"", before + b"x"):
            file.write_bytes(damaged)
            with pytest.raises(ConfigurationError, match="checksums") as caught:
                read_packages(folder)
            assert name in caught.value.message
        file.unlink()
        with pytest.raises(ConfigurationError, match="No such file"):
            read_packages(folder)
        file.write_bytes(before)
    read_packages(folder)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([("bascule-cli", "1.2")], "no bascule-agent"),
        ([*BOTH, ("bascule-agent", "1.3")], "2 bascule-agent"),
        ([("bascule-cli", "1.2"), ("bascule-agent", "1.3")], "different versions"),
    ],
)
def test_a_repository_without_one_agent_is_refused(
    tmp_path: Path, listed: list[tuple[str, str]], expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        read_packages(write_repository(tmp_path / "apt", listed))


@pytest.mark.parametrize(
    "name", ["../../../etc/shadow", "/etc/shadow", "pool/../../x", "pool/$(id)", "pool/a b", "a'b"]
)
def test_a_name_that_leaves_the_folder_or_that_a_shell_reads_is_not_listed(
    folder: Path, name: str
) -> None:
    index = folder / "dists/stable/main/binary-amd64/Packages"
    text = index.read_text().replace("pool/main/bascule-agent_1.2_all.deb", name)
    index.write_text(text)
    sign(folder)
    with pytest.raises(ConfigurationError, match="no bascule-agent"):
        read_packages(folder)


def test_what_somebody_named_must_be_right_and_what_was_brought_may_be_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose package is damaged still serves people."""
    monkeypatch.setattr(handing, "BROUGHT", tmp_path / "absent")
    assert handed_out(None) is None
    monkeypatch.setattr(handing, "BROUGHT", folder)
    assert handed_out(None) == read_packages(folder)
    (folder / "dists/stable/Release").unlink()
    assert handed_out(None) is None
    with pytest.raises(ConfigurationError, match="Release cannot be handed to hosts"):
        handed_out(folder)
