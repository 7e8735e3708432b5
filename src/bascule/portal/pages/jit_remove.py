"""Taking a machine out of just-in-time access, with what that opens said before."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.auth import decides
from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.domain.scopes import resource_scope
from bascule.interfaces import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.services.policies import delete_machine_rules, known_machine
from bascule.services.rehearsal import rehearse
from bascule.services.rights import Needed, check

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/jit/remove"


@router.get(PATH)
@decides(POLICY_READ, MACHINE_READ)
async def show(visit: CurrentVisit) -> Response:
    """Who may not remove it is told so by the rehearsal, as by the act."""
    wanted = ResourceId.parse_machine(visit.request.query_params.get("machine", ""), "machine")
    machine = await visit.read(lambda reader: _machine(reader, visit, wanted))
    preview = await rehearse(
        visit.state.services,
        lambda tx, act: delete_machine_rules(tx, act, visit.subject, wanted),
        visit.subject,
    )
    return visit.show("jit_remove.html", machine=machine, preview=preview, action=PATH)


def _machine(reader: Reader, visit: Visit, wanted: ResourceId) -> Machine:
    needed = [Needed(action, resource_scope(wanted)) for action in (MACHINE_READ, POLICY_READ)]
    check(reader, visit.subject, visit.now, needed)
    return known_machine(reader, wanted)


@router.post(PATH)
@decides(POLICY_WRITE, MACHINE_WRITE)
async def remove(visit: CurrentVisit) -> Response:
    wanted = ResourceId.parse_machine(visit.form.text("machine"), "machine")
    await visit.perform(lambda tx, act: delete_machine_rules(tx, act, visit.subject, wanted))
    return visit.go("/portal/jit", "jit_page_removed")
