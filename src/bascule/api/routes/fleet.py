"""Bascule.Fleet: enforcement points as the owner sees them, and tokens to enrol agents."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute, decides, requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.paging import WantedPage, page_json
from bascule.api.paths import ARM, MACHINE, SUBSCRIPTION, MachinePath
from bascule.api.wire.fleet import EnrolmentBody, enrolment_json, point_json
from bascule.domain.actions import ENROLMENT_WRITE, POINT_READ
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.errors import NotFound
from bascule.identity.secrets import new_enrolment_token
from bascule.interfaces import Reader
from bascule.services import fleet

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson, dependencies=[ARM])

POINTS = f"{SUBSCRIPTION}/providers/Bascule.Fleet/enforcementPoints"
Found = tuple[EnforcementPoint, Machine, int]


def _find(reader: Reader, point: EnforcementPoint | None) -> Found | None:
    machine = reader.machine_by_uid(point.machine_uid) if point else None
    if point is None or machine is None:
        return None
    return point, machine, reader.generation(machine.uid)


@router.get(POINTS)
@shows(POINT_READ)
async def list_points(call: CurrentCall, wanted: WantedPage) -> Response:
    now, after = call.now, wanted.text_after()

    def look(reader: Reader) -> list[Found]:
        points = [each for each in reader.enforcement_points() if each.machine_uid > after]
        found = [_find(reader, point) for point in points[: wanted.limit]]
        return [each for each in found if each is not None]

    return CompactJson(
        page_json(
            call,
            wanted,
            await call.look(look),
            lambda each: point_json(each[0], each[1].id, each[2], now),
            lambda each: (each[0].machine_uid,),
        )
    )


@router.get(f"{POINTS}/{{uid}}")
@decides(POINT_READ)
async def get_point(call: CurrentCall, uid: str) -> Response:
    found = await call.look(lambda reader: _find(reader, reader.enforcement_point(uid.lower())))
    if found is None:
        raise NotFound(
            f"Enforcement point {uid[:64]!r} does not exist.",
            advice="Machines and their agents: bascule machine list.",
        )
    point, machine, generation = found
    return CompactJson(point_json(point, machine.id, generation, call.now))


@router.post(f"{MACHINE}/providers/Bascule.Fleet/enrolments")
@requires(ENROLMENT_WRITE)
async def create_enrolment(
    call: CurrentCall, machine: MachinePath, body: EnrolmentBody | None = None
) -> Response:
    """A one-use token for one machine's agent; this answer alone holds it in the clear."""
    wanted = body or EnrolmentBody()
    fingerprint = call.state.ca_fingerprint
    enrolment, token, _ = await call.perform(
        lambda tx, act: fleet.create_enrolment(
            tx,
            act,
            machine,
            lambda uid: new_enrolment_token(uid, fingerprint),
            wanted.valid_for,
            replaces=wanted.replace or False,
        )
    )
    return CompactJson(enrolment_json(enrolment, token, fingerprint, call.base_url))
