"""A machine's overview: where it is, what guards it, what is open, who asked and who knocked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import MACHINE_READ, NSG_READ
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import STATES, GrantState
from bascule.domain.net import PortKey
from bascule.domain.scopes import resource_scope
from bascule.domain.security_rules import HeldOpening
from bascule.domain.weaknesses import Shadow
from bascule.interfaces.store import Reader
from bascule.portal.charts import bars_of, lanes_of
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.machine import ShownMachine, frame, read_machine, wanted_id
from bascule.services.fleet import is_online
from bascule.services.knocks import KnocksView, view_knocks
from bascule.services.views import RequestView, ShownGrant, view_requests

router = APIRouter(route_class=PortalRoute)

SPANS = {"day": 24, "week": 168}  # hours of the chart of blocked attempts
LANES = 12  # grants in the timeline
REQUESTS = 30  # the newest, of which they are; some may be another's
LANE_HEIGHT = 28  # pixels


@dataclass(frozen=True, slots=True)
class Line:
    """One grant, as the timeline and the list of what is open show it."""

    view: RequestView
    grant: Grant
    shown: ShownGrant

    @property
    def ended_at(self) -> datetime:
        return self.grant.ended_at or self.grant.ends_at

    @property
    def is_open(self) -> bool:
        return STATES[self.shown.state].may_admit

    @property
    def look(self) -> str:
        """The class of its bar: what has ended is not painted as open, even if packets still pass."""
        if self.is_open:
            return "live" if STATES[self.shown.state].is_live else "closing"
        return "failed" if self.shown.state == GrantState.FAILED else "bar-a"


@dataclass(frozen=True, slots=True)
class _Overview:
    place: ShownMachine
    lines: Sequence[Line]  # newest first
    by_root: Sequence[HeldOpening] | None  # opened on the host; None: not shown to the visitor
    doubts: Mapping[PortKey, str]  # by port that is to be shut: why it may not be; empty: it is
    knocks: KnocksView


@router.get("/portal/machines/{group}/{name}")
@decides(MACHINE_READ)
async def overview(visit: CurrentVisit, group: str, name: str, knocks: str = "day") -> Response:
    wanted = wanted_id(visit, group, name)
    span = knocks if knocks in SPANS else "day"
    seen = await visit.read(
        lambda reader: _overview(visit, reader, read_machine(visit, reader, wanted), span)
    )
    point = seen.place.view.point
    shown = seen.lines[:LANES]
    return visit.show(
        "machine_overview.html",
        **frame(visit, seen.place, "overview"),
        is_online=point is not None and is_online(point, visit.now),
        lines=shown,
        open_lines=[each for each in seen.lines if each.is_open],
        by_root=seen.by_root,
        doubts=seen.doubts,
        lanes=lanes_of([(each.grant.started_at, each.ended_at) for each in shown], visit.now),
        lane_height=LANE_HEIGHT,
        knocks=seen.knocks,
        knock_bars=bars_of([count for _, count in seen.knocks.hours]),
        knock_span=span,
        knock_spans=[(each, f"{seen.place.path}?knocks={each}", each == span) for each in SPANS],
    )


def _overview(visit: Visit, reader: Reader, place: ShownMachine, span: str) -> _Overview:
    uid, now = place.machine.uid, visit.now
    lasting = dict.fromkeys(grant.request_id for grant in reader.unsettled_grants(uid))
    live = [request for each in lasting if (request := reader.request(each)) is not None]
    newest = reader.requests(machine_uid=uid, limit=REQUESTS)
    told = {
        each.id: each for each in (*live, *newest) if place.sees_rules or place.sight.is_own(each)
    }
    lines = [
        Line(view, grant, view.shown(grant))
        for view in view_requests(reader, list(told.values()), now)
        for grant in view.grants
        if grant.machine_uid == uid
    ]
    lines.sort(key=lambda each: (each.grant.started_at, each.grant.id), reverse=True)
    knocks = view_knocks(reader, [uid], now, SPANS[span])
    return _Overview(place, lines, _by_root(visit, reader, place), _doubts(place), knocks)


def _doubts(place: ShownMachine) -> Mapping[PortKey, str]:
    """Said means seen: shut is a port that was read back shut, by an agent that is heard."""
    point, now = place.view.point, place.view.now

    def doubt(port: PortKey) -> str:
        if point is None or not point.is_enforcing:
            return "not_enforced"
        if port not in place.view.read_back:
            return "not_applied"
        shadow = place.view.past_us(port)
        if shadow is not None:
            return "open_past_us" if shadow is Shadow.ADMITS else "cannot_be_told"
        return "" if is_online(point, now) else "last_known"

    return {each.port: doubt(each.port) for each in place.view.closed}


def _by_root(visit: Visit, reader: Reader, place: ShownMachine) -> Sequence[HeldOpening] | None:
    """What root opened on the host or at a gateway, for whom the API would show it in the view as a group."""
    if not visit.may(NSG_READ, resource_scope(place.machine.id)):
        return None
    uid = place.machine.uid
    held = reader.held_rules([uid]).get(uid)
    if held is None:
        return ()
    return [each for each in held.local if each.ends_at is None or each.ends_at > visit.now]
