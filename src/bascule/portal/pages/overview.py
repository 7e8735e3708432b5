"""The start page: how things stand, at a glance."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import admits_callers
from bascule.portal.guard import CurrentVisit, PortalRoute

router = APIRouter(route_class=PortalRoute)


@router.get("/portal")
@admits_callers
async def overview(visit: CurrentVisit) -> Response:
    return visit.show("overview.html")
