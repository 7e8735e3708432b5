"""``tools/test.sh``: what of a failed stream is tried again, and what never is.

Run on a copy beside a python that only says what it was asked and ends as it is told.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
A_LEAK = 16
_PYTHON = """#!/usr/bin/env bash
case "$*" in
*--last-failed*) echo "$*" >>again; exit 0 ;;
*cache_dir=.pytest_cache/{stream}\\ *) exit {code} ;;
esac
"""


def _run(folder: Path, stream: str, code: int) -> tuple[int, str]:
    """The exit code of the suite when one stream ends so, and what was run again."""
    (folder / "tools").mkdir()
    (folder / "tests" / "unit").mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(ROOT / "tools" / "test.sh", folder / "tools" / "test.sh")
    python = folder / "bin" / "python"
    python.write_text(_PYTHON.format(stream=stream, code=code))
    python.chmod(0o755)
    done = subprocess.run(
        [folder / "tools" / "test.sh", "bin"], capture_output=True, check=False, timeout=60
    )
    again = folder / "again"
    return done.returncode, again.read_text() if again.exists() else ""


@pytest.mark.parametrize("stream", ["computing", "e2e"])
def test_what_failed_beside_others_is_tried_alone(tmp_path: Path, stream: str) -> None:
    code, again = _run(tmp_path, stream, 1)
    assert code == 0
    assert f"cache_dir=.pytest_cache/{stream} " in again


def test_what_packets_and_faults_showed_stands(tmp_path: Path) -> None:
    """A door that was open once was open."""
    assert _run(tmp_path, "faults-netns", 1) == (1, "")


@pytest.mark.parametrize("stream", ["computing", "e2e"])
@pytest.mark.parametrize("code", [2, A_LEAK, 137])
def test_only_failed_tests_are_tried_again(tmp_path: Path, stream: str, code: int) -> None:
    """Not a leak, nor a stream that broke off: what it left unrun would count as passed."""
    assert _run(tmp_path, stream, code) == (1, "")


def test_a_green_suite_is_green(tmp_path: Path) -> None:
    assert _run(tmp_path, "none", 1) == (0, "")


def test_a_failed_test_of_leaks_has_an_exit_code_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers =\n    leak: x\n    sockets: x\n")
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.mark.leak\n"
        "def test_shut(): assert False\n"
        "def test_quick(): assert False\n"
    )
    assert pytester.runpytest_inprocess().ret == A_LEAK
    assert pytester.runpytest_inprocess("-k", "quick").ret == 1
