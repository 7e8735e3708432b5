"""Just-in-time VM access: every machine on its tab, who may come in, who came last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import shows
from bascule.domain.actions import INITIATE, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.classify import MachineState, UnsupportedCode
from bascule.domain.machine_access import AccessState
from bascule.domain.scopes import resource_scope
from bascule.interfaces.listing import ListOrder, Place
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.jit_query import read_query
from bascule.portal.paging import Sheet, turn_to
from bascule.services.listing import (
    MachineRow,
    count_rows,
    count_tabs,
    list_machines,
    reach_of_list,
)

router = APIRouter(route_class=PortalRoute)

PAGE = 25
MOST_GROUPS = 200  # offered in a list; where there are more, the name is typed
# How a state looks: what its badge is, and its icon.
LOOKS = {
    AccessState.OPEN: ("good", "lock-open"),
    AccessState.OPENING: ("warn", "clock"),
    AccessState.CLOSING: ("warn", "clock"),
    AccessState.NOT_CONFIRMED: ("bad", "warning"),
    AccessState.OFFLINE: ("bad", "disconnected"),
    AccessState.APPLYING: ("warn", "clock"),
    AccessState.OPEN_PAST_US: ("bad", "warning"),
    AccessState.CANNOT_BE_TOLD: ("warn", "warning"),
    AccessState.CLOSED: ("plain", "lock-closed"),
    AccessState.NOTHING_CLOSED: ("warn", "shield-off"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A row with what this visitor may do at it; what is missing is named; empty: nothing is missing."""

    row: MachineRow
    to_request: str
    to_write: str

    @property
    def query(self) -> str:
        return urlencode({"machine": str(self.row.machine.id)})

    @property
    def machine_path(self) -> str:
        where = self.row.machine.id
        return f"/portal/machines/{where.resource_group}/{where.name}"

    @property
    def look(self) -> tuple[str, str]:
        return LOOKS[self.row.state]


@dataclass(frozen=True, slots=True)
class _JitPage:
    sheet: Sheet[MachineRow]
    counts: dict[MachineState, int]
    groups: list[str]


@router.get("/portal/jit")
@shows(POLICY_READ)
async def just_in_time(visit: CurrentVisit) -> Response:
    query = read_query(visit.request.query_params)
    within, now = reach_of_list(visit.rights, visit.subscription_id), visit.now

    def read(reader: Reader) -> _JitPage:
        wanted, counts = replace(query.wanted, within=within), count_tabs(reader, within)

        def fetch(is_backward: bool, after: Place | None, limit: int) -> list[MachineRow]:
            way = replace(wanted, is_descending=wanted.is_descending is not is_backward)
            return list_machines(reader, way, query.tab, now, after, limit)

        total = (
            count_rows(reader, wanted, query.tab, now) if query.is_filtered else counts[query.tab]
        )
        sheet = turn_to(fetch, _place_of, query.turn, total, PAGE, query.turned)
        groups = [each for each in reader.resource_groups() if _is_told(visit, each)]
        return _JitPage(sheet, counts, groups)

    seen = await visit.read(read)
    shown = [_shown(visit, row) for row in seen.sheet.rows]
    return visit.show(
        "jit.html",
        query=query,
        rows=shown,
        tabs_shown=[
            (each, query.to_tab(each), each is query.tab, seen.counts[each])
            for each in MachineState
        ],
        groups=seen.groups if len(seen.groups) <= MOST_GROUPS else None,
        sheet=seen.sheet,
        orders={str(each): each for each in ListOrder},
        states=list(AccessState),
        is_empty=not any(seen.counts.values()),
        reasons_of=_reasons,
    )


def _reasons(row: MachineRow) -> list[tuple[str, str, dict[str, str]]]:
    """Why a machine is unsupported: the words' key, the command that helps, what they name."""
    named = row.named
    values = {
        "machine": named.machine,
        "service": named.flushed_by,
        "flushed": named.flushed_at,
        "group": named.plan_group,
        "gateway": named.gateway,
        "manager": named.managed_by,
    }
    found = []
    for reason in row.classification.reasons:
        is_groups = reason.code is UnsupportedCode.PLAN_OFF and named.plan_group
        is_found = reason.code is UnsupportedCode.MANAGED_ELSEWHERE and named.is_found
        is_at = reason.code is UnsupportedCode.FIREWALL_FLUSHED and named.flushed_at
        kind = ".group" if is_groups else ".found" if is_found else ".at" if is_at else ""
        found.append((f"{reason.code}{kind}", _command(row, reason.code), values))
    return found


def _command(row: MachineRow, code: UnsupportedCode) -> str:
    """What to type; names of machines and groups are safe in a command (EDGES A18)."""
    name, group = row.named.machine, row.named.plan_group
    return {
        UnsupportedCode.NOT_MANAGED: f"bascule machine add {name} --managed",
        UnsupportedCode.NO_ENFORCEMENT_POINT: f"bascule machine enrol {name}",
        UnsupportedCode.MANAGED_ELSEWHERE: f"bascule machine managed-by {row.named.gateway} "
        + ("Bascule" if row.named.is_found else "--nobody"),
        UnsupportedCode.PLAN_OFF: f"bascule plan on --group {group}"
        if group
        else "bascule plan on",
    }.get(code, "")


def _is_told(visit: Visit, group: str) -> bool:
    key = f"/subscriptions/{visit.subscription_id}/resourcegroups/{group.casefold()}"
    return visit.rights.is_told_of(POLICY_READ, key)


def _place_of(row: MachineRow) -> Place:
    return row.listed.place


def _shown(visit: Visit, row: MachineRow) -> Shown:
    scope = resource_scope(row.machine.id)
    lacks = [each for each in (POLICY_WRITE, MACHINE_WRITE) if not visit.may(each, scope)]
    return Shown(
        row,
        "" if visit.may(INITIATE, scope) else INITIATE,
        lacks[0] if lacks else "",
    )
