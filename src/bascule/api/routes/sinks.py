"""Bascule.Audit/sinks: the places that the record is sent to."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import requires
from bascule.api.envelope import CompactJson
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.sinks import ResumeBody, SinkBody, outcome_json, sink_json
from bascule.domain.actions import SINK_DELETE, SINK_READ, SINK_WRITE
from bascule.services import sinks
from bascule.services.delivery import send_test

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

SINKS = f"{SUBSCRIPTION}/providers/Bascule.Audit/sinks"
SINK = f"{SINKS}/{{sink}}"


@router.get(SINKS)
@requires(SINK_READ)
async def list_sinks(call: CurrentCall) -> Response:
    """All sinks, on one page."""
    now = call.now
    found = await call.read(lambda reader: sinks.view_sinks(reader, now))
    return CompactJson({"value": [sink_json(call.subscription_id, each) for each in found]})


@router.get(SINK)
@requires(SINK_READ)
async def get_sink(call: CurrentCall, sink: str) -> Response:
    now = call.now
    return _answer(call, await call.read(lambda reader: sinks.view_sink(reader, sink, now)))


@router.put(SINK)
@requires(SINK_WRITE)
async def put_sink(call: CurrentCall, sink: str, body: SinkBody) -> Response:
    """Add or change a sink. A new webhook's secret is only in this answer."""
    draft, carrier = body.properties.draft(), call.state.way_out.carrier
    view, is_new = await call.perform(lambda tx, act: sinks.put_sink(tx, act, carrier, sink, draft))
    return _answer(call, view, 201 if is_new else 200)


@router.delete(SINK)
@requires(SINK_DELETE)
async def delete_sink(call: CurrentCall, sink: str) -> Response:
    is_gone = await call.perform(lambda tx, act: sinks.remove_sink(tx, act, sink))
    return Response(status_code=200 if is_gone else 204)


@router.post(f"{SINK}/test")
@requires(SINK_WRITE)
async def test_sink(call: CurrentCall, sink: str) -> Response:
    """Send one test message now. The answer has the result."""
    return CompactJson(outcome_json(await send_test(call.state.services, call.state.way_out, sink)))


@router.post(f"{SINK}/pause")
@requires(SINK_WRITE)
async def pause_sink(call: CurrentCall, sink: str) -> Response:
    return _answer(call, await call.perform(lambda tx, act: sinks.pause_sink(tx, act, sink)))


@router.post(f"{SINK}/resume")
@requires(SINK_WRITE)
async def resume_sink(call: CurrentCall, sink: str, body: ResumeBody | None = None) -> Response:
    """Start sending again now: after the event that parked the sink, or from an earlier position."""
    wanted = body or ResumeBody()
    return _answer(
        call,
        await call.perform(
            lambda tx, act: sinks.resume_sink(
                tx, act, sink, skips=wanted.skip or False, after=wanted.after
            )
        ),
    )


@router.post(f"{SINK}/rotateSecret")
@requires(SINK_WRITE)
async def rotate_secret(call: CurrentCall, sink: str) -> Response:
    """Make a new secret, shown only in this answer. Calls are also signed with the old one for a day."""
    return _answer(call, await call.perform(lambda tx, act: sinks.rotate_secret(tx, act, sink)))


def _answer(call: CurrentCall, view: sinks.SinkView, status: int = 200) -> Response:
    return CompactJson(sink_json(call.subscription_id, view), status)
