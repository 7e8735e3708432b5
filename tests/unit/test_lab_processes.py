"""Telling processes apart: a pid alone names nobody, and nobody else's process is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bascule.lab.folder import LabFolder, mounts_below, remove
from bascule.lab.processes import (
    ProcessId,
    end,
    end_all,
    identify,
    is_in_lab,
    mark_of,
    registered_networks,
)
from bascule.lab.state import HostEntry, LabState, read_state, write_state


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def known(pid: int) -> ProcessId:
    process = identify(pid)
    assert process is not None
    return process


def test_process_is_known_by_pid_and_start(sleeper: subprocess.Popen[bytes]) -> None:
    process = known(sleeper.pid)
    assert process.is_alive()
    assert not replace(process, started=process.started - 1).is_alive()


def test_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    process = known(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identify(sleeper.pid) is None
    assert not process.is_alive()


def test_other_process_with_a_used_pid_is_spared(sleeper: subprocess.Popen[bytes]) -> None:
    """A lab's file may name a pid that now is somebody else's (EDGES A28)."""
    earlier = replace(known(sleeper.pid), started=1)
    assert end(sleeper.pid, signal.SIGKILL, earlier.is_alive, wait=0.2)
    assert sleeper.poll() is None


def test_meant_process_is_ended(sleeper: subprocess.Popen[bytes]) -> None:
    assert end(sleeper.pid, signal.SIGKILL, known(sleeper.pid).is_alive, wait=5)
    assert sleeper.wait() == -signal.SIGKILL


def test_mark_is_the_folders_own() -> None:
    assert mark_of(Path("/a b")) == mark_of(Path("/a b"))
    assert mark_of(Path("/a")) != mark_of(Path("/b"))
    assert " " not in mark_of(Path("/a b"))  # mountinfo is split at blanks


def test_process_outside_a_lab_is_not_in_it(sleeper: subprocess.Popen[bytes]) -> None:
    mark = mark_of(Path("/no/such/lab"))
    assert not is_in_lab(sleeper.pid, mark)
    assert end_all(mark, wait=1) == []
    assert sleeper.poll() is None


def test_unregistered_networks_are_none() -> None:
    """Above all never the host's own, which every process would stand in."""
    assert registered_networks(("bascule-no-such-namespace",)) == frozenset()


# -- the state file


def state(**changes: Any) -> LabState:
    return replace(LabState("demo", 8443, known(os.getpid()), is_rootless=False), **changes)


def test_state_comes_back_as_written(tmp_path: Path) -> None:
    written = state(
        steps=["network"],
        hosts={"web-1": HostEntry(5, 6, 7)},
        processes={"server": known(os.getpid())},
    )
    write_state(tmp_path / "state.json", written)
    assert read_state(tmp_path / "state.json") == written
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 99}', '{"format": 1}'])
def test_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_state(tmp_path / "state.json") is None


def test_state_of_another_boot_is_not_held() -> None:
    assert state().is_held()
    assert not state(boot="another").is_held()
    assert not state(supervisor=ProcessId(os.getpid(), 1)).is_held()


def test_pid_is_told_only_while_it_is_that_process() -> None:
    own = known(os.getpid())
    found = state(processes={"server": own, "web-1/agent": replace(own, started=1)})
    assert found.pid("server") == os.getpid()
    assert found.pid("web-1/agent") is None
    assert found.pid("db-1/agent") is None


# -- the folder


def test_removed_folder_is_gone(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path / "demo")
    folder.create(["client"])
    assert folder.root.stat().st_mode & 0o777 == 0o700
    assert folder.home("client").is_dir()
    remove(folder)
    assert not folder.root.exists()
    remove(folder)


def test_mounts_are_found_by_folder_not_by_beginning_of_name() -> None:
    assert "/proc" in mounts_below(Path("/proc"))
    assert mounts_below(Path("/pro")) == []
