"""Bascule.Access: access requests with waiting, revoking and extending; machine rules.

These are what Azure's API lacks (it has no revoke, no extend and no request to read) and
one machine's rules alone, so that a large policy need not be read and written whole.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import decides, requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import Clause, parse_filter
from bascule.api.paging import Sifted, WantedPage, sift, sifted_json
from bascule.api.paths import MACHINE, SUBSCRIPTION, DryRun, MachinePath
from bascule.api.preconditions import WantedConditions
from bascule.api.waiting import wait_until_settled
from bascule.api.wire.access import ExtendBody, ReleaseBody
from bascule.api.wire.policies import MachineRulesBody, machine_rules_json, read_rules
from bascule.api.wire.preview import preview_json
from bascule.api.wire.requests import RevokeBody, access_request_json
from bascule.domain.actions import (
    INITIATE,
    MACHINE_WRITE,
    POLICY_READ,
    POLICY_WRITE,
    REQUEST_REVOKE,
)
from bascule.domain.decide import Denied
from bascule.domain.ids import ResourceId, is_guid, policy_id
from bascule.domain.lifecycle import REQUEST_UNSETTLED, RequestState
from bascule.domain.net import PortKey
from bascule.domain.request import AccessRequest
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import InvalidInput, NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.services import live_requests, machine_rules, request_denials, unnamed_ports
from bascule.services.access_rules import Kept
from bascule.services.act import Act
from bascule.services.approvers import approver_of
from bascule.services.claims import claimed_ports
from bascule.services.closed_ports import named_ports
from bascule.services.emergencies import may_review
from bascule.services.known_machine import known_machine
from bascule.services.policy_rights import check_may_set_rules
from bascule.services.request_rights import Sight, sight_of
from bascule.services.views import (
    MachineView,
    RequestView,
    view_machine,
    view_request,
    view_requests,
)

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

REQUESTS = f"{SUBSCRIPTION}/providers/Bascule.Access/accessRequests"
REQUEST = f"{REQUESTS}/{{request_id}}"
RULES = f"{MACHINE}/providers/Bascule.Access/machineRules/default"
LONGEST_WAIT = 60  # seconds
Place = tuple[datetime, str]  # of a request in the list: when it began, and its id
_OFFERED = (
    ("live", "eq"),
    ("machine", "eq"),
    ("requestor", "eq"),
    ("state", "eq"),
    ("waitingFor", "eq"),
    ("decidedBy", "eq"),
    ("needsReview", "eq"),
)


@router.get(REQUESTS)
@shows(POLICY_READ)
async def list_requests(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[str, Query(alias="$filter", max_length=2000)] = "",
) -> Response:
    clauses = {clause.field: clause for clause in parse_filter(filter_text, _OFFERED)}
    states = _states(_truth(clauses.get("live")), clauses.get("state"))
    machine_id = _machine(clauses.get("machine"))
    requestor_id = _requestor(clauses.get("requestor"), call)
    place = wanted.texts_after()
    after = None if place is None else (parse_instant(place[0], "$skiptoken"), place[1])
    now, sight, within = call.now, _sight(call), call.within(POLICY_READ)
    is_asked, has_decided = (_is_me(clauses.get(each)) for each in ("waitingFor", "decidedBy"))
    needs_review = _truth(clauses.get("needsReview"))
    if needs_review is False:
        raise InvalidInput("$filter: needsReview eq true.", code="InvalidFilter")
    # What one is asked one may read, and has decided (EDGES J8), and what one may review.
    if is_asked or has_decided or needs_review:
        within = None
    if within is not None and not within.keys and requestor_id is None:
        requestor_id = call.subject.principal_id  # there is nothing else to be seen

    def may_know(request: AccessRequest) -> bool:
        return sight.sees_request(request) or may_review(call.rights, call.subject, request)

    is_shown = may_know if needs_review else None if within is None else sight.sees_request

    def read(reader: Reader) -> tuple[Sifted[AccessRequest, Place], tuple[RequestView, ...]]:
        uid = None
        me = call.subject.principal_id
        waiting_for = (approver_of(reader, me, now), now) if is_asked else None
        if machine_id is not None:
            machine = reader.machine(machine_id)
            if machine is None:
                return Sifted([], None), ()
            uid = machine.uid
        sifted = sift(
            wanted,
            after,
            lambda place, limit: reader.requests(
                machine_uid=uid,
                requestor_id=requestor_id,
                states=states,
                after=place,
                limit=limit,
                waiting_for=waiting_for,
                decided_by=me if has_decided else None,
                needs_review=bool(needs_review),
            ),
            is_shown,
            lambda request: (request.started_at, request.id),
        )
        shown = view_requests(reader, sifted.shown, now, call.subject, tells_runs=True)
        return sifted, shown

    sifted, views = await call.read(read)
    value = [access_request_json(view) for view in views]
    return CompactJson(
        sifted_json(call, sifted, value, lambda place: (format_utc(place[0]), place[1]))
    )


def _sight(call: Call) -> Sight:
    return sight_of(call.rights, call.subject.principal_id)


def _truth(clause: Clause | None) -> bool | None:
    if clause is None:
        return None
    if clause.value.casefold() not in ("true", "false"):
        raise InvalidInput(
            f"$filter: {clause.field} eq true, or {clause.field} eq false.", code="InvalidFilter"
        )
    return clause.value.casefold() == "true"


def _states(is_live: bool | None, clause: Clause | None) -> Collection[RequestState]:
    """Those that are meant. A request is live until all of it was read back closed."""
    found = frozenset(RequestState)
    if is_live is not None:
        unsettled = frozenset(REQUEST_UNSETTLED)
        found = unsettled if is_live else found - unsettled
    if clause is not None:
        named = {each.casefold(): each for each in RequestState}
        if clause.value.casefold() not in named:
            raise InvalidInput(
                f"$filter: state eq one of {', '.join(RequestState)}.", code="InvalidFilter"
            )
        found &= {named[clause.value.casefold()]}
    return found


def _machine(clause: Clause | None) -> ResourceId | None:
    return None if clause is None else ResourceId.parse_machine(clause.value, "$filter")


def _is_me(clause: Clause | None) -> bool:
    if clause is None:
        return False
    if clause.value.casefold() != "me":
        raise InvalidInput(f"$filter: {clause.field} eq 'me'.", code="InvalidFilter")
    return True


def _requestor(clause: Clause | None, call: Call) -> str | None:
    if clause is None:
        return None
    return call.subject.principal_id if clause.value.casefold() == "me" else clause.value.lower()


@router.get(REQUEST)
@decides(POLICY_READ)
async def get_request(
    call: CurrentCall,
    request_id: str,
    wait_seconds: Annotated[float, Query(alias="waitSeconds", ge=0, le=LONGEST_WAIT)] = 0.0,
    wait_for: Annotated[Literal["opened", "closed"], Query(alias="waitFor")] = "opened",
) -> Response:
    """The request. With waitSeconds, answers once no port is opening or closing any more."""
    _check_request_id(request_id)
    view = await wait_until_settled(call, request_id, wait_seconds, wait_for == "closed")
    if view is None:
        raise _no_request(request_id)
    return CompactJson(access_request_json(view))


@router.post(f"{REQUEST}/revoke")
@decides(REQUEST_REVOKE)
async def revoke(call: CurrentCall, request_id: str, body: RevokeBody | None = None) -> Response:
    _check_request_id(request_id)
    wanted = body or RevokeBody()

    def work(tx: Transaction, act: Act) -> datetime:
        live_requests.revoke(
            tx,
            act,
            request_id.lower(),
            wanted.grant_ids,
            kills_sessions=wanted.kill or False,
            subject=call.subject,
        )
        return act.now

    now = await call.perform(work)
    # Looked at when it is on disk: what cannot be shown must not undo the revocation.
    view = await call.read(
        lambda reader: view_request(reader, request_id.lower(), now, call.subject)
    )
    return _answer(view, request_id)


@router.post(f"{REQUEST}/extend")
@decides(INITIATE, POLICY_READ)
async def extend(call: CurrentCall, request_id: str, body: ExtendBody) -> Response:
    _check_request_id(request_id)

    def work(tx: Transaction, act: Act) -> tuple[RequestView | None, Denied | None]:
        end = body.end(act.now)
        denied = live_requests.extend(
            tx, act, request_id.lower(), end.at, end.text, call.subject, body.duration
        )
        return view_request(tx, request_id.lower(), act.now, call.subject), denied

    view, denied = await call.perform(work)
    if view is not None and denied is not None:
        raise request_denials.denial(denied, view.request.policy_id)
    return _answer(view, request_id)


def _answer(view: RequestView | None, request_id: str) -> Response:
    if view is None:
        raise _no_request(request_id)
    return CompactJson(access_request_json(view))


def _check_request_id(request_id: str) -> None:
    if not is_guid(request_id):
        raise _no_request(request_id)


def _no_request(request_id: str) -> NotFound:
    return NotFound(
        f"Request {request_id[:64]!r} does not exist.",
        advice="To see live requests: bascule status.",
    )


@router.get(RULES)
@requires(POLICY_READ)
async def get_machine_rules(call: CurrentCall, machine: MachinePath) -> Response:
    now = call.now
    return _rules(
        await call.read(lambda reader: view_machine(reader, known_machine(reader, machine), now))
    )


@router.put(RULES)
@decides(POLICY_WRITE, MACHINE_WRITE)
async def put_machine_rules(
    call: CurrentCall,
    machine: MachinePath,
    body: MachineRulesBody,
    conditions: WantedConditions,
    dry_run: DryRun = False,
) -> Response:
    ports, name, inherits, kept = read_rules(body.properties)

    def work(tx: Transaction, act: Act) -> MachineView:
        check_may_set_rules(tx, act, call.subject, machine)  # before anything is told of it
        known = known_machine(tx, machine)
        beside = policy_id(known.id.subscription_id, known.id.resource_group, known.location, name)
        precondition = conditions.on(tx.policy(beside))
        machine_rules.put_machine_rules(
            tx,
            act,
            call.subject,
            machine,
            ports,
            name,
            inherits,
            precondition,
            Kept(frozenset((known.id, *each) for each in kept)),
        )
        return view_machine(tx, known, act.now)

    if dry_run:
        return CompactJson(preview_json(await call.rehearse(work)))
    return _rules(await call.perform(work))


@router.delete(RULES)
@decides(POLICY_WRITE, MACHINE_WRITE)
async def delete_machine_rules(
    call: CurrentCall,
    machine: MachinePath,
    dry_run: DryRun = False,
) -> Response:
    """Remove the machine from every policy, and open the ports that they named."""

    def work(tx: Transaction, act: Act) -> bool:
        return machine_rules.delete_machine_rules(tx, act, call.subject, machine)

    if dry_run:
        return CompactJson(preview_json(await call.rehearse(work)))
    is_gone = await call.perform(work)
    return Response(status_code=200 if is_gone else 204)


@router.post(f"{RULES}/release")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def release(
    call: CurrentCall,
    machine: MachinePath,
    body: ReleaseBody | None = None,
    dry_run: DryRun = False,
) -> Response:
    """Open closed ports that no policy names: the given ones, or all."""
    given = body.ports if body else None

    def work(tx: Transaction, act: Act) -> tuple[PortKey, ...]:
        check_may_set_rules(tx, act, call.subject, machine)
        known = known_machine(tx, machine)
        ports = None
        if given is not None:
            held = {each.port for each in tx.closed_ports(known.uid)} | named_ports(tx, known)
            held |= {each.port for each in claimed_ports(tx, known.uid)}
            ports = [key for port in given for key in port.keys(held)]
        return unnamed_ports.release_ports(tx, act, call.subject, machine, ports)

    if dry_run:
        return CompactJson(preview_json(await call.rehearse(work)))
    released = await call.perform(work)
    return CompactJson(
        {"released": [{"number": each.number, "protocol": each.protocol} for each in released]}
    )


@router.post(f"{RULES}/take")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def take(
    call: CurrentCall,
    machine: MachinePath,
    body: ReleaseBody | None = None,
) -> Response:
    """Keep ports closed that only the agent reports as closed: the given ones, or all (EDGES E7)."""
    given = body.ports if body else None

    def work(tx: Transaction, act: Act) -> tuple[PortKey, ...]:
        check_may_set_rules(tx, act, call.subject, machine)
        ports = None
        if given is not None:
            known = known_machine(tx, machine)
            claims = {each.port for each in claimed_ports(tx, known.uid)}
            ports = [key for port in given for key in port.keys(claims)]
        return unnamed_ports.take_ports(tx, act, call.subject, machine, ports)

    taken = await call.perform(work)
    return CompactJson(
        {"taken": [{"number": each.number, "protocol": each.protocol} for each in taken]}
    )


def _rules(view: MachineView) -> Response:
    headers = {"ETag": view.default_etag} if view.default_etag else {}
    return CompactJson(machine_rules_json(view), headers=headers)
