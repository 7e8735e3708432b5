"""The libraries beside ``bascule`` in its folder: which, from the lock, for which Pythons.

Wheels of the lock are unpacked for every Python that a package supports into one folder: the names of
compiled modules say for which Python they are, and all other files must be the same. Their licences
are in their ``*.dist-info``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tree import CLI, ROOT, SERVER

PYTHONS = ("3.11", "3.13")  # Debian 12's, Debian 13's
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
ON_HOSTS = ("click", "rich", "structlog")
# rich loads these for source code and Markdown alone, which the command line does not print.
UNUSED = {"pygments", "markdown-it-py", "mdurl"}
ELSEWHERE = {"httpx2-jsfetch", "tzdata"}  # for platforms on which nobody runs a firewall
# What an installer notes about itself, which differs between platforms.
_NOTES = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"}


@dataclass(frozen=True, slots=True)
class Locked:
    name: str
    version: str
    text: str  # its lines in the lock, with hashes and marker
    wanted_by: frozenset[str]


def lock() -> Mapping[str, Locked]:
    found = {}
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE):
        if name := re.match(r"([a-z0-9._-]+)==(\S+)", block):
            via = re.findall(r"^    # (?:via |  )(.+)$", block, re.MULTILINE)
            hashes = "".join(line for line in block.splitlines(keepends=True) if "# " not in line)
            found[name[1]] = Locked(name[1], name[2], hashes, frozenset(via))
    return found


def chosen(package: str) -> list[Locked]:
    """What goes into it: for hosts the little that they load, for the server the rest."""
    locked = lock()
    if package == CLI:
        return [locked[each] for each in ON_HOSTS]
    if package != SERVER:
        return []
    running = {
        name for name, each in locked.items() if "bascule (pyproject.toml)" in each.wanted_by
    }
    while more := {
        name for name, each in locked.items() if each.wanted_by & running and name not in running
    }:
        running |= more
    return [locked[name] for name in sorted(running - {*ON_HOSTS} - UNUSED - ELSEWHERE)]


def unpack(package: str, folder: Path, work: Path, arch: str, uv: str) -> None:
    """Put them into ``folder``; raises when two Pythons' wheels do not go together."""
    wanted = chosen(package)
    if not wanted:
        return
    work.mkdir(parents=True, exist_ok=True)
    listed = work / f"{package}.txt"
    listed.write_text("".join(each.text for each in wanted))
    for python in PYTHONS:
        target = work / f"{package}-{python}"
        shutil.rmtree(target, ignore_errors=True)
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--python-version", python]
        command += ["--python-platform", PLATFORMS[arch], "--target", str(target)]
        subprocess.run([*command, "-r", str(listed)], check=True)  # noqa: S603  # reason: uv, with fixed words
        _merge(target, folder)


def _merge(source: Path, folder: Path) -> None:
    for file in sorted(each for each in source.rglob("*") if each.is_file()):
        path = file.relative_to(source)
        is_note = path.parent.suffix == ".dist-info" and path.name in _NOTES
        is_note |= path.parent.name == "sboms"  # of what is inside one wheel; ours names the wheel
        if path.parts[0] == "bin" or path.name == ".lock" or is_note or path.suffix == ".pyc":
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(file, target)
        elif target.read_bytes() != file.read_bytes():
            raise SystemExit(f"{path} differs between the wheels of two Pythons")
