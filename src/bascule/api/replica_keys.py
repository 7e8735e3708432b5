"""The installation's keys at a replica: other replicas, and commands on their hosts, may change them.

They are asked for once a second, and at once when a token names a key that is not known here, so that
what one replica signs is accepted by all. They are used before they are written into the data
directory: a replica whose disk is full accepts no forgotten key either. With SQLite there are no
replicas, and nothing of this runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from bascule.config import DatabaseSettings
from bascule.errors import BasculeError, ConfigurationError
from bascule.identity.shared_keys import OpenedKeys, SharedKeys
from bascule.identity.signing_keys import RETIRED_KEYS, SIGNING_KEY, KeyIds, new_key
from bascule.identity.tokens import TokenIssuer
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services
from bascule.services.tokens import rotate_shared_key

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = structlog.get_logger("bascule.server")

T = TypeVar("T")
ROUND = 1.0  # seconds
NOT_READ, NOT_WRITTEN = "not read", "not written"
AT_MOST_EVERY = 0.2  # seconds, however often strangers bring tokens by unknown keys


class Perform(Protocol):
    def __call__(self, work: Callable[[Transaction, Act], T], /) -> Awaitable[T]: ...


class ReplicaKeys:
    """Use from one event loop."""

    def __init__(
        self,
        services: Services,
        shared: SharedKeys,
        tokens: TokenIssuer,
        database: DatabaseSettings,
    ) -> None:
        """``database``: where a replica that joins finds it too."""
        self.shared, self.database = shared, database
        # NOT_READ: those in use may be forgotten. NOT_WRITTEN: a start would be refused. Empty: none.
        self.trouble = ""
        self._services, self._tokens = services, tokens
        self._next: asyncio.Task[None] | None = None
        self._began = -AT_MOST_EVERY
        self._reading = asyncio.Lock()  # two that write the same files would fail

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(ROUND)
            try:
                await self._read_if_changed()
            except BasculeError as error:
                log.error("keys not read", why=error.message)
            except Exception:
                log.exception("keys not read")

    async def read_soon(self) -> None:
        """Have read what was committed before this call. Raises Unavailable, ConfigurationError."""
        if self._next is None or self._next.done():
            self._next = asyncio.ensure_future(self._read_in_turn())
        await asyncio.shield(self._next)

    async def _read_in_turn(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._began + AT_MOST_EVERY - loop.time())
        self._began = loop.time()
        self._next = None  # whoever comes from now on needs a later read
        await self._read_if_changed()

    async def _read_if_changed(self) -> None:
        async with self._reading:
            await self._compare_and_read()

    async def _compare_and_read(self) -> None:
        numbers = await self._services.read_few(lambda reader: reader.key_numbers())
        if dict(numbers) == dict(self.shared.numbers):
            self.trouble = ""
            return
        try:
            keys = await self._services.read(self.shared.read)
            self._use(keys)
        except Exception:
            self.trouble = NOT_READ
            raise
        try:
            changed = await asyncio.to_thread(self.shared.write, keys)
        except ConfigurationError as error:  # the numbers stay: the next round tries again
            if self.trouble != NOT_WRITTEN:
                log.error("keys not written", why=error.message, advice=error.advice)
            self.trouble = NOT_WRITTEN
            return
        self.trouble = ""
        log.info("keys read", changed=sorted(changed))

    def _use(self, keys: OpenedKeys) -> None:
        """For tokens, whatever the files have."""
        signing = keys.contents.get(SIGNING_KEY)
        if signing is not None and self._tokens.use(signing, keys.contents.get(RETIRED_KEYS)):
            self._services.hub.wake_all()  # waits end whose key is forgotten

    async def rotate(self, perform: Perform, *, forget: bool) -> KeyIds:
        """Sign tokens with a new key at all replicas, and put that on record."""
        made = await asyncio.to_thread(new_key)

        def put(tx: Transaction, act: Act) -> KeyIds:
            return self.shared.rotate(tx, made, act.now, forget=forget)

        ids = await rotate_shared_key(perform, put, is_forgotten=forget)
        try:
            await self._read_if_changed()
        except BasculeError as error:  # the key counts from that commit on; ``watch`` reads it
            log.error("keys not read", why=error.message)
        return ids
