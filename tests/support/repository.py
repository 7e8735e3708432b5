"""An apt repository as ``make packages`` lays it out, of packages that are a few bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

BOTH = (("bascule-cli", "1.2"), ("bascule-agent", "1.2"))


def write_repository(folder: Path, packages: Sequence[tuple[str, str]] = BOTH) -> Path:
    """Names and versions; returns ``folder``."""
    pool, index = folder / "pool/main", folder / "dists/stable/main/binary-amd64"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    blocks = []
    for name, version in packages:
        file = pool / f"{name}_{version}_all.deb"
        file.write_bytes(f"{name} {version}".encode())
        blocks.append(
            f"Package: {name}\nVersion: {version}\nDescription: a package\n of many words\n"
            f"Filename: pool/main/{file.name}\nSize: {file.stat().st_size}\nSHA256: {_sha256(file)}\n"
        )
    (index / "Packages").write_text("\n".join(blocks))
    sign(folder)
    return folder


def sign(folder: Path) -> None:
    """Write the checksums of the index as it is."""
    index = folder / "dists/stable/main/binary-amd64/Packages"
    line = f" {_sha256(index)} {index.stat().st_size} main/binary-amd64/Packages\n"
    (folder / "dists/stable/Release").write_text(f"Suite: stable\nSHA256:\n{line}")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
