"""Taking a machine out of just-in-time access, with what that opens said before.

What would open and whose access would end must have been shown: else nothing is done, and the
pane comes back with what it would be now.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.domain.scopes import resource_scope
from bascule.errors import Conflict
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.jit_configure import digest
from bascule.portal.problems import reasons_of
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.known_machine import known_machine
from bascule.services.machine_rules import delete_machine_rules
from bascule.services.rehearsal import preview_of
from bascule.services.rights import Needed, check

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/jit/remove"


@router.get(PATH)
@decides(POLICY_READ, MACHINE_READ)
async def show(visit: CurrentVisit) -> Response:
    """Who may not remove it is told so by the rehearsal, as by the act."""
    text = visit.request.query_params.get("machine", "")
    return await _show(visit, ResourceId.parse_machine(text, "machine"))


async def _show(visit: Visit, wanted: ResourceId, error: Conflict | None = None) -> Response:
    machine = await visit.read(lambda reader: _machine(reader, visit, wanted))
    preview = await visit.rehearse(
        lambda tx, act: delete_machine_rules(tx, act, visit.subject, wanted)
    )
    return visit.show(
        "jit_remove.html",
        error.http_status if error is not None else 200,
        machine=machine,
        preview=preview,
        seen=digest(preview),
        reasons=reasons_of(error) if error is not None else (),
        action=PATH,
    )


def _machine(reader: Reader, visit: Visit, wanted: ResourceId) -> Machine:
    needed = [Needed(action, resource_scope(wanted)) for action in (MACHINE_READ, POLICY_READ)]
    check(reader, visit.subject, visit.now, needed)
    return known_machine(reader, wanted)


@router.post(PATH)
@decides(POLICY_WRITE, MACHINE_WRITE)
async def remove(visit: CurrentVisit) -> Response:
    wanted = ResourceId.parse_machine(visit.form.text("machine"), "machine")
    try:
        await visit.perform(lambda tx, act: _remove(tx, act, visit, wanted))
    except Conflict as error:
        return await _show(visit, wanted, error)
    return visit.go("/portal/jit", "jit_page_removed")


def _remove(tx: Transaction, act: Act, visit: Visit, wanted: ResourceId) -> None:
    """Raises Conflict, which takes it back, when it opened or ended what was not shown so."""
    delete_machine_rules(tx, act, visit.subject, wanted)
    done = preview_of(tx, act, visit.subject)
    if (done.opens or done.ends) and digest(done) != visit.form.text("seen"):
        raise Conflict(
            sentence(
                "The effects of removing {wanted} have changed since they were shown. Nothing was"
                " done.",
                wanted=wanted.name,
            ),
            code="NotAsShown",
        )
