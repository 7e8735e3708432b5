"""The start page: how things stand, at a glance; each figure leads to its page.

What is shown is what the caller may read: machines, and requests of others where the record
may be read, otherwise the visitor's own. An installation without machines is led to its first steps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import admits_callers
from bascule.domain.actions import (
    ACTIVITY_READ,
    IDENTITY_PROVIDER_WRITE,
    MACHINE_READ,
    MACHINE_WRITE,
    SERVICE_PRINCIPAL_WRITE,
    SIGNING_KEY_WRITE,
    SINK_WRITE,
)
from bascule.domain.endings import Ending, Ends
from bascule.domain.exposure import DAY, SpanKind
from bascule.domain.facts.grants import AccessRequested
from bascule.domain.scopes import subscription_scope
from bascule.identity.x509 import ends_of
from bascule.interfaces.activity import ActivityFilter
from bascule.interfaces.store import Reader
from bascule.portal.charts import Bars, bars_of
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.exposure import machine_path
from bascule.portal.port_hours import port_hours
from bascule.services.endings import near_endings
from bascule.services.exposure import (
    USUAL_DAYS,
    MachineExposure,
    Summary,
    exposed,
    moment_of,
    summarize,
)
from bascule.services.knocks import KnocksView, scopes_within, view_knocks
from bascule.services.request_rights import sight_of

router = APIRouter(route_class=PortalRoute)

_MOST_OPEN = 8  # machines of the list of what is open
_MOST_BARE = 5
_MOST_SOURCES = 5
_MAKERS = {
    Ends.CA: SIGNING_KEY_WRITE,
    Ends.SERVER: SIGNING_KEY_WRITE,
    Ends.OWN: SIGNING_KEY_WRITE,
    Ends.CLIENT_SECRET: SERVICE_PRINCIPAL_WRITE,
    Ends.CLIENT_CERTIFICATE: SERVICE_PRINCIPAL_WRITE,
    Ends.SINK_CA: SINK_WRITE,
    Ends.PROVIDER_CA: IDENTITY_PROVIDER_WRITE,
}
_OF_GROUP = 4  # slashes of a resource group's key
_SPARK = 28  # pixels


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests there were on each of the last days, the oldest first."""

    days: tuple[tuple[datetime, int], ...]
    is_own: bool  # of the caller alone

    @property
    def total(self) -> int:
        return sum(number for _, number in self.days)

    @property
    def bars(self) -> Bars:
        return bars_of([number for _, number in self.days], _SPARK)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is so of the machines that the caller may see."""

    summary: Summary
    opened: Sequence[MachineExposure]
    bare: Sequence[MachineExposure]
    knocks: KnocksView

    @property
    def knock_bars(self) -> Bars:
        return bars_of([attempts for _, attempts in self.knocks.hours], _SPARK)


@router.get("/portal")
@admits_callers
async def overview(visit: CurrentVisit) -> Response:
    requests = await visit.read(_requests_of(visit))
    endings = await visit.read(_endings_of(visit))
    picture = await _picture_of(visit) if visit.rights.may_anywhere(MACHINE_READ) else None
    return visit.show(
        "overview.html",
        picture=picture,
        requests=requests,
        endings=endings,
        hours=None if picture is None else port_hours(picture.summary),
        moment=moment_of(visit.now),
        machine_path=machine_path,
        may_add=visit.rights.may_anywhere(MACHINE_WRITE),
    )


def _endings_of(visit: Visit) -> Callable[[Reader], Sequence[Ending]]:
    """What ends soon, of which the visitor may make another."""
    scope, now = subscription_scope(visit.subscription_id), visit.now
    may = {what: visit.may(action, scope) for what, action in _MAKERS.items()}

    def read(reader: Reader) -> Sequence[Ending]:
        if not any(may.values()):
            return ()
        found = near_endings(reader, visit.state.certificates(), ends_of, now)
        return [each for each in found if may[each.what]]

    return read


async def _picture_of(visit: Visit) -> Picture:
    now, subscription = visit.now, visit.subscription_id
    within, moment = visit.within(MACHINE_READ), moment_of(now)
    sight = sight_of(visit.rights, visit.subject.principal_id)

    def read(
        reader: Reader,
    ) -> tuple[Summary, Sequence[MachineExposure], Sequence[MachineExposure]]:
        return (
            summarize(reader, moment, within, subscription),
            exposed(reader, moment, sight, within, SpanKind.OPEN, limit=_MOST_OPEN),
            exposed(reader, moment, sight, within, SpanKind.BARE, limit=_MOST_BARE),
        )

    def listen(reader: Reader) -> KnocksView:
        scopes = scopes_within(reader, within, subscription)
        return view_knocks(reader, scopes, now, top=_MOST_SOURCES)

    seen, knocks = await asyncio.gather(visit.read(read), visit.read(listen))  # two readers
    return Picture(*seen, knocks)


def _requests_of(visit: Visit) -> Callable[[Reader], Requests]:
    """Requests are on record at their policy: who may not read any policy's sees their own."""
    moment = moment_of(visit.now)
    within = visit.within(ACTIVITY_READ)
    is_own = within is not None and not any(map(_is_wide, within.keys))
    mine = visit.subject.principal_id
    sorts = (AccessRequested.__name__,)

    def read(reader: Reader) -> Requests:
        if is_own:
            wanted = ActivityFilter(principal_ids=(mine,), sorts=sorts, since=moment.since)
        else:
            wanted = ActivityFilter(sorts=sorts, since=moment.since, within=within)
        counts: Counter[datetime] = Counter()
        for (day, _), number in reader.activity_by_day(wanted).items():
            counts[day] += number
        days = [moment.since + place * DAY for place in range(USUAL_DAYS)]
        return Requests(tuple((day, counts[day]) for day in days), is_own)

    return read


def _is_wide(scope_key: str) -> bool:
    """May a policy lie below it?"""
    return scope_key.count("/") <= _OF_GROUP
