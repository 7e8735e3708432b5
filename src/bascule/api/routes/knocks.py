"""Bascule.Access: who knocked at closed ports, of one machine and of all that may be seen.

What is seen of all machines is the sums of the scopes at which the caller may read machines,
and of the machines that the caller may read one by one.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.paths import MACHINE, SUBSCRIPTION, MachinePath
from bascule.api.wire.knocks import knocks_json
from bascule.domain.actions import MACHINE_READ
from bascule.domain.machine import Machine
from bascule.domain.net import Address, parse_address
from bascule.interfaces.store import Reader
from bascule.services.knocks import (
    LONGEST_SPAN,
    LONGEST_SPAN_OF_ALL,
    TOP,
    KnocksView,
    scopes_within,
    view_knocks,
)
from bascule.services.known_machine import known_machine

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

OF_MACHINE = f"{MACHINE}/providers/Bascule.Access/blockedAttempts/default"
OF_ALL = f"{SUBSCRIPTION}/providers/Bascule.Access/blockedAttempts/default"
MOST_SOURCES = 1000

Hours = Annotated[
    int, Query(ge=1, le=LONGEST_SPAN, description="Number of hours, including the current one.")
]
HoursOfAll = Annotated[
    int,
    Query(ge=1, le=LONGEST_SPAN_OF_ALL, description="Number of hours, including the current one."),
]
Top = Annotated[int, Query(ge=1, le=MOST_SOURCES, description="Maximum number of sources.")]
Source = Annotated[str, Query(max_length=64, description="Only attempts from this address.")]


@router.get(OF_MACHINE)
@requires(MACHINE_READ)
async def get_machine_knocks(
    call: CurrentCall, machine: MachinePath, hours: Hours = 24, top: Top = TOP, source: Source = ""
) -> Response:
    now, only = call.now, _address(source)

    def read(reader: Reader) -> tuple[Machine, KnocksView]:
        known = known_machine(reader, machine)
        return known, view_knocks(reader, [known.uid], now, hours, top, only)

    known, view = await call.read(read)
    return CompactJson(knocks_json(str(known.id), view, known.id))


@router.get(OF_ALL)
@shows(MACHINE_READ)
async def get_knocks(
    call: CurrentCall, hours: HoursOfAll = 24, top: Top = TOP, source: Source = ""
) -> Response:
    now, only, within = call.now, _address(source), call.within(MACHINE_READ)
    view = await call.read(
        lambda reader: view_knocks(
            reader, scopes_within(reader, within, call.subscription_id), now, hours, top, only
        )
    )
    return CompactJson(knocks_json(call.subscription, view, None))


def _address(text: str) -> Address | None:
    return parse_address(text, "source") if text else None
