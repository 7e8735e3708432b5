"""pyproject.toml declares what the code imports, all of it and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The package that a module comes in, where its name is another.
PART_OF = {
    "pydantic_core": "pydantic",
    "argon2": "argon2-cffi",
    "prometheus_client": "prometheus-client",
}
BEHIND = {"httptools"}  # found by uvicorn by name
FOR_SUITES = {"pytest"}  # the shipped contract suites run under it; nothing else imports them


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.split(r"[\[><=]", each)[0] for each in project["dependencies"]}


def imported(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"bascule"}


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    """What arrives by way of another package leaves when that package changes its mind."""
    used = {PART_OF.get(name, name) for name in imported(ROOT / "src")}
    assert used - FOR_SUITES == declared() - BEHIND


def test_only_the_contract_suites_import_pytest() -> None:
    """A server that needed its test runner would not start on a host without it."""
    for file in (ROOT / "src" / "bascule").iterdir():
        if file.is_dir() and file.name != "testing":
            assert not imported(file) & FOR_SUITES, file.name
