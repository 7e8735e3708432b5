"""Bring an installation back from a backup: ``bascule admin restore`` (EDGES I6, I7, ADR 35).

Everything is read into a folder inside the data directory, and changed there so that it can go on:
nothing that worked once works again. Then its files take their places, the database last. A restore
that is stopped earlier leaves a data directory on which no server starts, and is run again. What is in
another database is made whole there before, and no server takes it before the files are in place.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bascule.bootstrap.backup_parts import (
    CONFIGURATION,
    DATABASE_PART,
    KEYS,
    Manifest,
    read_tar,
)
from bascule.bootstrap.data_directory import (
    ADMIN_FILE,
    DATABASE,
    DATABASE_FILE,
    LOCK,
    RESTORING,
    check_own,
    lock_directory,
)
from bascule.bootstrap.database import Record
from bascule.bootstrap.keys import keys_into, keys_out_of
from bascule.bootstrap.progress import Progress
from bascule.domain.times import format_utc
from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, PUBLIC, sync_directory, write_atomically

if TYPE_CHECKING:
    from bascule.config import DatabaseSettings
    from bascule.domain.restoration import Restoration
    from bascule.identity.recovery_key import RecoveryKey

MOVED = "moved.json"  # in it: the names that it has begun to move
AskKey = Callable[[], "RecoveryKey | None"]


@dataclass(frozen=True, slots=True)
class Restored:
    data: Path
    database: str
    manifest: Manifest
    restoration: Restoration

    def as_json(self) -> dict[str, Any]:
        done = self.restoration
        return {
            "data": str(self.data),
            "database": self.database,
            "tenantId": done.tenant_id,
            "installationNumber": done.number,
            "backupMadeAt": format_utc(self.manifest.made_at),
            "restoredAt": format_utc(done.at),
            "isSigned": bool(done.signature),
            "oldHead": {"position": done.old.position, "hash": done.old.hash},
            "newHead": {"position": done.new.position, "hash": done.new.hash},
            "reason": done.reason,
        }


def restore(
    file: Path,
    data: Path,
    ask_key: AskKey,
    to: DatabaseSettings | None,
    reason: str,
    *,
    is_silent: bool,
) -> Restored:
    """``to``: PostgreSQL; None: SQLite. ``ask_key`` gives None where somebody wants no signature.

    Raises ConfigurationError; then ``data`` has no installation, as before.
    """
    from bascule.identity.backup_file import read_header

    with _opened(file) as backup:
        header = read_header(backup)
        _prepare(data)
        descriptor = lock_directory(data)
        try:
            key = ask_key()
            content: IO[bytes] = backup
            if header is None:
                backup.seek(0)
            else:
                from bascule.identity.backup_file import Opened, content_key_of

                if key is None:
                    raise ConfigurationError(
                        "This backup is sealed: only the recovery key opens it. Nothing was changed.",
                        advice="Omit --without-recovery-key.",
                    )
                content = io.BufferedReader(Opened(backup, content_key_of(header, key), header))
            return _restore(content, data, key, to, reason, is_silent=is_silent)
        finally:
            os.close(descriptor)


def _restore(
    content: IO[bytes],
    data: Path,
    key: RecoveryKey | None,
    to: DatabaseSettings | None,
    reason: str,
    *,
    is_silent: bool,
) -> Restored:
    staged = data / RESTORING
    try:
        _clear(data)
        staged.mkdir(mode=0o700)
        manifest = _unpack(content, staged, is_silent=is_silent)
        done = _settle(staged, manifest, key, reason)
        _point_to(staged, data)
        database = str(data / DATABASE)
        if to is not None:
            database = _move_to(staged, to, is_silent=is_silent)
        _put_in_place(staged, data)
    except BaseException as error:
        is_finished = _has_database(data)
        if not is_finished:
            with suppress(OSError):
                _clear(data)
        if isinstance(error, OSError) and is_finished:
            raise ConfigurationError(
                f"The backup was restored into {data}, but perhaps not all of it is on disk: "
                f"{error.strerror}.",
                advice="Check the disk. To be sure, delete that folder and restore again.",
            ) from error
        if isinstance(error, OSError):
            raise ConfigurationError(
                f"The backup cannot be restored into {data}: {error.strerror}. Nothing of it is left.",
                advice="Free space there, or give another --data DIR.",
            ) from error
        raise
    return Restored(data, database, manifest, done)


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"The backup {file} cannot be read: {error.strerror}.",
            advice="Give a file that bascule admin backup made, readable for this account.",
        ) from None


def _prepare(data: Path) -> None:
    """Raise ConfigurationError unless the folder is empty, or has a restore that did not finish."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(data)
        names = {each.name for each in data.iterdir()} - {LOCK, "lost+found"}
        if RESTORING in names and not _has_database(data):
            names -= {RESTORING, *_moved(data / RESTORING)}
        if names:
            has_one = bool({DATABASE, DATABASE_FILE} & names)
            what = "an installation" if has_one else f"{min(names)[:60]!r}"
            raise ConfigurationError(
                f"{data} is not empty: it has {what}. It was left as it is.",
                advice="Give an empty or new folder with --data DIR. To replace an installation, stop "
                "its server and move its folder elsewhere first.",
            )
        data.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {data} cannot be used: {error.strerror}.",
            advice="Choose one that can be written with --data DIR.",
        ) from error


def _has_database(data: Path) -> bool:
    """It takes its place last: then all keys have theirs, and none may be taken away."""
    return any((data / name).exists() for name in (DATABASE, DATABASE_FILE))


def _moved(staged: Path) -> Sequence[str]:
    try:
        found = json.loads((staged / MOVED).read_text())
    except (OSError, ValueError):
        return ()
    return [str(each) for each in found] if isinstance(found, list) else ()


def _clear(data: Path) -> None:
    """Take away what a restore left that did not finish."""
    staged = data / RESTORING
    if not staged.exists():
        return
    for name in _moved(staged):
        path = data / Path(name).name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(staged)


def _unpack(content: IO[bytes], staged: Path, *, is_silent: bool) -> Manifest:
    progress = Progress("restoring", is_silent=is_silent)

    def take(name: str, part: IO[bytes]) -> None:
        folder, _, rest = name.partition("/")
        if name == DATABASE_PART:
            target = staged / DATABASE
        elif folder == KEYS and rest and "/" not in rest:
            target = staged / rest
        elif folder == CONFIGURATION and rest:
            target = staged / CONFIGURATION / rest
        else:
            raise ConfigurationError(
                f"The backup has {name[:80]!r}, which this program does not know. Nothing of it was "
                "used.",
                advice="Restore it with the version of Bascule that made it, or a later one.",
            )
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = PUBLIC if target.name == "ca.pem" else PRIVATE
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, mode), "wb") as written:
            say = progress.of(name, 1)
            shutil.copyfileobj(part, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
            say(1)

    manifest = read_tar(content, take)
    progress.end()
    return manifest


def _settle(staged: Path, manifest: Manifest, key: RecoveryKey | None, reason: str) -> Restoration:
    """Change the record so that it can go on, and sign why it is another one."""
    from bascule.clocks import SystemClock
    from bascule.identity.record_key import RecordKey
    from bascule.identity.shared_keys import NEEDED
    from bascule.identity.signing_keys import SigningKeys
    from bascule.services.act import Services
    from bascule.services.hub import Hub
    from bascule.services.recovery import Restoring, settle_restored
    from bascule.services.tokens import rotate_signing_key
    from bascule.store.long_work import reading
    from bascule.store.open import open_store
    from bascule.store.transaction import SqlReader

    store = open_store(staged / DATABASE)
    try:
        with reading(staged / DATABASE) as connection:
            reader = SqlReader(connection)
            made, recovery = reader.installation(), reader.recovery()
            if reader.sealed_keys():
                keys_out_of(staged, reader)
        if made is None or made.tenant_id != manifest.tenant_id:
            raise ConfigurationError("The backup has the record of another installation.")
        missing = [name for name in NEEDED if not (staged / name).is_file()]
        if missing:
            raise ConfigurationError(
                f"The backup lacks the key {missing[0]}. Nothing of it was used.",
                advice="Use another backup.",
            )
        if key is not None and key.public.text != recovery.public_key:
            raise ConfigurationError(
                "This is not the recovery key of the installation in this backup. Nothing was changed.",
                advice="Give its own, or --without-recovery-key: then every agent reports that the "
                "record was changed, and root decides on each host.",
            )
        services = Services(store, SystemClock(), Hub())
        restoring = Restoring(
            socket.gethostname(), manifest.made_at, reason, None if key is None else key.sign
        )

        make = partial(SigningKeys(staged).rotate, forget=True)
        rotate = partial(rotate_signing_key, services.perform, make, is_forgotten=True)
        return asyncio.run(settle_restored(services, RecordKey(staged), restoring, rotate))
    finally:
        store.close()


def _point_to(staged: Path, data: Path) -> None:
    """admin.json names the CA's file, where it is from now on."""
    path = staged / ADMIN_FILE
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    if isinstance(known, dict) and "ca_file" in known:
        told = {**known, "ca_file": str(data.absolute() / "ca.pem")}
        write_atomically(path, json.dumps(told, indent=2) + "\n")


def _move_to(staged: Path, to: DatabaseSettings, *, is_silent: bool) -> str:
    """Fill the empty database of PostgreSQL. It is marked as arriving: a server that starts on the
    data directory takes it, and no other.
    """
    from bascule.clocks import SystemClock
    from bascule.store import moving
    from bascule.store.long_work import holding_empty, reading
    from bascule.store.transaction import SqlReader, SqlTransaction

    record = Record(staged, to)
    where = record.where
    assert not isinstance(where, Path)  # noqa: S101  # reason: settings of PostgreSQL were given
    with reading(staged / DATABASE) as source, holding_empty(where) as there:
        made = SqlReader(source).installation()
        assert made is not None  # noqa: S101  # reason: it was settled
        moving.prepare(there, record.name, made)
        progress = Progress("copying", is_silent=is_silent)
        read = moving.copy_all(source, there, progress.of)
        moving.compare(there, read, progress.of)
        progress.end()
        tx = SqlTransaction(there)
        keys_into(staged, tx, SystemClock().now())
        tx.move_installation(made.number, is_arriving=True)
        tx.finish()
        record.remember(tx)
    record.note_made()
    for end in ("", "-wal", "-shm"):
        (staged / f"{DATABASE}{end}").unlink(missing_ok=True)
    return record.name


def _put_in_place(staged: Path, data: Path) -> None:
    """The database, or the file that says where it is, comes last: with it the restore is finished."""
    last = [name for name in (DATABASE, DATABASE_FILE) if (staged / name).exists()]
    names = [each.name for each in sorted(staged.iterdir()) if each.name not in last]
    write_atomically(staged / MOVED, json.dumps(names))
    for name in (*names, *last):
        (staged / name).rename(data / name)
    sync_directory(data)
    with suppress(OSError):
        shutil.rmtree(staged)  # else it is in nobody's way
