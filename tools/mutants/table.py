"""The table of mutants: each a named change of one line, and the tests that must fail for it.

Source: the TOML files in ``changes/``, one for each part of the promises. In each entry
``old`` stands exactly once in ``file``; ``new`` takes its place; ``tests`` are node ids of
pytest, a function or a class without parameters meaning all of them.
What is not here: trying them out (``trial``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGES = Path(__file__).parent / "changes"


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    what: str  # what goes wrong with it, in words
    file: str  # below src/bascule
    old: str
    new: str
    tests: tuple[str, ...]  # each of them must pass without it, one of them must fail with it

    @property
    def path(self) -> Path:
        return Path("src/bascule") / self.file


def load(directory: Path = CHANGES) -> tuple[Mutant, ...]:
    """Every mutant, in the order of the files' names."""
    found = tuple(
        Mutant(name, each["what"], each["file"], each["old"], each["new"], tuple(each["tests"]))
        for path in sorted(directory.glob("*.toml"))
        for name, each in tomllib.loads(path.read_text(encoding="utf-8")).items()
    )
    names = [each.name for each in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"two mutants are called {', '.join(doubled)}")
    return found


def problems(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """Why a mutant cannot be tried on this code, a clause each."""
    said = []
    source = root / mutant.path
    count = source.read_text(encoding="utf-8").count(mutant.old) if source.is_file() else 0
    if count != 1:
        said.append(f"its old text stands {count} times in {mutant.path}")
    if mutant.old == mutant.new:
        said.append("it changes nothing")
    if not mutant.tests:
        said.append("it names no test")
    files = dict.fromkeys(test.partition("::")[0] for test in mutant.tests)
    said.extend(f"there is no file {file}" for file in files if not (root / file).is_file())
    return said
