"""What the address of the page "Just-in-time VM access" says: tab, filters, order, place.

Everything that the page shows is in its address, so that a link to it shows the same. What
cannot be read there counts as not said: a link of yesterday still leads to a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from bascule.domain.classify import MachineState
from bascule.domain.machine import OsType
from bascule.domain.machine_access import AccessState
from bascule.domain.roles import Reach
from bascule.interfaces.listing import ListFilter, ListOrder, Place
from bascule.portal.paging import NUMBERS, Turn, address_of, read_turn

PATH = "/portal/jit"
LONGEST_NAME = 64
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class JitQuery:
    tab: MachineState = MachineState.CONFIGURED
    name_part: str = ""
    group: str = ""
    state: AccessState | None = None
    os_type: OsType | None = None
    order: ListOrder = ListOrder.NAME
    is_descending: bool = False
    turn: Turn[Place] = field(default_factory=Turn)

    @property
    def is_filtered(self) -> bool:
        return bool(self.name_part or self.group or self.state or self.os_type)

    def to_tab(self, tab: MachineState) -> str:
        """Filters of name, group and system stay; state and order are the tab's own."""
        turn = self.turn.first
        return JitQuery(tab, self.name_part, self.group, os_type=self.os_type, turn=turn).url

    def sorted_by(self, order: ListOrder) -> str:
        """Once more by the same turns it round; the first is what one looks for most."""
        first, turn = order in NUMBERS, self.turn.first
        is_descending = not self.is_descending if order is self.order else first
        return replace(self, order=order, is_descending=is_descending, turn=turn).url

    def turned(self, turn: Turn[Place]) -> str:
        return replace(self, turn=turn).url

    @property
    def cleared(self) -> str:
        return JitQuery(self.tab, turn=self.turn.first).url

    @property
    def url(self) -> str:
        said = {
            "tab": "" if self.tab is MachineState.CONFIGURED else str(self.tab),
            "q": self.name_part,
            "group": self.group,
            "state": str(self.state or ""),
            "os": str(self.os_type or ""),
            "sort": "" if self.order is ListOrder.NAME else str(self.order),
            "desc": "1" if self.is_descending else "",
            **self.turn.said,
        }
        return address_of(PATH, said)

    def filter(self, within: Reach | None) -> ListFilter:
        return ListFilter(
            within=within,
            name_part=self.name_part,
            resource_group=self.group,
            os_type=self.os_type,
            state=self.state,
            order=self.order,
            is_descending=self.is_descending,
        )


def read_query(said: Mapping[str, str]) -> JitQuery:
    order = _one_of(ListOrder, said.get("sort", "")) or ListOrder.NAME
    return JitQuery(
        tab=_one_of(MachineState, said.get("tab", "")) or MachineState.CONFIGURED,
        name_part=said.get("q", "").strip()[:LONGEST_NAME],
        group=said.get("group", "").strip()[:90],
        state=_one_of(AccessState, said.get("state", "")),
        os_type=_one_of(OsType, said.get("os", "")),
        order=order,
        is_descending=said.get("desc") == "1",
        turn=read_turn(said, order),
    )


def _one_of(kind: type[E], text: str) -> E | None:
    return next((each for each in kind if each.casefold() == text.casefold()), None)
