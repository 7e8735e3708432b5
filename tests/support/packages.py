"""Packages built for a test, of two versions, with a repository that is signed by a key made for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDER, NEWER = "0.1.0", "0.1.1"


@dataclass(frozen=True)
class Built:
    debs: list[Path]
    rpms: list[Path]
    published: Path  # all of the older version, signed
    repository: Path  # its part for apt
    keyring: Path
    other_keyring: Path


_SCRIPTS = """
import json, sys
sys.path.insert(0, "tools/packages")
import parts
print(json.dumps({
    f"{each.parent.name}/{each.name}": parts.whole(each)
    for kind in ("deb", "rpm") for each in (parts.FILES / kind).glob("*.p*")
}))
"""


def maintainer_scripts() -> dict[str, str]:
    """By kind and name, as they are in the packages; from a process of their own, as the build is."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPTS], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def uv() -> str:
    found = shutil.which("uv") or ROOT / ".boot/bin/uv"
    if not Path(found).exists():
        pytest.skip("needs uv, which make install fetches")
    return str(found)


def make(out: Path, *words: str, gpg: Path | None = None) -> None:
    """Build in a copy of the environment, in which the time of the build is that of a commit."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    if gpg is not None:
        environment["GNUPGHOME"] = str(gpg)
    command = [sys.executable, "tools/packages", "--uv", uv(), "--out", str(out), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def build(folder: Path) -> Built:
    keyrings = []
    for name in ("publisher", "somebody-else"):
        home = folder / name
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
        subprocess.run([*gpg, "--quick-generate-key", name, "ed25519", "sign"], check=True)
        keyring = folder / f"{name}.pgp"
        keyring.write_bytes(
            subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout
        )
        keyrings.append(keyring)
    make(folder / "older", "--version", OLDER, "--sign", "publisher", gpg=folder / "publisher")
    make(folder / "newer", "--version", NEWER, *_ALL)
    subprocess.run(["gpgconf", "--homedir", folder / "publisher", "--kill", "all"], check=False)
    subprocess.run(["gpgconf", "--homedir", folder / "somebody-else", "--kill", "all"], check=False)
    debs = [*(folder / "older").glob("*.deb"), *(folder / "newer").glob("*.deb")]
    rpms = [*(folder / "older").glob("*.rpm"), *(folder / "newer").glob("*.rpm")]
    return Built(debs, rpms, folder / "older", folder / "older/apt", *keyrings)


_ALL = ("--only", "bascule-cli", "--only", "bascule-agent", "--only", "bascule-server")
