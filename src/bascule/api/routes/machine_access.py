"""Bascule.Access/machineAccess: machines with who may come in, and who came last.

What the portal's page "Just-in-time VM access" shows, a page at a time, filtered and ordered
on the server; Azure has no such list. A machine is in it where the caller may read both it
and what policies say of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Response

from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.entries import shows
from bascule.api.envelope import CompactJson
from bascule.api.filters import CONTAINS, Clause, parse_filter
from bascule.api.paging import Wanted, WantedPage, page_json
from bascule.api.paths import SUBSCRIPTION
from bascule.api.wire.machine_access import machine_access_json
from bascule.domain.actions import POLICY_READ
from bascule.domain.classify import MachineState
from bascule.errors import InvalidInput
from bascule.interfaces.listing import CHOICES, ListChoice, ListFilter, ListOrder, Place
from bascule.services.listing import list_machines, reach_of_list

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

E = TypeVar("E", bound=StrEnum)

_OFFERED = (
    *((each.wire, CONTAINS if each.is_part else "eq") for each in CHOICES),
    ("state", "eq"),
)
_ORDERS = {each.wire.casefold(): each for each in ListOrder}
*_FIRST, _LAST = (each.wire for each in ListOrder)
_ORDER_WORDS = f"{', '.join(_FIRST)} or {_LAST}, each with asc or desc"


@router.get(f"{SUBSCRIPTION}/providers/Bascule.Access/machineAccess")
@shows(POLICY_READ)
async def list_machine_access(
    call: CurrentCall,
    wanted: WantedPage,
    filter_text: Annotated[
        str,
        Query(
            alias="$filter", max_length=500, examples=["contains(name,'web') and osType eq 'Linux'"]
        ),
    ] = "",
    order_by: Annotated[
        str, Query(alias="$orderby", max_length=100, examples=["lastAccessTimeUtc desc"])
    ] = "",
) -> Response:
    clauses = {clause.field: clause for clause in parse_filter(filter_text, _OFFERED)}
    tab = _one_of(MachineState, clauses.get("state"))
    order, is_descending = read_order(order_by)
    meant = ListFilter(
        within=reach_of_list(call.rights, call.subscription_id),
        order=order,
        is_descending=is_descending,
        **{each.field: _chosen(each, clauses.get(each.wire)) for each in CHOICES},
    )
    after, now = _place(wanted, order), call.now
    rows = await call.read(
        lambda reader: list_machines(reader, meant, tab, now, after, wanted.limit)
    )
    return CompactJson(
        page_json(
            call,
            wanted,
            rows,
            machine_access_json,
            lambda row: (row.listed.place.value, row.listed.place.key),
        )
    )


def read_order(text: str) -> tuple[ListOrder, bool]:
    """``FIELD`` or ``FIELD asc|desc``; empty: by name."""
    field, _, direction = text.strip().casefold().partition(" ")
    order = _ORDERS.get(field or "name")
    if order is None or direction.strip() not in ("", "asc", "desc"):
        raise InvalidInput(
            f"$orderby: {text[:100]!r} cannot be parsed. It may be {_ORDER_WORDS}.",
            code="InvalidOrderBy",
            target="$orderby",
        )
    return order, direction.strip() == "desc"


def _place(wanted: Wanted, order: ListOrder) -> Place | None:
    if order.is_number:
        numbered = wanted.number_and_text_after()
        return None if numbered is None else Place(*numbered)
    texts = wanted.texts_after()
    return None if texts is None else Place(*texts)


def _chosen(choice: ListChoice, clause: Clause | None) -> Any:  # noqa: ANN401  # reason: of the field that it names
    if choice.kind is None:
        return "" if clause is None else clause.value
    return _one_of(choice.kind, clause)


def _one_of(kind: type[E], clause: Clause | None) -> E | None:
    if clause is None:
        return None
    found = next((each for each in kind if each.casefold() == clause.value.casefold()), None)
    if found is None:
        raise InvalidInput(
            f"$filter: {clause.field} is one of {', '.join(kind)}, not {clause.value[:40]!r}.",
            code="InvalidFilter",
            target="$filter",
        )
    return found
