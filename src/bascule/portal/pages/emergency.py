"""Emergency access to one port of a machine: a form of its own, which says what it means (EDGES J10).

Who has not shown a second factor lately is asked for it first, and comes back. Whether it is given decides
the use case, anew and alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.denials import record_denial
from bascule.api.entries import decides
from bascule.api.my_address import source_of_caller
from bascule.domain.actions import EMERGENCY, MACHINE_READ, POLICY_READ
from bascule.domain.decide import Denied
from bascule.domain.emergency import FRESH_FOR, LONGEST, TOO_OLD, too_old
from bascule.domain.ids import ResourceId
from bascule.domain.policy import PortRule
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.scopes import resource_scope
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, Forbidden, InvalidInput
from bascule.interfaces.store import Transaction
from bascule.portal import once
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.machine import ShownMachine, path_of, read_machine, wanted_id
from bascule.portal.pages.second_factor import renewal_path
from bascule.portal.problems import reasons_of
from bascule.portal.spans import parse_span, show_span
from bascule.services import request_denials, requests
from bascule.services.act import Act
from bascule.services.requests import Initiated

router = APIRouter(route_class=PortalRoute)

_PAGE = "/portal/machines/{group}/{name}/emergency"
Offered = tuple[ResourceId, PortRule]


@router.get(_PAGE)
@decides(MACHINE_READ)
async def show_form(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)
    if too_old(visit.subject, FRESH_FOR, visit.now) is not None and _may(visit, wanted):
        return visit.go(renewal_path(f"{path_of(wanted)}/emergency"))
    return await _show(visit, wanted)


@router.post(_PAGE)
@comes_back
@decides(EMERGENCY, POLICY_READ)
async def open_port(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = wanted_id(visit, group, name)
    try:
        policy, answer = await visit.perform(lambda tx, act: _ask(tx, act, visit, wanted))
        if isinstance(answer, Denied):
            raise request_denials.denial(answer, policy)
    except BasculeError as error:
        if isinstance(error, Forbidden):
            await record_denial(visit.request, visit.subject, error)
        return await _show(visit, wanted, error)
    return visit.go(f"/portal/requests/{answer}")


def _may(visit: Visit, wanted: ResourceId) -> bool:
    return visit.may(EMERGENCY, resource_scope(wanted))


def _ask(
    tx: Transaction, act: Act, visit: Visit, wanted: ResourceId
) -> tuple[ResourceId, str | Denied]:
    """The request's id, of an earlier sending of the same form too; or the denial."""
    request_id = once.request_id(visit)
    place = read_machine(visit, tx, wanted)
    policy, number = _chosen(visit, place)
    if tx.request(request_id) is not None:
        return policy, request_id
    span = parse_span(visit.form.text("time"), "endTimeUtc")
    ends_at = act.now + span
    source = source_of_caller(visit.subject.address, visit.state.proxies)
    port = RequestedPort(number, (source,), ends_at, format_utc(ends_at), length=span)
    answer = requests.initiate(
        *(tx, act, policy, (RequestedMachine(place.machine.id, (port,)),)),
        visit.form.text("justification") or None,
        visit.subject,
        request_id=request_id,
        is_emergency=True,
    )
    return policy, answer.request.id if isinstance(answer, Initiated) else answer


def _chosen(visit: Visit, place: ShownMachine) -> tuple[ResourceId, int]:
    """Policy and port that the form names, by their place in the list of what there is."""
    wanted = visit.form.text("port")
    for policy, rule in place.rules:
        if wanted == f"{rule.number} {policy}":
            return policy, rule.number
    raise InvalidInput("Choose one of the ports that are offered.", code="PortNotInPolicy")


async def _show(visit: Visit, wanted: ResourceId, error: BasculeError | None = None) -> Response:
    place = await visit.read(lambda reader: read_machine(visit, reader, wanted))
    form = visit.form
    path = f"{path_of(wanted)}/emergency"
    return visit.show(
        "emergency.html",
        error.http_status if error else 200,
        machine=place.machine,
        action=path,
        back=f"{path_of(wanted)}/connect",
        ports=_once_each(place.rules),
        chosen=form.text("port"),
        time=form.text("time") or show_span(LONGEST),
        justification=form.text("justification"),
        reasons=reasons_of(error) if error else (),
        advice=error.advice if error else "",
        is_old=error is not None and error.specific_code == TOO_OLD,
        renewal=renewal_path(path),
        why_not=visit.why_not(EMERGENCY, resource_scope(wanted)),
        once=once.new_key(),
    )


def _once_each(rules: Sequence[Offered]) -> Sequence[Offered]:
    """TCP and UDP of one number are one choice."""
    return list({(policy, rule.number): (policy, rule) for policy, rule in rules}.values())
