"""Microsoft.Security jitNetworkAccessPolicies (api-version 2020-01-01; CONTRACT 1.1 to 1.7).

PUT answers 200 only, initiate 202 only, DELETE 200 or 204; none of them is long-running.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import decides, shows
from bascule.api.envelope import CompactJson
from bascule.api.my_address import source_of_caller
from bascule.api.paging import Wanted, WantedPage, page_json
from bascule.api.paths import GROUP, SUBSCRIPTION, DryRun, Group, Location, PolicyPath
from bascule.api.preconditions import WantedConditions
from bascule.api.wire.policies import PolicyBody, foreign_machines, policy_json, read_policy
from bascule.api.wire.preview import preview_json
from bascule.api.wire.problems import reject
from bascule.api.wire.requests import InitiateBody, read_machines, request_json
from bascule.domain.actions import INITIATE, MACHINE_WRITE, POLICY_DELETE, POLICY_READ, POLICY_WRITE
from bascule.domain.decide import Denied
from bascule.domain.ids import ResourceId
from bascule.domain.scopes import resource_scope
from bascule.errors import InvalidInput, NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.services import policies, request_denials, requests, runs
from bascule.services.act import Act
from bascule.services.request_rights import Sight, sight_of
from bascule.services.rights import Needed, denial
from bascule.services.views import PolicyView, RequestView, view_policy

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

_KIND = "jitNetworkAccessPolicies"
_SECURITY = "/providers/Microsoft.Security"
_REGION = f"{_SECURITY}/locations/{{location}}/{_KIND}"
POLICY = f"{GROUP}{_REGION}/{{policy}}"


@router.get(f"{SUBSCRIPTION}{_SECURITY}/{_KIND}")
@shows(POLICY_READ)
async def list_policies(call: CurrentCall, wanted: WantedPage) -> Response:
    return await _list(call, wanted)


@router.get(f"{SUBSCRIPTION}{_REGION}")
@shows(POLICY_READ)
async def list_policies_of_region(
    call: CurrentCall, location: Location, wanted: WantedPage
) -> Response:
    return await _list(call, wanted, location=location)


@router.get(f"{GROUP}{_SECURITY}/{_KIND}")
@shows(POLICY_READ)
async def list_policies_of_group(call: CurrentCall, group: Group, wanted: WantedPage) -> Response:
    return await _list(call, wanted, group=group)


@router.get(f"{GROUP}{_REGION}")
@shows(POLICY_READ)
async def list_policies_of_group_and_region(
    call: CurrentCall, group: Group, location: Location, wanted: WantedPage
) -> Response:
    return await _list(call, wanted, group=group, location=location)


async def _list(
    call: Call, wanted: Wanted, group: str | None = None, location: str | None = None
) -> Response:
    now, after, sight = call.now, wanted.text_after(), _sight(call)
    within = call.within(POLICY_READ)

    def read(reader: Reader) -> list[PolicyView]:
        found = reader.policies(group, location, after, wanted.limit, within)
        return [view_policy(reader, stored, now, sight) for stored in found]

    views = await call.read(read)
    return CompactJson(
        page_json(call, wanted, views, policy_json, lambda view: (view.stored.policy.id.key,))
    )


@router.get(POLICY)
@decides(POLICY_READ)
async def get_policy(call: CurrentCall, policy: PolicyPath) -> Response:
    now, sight = call.now, _sight(call)

    def read(reader: Reader) -> PolicyView:
        stored = reader.policy(policy)
        if not (sight.sees(policy) or (stored is not None and sight.sees_any(stored.policy))):
            raise denial(reader, call.subject, [Needed(POLICY_READ, resource_scope(policy))])
        if stored is None:
            raise _not_found(policy)
        return view_policy(reader, stored, now, sight)

    return _answer(await call.read(read))


@router.put(POLICY)
@decides(POLICY_WRITE, MACHINE_WRITE)
async def put_policy(
    call: CurrentCall,
    policy: PolicyPath,
    body: PolicyBody,
    conditions: WantedConditions,
    dry_run: DryRun = False,
) -> Response:
    wanted, inherits, kept = read_policy(body, policy)

    def work(tx: Transaction, act: Act) -> PolicyView:
        precondition = conditions.on(tx.policy(policy))
        stored = policies.put_policy(tx, act, call.subject, wanted, inherits, precondition, kept)
        return view_policy(tx, stored, act.now, _sight(call), shows_rules=True)

    if dry_run:
        return CompactJson(preview_json(await call.rehearse(work)))
    return _answer(await call.perform(work))


@router.delete(POLICY)
@decides(POLICY_DELETE, MACHINE_WRITE)
async def delete_policy(
    call: CurrentCall,
    policy: PolicyPath,
    conditions: WantedConditions,
    dry_run: DryRun = False,
) -> Response:
    def work(tx: Transaction, act: Act) -> bool:
        precondition = conditions.on(tx.policy(policy))
        return policies.delete_policy(tx, act, call.subject, policy, precondition)

    if dry_run:
        return CompactJson(preview_json(await call.rehearse(work)))
    return Response(status_code=200 if await call.perform(work) else 204)


@router.post(f"{POLICY}/initiate", status_code=202)
@decides(INITIATE, POLICY_READ)
async def initiate(call: CurrentCall, policy: PolicyPath, body: InitiateBody) -> Response:
    reject(
        [
            *foreign_machines(
                [machine.id for machine in body.virtual_machines],
                call.subscription_id,
                "virtualMachines",
            )
        ]
    )
    starts_at = body.starts_at
    if starts_at is not None and body.needs_caller:
        raise InvalidInput(
            "A request with a start must name its sources: the address that it is asked from may be "
            "another one by then.",
            code="SourceRequired",
            target="allowedSourceAddressPrefix",
            advice="Give allowedSourceAddressPrefix for each port.",
        )
    caller = (
        source_of_caller(call.subject.address, call.state.proxies) if body.needs_caller else None
    )

    def work(tx: Transaction, act: Act) -> RequestView | Denied:
        machines = read_machines(body, caller, starts_at or act.now)
        answer = requests.initiate(
            *(tx, act, policy, machines, body.justification, call.subject),
            is_emergency=body.is_emergency,
            starts_at=starts_at,
        )
        if isinstance(answer, Denied):
            return answer
        runs.begin(tx, act, answer.request, body.run_id)
        return RequestView(answer.request, answer.grants, {}, {}, act.now, mapped=answer.mapped)

    answer = await call.perform(work)
    if isinstance(answer, Denied):
        raise request_denials.denial(answer, policy)
    return CompactJson(request_json(answer), 202)


def _sight(call: Call) -> Sight:
    return sight_of(call.rights, call.subject.principal_id)


def _answer(view: PolicyView) -> Response:
    return CompactJson(policy_json(view), headers={"ETag": view.stored.etag})


def _not_found(policy: ResourceId) -> NotFound:
    return NotFound(
        f"The Resource '{policy.type}/{policy.name}' under resource group "
        f"'{policy.resource_group}' was not found.",
        advice="To list policies: bascule policy show.",
    )
