"""Trying mutants out: a scratch copy of the checkout, one change at a time, its tests run.

The copy comes first on the path, before the installed package, and the plugin beside this
file refuses to run when it does not. A test counts as having failed when its own body did;
a set-up that breaks or an import that fails catches nothing, it is a broken trial.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from table import ROOT, Mutant

PLUGIN = Path(__file__).parent / "plugin"
COPIED = ("src", "tests", "pyproject.toml", "README.md", "LICENSE", "docs")
PLUGINS = ("pytest_timeout", "mutants_witness")
NO_CACHE = "PYTHONDONTWRITEBYTECODE"  # else each trial would compile the whole package
SECONDS_A_TEST = 60
SECONDS_A_TRIAL = 240
SECONDS_OF_ALL = 1800  # the run of every named test on the unchanged copy


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of a run of pytest."""

    failed: tuple[str, ...]  # tests whose body failed
    passed: frozenset[str]
    other: frozenset[str]  # skipped, or broken in set-up or tear-down
    exit_code: int | None  # None: it did not end in time
    output: str

    def why_not_sound(self, test: str) -> str:
        """Why this run does not show that ``test`` passes; empty when it does."""
        if any(_is_part(each, test) for each in self.failed):
            return "fails without any change"
        if any(_is_part(each, test) for each in self.other):
            return "is skipped here, or breaks in its set-up"
        if not any(_is_part(each, test) for each in self.passed):
            return "was not found"
        return ""


def _is_part(node_id: str, test: str) -> bool:
    return node_id == test or node_id.startswith((f"{test}[", f"{test}::"))


class Copy:
    """A scratch copy of the checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._changes = 0

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """The copy with this mutant in it, as it was afterwards."""
        path = self.root / mutant.path
        before = path.read_text(encoding="utf-8")
        self._write(path, before.replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            self._write(path, before)

    def _write(self, path: Path, text: str) -> None:
        """Each text at a time of its own: compiled files are known by time and size."""
        path.write_text(text, encoding="utf-8")
        self._changes += 1
        os.utime(path, (self._changes, self._changes))

    def run(self, tests: Sequence[str], seconds: float, *options: str) -> Outcomes:
        """Run these tests of the copy."""
        outcomes = self.root / "outcomes.jsonl"
        outcomes.write_text("", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [each for name in PLUGINS for each in ("-p", name)]
        command += [f"--timeout={SECONDS_A_TEST}", *options, *tests]
        environment = {
            **{name: value for name, value in os.environ.items() if name != NO_CACHE},
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{PLUGIN}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of others take two thirds of the start
            "MUTANTS_COPY": str(self.root),
            "MUTANTS_OUTCOMES": str(outcomes),
        }
        exit_code, output = _run(command, self.root, environment, seconds)
        lines = outcomes.read_text(encoding="utf-8").splitlines()
        return _read([json.loads(line) for line in lines], exit_code, output)


@contextmanager
def scratch_copy() -> Iterator[Copy]:
    with tempfile.TemporaryDirectory(prefix="bascule-mutants-") as name:
        target = Path(name).resolve() / "copy"
        target.mkdir()
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis", "node_modules")
        for each in COPIED:
            source = ROOT / each
            if source.is_dir():
                shutil.copytree(source, target / each, ignore=ignored)
            elif source.is_file():
                shutil.copy2(source, target / each)
        yield Copy(target)


def _run(
    command: Sequence[str], directory: Path, environment: dict[str, str], seconds: float
) -> tuple[int | None, str]:
    """Exit code and output; with what it started it is ended when its time is over."""
    log = directory / "output.txt"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603  # reason: our own interpreter and table
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)  # the session that we made for it
                process.wait()
    return code, log.read_text(encoding="utf-8", errors="replace")


def _read(phases: Sequence[Sequence[str]], exit_code: int | None, output: str) -> Outcomes:
    failed = [node for node, when, outcome in phases if when == "call" and outcome == "failed"]
    other = {node for node, when, outcome in phases if outcome != "passed" and when != "call"} | {
        node for node, when, outcome in phases if when == "call" and outcome == "skipped"
    }
    passed = {node for node, when, outcome in phases if when == "call" and outcome == "passed"}
    return Outcomes(
        tuple(failed), frozenset(passed - other), frozenset(other - set(failed)), exit_code, output
    )
