"""The tar inside a backup: a manifest, then what it names, each with its length and SHA-256.

Nothing that the manifest does not name is taken, and no name leads out of the folder that it is
written to.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

from bascule.domain.times import format_utc, parse_instant
from bascule.errors import ConfigurationError, InvalidInput

MANIFEST = "manifest.json"
FORMAT = 1
DATABASE_PART = "database.sqlite"
KEYS = "data"  # the folder of files of the data directory
CONFIGURATION = "configuration"
LARGEST_MANIFEST = 1 << 20  # bytes
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    made_at: datetime
    version: str
    revision: str  # of the database
    tenant_id: str
    number: int  # of the installation
    recovery_key: str  # its public half; empty: none
    position: int  # of the last event in the chain
    parts: Mapping[str, Part]

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "madeAt": format_utc(self.made_at),
            "version": self.version,
            "revision": self.revision,
            "tenantId": self.tenant_id,
            "installationNumber": self.number,
            "recoveryKey": self.recovery_key,
            "position": self.position,
            "parts": {
                name: {"bytes": each.bytes, "sha256": each.sha256}
                for name, each in self.parts.items()
            },
        }


Take = Callable[[str, IO[bytes]], None]  # of a part: its name and content


def part_of(path: Path) -> Part:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return Part(size, digest.hexdigest())


def write_tar(file: IO[bytes], manifest: Manifest, sources: Mapping[str, Path | bytes]) -> None:
    """``sources`` are the contents of the manifest's parts, in their order."""
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=BLOCK) as tar:
        text = json.dumps(manifest.as_json(), indent=2).encode() + b"\n"
        for name, source in {MANIFEST: text, **sources}.items():
            size = len(source) if isinstance(source, bytes) else manifest.parts[name].bytes
            member = tarfile.TarInfo(name)
            member.size, member.mode = size, 0o600
            member.mtime = int(manifest.made_at.timestamp())
            if isinstance(source, bytes):
                tar.addfile(member, io.BytesIO(source))
            else:
                with source.open("rb") as content:
                    tar.addfile(member, content)


def read_tar(file: IO[bytes], take: Take = lambda _, content: _drain(content)) -> Manifest:
    """Read all of it; raise ConfigurationError unless it is what its manifest says."""
    try:
        with tarfile.open(fileobj=file, mode="r|", bufsize=BLOCK) as tar:
            manifest = _read_manifest(tar)
            left = dict(manifest.parts)
            while (member := tar.next()) is not None:
                expected = left.pop(member.name, None)
                content = tar.extractfile(member) if member.isreg() else None
                if expected is None or content is None or not _is_safe(member.name):
                    _refuse(f"it has {member.name[:80]!r}, which its manifest does not name")
                hashed = _Hashed(content)
                reading = io.BufferedReader(hashed, BLOCK)
                take(member.name, reading)
                _drain(reading)
                if hashed.part() != expected:
                    _refuse(f"{member.name!r} is not what its manifest says")
    except tarfile.TarError as error:
        _refuse(str(error))
    _drain(file)  # the last chunk of a sealed file is proved too
    if left:
        _refuse(f"{next(iter(left))!r} is missing")
    return manifest


class _Hashed(io.RawIOBase):
    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._digest, self._size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # reason: io's buffer
        block = self._content.read(len(buffer))
        buffer[: len(block)] = block
        self._digest.update(block)
        self._size += len(block)
        return len(block)

    def part(self) -> Part:
        return Part(self._size, self._digest.hexdigest())


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    content = None if member is None or member.name != MANIFEST else tar.extractfile(member)
    if member is None or content is None or member.size > LARGEST_MANIFEST:
        raise ConfigurationError(
            "This is no backup of Bascule: it does not begin with a manifest.",
            advice="Give a file that bascule admin backup made.",
        )
    try:
        told = json.loads(content.read())
        if told["format"] != FORMAT:
            raise ConfigurationError(
                "The backup has a format that this program does not know.",
                advice="Restore it with the version of Bascule that made it, or a later one.",
            )
        return Manifest(
            parse_instant(told["madeAt"]),
            str(told["version"]),
            str(told["revision"]),
            str(told["tenantId"]),
            int(told["installationNumber"]),
            str(told["recoveryKey"]),
            int(told["position"]),
            {
                str(name): Part(int(each["bytes"]), str(each["sha256"]))
                for name, each in told["parts"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput):
        _refuse("its manifest cannot be read")


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and not {"..", "."} & set(name.split("/"))


def _drain(content: IO[bytes]) -> None:
    while content.read(BLOCK):
        pass


def _refuse(why: str) -> NoReturn:
    raise ConfigurationError(
        f"The backup is damaged or cut off: {why}. Nothing of it was used.",
        advice="Use another copy of this backup, or another backup.",
    )
