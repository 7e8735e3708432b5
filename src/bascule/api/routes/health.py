"""Is the server alive, can it work; its CA certificate. No token, no api-version."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from bascule import __version__
from bascule.api.auth import GuardedRoute
from bascule.api.context import AppState, state_of
from bascule.api.entries import admits_anybody
from bascule.api.envelope import CompactJson
from bascule.api.lately import Lately
from bascule.api.replica_keys import NOT_READ
from bascule.errors import Unavailable
from bascule.services.record import backlog_words
from bascule.services.shared_clock import apart_words

FRESH_SECONDS = 1.0  # how long an answer of /readyz stands
CHECK_WITHIN = 30.0  # seconds, of what is read

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)


@router.get("/healthz")
@admits_anybody
async def healthz() -> Response:
    """Answers as long as the process runs."""
    return CompactJson({"status": "ok", "version": __version__})


@router.get("/readyz")
@admits_anybody
async def readyz(request: Request) -> Response:
    """The database can be read and written, and the server is not stopping."""
    state = state_of(request)
    state.services.fitness.require_current()
    if state.services.hub.is_closing:
        raise Unavailable("The server is stopping.")
    keys = state.replica_keys
    if keys is not None and keys.trouble == NOT_READ:
        raise Unavailable(
            "The installation's keys cannot be read.", advice="See the server's log for the reason."
        )
    body: dict[str, object] = {"status": "ok", "database": "ok"}
    if sealing := await state.part(Readiness).check():
        body["sealing"] = sealing
    if clock := apart_words(state.services):
        body["clock"] = clock
    if keys is not None and keys.trouble:
        body["keys"] = keys.trouble
    body |= {name: tell() for name, tell in state.told.items()}
    return CompactJson(body)


class Readiness:
    """Whether the database works, found out once a second however often strangers ask."""

    def __init__(self, state: AppState) -> None:
        self._services = state.services
        self._lately = Lately(self._check, FRESH_SECONDS)

    async def check(self) -> str:
        """What waits to be sealed, if that is worth a word. Raises Unavailable."""
        return await self._lately.get()

    async def _check(self) -> str:
        now = self._services.clock.now()
        reading = self._services.read(lambda reader: backlog_words(reader, now))
        try:
            words = await asyncio.wait_for(reading, CHECK_WITHIN)
        except TimeoutError:
            raise Unavailable(
                f"The database did not finish a read within {CHECK_WITHIN:g} s."
            ) from None
        await self._services.store.check_writable()
        return words


@router.get("/bascule/ca.pem")
@admits_anybody
async def ca_certificate(request: Request) -> Response:
    """The CA that signed this server's certificate; during a rotation also the other one that agents
    trust. Compare the fingerprint by another channel.
    """
    state = state_of(request)
    rotation = state.rotation
    pem = state.ca_file.read_bytes() if rotation is None else "".join(rotation.trusted).encode()
    return Response(pem, media_type="application/x-pem-file")
