"""Programs that stand while we measure, and that end with us whatever happens.

A child gets a pipe as its standard input and ends when that closes; daemons that do not care
for their input are started under ``setpriv --pdeathsig`` (setpriv(1), prctl(2)
PR_SET_PDEATHSIG), so that even our own SIGKILL leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

CHECKOUT = Path(__file__).resolve().parent.parent
_STEP_SECONDS = 60.0
_END_SECONDS = 5.0

Placed = Sequence[str]  # argv that comes before a program and enters its namespace


class Broken(Exception):
    """A program that stands there did not do what it should; the message says which."""


def our_environment() -> dict[str, str]:
    """For Python programs of ours: they find this checkout wherever they are started."""
    rest = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    places = [str(CHECKOUT), str(CHECKOUT / "src"), *rest]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}


@contextlib.contextmanager
def daemon(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a daemon of the system in the foreground; answer its pid.

    What it said is printed when it has ended by itself.
    """
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=environment
        )
        try:
            yield process.pid
        finally:
            has_ended = process.poll() is not None
            _end(process)
            if has_ended:
                words.seek(0)
                said = words.read().decode("utf-8", "replace")[-2000:]
                print(f"{argv[-1]} ended by itself: {said}", file=sys.stderr)


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Lines:
    """A program of ours at the other end of two pipes, one JSON line a turn."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process

    def tell(self, what: Mapping[str, Any]) -> None:
        try:
            _pipe(self._process.stdin).write(json.dumps(what) + "\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            raise Broken(f"{self.name}: its process has ended") from None

    def hear(self, patience: float = _STEP_SECONDS) -> str:
        output = _pipe(self._process.stdout)
        ready, _, _ = select.select([output], [], [], patience)
        line = output.readline() if ready else ""
        if not line:
            raise Broken(f"{self.name}: no answer from its process")
        return line.strip()

    def turn(self, step: str) -> dict[str, Any]:
        """Have one step done and answer what came of it; raises Broken."""
        self.tell({"do": step})
        return self.outcome()

    def outcome(self, patience: float = _STEP_SECONDS) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.hear(patience))
        if "error" in answer:
            raise Broken(f"{self.name}: {answer['error']}")
        return answer


@contextlib.contextmanager
def program(name: str, placed: Placed, module: str, *arguments: str) -> Iterator[Lines]:
    """Run ``python -m MODULE`` in a place; it ends when its input does."""
    process = subprocess.Popen(
        [*placed, sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=our_environment(),
    )
    try:
        yield Lines(name, process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            _end(process)
        _pipe(process.stdout).close()


def _pipe(end: IO[str] | None) -> IO[str]:
    if end is None:
        raise TypeError("the program was started without pipes")
    return end
