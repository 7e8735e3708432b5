"""What a server's host, its data directory and its installation need done: ``bascule admin check``.

Each finding says what is so, and unless all is well what to do. Nothing is changed, and the server may be
running. What cannot be found out is a finding too.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule import __version__
from bascule.bootstrap.checking import Found, check
from bascule.bootstrap.data_directory import ADMIN_FILE, DATABASE
from bascule.bootstrap.database import Record
from bascule.bootstrap.progress import Progress
from bascule.domain.endings import Ending, Ends
from bascule.errors import BasculeError
from bascule.store.long_work import reading

if TYPE_CHECKING:
    from bascule.store.transaction import SqlReader

UNIT = "bascule.service"
LEAST_ROOM = 50_000_000  # bytes; below it the next change may fail
ENOUGH_ROOM = 500_000_000  # bytes, or the size of the database, of which a backup makes a copy
BACKUP_AFTER = timedelta(days=2)  # a nightly backup that failed once is not said
BACKUP_LONG_AGO = timedelta(days=8)
MOST_NAMED = 5  # machines, in one finding
_PUBLIC = ("ca.pem", "ca.pem.new", "lock")  # files of the data directory that others may read
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # more than struct timex has on any Linux


_CALLED = {
    Ends.CA: "The CA's certificate",
    Ends.SERVER: "The server's certificate",
    Ends.OWN: "The operator's certificate",
    Ends.CLIENT_SECRET: "The secret of",
    Ends.CLIENT_CERTIFICATE: "The certificate of",
    Ends.SINK_CA: "The CA of the sink",
    Ends.PROVIDER_CA: "The CA of the identity provider",
}
_RENEWED = {
    Ends.CA: "docs/operations.md says how to renew it.",
    Ends.SERVER: "Start the server: it renews it. If it runs, its log says why it does not.",
    Ends.OWN: "Put a new one in its place; the server takes it up.",
    Ends.CLIENT_SECRET: "bascule sp add-secret NAME, then remove-credential.",
    Ends.CLIENT_CERTIFICATE: "bascule sp add-certificate NAME, then remove-credential.",
    Ends.SINK_CA: "Change the sink: bascule audit sinks --help",
    Ends.PROVIDER_CA: "Change the provider: bascule provider --help",
}
_MADE_AGAIN = {
    Ends.CA: "Restore it from a backup.",
    Ends.SERVER: "Start the server again: it makes another.",
}


class State(IntEnum):
    """Its number is the exit code of the command."""

    OK = 0
    WARNING = 1
    PROBLEM = 2


@dataclass(frozen=True, slots=True)
class Finding:
    area: str
    state: State
    what: str
    advice: str = ""  # what to do; empty where all is well

    def as_json(self) -> dict[str, Any]:
        told = {"area": self.area, "state": self.state.name.lower(), "what": self.what}
        return {**told, "advice": self.advice or None}


def find(data: Path, now: datetime, *, is_silent: bool) -> list[Finding]:
    """All findings, in the order of their areas."""
    found = [*_files(data), *_room(data), *_clock(), *_unit()]
    return [*_database(data, now, is_silent=is_silent), *found]


def _database(data: Path, now: datetime, *, is_silent: bool) -> Iterator[Finding]:
    from bascule.store.transaction import SqlReader

    try:
        record = Record(data)
        progress = Progress("checking", is_silent=is_silent)
        with reading(record.where, record.lineage) as connection:
            found = check(connection, record.name, data, progress)
            progress.end()
            yield from _of_check(found)
            if found.installation is not None:
                yield from _of_installation(SqlReader(connection), data, now)
    except BasculeError as error:
        yield Finding("database", State.PROBLEM, error.message, error.advice or "See its log.")
    except Exception as error:  # noqa: BLE001  # reason: a row that somebody damaged, or no database
        what = f"Not all of it can be read ({type(error).__name__}): further findings are missing."
        yield Finding("database", State.PROBLEM, what, "bascule admin database check --data DATA")


def _of_check(found: Found) -> Iterator[Finding]:
    advice = "See all of it: bascule admin database check --data DATA. Keep the last backup."
    verdict = found.verdict
    broken = "" if verdict is None or verdict.break_ is None else verdict.break_.message
    problems = [each for each in found.problems if not broken or broken not in each]
    for problem in problems[:MOST_NAMED]:
        yield Finding("database", State.PROBLEM, problem, advice)
    if not problems:
        rows = sum(found.rows.values())
        yield Finding("database", State.OK, f"{found.database}: {rows} rows, sound")
    if broken:
        yield Finding(
            "record",
            State.PROBLEM,
            f"The record is broken: {broken}",
            "Export it, and compare it with exports and witnesses from before (docs/record.md).",
        )
    elif verdict is not None:
        yield Finding("record", State.OK, f"intact up to event {verdict.head.position}")


def _of_installation(reader: SqlReader, data: Path, now: datetime) -> Iterator[Finding]:
    for look in (_leap, _backup, _agents):
        yield from look(reader, now)
    yield from _ends(reader, data, now)


def _leap(reader: SqlReader, now: datetime) -> Iterator[Finding]:
    del now
    mark = reader.clock_mark()
    if mark is not None and mark.has_leapt:
        yield Finding(
            "clock",
            State.WARNING,
            f"The clock jumped, or the server was off for long, last at {mark.at:%Y-%m-%d %H:%M} UTC. "
            "Nothing is deleted from the record.",
            "Check the time, then: bascule admin confirm-clock --data DATA",
        )


def _backup(reader: SqlReader, now: datetime) -> Iterator[Finding]:
    from bascule.services.recovery import last_backup

    if not reader.recovery().public_key:
        yield Finding(
            "recovery key",
            State.WARNING,
            "There is none: no backup can be sealed, and no restore signed.",
            "bascule admin recovery-key --data DATA",
        )
    else:
        yield Finding("recovery key", State.OK, "there is one; try it: recovery-key --check")
    last = last_backup(reader)
    how = "bascule admin backup FILE --data DATA, by a timer (docs/backups.md)"
    if last is None:
        yield Finding("backup", State.WARNING, "None is on record.", how)
        return
    age = now - last.at
    what = f"The last is of {last.at:%Y-%m-%d %H:%M} UTC: {last.fact.file} on {last.fact.host}"
    if age > BACKUP_LONG_AGO:
        yield Finding("backup", State.PROBLEM, f"{what}, {age.days} days ago.", how)
    elif age > BACKUP_AFTER:
        yield Finding("backup", State.WARNING, f"{what}, {age.days} days ago.", how)
    else:
        yield Finding("backup", State.OK, what)


def _agents(reader: SqlReader, now: datetime) -> Iterator[Finding]:
    del now
    points = reader.enforcement_points()
    behind = [each for each in points if each.agent_version not in ("", __version__)]
    if not behind:
        yield Finding("agents", State.OK, f"{len(points)}, all of version {__version__}")
        return
    names = []
    for each in behind[:MOST_NAMED]:
        machine = reader.machine_by_uid(each.machine_uid)
        names.append(
            f"{each.machine_uid if machine is None else machine.id.name} {each.agent_version}"
        )
    more = f" and {len(behind) - MOST_NAMED} more" if len(behind) > MOST_NAMED else ""
    yield Finding(
        "agents",
        State.WARNING,
        f"{len(behind)} of {len(points)} have another version than {__version__}: "
        f"{', '.join(names)}{more}",
        "Upgrade bascule-agent on these hosts. Open access and closed ports stay as they are.",
    )


def _ends(reader: SqlReader, data: Path, now: datetime) -> Iterator[Finding]:
    """Certificates of this server, and what the database has that ends (``services.endings``)."""
    from bascule.identity.tls import RENEWED_WITH_LEFT
    from bascule.identity.x509 import ends_of, span_of
    from bascule.services.endings import list_endings

    own = []
    for what, file in ((Ends.CA, "ca.pem"), (Ends.SERVER, "server.pem")):
        try:
            made_at, ends_at = span_of((data / file).read_bytes())
        except FileNotFoundError:
            continue  # a key that is missing is said elsewhere, and a start makes the server's
        except (OSError, ValueError):
            text = f"{data / file} cannot be read."
            yield Finding("certificates", State.PROBLEM, text, _MADE_AGAIN[what])
            continue
        does_renew = what is Ends.SERVER
        renews_at = ends_at - (ends_at - made_at) * RENEWED_WITH_LEFT if does_renew else None
        own.append(Ending(what, file, file, ends_at, renews_at))
    found = list_endings(reader, own, ends_of, now)
    near = [each for each in found if each.threshold(now) is not None]
    for each in near:
        is_over = each.ends_at <= now
        verb = "ended" if is_over else "ends"
        yield Finding(
            "certificates",
            State.PROBLEM if is_over else State.WARNING,
            f"{_CALLED[each.what]} {each.name} {verb} on {each.ends_at:%Y-%m-%d %H:%M} UTC.",
            _RENEWED[each.what],
        )
    if not near:
        said = ", ".join(f"{each.name} until {each.ends_at:%Y-%m-%d}" for each in own)
        yield Finding("certificates", State.OK, said or "none made yet")


def _files(data: Path) -> Iterator[Finding]:
    from bascule.identity.shared_keys import NEEDED, WRAPPING_KEY

    wrong = False
    try:
        needed = (*NEEDED, WRAPPING_KEY) if Record(data).is_shared else NEEDED
    except BasculeError:  # said of the database
        needed = NEEDED
    for name in needed:
        if not (data / name).is_file():
            wrong = True
            yield Finding(
                "keys",
                State.PROBLEM,
                f"{data / name} is missing.",
                "Restore it from a backup: docs/operations.md says what its loss means.",
            )
    for path in sorted((data, *data.iterdir())):
        found = _stat(path)
        if found is None or (path.name in _PUBLIC and stat.S_ISREG(found.st_mode)):
            continue
        mode = stat.S_IMODE(found.st_mode)
        is_secret = path == data or stat.S_ISREG(found.st_mode)
        if is_secret and mode & 0o077:
            wrong = True
            yield Finding(
                "keys",
                State.PROBLEM,
                f"Other accounts may use {path} (mode {mode:04o}).",
                f"chmod {'700' if path == data else '600'} {path}. If somebody may have read it: "
                "SECURITY.md, somebody who holds the data directory.",
            )
    if (data / ADMIN_FILE).is_file():
        yield Finding("keys", State.OK, f"{ADMIN_FILE} has the administrator's credentials")
    if not wrong:
        yield Finding("keys", State.OK, f"{len(needed)} there, readable by their owner alone")


def _stat(path: Path) -> os.stat_result | None:
    """None: it is no more, as what a server or a backup needs for a moment, or leads elsewhere."""
    try:
        return None if path.is_symlink() else path.stat()
    except FileNotFoundError:
        return None


def _room(data: Path) -> Iterator[Finding]:
    found = os.statvfs(data)
    free = found.f_bavail * found.f_frsize
    files = [_stat(each) for each in data.glob(f"{DATABASE}*")]
    size = sum(each.st_size for each in files if each is not None and stat.S_ISREG(each.st_mode))
    what = f"{free // 1_000_000} MB are free for {data}; the database has {size // 1_000_000} MB"
    if free < LEAST_ROOM:
        yield Finding("disk", State.PROBLEM, what, "Free space: soon nothing can be changed.")
    elif free < max(ENOUGH_ROOM, size):
        yield Finding(
            "disk", State.WARNING, what, "Free space: a backup copies the database there."
        )
    elif found.f_files and found.f_favail < 1000:
        yield Finding("disk", State.WARNING, "Few files can be made.", "Delete files there.")
    else:
        yield Finding("disk", State.OK, what)


def _clock() -> Iterator[Finding]:
    """adjtimex(2) with no mode reads: what it answers is the kernel's, whoever sets the clock."""
    state = _adjtimex()
    if state is None:
        yield Finding("clock", State.WARNING, "It is not known whether it is set by NTP.", "Look.")
    elif state == _TIME_ERROR:
        yield Finding(
            "clock",
            State.WARNING,
            "Nothing keeps this host's clock right (NTP).",
            "Install and start one, such as systemd-timesyncd: timedatectl set-ntp true",
        )
    else:
        yield Finding("clock", State.OK, "kept right by NTP")


def _adjtimex() -> int | None:
    try:
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).adjtimex
        found = call(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if found < 0 else found


def _unit() -> Iterator[Finding]:
    told = _unit_told()
    if told is None:
        yield Finding("service", State.OK, "systemd does not run here")
    elif told.get("LoadState") != "loaded":
        yield Finding("service", State.OK, f"There is no {UNIT} here")
    elif told.get("ActiveState") != "active":
        state = f"{UNIT} is {told.get('ActiveState')} ({told.get('Result')})"
        yield Finding("service", State.PROBLEM, state, "journalctl -u bascule -n 50")
    elif told.get("UnitFileState") not in ("enabled", "static"):
        what = f"{UNIT} does not start at boot"
        yield Finding("service", State.WARNING, what, f"systemctl enable {UNIT}")
    elif told.get("WatchdogUSec", "0") in ("0", "infinity"):
        what = f"{UNIT} has no watchdog: a server that hangs is not restarted"
        yield Finding("service", State.WARNING, what, "WatchdogSec=60 (docs/operations.md)")
    else:
        yield Finding("service", State.OK, f"{UNIT} runs, with a watchdog")


def _unit_told() -> dict[str, str] | None:
    """None: there is no systemd to ask."""
    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():
        return None
    wanted = "--property=LoadState,ActiveState,UnitFileState,WatchdogUSec,Result"
    try:
        done = subprocess.run(  # noqa: S603  # reason: words of ours
            [program, "show", UNIT, wanted], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in lines}
