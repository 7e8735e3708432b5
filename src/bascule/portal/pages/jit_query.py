"""What the address of the page "Just-in-time VM access" says: tab, filters, order, place.

Everything that the page shows is in its address, so that a link to it shows the same. What
cannot be read there counts as not said: a link of yesterday still leads to a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from bascule.domain.classify import MachineState
from bascule.interfaces.listing import CHOICES, ListChoice, ListFilter, ListOrder, Place
from bascule.portal.paging import Turn, address_of, read_turn

PATH = "/portal/jit"
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class JitQuery:
    tab: MachineState = MachineState.CONFIGURED
    wanted: ListFilter = field(default_factory=ListFilter)
    turn: Turn[Place] = field(default_factory=Turn)

    @property
    def is_filtered(self) -> bool:
        return any(getattr(self.wanted, each.field) for each in CHOICES)

    def to_tab(self, tab: MachineState) -> str:
        """Filters of name, group and system stay; state and order are the tab's own."""
        wanted = replace(self.wanted, state=None, order=ListOrder.NAME, is_descending=False)
        return JitQuery(tab, wanted, self.turn.first).url

    def sorted_by(self, order: ListOrder) -> str:
        """Once more by the same turns it round; the first is what one looks for most."""
        is_same, wanted = order is self.wanted.order, self.wanted
        is_descending = not wanted.is_descending if is_same else order.is_number
        wanted = replace(wanted, order=order, is_descending=is_descending)
        return JitQuery(self.tab, wanted, self.turn.first).url

    def turned(self, turn: Turn[Place]) -> str:
        return replace(self, turn=turn).url

    @property
    def cleared(self) -> str:
        return JitQuery(self.tab, turn=self.turn.first).url

    @property
    def url(self) -> str:
        wanted = self.wanted
        said = {
            "tab": "" if self.tab is MachineState.CONFIGURED else str(self.tab),
            **{each.said: str(getattr(wanted, each.field) or "") for each in CHOICES},
            "sort": "" if wanted.order is ListOrder.NAME else str(wanted.order),
            "desc": "1" if wanted.is_descending else "",
            **self.turn.said,
        }
        return address_of(PATH, said)


def read_query(said: Mapping[str, str]) -> JitQuery:
    order = _one_of(ListOrder, said.get("sort", "")) or ListOrder.NAME
    wanted = ListFilter(
        order=order,
        is_descending=said.get("desc") == "1",
        **{each.field: _chosen(each, said.get(each.said, "")) for each in CHOICES},
    )
    tab = _one_of(MachineState, said.get("tab", "")) or MachineState.CONFIGURED
    return JitQuery(tab, wanted, read_turn(said, order))


def _chosen(choice: ListChoice, text: str) -> Any:  # noqa: ANN401  # reason: of the field that it names
    if choice.kind is None:
        return text.strip()[: choice.longest]
    return _one_of(choice.kind, text)


def _one_of(kind: type[E], text: str) -> E | None:
    return next((each for each in kind if each.casefold() == text.casefold()), None)
