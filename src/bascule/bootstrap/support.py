"""A file for whoever is asked for help: ``bascule admin support-bundle``.

It is made of what is chosen, not of what is there less what is secret: versions, the findings of ``admin
check``, names and modes of files, numbers of rows, and lines of the log. No key, no row and no setting's
value is read into it. Texts of the log are the program's own, and may repeat what somebody sent: what
looks like a secret is taken out of them.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shlex
import shutil
import sqlite3
import ssl
import stat
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule import __version__
from bascule.bootstrap.database import Record
from bascule.bootstrap.health import UNIT, find
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, ConfigurationError
from bascule.files import write_atomically
from bascule.telemetry import HIDDEN

if TYPE_CHECKING:
    from bascule.store.transaction import SqlReader

LINES = 5000  # of the log, the last
_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts"),
    *("ExecMainStartTimestamp", "ExecMainStatus", "WatchdogUSec", "MemoryCurrent", "FragmentPath"),
)
# What a line of the log is about; ids, names, addresses and paths of calls stay here.
_KEPT = (
    *("timestamp", "level", "event", "method", "status", "ms", "code", "kind", "count"),
    *("revision", "seconds", "why", "error", "exception", "generation", "attempt", "version"),
)
# IPv6 with its groups, or shortened by "::"; then mail, by which people are called too.
_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}\b"
    r"|(?<![\w:])[0-9a-fA-F:]*::[0-9a-fA-F:]*(?:\.\d{1,3}){0,3}(?![\w:])"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)
_CREDENTIALS = re.compile(r"(?<=://)\S+@")  # a password may have / and @
_NAMED = re.compile(
    r"(?i)\b([\w.-]*(?:secret|password|passwd|token|key|authorization|bearer|cookie|code|link)[\w.-]*)"
    r"([\"']?\s*[=:]\s*|\s+)(\"[^\"]*\"|'[^']*'|\S+)"
)
_OURS = re.compile(r"\bwhsec_\S+|\b[0-9A-Z]{4,5}(?:-[0-9A-Z]{4,5}){3,}\b")  # or to be typed
_LONG = re.compile(r"[A-Za-z0-9_+/=.~-]{16,}")


def make_bundle(data: Path, file: Path, now: datetime, log: Path | None, *, is_silent: bool) -> int:
    """Write ``file`` (0600, a tar compressed by gzip); how many bytes. ``log``: instead of systemd's."""
    file = file.absolute()
    if file.exists():
        raise ConfigurationError(
            f"{file} exists. It was left as it is.", advice="Give another name."
        )
    parts = {
        "about.json": _json(_about(now)),
        "check.json": _json(_findings(data, now, is_silent=is_silent)),
        "files.txt": "\n".join(_files(data)) + "\n",
        "counts.json": _json(_counts(data)),
        "service.json": _json(_service()),
        "log.jsonl": "".join(f"{line}\n" for line in _log(log)),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in parts.items():
            content = text.encode()
            member = tarfile.TarInfo(f"bascule-support/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(now.timestamp())
            tar.addfile(member, io.BytesIO(content))
    write_atomically(file, packed.getvalue())
    return len(packed.getvalue())


def scrub(text: str) -> str:
    """A text of the program's own, without what looks like a secret or says where somebody is."""
    text = _CREDENTIALS.sub(f"{HIDDEN}@", text)
    text = _OURS.sub(HIDDEN, text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    text = _LONG.sub(lambda found: HIDDEN if _is_random(found[0]) else found[0], text)
    return _ADDRESS.sub("[address]", text)


def _is_random(word: str) -> bool:
    """Names and paths have no digits among letters, or are short between their marks."""
    if any(map(_is_mixture, re.split(r"[/.=]", word))):
        return True
    longest = max(re.split(r"[/.=-]", word), key=len)
    has_both = any(map(str.isdigit, longest)) and any(map(str.isalpha, longest))
    is_mixed = longest != longest.lower() and longest != longest.upper()
    return len(longest) >= 12 and (has_both or is_mixed)


def _is_mixture(word: str) -> bool:
    """As base64url is, in which any character may be a dash."""
    kinds = (str.isdigit, str.islower, str.isupper)
    return len(word) >= 20 and all(any(map(kind, word)) for kind in kinds)


def _findings(data: Path, now: datetime, *, is_silent: bool) -> list[dict[str, Any]]:
    found = (each.as_json() for each in find(data, now, is_silent=is_silent))
    return [{name: scrub(str(value)) for name, value in each.items()} for each in found]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"


def _about(now: datetime) -> dict[str, Any]:
    names = ("cryptography", "fastapi", "uvicorn", "starlette", "sqlalchemy", "alembic", "psycopg")
    libraries = {}
    for name in names:
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            libraries[name] = ""
    return {
        "madeAt": format_utc(now),
        "bascule": __version__,
        "python": sys.version,
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "")
        if Path("/etc/os-release").exists()
        else "",
        "processors": os.cpu_count(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "libraries": libraries,
    }


def _files(data: Path) -> Iterable[str]:
    for path in sorted(data.rglob("*")):
        try:
            found = path.lstat()
        except OSError:
            continue
        at = datetime.fromtimestamp(found.st_mtime).astimezone().isoformat(timespec="seconds")
        yield f"{stat.filemode(found.st_mode)} {found.st_size:>12} {at} {path.relative_to(data)}"


def _counts(data: Path) -> dict[str, Any]:
    from bascule.store.long_work import reading
    from bascule.store.migrations import REVISION
    from bascule.store.revisions import revision_of
    from bascule.store.transaction import SqlReader
    from bascule.store.whole import count_rows, tables

    told: dict[str, Any] = {"programRevision": REVISION}
    try:
        record = Record(data)
        told["engine"] = record.kind
        with reading(record.where, record.lineage) as connection:
            told["revision"] = revision_of(connection, record.name)
            if told["revision"] == REVISION:  # another one has other tables
                told["rows"] = {table.name: count_rows(connection, table) for table in tables()}
                told |= _points(SqlReader(connection))
    except BasculeError as error:
        told["error"] = scrub(error.message)
    except Exception as error:  # noqa: BLE001  # reason: where a row is damaged, help is wanted most
        told["error"] = type(error).__name__
    return told


def _points(reader: SqlReader) -> Mapping[str, Any]:
    points = reader.enforcement_points()
    weak = Counter(weakness.code for each in points for weakness in each.weaknesses)
    installation = reader.installation()
    return {
        "installationNumber": None if installation is None else installation.number,
        "agents": Counter(each.agent_version for each in points),
        "drivers": Counter(each.driver for each in points),
        "weaknesses": weak,
    }


def _service() -> Mapping[str, Any]:
    """What systemd says of it; of its command the names of options alone."""
    told = _run("systemctl", "show", UNIT, f"--property={','.join(_PROPERTIES)}")
    lines = (line.partition("=") for line in told)
    command = " ".join(_run("systemctl", "show", UNIT, "--property=ExecStart", "--value"))
    argv = command.partition("argv[]=")[2].partition(" ;")[0]
    try:
        words = shlex.split(argv)
    except ValueError:
        words = []
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return {**{name: value for name, _, value in lines}, "options": options}


def _log(file: Path | None) -> Iterable[str]:
    """Its last lines, each with what is kept of it. A line that is no JSON is not ours: left out."""
    if file is not None:
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError as error:
            raise ConfigurationError(
                f"The log {file} cannot be read: {error.strerror}.",
                advice="Give another --log FILE.",
            ) from None
    else:
        lines = _run("journalctl", "--unit", UNIT, "--lines", str(LINES), "--output", "cat")
    for line in lines[-LINES:]:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            kept = {name: _kept(told[name]) for name in _KEPT if name in told}
            yield json.dumps(kept)


def _kept(value: object) -> object:
    return value if isinstance(value, bool | int | float) else scrub(str(value))


def _run(name: str, *arguments: str) -> list[str]:
    program = shutil.which(name)
    if program is None or not Path("/run/systemd/system").is_dir():
        return []
    try:
        done = subprocess.run(  # noqa: S603  # reason: words of ours
            [program, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
