"""Bascule.Fleet: enforcement points as the owner sees them, and tokens to enrol agents."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import decides, requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.paging import Sifted, WantedPage, sift, sifted_json
from bascule.api.paths import MACHINE, SUBSCRIPTION, MachinePath
from bascule.api.wire.fleet import (
    BindingBody,
    EnrolmentBody,
    ManagedBody,
    ReleasedBody,
    enrolment_json,
    no_proxy,
    point_json,
)
from bascule.domain.actions import ENROLMENT_DELETE, ENROLMENT_WRITE, POINT_READ
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.scopes import subscription_scope
from bascule.errors import NotFound
from bascule.identity.secrets import new_enrolment_token, new_secret
from bascule.interfaces.store import Reader
from bascule.protocol.signed import token_public
from bascule.services import bindings, doubt, fleet, guarded, managed
from bascule.services.rights import Needed, denial

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

POINTS = f"{SUBSCRIPTION}/providers/Bascule.Fleet/enforcementPoints"
OF_MACHINE = f"{MACHINE}/providers/Bascule.Fleet/enforcementPoints"
Found = tuple[EnforcementPoint, Machine, int]


def _find(reader: Reader, point: EnforcementPoint | None) -> Found | None:
    machine = reader.machine_by_uid(point.machine_uid) if point else None
    if point is None or machine is None:
        return None
    return point, machine, reader.generation(machine.uid)


@router.get(POINTS)
@shows(POINT_READ)
async def list_points(call: CurrentCall, wanted: WantedPage) -> Response:
    now, within = call.now, call.within(POINT_READ)

    def read(reader: Reader) -> tuple[Sifted[EnforcementPoint, str], list[Found]]:
        found: dict[str, Found | None] = {}

        def is_shown(point: EnforcementPoint) -> bool:
            each = found[point.machine_uid] = _find(reader, point)
            return each is not None and (within is None or within.covers(each[1].id.key))

        sifted = sift(
            wanted,
            wanted.text_after(),
            lambda after, limit: reader.enforcement_points(after or "", limit),
            is_shown,
            lambda point: point.machine_uid,
        )
        shown = (found[point.machine_uid] for point in sifted.shown)
        return sifted, [each for each in shown if each is not None]

    sifted, shown = await call.read(read)
    value = [point_json(point, machine.id, number, now) for point, machine, number in shown]
    return CompactJson(sifted_json(call, sifted, value, lambda uid: (uid,)))


@router.get(f"{POINTS}/{{uid}}")
@decides(POINT_READ)
async def get_point(call: CurrentCall, uid: str) -> Response:
    within = call.within(POINT_READ)

    def read(reader: Reader) -> Found:
        found = _find(reader, reader.agent_of(uid.lower()))
        if within is not None and (found is None or not within.covers(found[1].id.key)):
            # At the subscription: who may not see the point does not learn whose it is.
            scope = subscription_scope(call.subscription_id)
            raise denial(reader, call.subject, [Needed(POINT_READ, scope)])
        if found is None:
            raise NotFound(
                f"Enforcement point {uid[:64]!r} does not exist.",
                advice="Machines and their agents: bascule machine list.",
            )
        return found

    point, machine, generation = await call.read(read)
    return CompactJson(point_json(point, machine.id, generation, call.now))


@router.delete(f"{POINTS}/{{uid}}")
@decides(ENROLMENT_DELETE)
async def delete_point(call: CurrentCall, uid: str) -> Response:
    """Refuse an agent from now on. The ports that it keeps closed stay closed."""
    is_gone = await call.perform(
        lambda tx, act: fleet.remove_point(tx, act, call.subject, uid.lower())
    )
    return Response(status_code=200 if is_gone else 204)


@router.post(f"{MACHINE}/providers/Bascule.Fleet/enforcementPoints/default/believe")
@requires(ENROLMENT_WRITE)
async def believe_point(call: CurrentCall, machine: MachinePath) -> Response:
    """Trust the reports of a machine's agent again (EDGES E7)."""
    is_changed = await call.perform(
        lambda tx, act: doubt.believe_point(tx, act, call.subject, machine)
    )
    return CompactJson({"isChanged": is_changed})


@router.post(f"{OF_MACHINE}/default/manage")
@requires(ENROLMENT_WRITE)
async def manage_point(call: CurrentCall, machine: MachinePath, body: ManagedBody) -> Response:
    """Say what manages a gateway instead of Bascule (EDGES G9). It ends no grant."""
    by, is_changed = await call.perform(
        lambda tx, act: managed.manage(tx, act, call.subject, machine, body.managed_by or "")
    )
    return CompactJson({"managedBy": by, "isChanged": is_changed})


@router.get(OF_MACHINE)
@requires(POINT_READ)
async def list_points_of(call: CurrentCall, machine: MachinePath) -> Response:
    """The points that guard a machine: its own agent, and those that it is bound to."""
    now = call.now

    def look(reader: Reader) -> list[dict[str, Any]]:
        return [
            point_json(point, machine, number, now, bound, gateway.id)
            for bound, point, number, gateway in guarded.points_at(reader, machine)
        ]

    return CompactJson({"value": await call.read(look)})


@router.put(f"{OF_MACHINE}/{{uid}}")
@requires(ENROLMENT_WRITE)
async def bind_point(
    call: CurrentCall, machine: MachinePath, uid: str, body: BindingBody | None = None
) -> Response:
    """Bind the machine to a further point, or say where that forwards to it, or whether it stands in
    parallel: each such change ends its live grants (EDGES F3, G3). Or trust the machine's route (G7).
    """
    wanted = body or BindingBody()
    is_new = await call.perform(
        lambda tx, act: bindings.bind(
            tx,
            act,
            call.subject,
            machine,
            uid.lower(),
            wanted.addresses,
            is_parallel=wanted.parallel,
            trusts_route=wanted.trust_route,
        )
    )
    return Response(status_code=201 if is_new else 200)


@router.delete(f"{OF_MACHINE}/{{uid}}")
@requires(ENROLMENT_WRITE)
async def unbind_point(call: CurrentCall, machine: MachinePath, uid: str) -> Response:
    """Unbind the machine from a point. This ends its live grants and releases no port."""
    is_gone = await call.perform(
        lambda tx, act: bindings.unbind(tx, act, call.subject, machine, uid.lower())
    )
    return Response(status_code=200 if is_gone else 204)


@router.post(f"{OF_MACHINE}/{{uid}}/releaseAddresses")
@requires(ENROLMENT_WRITE)
async def release_addresses(
    call: CurrentCall, machine: MachinePath, uid: str, body: ReleasedBody | None = None
) -> Response:
    """Have a gateway close nothing any more at addresses where the machine was (EDGES G2)."""
    wanted = (body.addresses if body is not None else None) or ()
    released = await call.perform(
        lambda tx, act: bindings.release_addresses(
            tx, act, call.subject, machine, uid.lower(), wanted
        )
    )
    return CompactJson({"released": [str(each) for each in released]})


@router.post(f"{MACHINE}/providers/Bascule.Fleet/enrolments")
@requires(ENROLMENT_WRITE)
async def create_enrolment(
    call: CurrentCall, machine: MachinePath, body: EnrolmentBody | None = None
) -> Response:
    """Make a one-time token for a machine's agent. Only this answer contains it."""
    wanted = body or EnrolmentBody()
    is_through = wanted.through_proxy or False
    if is_through and not call.state.proxies:
        raise no_proxy()
    await call.state.read_keys()
    fingerprint, secret = call.state.ca_fingerprint, new_secret()

    def token_of(uid: str) -> str:
        return new_enrolment_token(
            uid, fingerprint, call.state.trust_key.public_key, secret, is_through=is_through
        )

    enrolment, _, found = await call.perform(
        lambda tx, act: fleet.create_enrolment(
            tx,
            act,
            machine,
            lambda uid: token_public(token_of(uid)),
            wanted.valid_for,
            replaces=wanted.replace or False,
        )
    )
    token = token_of(found.uid)
    told = enrolment_json(
        enrolment,
        token,
        fingerprint,
        call.base_url,
        replaces=wanted.replace or False,
        packages=call.state.packages,
    )
    return CompactJson(told)
