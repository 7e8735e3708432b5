"""An earlier commit beside ours: its tree, and an environment made from its own lock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.standing import Broken

HERE = Path(__file__).resolve().parents[1]


@contextmanager
def source_of(revision: str, folder: Path) -> Iterator[Path]:
    """The tree of an earlier commit, in ``folder`` for as long as the block lasts."""
    tree = folder / "earlier"
    git = ["git", "-C", str(HERE), "worktree"]
    _run([*git, "add", "--quiet", "--detach", str(tree), revision], f"{revision} is no commit here")
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=False)


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """The same, with the path of a Python that has what its lock names."""
    with source_of(revision, folder) as tree:
        base = Path(sys.base_prefix) / "bin/python3"
        install = [str(tree / "tools/install.sh"), str(base), ".venv", "run"]
        _run(install, f"The environment of {revision} could not be made", tree)
        yield tree, str(tree / ".venv/bin/python")


def _run(command: list[str], what: str, where: Path = HERE) -> None:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{what}: {(done.stderr or done.stdout).strip()[-1000:]}")
