"""What is in which package, before any is built (EDGES I4, ADR 32)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tools/packages/files"
# Parted in a process of its own: its modules import each other from beside them.
_PARTED = """
import json, sys
sys.path.insert(0, "tools/packages")
import libraries, tree
made = tree.Tree()
hosts = (tree.CLI, tree.AGENT)
print(json.dumps({
    "files": {each: list(map(str, made.files(each))) for each in (*hosts, tree.SERVER)},
    "foreign": {each: sorted(made.foreign(each)) for each in hosts},
    "libraries": {each: [one.name for one in libraries.chosen(each)] for each in (*hosts, tree.SERVER)},
}))
"""


@pytest.fixture(scope="module")
def parted() -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _PARTED], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_every_file_is_in_exactly_one_package(parted: Any) -> None:
    source = ROOT / "src"
    files = [name for names in parted["files"].values() for name in names]
    assert len(files) == len(set(files))
    there = {
        str(each.relative_to(source))
        for each in (source / "bascule").rglob("*")
        if each.is_file() and each.suffix != ".pyc"
    }
    assert set(files) == there


def test_a_host_gets_no_web_framework_database_library_or_template_engine(parted: Any) -> None:
    assert parted["foreign"]["bascule-agent"] == ["click", "cryptography", "structlog"]
    assert parted["foreign"]["bascule-cli"] == ["click", "cryptography", "rich"]
    assert parted["libraries"]["bascule-cli"] == ["click", "rich", "structlog"]
    assert parted["libraries"]["bascule-agent"] == []
    for package in ("bascule-cli", "bascule-agent"):
        parts = {Path(name).parts[1] for name in parted["files"][package]}
        assert not parts & {"api", "portal", "services", "store", "identity", "outward", "lab"}


def test_the_server_gets_what_the_lock_has_for_running_and_no_build_tools(parted: Any) -> None:
    found = set(parted["libraries"]["bascule-server"])
    assert {"sqlalchemy", "fastapi", "cryptography", "cffi", "psycopg-binary", "h11"} <= found
    assert not found & {"hatchling", "editables", "pluggy", "tzdata", "click"}


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_maintainer_scripts_are_shell(tmp_path: Path, kind: str) -> None:
    for script in sorted((FILES / kind).glob("*.p*")):
        lines = [
            (FILES / line.removeprefix("#include ")).read_text()
            if line.startswith("#include ")
            else f"{line}\n"
            for line in script.read_text().splitlines()
        ]
        whole = tmp_path / script.name
        whole.write_text("".join(lines))
        for shell in filter(shutil.which, ("dash", "bash")):
            subprocess.run([shell, "-n", str(whole)], check=True)


def test_no_script_of_a_package_opens_but_the_answered_purge() -> None:
    """On rpm nothing does; on Debian one line, after the question."""
    for script in FILES.rglob("*"):
        text = script.read_text() if script.is_file() else ""
        deletes = [
            line for line in text.splitlines() if "nft delete" in line and "echo" not in line
        ]
        if script.name == "bascule-agent.postrm" and script.parent.name == "deb":
            assert len(deletes) == 1
            assert text.index("&& is_opened_by_a_person; then") < text.index(deletes[0])
        else:
            assert deletes == []
