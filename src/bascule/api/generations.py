"""The stream that tells one agent when a machine's generation moved.

It says only that a newer generation exists (EDGES A8); a lost hint costs a poll. It ends with
the token that opened it (A13), when the server stops, and when the machine, the agent's key or
the key that signed the token is no longer known, or the machine is unbound.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.types import Send

from bascule.api.event_stream import EventStream, write
from bascule.errors import BasculeError
from bascule.identity.authenticate import name_of_proof
from bascule.identity.tokens import AccessToken, TokenIssuer
from bascule.interfaces.store import Reader
from bascule.services.act import Services
from bascule.services.bindings import guarded
from bascule.services.hub import machine_topic, wait_for

log = structlog.get_logger("bascule.api")

HEARTBEAT_SECONDS = 10.0


class GenerationStream(EventStream):
    """A response that lasts, as long as the token that asked for it and the key behind it."""

    def __init__(
        self,
        services: Services,
        tokens: TokenIssuer,
        point_uid: str,
        token: AccessToken,
        machine_uid: str = "",
    ) -> None:
        """``machine_uid``: a machine that is bound to the point; empty: its own."""
        super().__init__(services.hub, machine_topic(machine_uid or point_uid))
        self._services = services
        self._tokens = tokens
        self._uid = point_uid
        self._machine_uid = machine_uid or point_uid
        self._token = token

    async def tell(self, send: Send, woken: asyncio.Event, hung_up: asyncio.Task[None]) -> None:
        announced = -1
        is_due = True
        while not hung_up.done():
            if is_due:
                known = await self._read()
                if known is None:
                    break
                if known != announced:
                    announced = known
                    await write(send, f'event: generation\ndata: {{"generation":{announced}}}\n\n')
            else:
                await write(send, ": \n\n")
            if self.hub.is_closing:
                break
            left = (self._token.expires_at - self._services.clock.now()).total_seconds()
            if left <= 0:
                break
            is_due = await wait_for(woken, min(HEARTBEAT_SECONDS, left))

    async def _read(self) -> int | None:
        """The generation; None when the stream has nothing to say any more."""
        try:
            return await self._services.read_few(self._known)
        except BasculeError as error:
            # The answer has begun and cannot become an error: end it, and the agent asks anew.
            log.warning("stream ended", machine=self._uid, why=error.message)
            return None

    def _known(self, reader: Reader) -> int | None:
        point = reader.agent_of(self._uid)
        if point is None or name_of_proof(point.public_key) != self._token.credential:
            return None  # whoever takes the key away wakes this stream (EDGES B5)
        if not self._tokens.is_of_known_key(self._token, self._services.clock.now()):
            return None  # likewise
        if guarded(reader, self._uid, self._machine_uid) is None:
            return None
        return reader.generation(self._machine_uid)
