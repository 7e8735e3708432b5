"""The packages that this server hands to hosts, and the script that installs an agent from them (EDGES I3).

A folder as ``make packages`` writes it, an apt repository, is read once, when the server starts, and compared with
its own checksums. Handed out is what it lists and nothing else. The script has the SHA-256 of each package that it
downloads, and the line that people paste has the script's: what a host installs was decided where the
line was shown, and whoever stands between can refuse, not deceive.

Sources: Debian's repository format (Release, Packages); apt-helper, which a bare Debian has with apt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.errors import ConfigurationError

SUITE = Path("dists/stable")
FILES_PATH, SCRIPT_PATH = "/packages", "/bascule/install.sh"
ON_HOSTS = ("bascule-cli", "bascule-agent")
FETCHED = "/run/bascule-install"  # where the line puts the script: only root can write there
_SCRIPT = Path(__file__).with_name("install.sh")
_SIGNATURES = ("InRelease", "Release.gpg")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*(/[A-Za-z0-9][A-Za-z0-9.+~_-]*)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Nothing is believed by the connection, so none is judged: a bare Debian has no list of authorities.
_FETCH = (
    "/usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::https::Verify-Peer=false "
    "-o Acquire::https::Verify-Host=false download-file"
)


@dataclass(frozen=True, slots=True)
class Packages:
    """What is handed out: ``files`` by their names below the folder."""

    files: Mapping[str, Path]
    version: str  # of the agent
    script: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the script, in hex."""
        return hashlib.sha256(self.script).hexdigest()

    def line(self, server: str, fingerprint: str, *, replaces: bool = False) -> str:
        """What root pastes on a bare Debian. It holds no secret; ``server`` is the server's URL."""
        more = " --replace" if replaces else ""
        return (
            f"{_FETCH} '{server}{SCRIPT_PATH}' {FETCHED} && "
            f"echo '{self.digest}  {FETCHED}' | sha256sum -c --quiet && "
            f"sh {FETCHED} '{server}' {fingerprint}{more}"
        )


def read_packages(folder: Path) -> Packages:
    """Raise ConfigurationError where it is no repository, or is not what its checksums say."""
    release = folder / SUITE / "Release"
    indexes = dict(_listed(_text(release)))
    entries: dict[str, Mapping[str, str]] = {}
    for name, digest in indexes.items():
        _compare(folder / SUITE / name, digest)
        if name.rpartition("/")[2] == "Packages":
            entries |= {each["Filename"]: each for each in _entries(_text(folder / SUITE / name))}
    for name, entry in entries.items():
        _compare(folder / name, entry["SHA256"])
    found = [f"{SUITE}/{each}" for each in ("Release", *indexes)] + sorted(entries)
    found += [f"{SUITE}/{each}" for each in _SIGNATURES if (folder / SUITE / each).is_file()]
    chosen = [_only(folder, name, entries) for name in ON_HOSTS]
    if len({each["Version"] for each in chosen}) != 1:
        raise _damaged(folder, f"{' and '.join(ON_HOSTS)} are of different versions")
    lines = "\n".join(f"{each['SHA256']} {each['Filename']}" for each in chosen)
    names = " and ".join(f"{each['Package']} {each['Version']}" for each in chosen)
    script = _SCRIPT.read_text(encoding="utf-8")
    script = script.replace("@PACKAGES@", lines).replace("@NAMES@", names)
    return Packages(
        {name: folder / name for name in found}, chosen[0]["Version"], script.encode("ascii")
    )


def _only(folder: Path, name: str, entries: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    found = [each for each in entries.values() if each["Package"] == name]
    if len(found) != 1:
        raise _damaged(folder, f"it has {len(found) or 'no'} {name}, where one is needed")
    return found[0]


def _listed(release: str) -> Iterator[tuple[str, str]]:
    """Names below the suite with their SHA-256."""
    _, _, below = release.partition("\nSHA256:\n")
    for line in below.splitlines():
        if not line.startswith(" "):
            return
        words = line.split()
        if len(words) == 3 and _is_name(words[2]) and _DIGEST.fullmatch(words[0]):
            yield words[2], words[0]


def _entries(text: str) -> Iterator[Mapping[str, str]]:
    for block in text.split("\n\n"):
        lines = (line.partition(": ") for line in block.splitlines() if not line.startswith(" "))
        entry = {key: value.strip() for key, _, value in lines}
        words = [entry.get(key, "") for key in ("Package", "Version", "Filename")]
        if all(map(_is_name, words)) and _DIGEST.fullmatch(entry.get("SHA256", "")):
            yield entry


def _is_name(text: str) -> bool:
    """Neither a way out of the folder nor anything that a shell reads as more than a word."""
    return _NAME.fullmatch(text) is not None


def _compare(file: Path, digest: str) -> None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(file, error.strerror or "it cannot be read") from None
    if found != digest:
        raise _damaged(file, "it is not what the repository's checksums say")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _damaged(file, why or "it cannot be read") from None


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be handed to hosts: {why}.",
        advice="--packages takes the folder 'apt' that make packages writes, with all that is in it. Copy it "
        "again, or start without --packages.",
    )
