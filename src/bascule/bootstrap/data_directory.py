"""A server's data directory: its own, locked, and continued wherever a start was killed.

A directory that holds other things is refused and not touched: made private and filled with ours,
somebody's home or a web root would be lost to them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bascule.errors import ConfigurationError
from bascule.files import write_atomically
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.fleet import hash_token
from bascule.services.installation import ensure_installation, set_administrator

ADMIN_FILE = "admin.json"
DATABASE = "bascule.db"
DATABASE_FILE = "database.json"  # where the record is, if that is PostgreSQL
TIMELINE_FILE = "timeline.json"  # what this server has seen of its cluster
LOCK = "lock"
RESTORING = "restoring"  # the folder of a restore; without a database it did not finish
# What may be there without a database: all that a start makes, since one that was killed made only
# some of it; and what a disk brings that is mounted for it. A test holds this to what a start makes.
OURS = frozenset(
    {LOCK, ADMIN_FILE, "set-up-link", "ca.key", "ca.pem", "server.pem", "this-host", "lost+found"}
    | {"token-signing.key", "token-retired-keys.json", "record-signing.key"}
    | {"trust-signing.key"}
    | {"sign-in-sealing.key", DATABASE_FILE, TIMELINE_FILE, "wrapping.key"}
)


def check_data_directory(path: Path) -> None:
    """Raise ConfigurationError unless a server could start on it; nothing is written.

    To be called before anything else of a start can fail and leave half an installation.
    """
    try:
        if not path.exists():
            return
        check_own(path)
        _check_contents(path)
        if (path / LOCK).exists():
            descriptor = os.open(path / LOCK, os.O_RDONLY)
            try:
                _lock(path, descriptor)
            finally:
                os.close(descriptor)  # which lets go of it
    except OSError as error:
        raise _unusable(path, error) from error


def open_data_directory(path: Path) -> int:
    """Make it (0700) and lock it; the lock ends with the process.

    Raises ConfigurationError when it cannot be used, holds other things or another server has it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(path)
        _check_contents(path)
        path.chmod(0o700)
    except OSError as error:
        raise _unusable(path, error) from error
    return lock_directory(path)


def lock_directory(path: Path) -> int:
    """Lock it, whatever is in it; raises ConfigurationError while a server has it."""
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    _lock(path, descriptor)
    return descriptor


def _check_contents(path: Path) -> None:
    """One with a database of ours is ours; else it may hold what a start makes beside it."""
    if (path / DATABASE).exists():
        from bascule.store.open import check_database

        check_database(path / DATABASE)
        return
    if _has_record_elsewhere(path):
        return
    names = sorted(each.name for each in path.iterdir())
    if RESTORING in names:
        raise ConfigurationError(
            f"A restore into {path} did not finish. Nothing was changed.",
            advice=f"Run it again: bascule admin restore FILE --data {path}",
        )
    other = [name for name in names if name.removesuffix(".new") not in OURS]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        raise ConfigurationError(
            f"{path} is not a data directory of Bascule: it contains {other[0][:60]!r}{more}. "
            f"Nothing in it was changed.",
            advice="Give an empty or new directory with --data DIR.",
        )


def _has_record_elsewhere(path: Path) -> bool:
    """Is its database.json ours? Another program's may be called so too."""
    try:
        known = json.loads((path / DATABASE_FILE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and all(
        isinstance(known.get(name), str) for name in ("database", "tenant_id")
    )


def names_installation(path: Path) -> bool:
    """Does admin.json name one? A start writes it after the database that it is to be in."""
    try:
        known = json.loads((path / ADMIN_FILE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and bool(known.get("tenant_id"))


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError(
            f"Another server runs on {path}.",
            advice="Stop that server, or give this one another --data DIR.",
        ) from None


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigurationError(
            f"The disk of the data directory {path} is full.",
            advice="Free some space there, or choose another with --data DIR.",
        )
    return ConfigurationError(
        f"The data directory {path} cannot be used: {error.strerror}.",
        advice="Choose one that can be written with --data DIR.",
    )


def require_installation(path: Path) -> None:
    """Raise ConfigurationError unless a server was started on the directory once."""
    try:
        is_there = has_database(path) or (path / DATABASE_FILE).exists()
    except PermissionError:
        raise ConfigurationError(
            f"You may not read the data directory {path}.",
            advice=f"Run this command as the account that owns {path}.",
        ) from None
    if not is_there:
        raise ConfigurationError(
            f"There is no installation in {path}.",
            advice="Start the server with bascule serve; its first start creates the installation "
            "and a link.",
        )


def has_database(path: Path) -> bool:
    """Is there a database of SQLite?"""
    return (path / DATABASE).exists()


def check_own(path: Path) -> None:
    """Raise ConfigurationError unless the directory is this account's; root is no exception.

    What root writes into another's database the server could not read any more.
    """
    if path.stat().st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path} belongs to another account; a server needs a data directory of its own.",
            advice=f"Run this command as the account that owns {path}.",
        )


class AdminFile:
    """``admin.json``: the credentials of the administrator that a fresh installation has.

    Written before the commit that makes both: a start that was killed between the two makes
    them anew. Afterwards ``bascule admin recover`` alone does: an administrator who was
    deleted stays so, and a file that its owner took away is not made again.

    It carries the CA's certificate, so that a copy of it elsewhere says whom to trust.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def ensure(self, tx: Transaction, act: Act, endpoint: str, ca_file: Path) -> Installation:
        existing = tx.installation()
        if existing is not None:
            return existing
        installation = ensure_installation(tx, act)
        client_id, secret = str(uuid.uuid4()), self.new_secret()
        self.write(installation, endpoint, ca_file, client_id, secret)
        set_administrator(tx, act, client_id, hash_token(secret))
        return installation

    @staticmethod
    def new_secret() -> str:
        from bascule.identity.secrets import new_secret

        return new_secret()

    def write(
        self,
        installation: Installation,
        endpoint: str,
        ca_file: Path,
        client_id: str,
        secret: str,
    ) -> None:
        """Replace the file atomically, readable by its owner alone."""
        self._keep(
            {
                "endpoint": endpoint,
                "ca_file": str(ca_file),
                "ca": ca_file.read_text("ascii") if ca_file.exists() else "",
                "tenant_id": installation.tenant_id,
                "subscription_id": installation.subscription_id,
                "client_id": client_id,
                "client_secret": secret,
            }
        )

    def carry(self, ca_file: Path) -> None:
        """Put the CA as it is now into a file that has another, or none yet."""
        try:
            known = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return  # taken away, or damaged: not ours to make anew
        ca = ca_file.read_text("ascii")
        if isinstance(known, dict) and known.get("ca") != ca:
            with suppress(ConfigurationError):  # a full disk: a start does not hang on it
                self._keep({**known, "ca": ca})

    def _keep(self, known: Mapping[str, object]) -> None:
        write_atomically(self._path, json.dumps(known, indent=2) + "\n")
