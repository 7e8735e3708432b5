"""``tools/rest.sh``: two lanes side by side, of which each can fail, and which end together.

Run on a copy beside a python that only notes what it was asked and ends as it is told.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_PARTS = ("-m long", "-m tests.faults", "tests/wire/", "tools/mutants")
_PYTHON = """#!/usr/bin/env bash
echo "$*" >>asked
case "$*" in
*{part}*) {act} ;;
esac
"""


def _laid_out(folder: Path, part: str, act: str) -> Path:
    (folder / "bin").mkdir()
    (folder / "tests").mkdir()
    (folder / "tests" / "test_some.py").write_text("pytest.mark.long\n")
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("mutants"))
    python = folder / "bin" / "python"
    python.write_text(_PYTHON.format(part=part.replace(" ", "\\ "), act=act))
    python.chmod(0o755)
    return folder / "tools" / "rest.sh"


def _not_asked(folder: Path) -> list[str]:
    asked = (folder / "asked").read_text()
    return [part for part in _PARTS if part not in asked]


@pytest.mark.parametrize("part", _PARTS)
def test_each_part_can_fail_and_the_others_are_run(tmp_path: Path, part: str) -> None:
    script = _laid_out(tmp_path, part, "echo broken; exit 1")
    done = subprocess.run([script, "bin"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.count("broken")) == (1, 1)
    assert _not_asked(tmp_path) == []


def test_what_passes_is_green_and_told(tmp_path: Path) -> None:
    script = _laid_out(tmp_path, "tools/mutants", "sleep 0.5; echo all caught")
    done = subprocess.run([script, "bin"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all caught\n")


def test_an_interrupt_ends_both_lanes(tmp_path: Path) -> None:
    """pytest ends by itself then, with a code that says so; nothing more is begun."""
    wait = "trap 'exit 2' INT; echo waiting >>waiting; while :; do sleep 0.1; done"
    script = _laid_out(tmp_path, "pytest", wait)
    # A suite that runs in the background is deaf to it, and what it starts is too.
    command = ["env", "--default-signal=INT", str(script), "bin"]
    began = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (tmp_path / "waiting").exists() or len(_lines(tmp_path / "waiting")) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(began.pid, signal.SIGINT)
    assert began.wait(30) == 130
    assert _not_asked(tmp_path) == ["-m tests.faults", "tools/mutants"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
