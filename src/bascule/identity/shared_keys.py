"""The installation's keys where several replicas have the same: sealed in their database (ADR 29).

``wrapping.key`` (32 bytes, 0600) is in each replica's data directory and in no database. It seals each
key for its installation, name and number, so that no row can stand for another. The database says
which keys count; the files of a data directory are this replica's copy of them. With SQLite the files
are all there is, and nothing of this is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from joserfc.jwk import RSAKey

from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, PUBLIC, write_atomically
from bascule.identity.ca_rotation import ROTATION, Rotation
from bascule.identity.files import read_if_present
from bascule.identity.join_token import MAKE_ONE, end_of_invite, seal_invite
from bascule.identity.record_key import RECORD_KEY
from bascule.identity.sealing import KEY_BYTES, SEALING_KEY, Sealer, new_key
from bascule.identity.signing_keys import RETIRED_KEYS, SIGNING_KEY, KeyIds, rotated
from bascule.identity.tls import CA_CERTIFICATE, CA_KEY
from bascule.identity.trust_key import TRUST_KEY
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.invites import ReplicaInvite
from bascule.interfaces.keys import KeyReads, KeyWrites, SealedKey

WRAPPING_KEY = "wrapping.key"
# In the order in which they are written: who is killed between two of them goes on with old tokens.
NEEDED = (CA_KEY, CA_CERTIFICATE, TRUST_KEY, RECORD_KEY, SEALING_KEY, SIGNING_KEY)
NAMES = (RETIRED_KEYS, ROTATION, *NEEDED)


class KeyInstallationReads(KeyReads, InventoryReads, Protocol):
    """The keys, and the installation whose they are."""


class KeyInstallationWrites(KeyWrites, InventoryReads, Protocol):
    """The same, to change them."""


@dataclass(frozen=True, slots=True)
class OpenedKeys:
    numbers: Mapping[str, int] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class SharedKeys:
    """The keys of the installation that one data directory is a replica of."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.numbers: Mapping[str, int] = {}  # of the keys that this replica has

    def read(self, reader: KeyInstallationReads) -> OpenedKeys:
        """``open``; raises ConfigurationError too where a key of the installation is nowhere."""
        found = self.open(reader)
        for name in NEEDED if reader.installation() is not None else ():
            if name not in found.contents and read_if_present(self._data_dir / name) is None:
                raise ConfigurationError(
                    f"The installation's key {name} is neither in its database nor in "
                    f"{self._data_dir}.",
                    advice="Restore the database from a backup, or start the replica whose data "
                    "directory has the file.",
                )
        return found

    def open(self, reader: KeyInstallationReads) -> OpenedKeys:
        """The keys of the database. None before there is an installation.

        Raises ConfigurationError where they cannot be opened.
        """
        installation = reader.installation()
        if installation is None:
            return OpenedKeys()
        rows = reader.sealed_keys()
        sealer = self._sealer() if rows else None
        found = {}
        for row in rows:
            content = None if sealer is None else _open(sealer, installation.tenant_id, row)
            if content is None:
                raise self._cannot_open()
            found[row.name] = content
        return OpenedKeys({row.name: row.number for row in rows}, found)

    def write(self, keys: OpenedKeys) -> frozenset[str]:
        """Make the files have these; the names of those that had another content."""
        changed = set()
        for name in NAMES:
            path, content = self._data_dir / name, keys.contents.get(name)
            if content is not None and read_if_present(path) != content:
                write_atomically(path, content, PUBLIC if name == CA_CERTIFICATE else PRIVATE)
                changed.add(name)
        self.numbers = keys.numbers
        return frozenset(changed)

    def put_missing(self, tx: KeyInstallationWrites, now: datetime) -> None:
        """Seal into the database what the data directory has and it has not: at a first start, and
        for an installation from before it had them.
        """
        known = tx.key_numbers()
        self._put(tx, now, {name: 1 for name in NAMES if name not in known})

    def put_all(self, tx: KeyInstallationWrites, now: datetime) -> None:
        """Seal what the data directory has, whatever the database has: it comes from SQLite."""
        known = tx.key_numbers()
        self._put(tx, now, {name: known.get(name, 0) + 1 for name in NAMES})

    def _put(self, tx: KeyInstallationWrites, now: datetime, numbers: Mapping[str, int]) -> None:
        installation = tx.installation()
        if installation is None:
            return
        sealer = self._sealer() or self._make()
        for name, number in numbers.items():
            content = read_if_present(self._data_dir / name)
            if content is not None:
                tx.put_sealed_key(_seal(sealer, installation.tenant_id, name, number, content, now))

    def rotate(
        self, tx: KeyInstallationWrites, made: RSAKey, now: datetime, *, forget: bool
    ) -> KeyIds:
        """Have ``made`` sign tokens from this commit on; no file is changed."""
        keys, sealer, installation = self.open(tx), self._sealer(), tx.installation()
        before = keys.contents.get(SIGNING_KEY)
        if sealer is None or installation is None or before is None:
            raise self._cannot_open()
        ids, retired = rotated(before, keys.contents.get(RETIRED_KEYS), made, now, forget=forget)
        for name, content in ((RETIRED_KEYS, retired), (SIGNING_KEY, made.as_pem(private=True))):
            number = keys.numbers.get(name, 0) + 1
            tx.put_sealed_key(_seal(sealer, installation.tenant_id, name, number, content, now))
        return ids

    def put_rotation(self, tx: KeyInstallationWrites, made: Rotation, now: datetime) -> None:
        """Have another step of a rotation of the CA count from this commit on; no file is changed."""
        keys, sealer, installation = self.open(tx), self._sealer(), tx.installation()
        if sealer is None or installation is None:
            raise self._cannot_open()
        wanted = {
            ROTATION: made.dump(),
            CA_KEY: made.key.encode(),
            CA_CERTIFICATE: made.ca.encode(),
        }
        for name, content in wanted.items():
            if keys.contents.get(name) != content:
                number = keys.numbers.get(name, 0) + 1
                tx.put_sealed_key(_seal(sealer, installation.tenant_id, name, number, content, now))

    def seal_invite(
        self, reader: InventoryReads, invite_id: str, secret: str, ends_at: datetime
    ) -> str:
        """The invitation of a replica, to be kept in the database."""
        installation, sealer = reader.installation(), self._sealer()
        if installation is None or sealer is None:
            raise self._cannot_open()
        return seal_invite(sealer, installation.tenant_id, invite_id, secret, ends_at)

    def end_of_invite(
        self, reader: InventoryReads, invite: ReplicaInvite, secret: str
    ) -> datetime | None:
        """When it ends; None: it is not ours, or that is not its secret."""
        installation, sealer = reader.installation(), self._sealer()
        if installation is None or sealer is None:
            return None
        return end_of_invite(sealer, installation.tenant_id, invite.id, invite.sealed, secret)

    def wrapping_key(self) -> bytes:
        """What a replica that joins is given. Raises ConfigurationError."""
        if self._sealer() is None:
            raise self._cannot_open()
        return (self._data_dir / WRAPPING_KEY).read_bytes()

    def _sealer(self) -> Sealer | None:
        """By the wrapping key; None: there is none here."""
        path = self._data_dir / WRAPPING_KEY
        key = read_if_present(path)
        if key is not None and len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"{path} is damaged: it has {len(key)} bytes instead of {KEY_BYTES}.",
                advice=_ADVICE,
            )
        return None if key is None else Sealer(key)

    def _make(self) -> Sealer:
        key = new_key()
        write_atomically(self._data_dir / WRAPPING_KEY, key, PRIVATE)
        return Sealer(key)

    def _cannot_open(self) -> ConfigurationError:
        path = self._data_dir / WRAPPING_KEY
        why = "does not open them" if path.exists() else "is not there"
        return ConfigurationError(
            f"The installation's keys are sealed in its database, and {path} {why}.",
            advice=_ADVICE,
        )


_ADVICE = (
    "Restore it from a backup, or copy it from another replica of this installation. A new replica "
    f"joins with a token. {MAKE_ONE}"
)


def _purpose(tenant_id: str, name: str, number: int) -> str:
    return f"installation-key/{tenant_id}/{name}/{number}"


def _seal(
    sealer: Sealer, tenant_id: str, name: str, number: int, content: bytes, now: datetime
) -> SealedKey:
    return SealedKey(name, number, sealer.seal(_purpose(tenant_id, name, number), content), now)


def _open(sealer: Sealer, tenant_id: str, row: SealedKey) -> bytes | None:
    if row.name not in NAMES:  # it becomes the name of a file
        return None
    return sealer.open(_purpose(tenant_id, row.name, row.number), row.sealed)
