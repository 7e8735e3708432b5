"""An installation's keys, between data directories and the database that its replicas share (ADR 29).

Who moves a record moves them with it: ``keys_into`` PostgreSQL, ``keys_out_of`` it.
What is not here: sealing and opening (``identity.shared_keys``), and following rotations while a server
runs (``api.replica_keys``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.bootstrap.database import Record
from bascule.identity.shared_keys import OpenedKeys, SharedKeys
from bascule.interfaces.store import Reader, Store, Transaction

if TYPE_CHECKING:
    from bascule.api.replica_keys import ReplicaKeys
    from bascule.identity.tokens import TokenIssuer
    from bascule.identity.trust_key import TrustKey
    from bascule.services.act import Services


class Keys:
    """The keys of one start. With SQLite the files are all there is."""

    def __init__(self, data: Path, record: Record) -> None:
        self._data = data
        self._record = record
        self._shared = SharedKeys(data) if record.is_shared else None

    def take(self, store: Store) -> TokenIssuer:
        """Before a start reads its first key. Raises ConfigurationError when the record is another
        installation's, or its keys cannot be opened. Answers who signs tokens by them.
        """
        from bascule.identity.tokens import TokenIssuer

        shared = self._shared
        if shared is not None:

            def read(reader: Reader) -> OpenedKeys:
                self._record.adopt(reader)
                return shared.read(reader)

            shared.write(asyncio.run(_read(store, read)))
        return TokenIssuer(self._data)

    def trust_key(self) -> TrustKey:
        from bascule.identity.trust_key import TrustKey

        return TrustKey(self._data)

    def put(self, tx: Transaction, now: datetime) -> None:
        """In the commit that makes an installation: from then on the database says which count."""
        if self._shared is not None:
            self._shared.put_missing(tx, now)

    def at_replica(self, services: Services, tokens: TokenIssuer) -> ReplicaKeys | None:
        from bascule.api.replica_keys import ReplicaKeys

        shared, database = self._shared, self._record.settings
        if shared is None or database is None:
            return None
        return ReplicaKeys(services, shared, tokens, database)


async def _read(store: Store, work: Callable[[Reader], OpenedKeys]) -> OpenedKeys:
    return await store.read(work)


def keys_into(data: Path, tx: Transaction, now: datetime) -> None:
    """Seal the files of ``data`` into the database, in the commit that makes its record valid."""
    SharedKeys(data).put_all(tx, now)


def keys_out_of(data: Path, reader: Reader) -> None:
    """Make the files of ``data`` what the database has; raise ConfigurationError."""
    shared = SharedKeys(data)
    shared.write(shared.open(reader))
