"""docs/guarantees.md from tests/guarantees.toml: no promise without a test that exists.

``python tools/guarantees.py`` writes the page; ``--check`` says what is wrong instead and
ends with 1: a promise without limits or tests, a test that pytest does not know, a page that
is not what the table gives. ``--tests`` prints the node ids, to run them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "guarantees.toml"
PAGE = ROOT / "docs" / "guarantees.md"
COLLECT_SECONDS = 600

HEAD = """\
# What Bascule promises

Generated from [tests/guarantees.toml](../tests/guarantees.toml); edit that file. Each promise is in
the words of the owner of the machines, with its limits and the tests that show it. `make check`
fails if one of these tests is missing. `make mutants` shows that the tests can fail: it breaks the
code a line at a time, and each break must fail its test. [SECURITY.md](../SECURITY.md) lists what
each kind of attacker may hold, and what stops them.
"""


@dataclass(frozen=True, slots=True)
class Promise:
    says: str
    limits: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    promises: tuple[Promise, ...]


def load(table: Path = TABLE) -> tuple[Group, ...]:
    data = tomllib.loads(table.read_text(encoding="utf-8"))
    return tuple(
        Group(
            group["title"],
            tuple(
                Promise(each["says"], each.get("limits", ""), tuple(each.get("tests", ())))
                for each in group["promise"]
            ),
        )
        for group in data["group"]
    )


def named_tests(groups: Iterable[Group]) -> list[str]:
    """Every node id of the table, once."""
    every = (test for group in groups for each in group.promises for test in each.tests)
    return list(dict.fromkeys(every))


def page(groups: Sequence[Group]) -> str:
    """The page's whole text."""
    numbers = itertools.count(1)
    lines = [HEAD]
    for group in groups:
        lines.append(f"## {group.title}\n")
        for promise in group.promises:
            lines.append(f"**{next(numbers)}. {promise.says}**\n")
            lines.append(f"*Limits:* {promise.limits}\n")
            lines.append("*Shown by:*\n")
            lines.extend(f"* {_link(test)}" for test in promise.tests)
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    short = file.removeprefix("tests/").removesuffix(".py")
    return f"[{short}](../{file}): `{name}`"


def problems(groups: Sequence[Group], known: frozenset[str]) -> list[str]:
    """What is wrong with the table, a sentence each; ``known`` is what pytest collects."""
    said = []
    for promise in (each for group in groups for each in group.promises):
        if not promise.tests:
            said.append(f"no test shows: {promise.says}")
        if not promise.limits:
            said.append(f"no limits are told of: {promise.says}")
    said.extend(f"there is no test {test}" for test in named_tests(groups) if test not in known)
    return said


def collected(files: Sequence[str]) -> frozenset[str]:
    """The tests of these files by node id, with and without the case in brackets."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603  # reason: our own interpreter and table
        [*command, *files],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=COLLECT_SECONDS,
        check=False,
    )
    found = {line for line in done.stdout.splitlines() if "::" in line}
    return frozenset(found | {line.partition("[")[0] for line in found})


def check(groups: Sequence[Group]) -> list[str]:
    files = dict.fromkeys(test.partition("::")[0] for test in named_tests(groups))
    there = [file for file in files if (ROOT / file).is_file()]
    said = problems(groups, collected(there))
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page(groups):
        said.append(f"{PAGE.relative_to(ROOT)} is not what the table gives: make promises")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/guarantees.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, say what is wrong")
    parser.add_argument("--tests", action="store_true", help="print the node ids")
    asked = parser.parse_args(arguments)
    groups = load()
    if asked.tests:
        print("\n".join(named_tests(groups)))
        return 0
    if asked.check:
        said = check(groups)
        count = sum(len(group.promises) for group in groups)
        print("\n".join(said) or f"{count} promises, each with its tests.")
        return 1 if said else 0
    PAGE.write_text(page(groups), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
