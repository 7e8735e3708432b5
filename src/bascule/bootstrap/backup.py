"""Make a backup while servers run: ``bascule admin backup`` (EDGES I7, ADR 35).

One file has the database, the keys and what else the data directory has, and the configuration. It
appears under its name when it was read back and is what was to be written. For that the key of its
content is kept until then; afterwards only the recovery key opens it.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bascule import __version__
from bascule.bootstrap.backup_parts import (
    CONFIGURATION,
    DATABASE_PART,
    KEYS,
    Manifest,
    part_of,
    read_tar,
    write_tar,
)
from bascule.bootstrap.data_directory import (
    DATABASE,
    DATABASE_FILE,
    LOCK,
    TIMELINE_FILE,
    check_own,
    require_installation,
)
from bascule.bootstrap.database import Record
from bascule.bootstrap.progress import Progress
from bascule.bootstrap.set_up_file import SET_UP_FILE
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, ConfigurationError
from bascule.files import PRIVATE, sync_directory

if TYPE_CHECKING:
    from bascule.identity.recovery_key import PublicRecoveryKey
    from bascule.interfaces.inventory import Installation
    from bascule.interfaces.recovery import Recovery

COPY = f"{DATABASE}.backup"  # of the database, until the backup is written
BACKUP_LOCK = "backup.lock"
# What a restore must not bring back, or what belongs to this host: the database itself is copied.
LEFT_OUT = frozenset(
    {LOCK, BACKUP_LOCK, DATABASE, DATABASE_FILE, TIMELINE_FILE, SET_UP_FILE, COPY, "server.pem"}
)
CONFIGURATION_FILES = (Path("/etc/default/bascule-server"),)


@dataclass(frozen=True, slots=True)
class Made:
    file: Path
    bytes: int
    sha256: str
    manifest: Manifest
    sealed_to: str  # fingerprint of the recovery key; empty: plain
    left_out: Sequence[Path]  # of the configuration: this account may not read it

    def as_json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "bytes": self.bytes,
            "sha256": self.sha256,
            "sealedTo": self.sealed_to or None,
            "leftOut": [str(each) for each in self.left_out],
            **self.manifest.as_json(),
        }


def back_up(
    data: Path,
    file: Path,
    *,
    is_plain: bool,
    may_overwrite: bool,
    configuration: Sequence[Path],
    is_silent: bool,
) -> Made:
    """Raises ConfigurationError; then there is no ``file``, or the one that was there before."""
    require_installation(data)
    check_own(data)
    file = file.absolute()
    if file.parent.resolve() == data.resolve():
        raise ConfigurationError(
            f"{file} would be in {data} itself: each later backup would have it too, and be twice as large.",
            advice="Give a file elsewhere, on another disk if there is one.",
        )
    if file.exists() and not (may_overwrite and file.is_file()):
        raise ConfigurationError(
            f"{file} exists. It was left as it is.",
            advice="Give another name, or --overwrite to replace it when the new backup is whole.",
        )
    record = Record(data)
    with _alone(data) as copy:
        progress = Progress("copying", is_silent=is_silent)
        from bascule.store.snapshot import copy_snapshot

        copy_snapshot(record.where, record.name, record.lineage, copy, progress.of)
        progress.end()
        made, recovery, position = _look_at(copy)
        record.check_current(made)
        key = None if is_plain else _recovery_key(recovery)
        sources = _sources(data, copy, configuration)
        parts = {name: part_of(source) for name, source in sources.items()}
        from bascule.store.migrations import REVISION

        manifest = Manifest(
            _now(), __version__, REVISION, made.tenant_id, made.number, recovery, position, parts
        )
        with _new_file(file) as (temporary, opened):
            read_back = _write(opened, manifest, sources, key)
            opened.flush()
            os.fsync(opened.fileno())
            progress = Progress("reading back", is_silent=is_silent)
            say = progress.of("the file, in MB", _megabytes(temporary.stat().st_size))
            with temporary.open("rb") as again:
                if read_tar(read_back(io.BufferedReader(_Told(again, say)))) != manifest:
                    raise _not_written(file)
            progress.end()
        whole = part_of(file)
    sealed_to = "" if key is None else key.fingerprint
    left_out = [each for each in CONFIGURATION_FILES if each.is_file() and not _may_read(each)]
    done = Made(file, whole.bytes, whole.sha256, manifest, sealed_to, left_out)
    _put_on_record(record, done)
    return done


def _recovery_key(public: str) -> PublicRecoveryKey:
    from bascule.identity.recovery_key import parse_public_recovery_key

    if not public:
        raise ConfigurationError(
            "This installation has no recovery key, to which a backup is sealed. No backup was made.",
            advice="Make one: bascule admin recovery-key --data DATA. Or add --plain: then whoever has "
            "the file has every key of the installation.",
        )
    return parse_public_recovery_key(public)


def _write(
    file: IO[bytes],
    manifest: Manifest,
    sources: Mapping[str, Path],
    key: PublicRecoveryKey | None,
) -> Callable[[IO[bytes]], IO[bytes]]:
    """How what was written is read again."""
    if key is None:
        write_tar(file, manifest, sources)
        return lambda again: again
    from bascule.identity.backup_file import Opened, Sealed, read_header

    told = {"madeAt": format_utc(manifest.made_at), "tenantId": manifest.tenant_id}
    sealed = Sealed(file, key, {**told, "version": manifest.version})
    write_tar(sealed, manifest, sources)  # type: ignore[arg-type]  # reason: a tar needs only write
    sealed.finish()

    def read_back(again: IO[bytes]) -> IO[bytes]:
        header = read_header(again)
        if header is None:
            raise ConfigurationError("What was written is no sealed backup.")
        return io.BufferedReader(Opened(again, sealed.content_key, header))

    return read_back


def _look_at(copy: Path) -> tuple[Installation, str, int]:
    """The installation, the public half of its recovery key, and the end of the chain."""
    from bascule.store.long_work import reading
    from bascule.store.transaction import SqlReader

    with reading(copy) as connection:
        reader = SqlReader(connection)
        made = reader.installation()
        if made is None:
            raise ConfigurationError(
                "The first start of the server did not finish: there is no installation to back up.",
                advice="Start it again with bascule serve.",
            )
        recovery: Recovery = reader.recovery()
        return made, recovery.public_key, reader.chain_head().position


def _sources(data: Path, copy: Path, configuration: Sequence[Path]) -> dict[str, Path]:
    """By the names of parts."""
    found = {}
    for each in sorted(data.iterdir()):
        is_ours = each.name not in LEFT_OUT and not each.name.startswith(f"{DATABASE}")
        if is_ours and each.is_file() and not each.is_symlink() and each.suffix != ".new":
            found[f"{KEYS}/{each.name}"] = each
    for each in (*CONFIGURATION_FILES, *configuration):
        path = each.parent.resolve() / each.name  # no name of a part has ".."
        if each in configuration and not (path.is_file() and _may_read(path)):
            what = "may not be read by this account" if path.is_file() else "is not a file"
            raise ConfigurationError(
                f"{path} {what}. No backup was made.",
                advice="Give files of the configuration with --include.",
            )
        if path.is_file() and _may_read(path):
            found[f"{CONFIGURATION}{path}"] = path
    found[DATABASE_PART] = copy
    return found


def _may_read(path: Path) -> bool:
    return os.access(path, os.R_OK)


@contextmanager
def _alone(data: Path) -> Iterator[Path]:
    """Where the copy of the database goes: on the disk of the database, which is as secret."""
    copy = data / COPY
    try:
        descriptor = os.open(data / BACKUP_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise _no_room(data, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigurationError(
            f"Another backup of {data} is being made.", advice="Wait until it is finished."
        ) from None
    try:
        yield copy
    except OSError as error:
        raise _no_room(data, error) from error
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                copy.with_name(copy.name + end).unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def _new_file(file: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """It takes its name at the end, or is not there."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE
        )
        try:
            with os.fdopen(descriptor, "wb") as opened:
                os.fchmod(descriptor, PRIVATE)
                yield temporary, opened
            temporary.replace(file)
            sync_directory(file.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The backup {file} cannot be written: {error.strerror}. There is no part of it.",
            advice="Free space, or choose a folder that this account can write to.",
        ) from error


class _Told(io.RawIOBase):
    """A file that says how far it was read."""

    def __init__(self, file: IO[bytes], say: Callable[[int], None]) -> None:
        self._file, self._say = file, say

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # reason: io's buffer
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self._say(_megabytes(self._file.tell()))
        return len(block)


def _megabytes(size: int) -> int:
    return -(-size // 1_000_000)


def _put_on_record(record: Record, made: Made) -> None:
    """The backup is made, whatever becomes of this."""
    from bascule.cli.printing import note
    from bascule.clocks import SystemClock
    from bascule.domain.facts.installation import BackupMade
    from bascule.services.act import Services
    from bascule.services.hub import Hub

    position = made.manifest.position
    fact = BackupMade(
        socket.gethostname(), str(made.file), made.bytes, bool(made.sealed_to), position
    )
    try:
        store = record.open(is_server=False)
        try:
            services = Services(store, store.clock or SystemClock(), Hub())
            asyncio.run(services.perform(lambda tx, act: act.record(tx, fact)))
        finally:
            store.close()
    except BasculeError as error:
        note(f"The backup is made, and could not be put on record: {error.message}")


def _now() -> datetime:
    from bascule.clocks import SystemClock

    return SystemClock().now()


def _no_room(data: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The database cannot be copied in {data}: {error.strerror}. No backup was made.",
        advice="The disk needs as much free space as the database has. Free some.",
    )


def _not_written(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"What was read back is not what was written to {file}. There is no backup.",
        advice="Check the disk, or choose another one.",
    )
