"""A machine's activity log: the newest events about it; all of them in the log itself."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import ACTIVITY_READ, MACHINE_READ
from bascule.domain.scopes import resource_scope
from bascule.interfaces.activity import ActivityFilter
from bascule.interfaces.store import Reader
from bascule.portal.activity_rows import shown_rows
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.machine import ShownMachine, frame, read_machine, wanted_id
from bascule.services.activity import LogRow, page_of

router = APIRouter(route_class=PortalRoute)

PAGE = 50


@router.get("/portal/machines/{group}/{name}/activity")
@decides(MACHINE_READ)
async def activity(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)

    def read(reader: Reader) -> tuple[ShownMachine, Sequence[LogRow]]:
        place = read_machine(visit, reader, wanted)
        return place, _rows(visit, reader, place)

    place, rows = await visit.read(read)
    query = urlencode({"machine": str(place.machine.id), "span": "all"})
    return visit.show(
        "machine_activity.html",
        **frame(visit, place, "activity"),
        rows=shown_rows(visit.words, rows),
        lacks="" if _may_see(visit, place) else ACTIVITY_READ,
        log_path=f"/portal/activity?{query}",
        csv_path=f"/portal/activity/csv?{query}",
    )


def _may_see(visit: Visit, place: ShownMachine) -> bool:
    return visit.may(ACTIVITY_READ, resource_scope(place.machine.id))


def _rows(visit: Visit, reader: Reader, place: ShownMachine) -> Sequence[LogRow]:
    if not _may_see(visit, place):
        return ()
    wanted = ActivityFilter((place.machine.id.key,), within=visit.within(ACTIVITY_READ))
    return page_of(reader, wanted, None, PAGE).rows
