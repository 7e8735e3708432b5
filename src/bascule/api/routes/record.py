"""Bascule.Audit beside its events: the record exported, verified, signed, pruned.

An export is streamed page by page, so that its size is nobody's memory. Verifying reads
everything and is done for one caller at a time; the others wait for that answer to end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires
from bascule.api.envelope import CompactJson
from bascule.api.paging import WantedPage, page_json
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.record import (
    PruneBody,
    checkpoint_resource,
    key_resource,
    pruned_json,
    verdict_json,
)
from bascule.domain.actions import (
    CHECKPOINT_READ,
    CHECKPOINT_WRITE,
    EVENT_READ,
    RECORD_DELETE,
    RECORD_VERIFY,
)
from bascule.domain.chain import Checkpoint
from bascule.services.record import export_pages, ocsf_pages, verify_record
from bascule.services.retention import prune
from bascule.services.seal import seal_all

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

AUDIT = f"{SUBSCRIPTION}/providers/Bascule.Audit"
JSON_LINES = "application/jsonl"  # as good as registered; the JSON lines of jsonlines.org


class _Form(StrEnum):
    BASCULE = "bascule"
    OCSF = "ocsf"


ExportForm = Annotated[_Form, Query(alias="format")]


@router.get(f"{AUDIT}/key")
@requires(CHECKPOINT_READ)
async def get_key(call: CurrentCall) -> Response:
    """The public key that verifies the checkpoints."""
    return CompactJson(key_resource(call.subscription_id, call.state.record_key))


@router.get(f"{AUDIT}/checkpoints")
@requires(CHECKPOINT_READ)
async def list_checkpoints(call: CurrentCall, wanted: WantedPage) -> Response:
    """Newest first."""
    after = wanted.number_after()
    found = await call.read(lambda reader: reader.checkpoints(after, wanted.limit))
    return CompactJson(
        page_json(
            call,
            wanted,
            found,
            lambda each: checkpoint_resource(call.subscription_id, each),
            lambda each: (each.head.position,),
        )
    )


@router.post(f"{AUDIT}/checkpoints")
@requires(CHECKPOINT_WRITE)
async def create_checkpoint(call: CurrentCall) -> Response:
    """Chain all committed events and sign the chain now."""
    return CompactJson(checkpoint_resource(call.subscription_id, await _sign(call)))


@router.post(f"{AUDIT}/verification")
@requires(RECORD_VERIFY)
async def verify(call: CurrentCall) -> Response:
    """Verify the whole record. Names the first break, if there is one."""
    async with call.state.verifying:
        await _sign(call)
        verdict = await verify_record(call.state.services, call.state.record_key)
    return CompactJson(verdict_json(verdict))


@router.get(f"{AUDIT}/export")
@requires(EVENT_READ)
async def export(call: CurrentCall, form: ExportForm = _Form.BASCULE) -> Response:
    """The record as JSON lines: verifiable (docs/record.md), or in OCSF."""
    await _sign(call)
    services, key = call.state.services, call.state.record_key
    pages = ocsf_pages(services) if form is _Form.OCSF else export_pages(services, key)
    return StreamingResponse(_joined(call, pages), media_type=JSON_LINES)


@router.post(f"{AUDIT}/prune")
@requires(RECORD_DELETE)
async def prune_record(call: CurrentCall, body: PruneBody) -> Response:
    """Delete whole signed parts from before a date. The rest can still be verified.

    Events younger than the floor are never deleted. No call can change the floor.
    """
    await _sign(call)
    floor, services = call.state.record_floor, call.state.services
    done = await call.perform(
        lambda tx, act: prune(
            tx, act, body.before.at, floor, services.clock.boottime(), services.boot
        )
    )
    return CompactJson(pruned_json(done))


async def _sign(call: Call) -> Checkpoint:
    return await seal_all(call.state.services, call.state.record_key)


async def _joined(call: Call, pages: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
    """The pages, cut off when the caller may read on no more (EDGES B5)."""
    async for lines in pages:
        await call.check_admission()
        yield b"".join(lines)
