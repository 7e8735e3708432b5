"""A machine's activity log: the activity log, narrowed to what concerns this machine."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides
from bascule.domain.actions import MACHINE_READ
from bascule.portal.guard import CurrentVisit, PortalRoute
from bascule.portal.machine import look_at, wanted_id

router = APIRouter(route_class=PortalRoute)


@router.get("/portal/machines/{group}/{name}/activity")
@decides(MACHINE_READ)
async def activity(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)
    place = await visit.read(lambda reader: look_at(visit, reader, wanted))
    return visit.go(f"/portal/activity?{place.query}")
