"""Is the server alive, can it work; its CA certificate. No token, no api-version."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bascule import __version__
from bascule.api.auth import GuardedRoute, admits_anybody
from bascule.api.context import state_of
from bascule.api.envelope import CompactJson
from bascule.errors import Unavailable

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)


@router.get("/healthz")
@admits_anybody
async def healthz() -> Response:
    """The process answers."""
    return CompactJson({"status": "ok", "version": __version__})


@router.get("/readyz")
@admits_anybody
async def readyz(request: Request) -> Response:
    """The database can be read and written, and the server is not stopping."""
    services = state_of(request).services
    if services.hub.is_closing:
        raise Unavailable("The server is stopping.")
    await services.look(lambda reader: reader.installation())
    await services.store.write(lambda tx: tx.installation())
    return CompactJson({"status": "ok", "database": "ok"})


@router.get("/bascule/ca.pem")
@admits_anybody
async def ca_certificate(request: Request) -> Response:
    """The CA that signed this server's certificate; check its fingerprint another way."""
    pem = state_of(request).ca_file.read_bytes()
    return Response(pem, media_type="application/x-pem-file")
