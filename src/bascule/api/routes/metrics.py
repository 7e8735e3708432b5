"""Metrics for Prometheus, for whoever may read them at the subscription."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.context import AppState
from bascule.api.entries import decides
from bascule.api.metrics_listener import Answer
from bascule.domain.actions import METRICS_READ
from bascule.domain.scopes import subscription_scope
from bascule.services.rights import Needed, check

router = APIRouter(route_class=GuardedRoute)


@router.get("/metrics")
@decides(METRICS_READ)
async def metrics(call: CurrentCall) -> Response:
    """What the server counts. For Prometheus, ``oauth2`` of its scrape configuration gets the token."""
    needed = [Needed(METRICS_READ, subscription_scope(call.subscription_id))]
    await call.read_few(lambda reader: check(reader, call.subject, call.now, needed))
    body, media_type = await metrics_of(call.state)()
    return Response(body, media_type=media_type)


def metrics_of(state: AppState) -> Callable[[], Awaitable[Answer]]:
    """What makes the text of this server's metrics, with its media type."""

    async def make() -> Answer:
        from bascule.api.metrics import MEDIA_TYPE, Metrics  # noqa: PLC0415  # reason: it costs nothing until somebody asks

        return await state.part(Metrics).text(), MEDIA_TYPE

    return make
