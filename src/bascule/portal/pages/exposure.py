"""What can be reached by whom, now or at a moment; who has been knocking; port-hours.

The same services as ``Bascule.Access/exposures``, ``portHours`` and ``blockedAttempts``. The
moment stands in the address, in UTC: the script turns it to the viewer's zone and back.
What is not here: any act; enabling is the page Just-in-time's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import shows
from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_READ, POLICY_WRITE
from bascule.domain.exposure import SpanKind
from bascule.domain.ids import ResourceId
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import BasculeError
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.points import ENROL
from bascule.portal.port_hours import port_hours
from bascule.portal.problems import reasons_of
from bascule.services.exposure import MachineExposure, Moment, exposed, moment_of, summarize
from bascule.services.knocks import KnocksView, scopes_within, view_knocks
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, denial
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/exposure"
TABS: Mapping[str, SpanKind | None] = {
    "open": SpanKind.OPEN,
    "bare": SpanKind.BARE,
    "all": None,
}
_PER_PAGE = 25
_MOST_SOURCES = 10
_BEFORE = (  # moments that are one click away
    (msgid("An hour ago"), timedelta(hours=1)),
    (msgid("A day ago"), timedelta(days=1)),
    (msgid("A week ago"), timedelta(days=7)),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What the address asks for."""

    tab: str = "open"
    at: datetime | None = None  # None: now
    after: str = ""  # the id key of the last machine of the page before

    def path(self, **changes: object) -> str:
        changed = replace(self, **changes)  # type: ignore[arg-type]  # reason: field names are checked by replace
        told = {"tab": changed.tab if changed.tab != "open" else "", "after": changed.after}
        told["at"] = format_utc(changed.at) if changed.at is not None else ""
        query = urlencode({name: value for name, value in told.items() if value})
        return f"{PATH}?{query}" if query else PATH


@dataclass(frozen=True, slots=True)
class ExposureRow:
    """A machine, with where its page is and whether it may be enabled by this visitor."""

    exposure: MachineExposure
    path: str
    query: str
    lacks: str  # the action that is missing for what it needs; empty: none
    needs: str  # of a bare one: policy, agent, or a look at its agent
    enrol: str  # the page where its agent is enrolled


@router.get(PATH)
@shows(MACHINE_READ)
async def exposure(visit: CurrentVisit) -> Response:
    if not visit.rights.may_anywhere(MACHINE_READ):
        needed = [Needed(MACHINE_READ, subscription_scope(visit.subscription_id))]
        raise await visit.read_few(lambda reader: denial(reader, visit.subject, needed))
    try:
        query, problem = _query(visit), None
        moment = moment_of(visit.now, query.at)
    except BasculeError as error:  # a moment that is none: the page of now, and why
        query, problem = Query(), error
        moment = moment_of(visit.now)
    within = visit.within(MACHINE_READ)
    sight = sight_of(visit.rights, visit.subject.principal_id)
    subscription, now = visit.subscription_id, visit.now

    def read(reader: Reader) -> list[MachineExposure]:
        return exposed(reader, moment, sight, within, TABS[query.tab], query.after, _PER_PAGE + 1)

    def listen(reader: Reader) -> KnocksView | None:
        if not moment.is_now:
            return None
        scopes = scopes_within(reader, within, subscription)
        return view_knocks(reader, scopes, now, top=_MOST_SOURCES)

    found, knocks, summary = await asyncio.gather(  # by readers of their own
        visit.read(read),
        visit.read(listen),
        visit.read(lambda reader: summarize(reader, moment, within, subscription)),
    )
    shown = found[:_PER_PAGE]
    goes_on = shown[-1].id.key if len(found) > _PER_PAGE else ""
    return visit.show(
        "exposure.html",
        200 if problem is None else problem.http_status,
        query=query,
        moment=moment,
        tabs_shown=_tabs(query, moment, summary.openings, summary.bare_machines, summary.machines),
        rows=[_row(visit, each) for each in shown],
        next_page=query.path(after=goes_on) if goes_on else "",
        first_page=query.path(after="") if query.after else "",
        before=[(word, query.path(at=now - span, after="")) for word, span in _BEFORE],
        knocks=knocks,
        summary=summary,
        hours=port_hours(summary),
        is_before_history=moment.at < summary.known_since,
        reasons=[] if problem is None else reasons_of(problem),
    )


def _query(visit: Visit) -> Query:
    """Raise InvalidInput for a moment that is none; what else is wrong is passed over."""
    given = visit.request.query_params
    tab = given.get("tab", "")
    after = given.get("after", "")
    return Query(
        tab if tab in TABS else "open",
        _instant(given.get("at", "").strip()),
        after[:1000],
    )


def _instant(text: str) -> datetime | None:
    """With a zone, as the script sends it; without one it is UTC, as the field then says."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        pass
    return parse_instant(text, "at")


def _tabs(
    query: Query, moment: Moment, let_in: int, bare: int, machines: int
) -> list[tuple[str, str, bool, int | None]]:
    """(name, path, is current, how many); of the past nobody has counted."""
    counts = {"open": let_in, "bare": bare, "all": machines}
    return [
        (
            name,
            query.path(tab=name, after=""),
            name == query.tab,
            counts[name] if moment.is_now else None,
        )
        for name in TABS
    ]


def _row(visit: Visit, exposure: MachineExposure) -> ExposureRow:
    identity = exposure.id
    scope = resource_scope(identity)
    needs = exposure.needs
    action = ENROLMENT_WRITE if needs == "agent" else POLICY_WRITE
    lacks = "" if needs == "look" or visit.may(action, scope) else action
    query = urlencode({"machine": str(identity)})
    enrol = machine_path(identity).replace("/portal/machines/", f"{ENROL}/", 1)
    return ExposureRow(exposure, machine_path(identity), query, lacks, needs, enrol)


def machine_path(identity: ResourceId) -> str:
    return f"/portal/machines/{quote(identity.resource_group)}/{quote(identity.name)}"
