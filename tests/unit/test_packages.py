"""What is in which package, before any is built (EDGES I4, ADR 32)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.packages import maintainer_scripts

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return maintainer_scripts()


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


def test_maintainer_scripts_are_shell(scripts: dict[str, str], tmp_path: Path) -> None:
    assert len(scripts) > 15
    for name, text in scripts.items():
        whole = tmp_path / name.replace("/", "-")
        whole.write_text(text)
        assert "#include" not in text
        for shell in filter(shutil.which, ("dash", "bash")):
            subprocess.run([shell, "-n", str(whole)], check=True)


# nft but to look, uninstalling, and deleting the rule file or what loads it.
_OPENS = re.compile(r"\bnft\s+(?!list\b)|agent uninstall|\brm\b.*(rules|closed|\$unit)")


def opening_lines(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    return [each for each in lines if _OPENS.search(each) and not re.match(r"\s*(echo|#)", each)]


@pytest.mark.parametrize(
    "line",
    [
        "nft delete table inet bascule",
        "nft flush ruleset",
        "if x; then nft -f /dev/null; fi",
        "/usr/bin/bascule agent uninstall --yes",
        "rm -f $rules",
        "rm /etc/bascule/closed.rules",
    ],
)
def test_what_opens_is_seen(line: str) -> None:
    assert opening_lines(f"    {line}\n") == [f"    {line}"]
    assert opening_lines(f'echo "or" \\\n    "{line}"\n') == []


def test_no_script_of_a_package_opens_but_the_answered_purge(scripts: dict[str, str]) -> None:
    """On rpm nothing does; on Debian two lines, after the question."""
    for name, text in scripts.items():
        lines = opening_lines(text)
        if name == "deb/bascule-agent.postrm":
            assert [line.split()[:2] for line in lines] == [["rm", "-f"], ["nft", "delete"]]
            asked = text.index("&& is_opened_by_a_person; then")
            kept = text.rindex("ports stay closed, also after a reboot")
            assert all(asked < text.index(line) < kept for line in lines)
        else:
            assert lines == [], name
