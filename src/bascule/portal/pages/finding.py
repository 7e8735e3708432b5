"""What the search box finds: machines, people and requests that this person may see."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.domain.ids import ResourceId
from bascule.domain.plain import clean
from bascule.portal.guard import CurrentVisit, PortalRoute
from bascule.services.search import LONGEST, MOST, search

router = APIRouter(route_class=PortalRoute)


@router.get("/portal/search")
@admits_callers
async def find(visit: CurrentVisit) -> Response:
    text = clean(visit.request.query_params.get("q", "")).strip()[:LONGEST]
    found = await visit.read(
        lambda reader: search(
            reader,
            visit.rights,
            visit.subject.principal_id,
            visit.subscription_id,
            text,
            visit.now,
        )
    )
    kinds = (found.machines, found.users, found.services, found.requests)
    return visit.show(
        "finding.html",
        text=text,
        found=found,
        machine_path=_machine_path,
        most=MOST,
        has_more=any(len(each) >= MOST for each in kinds),
    )


def _machine_path(machine_id: ResourceId) -> str:
    group, name = quote(machine_id.resource_group, safe=""), quote(machine_id.name, safe="")
    return f"/portal/machines/{group}/{name}"
