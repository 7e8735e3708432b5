"""Bascule.Access: runs of ``bascule ssh --close``, whose last one closes a request (EDGES J14).

Each of these only ends access earlier, or lets it go on to the end that it has. None extends it.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers
from bascule.api.envelope import CompactJson
from bascule.api.routes.access import REQUEST
from bascule.domain.ids import is_guid
from bascule.domain.runs import HEARTBEAT, Run
from bascule.domain.times import format_duration, format_utc
from bascule.errors import InvalidInput
from bascule.interfaces.store import Transaction
from bascule.services import runs
from bascule.services.act import Act

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

RUN = f"{REQUEST}/runs/{{run_id}}"


@router.put(RUN)
@admits_callers
async def put_run(call: CurrentCall, request_id: str, run_id: str) -> Response:
    """Say that a run goes on, or that it begins to use an access that other runs use."""
    request, wanted = _ids(request_id, run_id)
    known = await call.read(lambda reader: runs.goes_on(reader, request, wanted, call.subject))
    if known is not None:
        return _answer(call.state.services.heartbeats.note(known, call.now))

    def work(tx: Transaction, act: Act) -> Run:
        return runs.join(tx, act, request, wanted, call.subject)

    return _answer(await call.perform(work))


@router.delete(RUN)
@admits_callers
async def delete_run(call: CurrentCall, request_id: str, run_id: str) -> Response:
    """End a run. The last one closes the access, without cutting connections."""
    request, wanted = _ids(request_id, run_id)

    def work(tx: Transaction, act: Act) -> None:
        runs.leave(tx, act, request, wanted, call.subject)

    await call.perform(work)
    return Response(status_code=204)


@router.post(f"{REQUEST}/keep")
@admits_callers
async def keep(call: CurrentCall, request_id: str) -> Response:
    """Have no run close the access any more: something else uses it."""
    request, _ = _ids(request_id, request_id)

    def work(tx: Transaction, act: Act) -> None:
        del act  # nothing of it is on record: the access ends when it was to end
        runs.keep(tx, request, call.subject)

    await call.perform(work)
    return Response(status_code=204)


def _ids(request_id: str, run_id: str) -> tuple[str, str]:
    for each, what in ((request_id, "request"), (run_id, "run")):
        if not is_guid(each):
            raise InvalidInput(f"{each[:64]!r} is not the id of a {what}: it must be a GUID.")
    return request_id.lower(), run_id.lower()


def _answer(run: Run) -> Response:
    until = None if run.until is None else format_utc(run.until)
    return CompactJson({"closesAt": until, "heartbeat": format_duration(HEARTBEAT)})
