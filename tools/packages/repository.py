"""An apt repository of the packages, and the checksums of all that was built, signed or not.

Sources: Debian's repository format (Release, Packages), sha256sum(1), gpg(1). apt accepts a repository by
the signature of its Release file alone; the key is made and kept by whoever publishes.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

SUITE, COMPONENT = "stable", "main"
ARCHITECTURES = ("amd64", "arm64")


def write(folder: Path, packages: Iterable[Path], made: datetime, key: str) -> None:
    """Below ``folder``: pool and dists; ``key`` is empty where nothing is signed."""
    pool = folder / "pool" / COMPONENT
    pool.mkdir(parents=True)
    entries = {}
    for package in sorted(packages):
        target = pool / package.name
        shutil.copyfile(package, target)
        entries[package.name] = _entry(target, target.relative_to(folder))
    suite = folder / "dists" / SUITE
    for arch in ARCHITECTURES:
        folder = suite / COMPONENT / f"binary-{arch}"
        folder.mkdir(parents=True)
        wanted = (f"_{arch}.deb", "_all.deb")
        text = "\n".join(entry for name, entry in entries.items() if name.endswith(wanted))
        (folder / "Packages").write_text(text)
        (folder / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    release = suite / "Release"
    release.write_text(_release(suite, made))
    if key:
        _gpg(key, "--clearsign", release, suite / "InRelease")
        _gpg(key, "--armor", release, suite / "Release.gpg", "--detach-sign")


def _entry(package: Path, name: Path) -> str:
    shown = subprocess.run(  # noqa: S603  # reason: fixed words
        ["dpkg-deb", "--field", str(package)],  # noqa: S607  # reason: whichever there is
        check=True,
        capture_output=True,
        text=True,
    )
    data = package.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f"{shown.stdout.rstrip()}\nFilename: {name}\nSize: {len(data)}\nSHA256: {digest}\n"


def _release(suite: Path, made: datetime) -> str:
    lines = [
        "Origin: Bascule",
        "Label: Bascule",
        f"Suite: {SUITE}",
        f"Codename: {SUITE}",
        f"Date: {format_datetime(made)}",
        f"Architectures: {' '.join(ARCHITECTURES)}",
        f"Components: {COMPONENT}",
        "SHA256:",
    ]
    for file in sorted(suite.rglob("Packages*")):
        data = file.read_bytes()
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {file.relative_to(suite)}")
    return "\n".join(lines) + "\n"


def checksums(out: Path, key: str) -> None:
    files = sorted(each for each in out.iterdir() if each.is_file())
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files]
    sums = out / "SHA256SUMS"
    sums.write_text("".join(lines))
    if key:
        _gpg(key, "--armor", sums, out / "SHA256SUMS.asc", "--detach-sign")


def _gpg(key: str, kind: str, source: Path, target: Path, *more: str) -> None:
    command = ["gpg", "--batch", "--yes", "--local-user", key, "--output", str(target), kind, *more]
    subprocess.run([*command, str(source)], check=True)  # noqa: S603  # reason: gpg, with fixed words
