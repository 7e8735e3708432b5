"""Pages of users, groups and programs: one description of a kind, and the pages that all have.

A kind has a list by name, a page for each with what it holds, and acts that are routed from
their description. Each page asks for what the API's route asks: the action at the subscription,
and in the use case that the visitor holds all that the principal holds (EDGES B4).
What is not here: what is particular to a kind (``pages.access_users`` and its neighbours).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides, shows
from bascule.domain.access import Subject
from bascule.domain.actions import ASSIGNMENT_READ
from bascule.interfaces.listing import Place
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.codes import TEXTS
from bascule.portal.guard import CurrentVisit, Visit
from bascule.portal.iam import (
    effect_on_ports,
    lacks,
    open_ports,
    perform_at,
    require,
    show_tab,
    whole,
    why_not_change,
)
from bascule.portal.paging import Sheet, Turn, address_of, read_turn, turn_to
from bascule.portal.plain_forms import Confirmed, add_confirmed
from bascule.services import assignments
from bascule.services.act import Act
from bascule.words import msgid

PAGE_SIZE = 50  # rows of a list
SOON = timedelta(days=14)  # what ends within it is marked
LONGEST_NAME = 100  # that a list is filtered by


class Principal(Protocol):
    @property
    def id(self) -> str: ...


P = TypeVar("P", bound=Principal)
P_co = TypeVar("P_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[P]):
    """A principal that a path names, and how many openings are its own or its members'."""

    one: P
    ports: int


class Rows(Protocol[P_co]):
    """Those whose names contain ``part``, by name: the ones after a place."""

    def __call__(
        self, reader: Reader, after: Place | None, limit: int, part: str, *, is_descending: bool
    ) -> Sequence[P_co]: ...


@dataclass(frozen=True, slots=True)
class Column(Generic[P]):
    heading: str
    value: Callable[[Reader, P], object]
    cell: str = "text"  # what access_list.html draws: text, prose, date, state, credentials


@dataclass(frozen=True, slots=True)
class NameQuery:
    """What the address of a list by name says."""

    path: str
    part: str
    turn: Turn[Place]

    def turned(self, turn: Turn[Place]) -> str:
        return address_of(self.path, {"q": self.part, **turn.said})

    @property
    def cleared(self) -> str:
        return address_of(self.path, self.turn.first.said)


@dataclass(frozen=True, slots=True)
class Kind(Generic[P]):
    """One kind of principal."""

    router: APIRouter
    path: str  # of the list
    word: str  # user, group, program: in codes and names of templates
    tab: str  # a text
    picture: str
    read: str
    write: str
    delete: str
    find: Callable[[Reader, str], P]  # by id; raises NotFound
    label: Callable[[P], str]  # its name
    rows: Rows[P]
    count: Callable[[Reader, str], int]
    columns: Sequence[Column[P]]  # of the list, after the name
    heading: str = msgid("Name")  # of the name
    is_member: bool = True  # of groups; what is no member has members, whose openings count

    # -- addresses

    @property
    def one(self) -> str:
        """The route of the page of one."""
        return f"{self.path}/{{principal_id}}"

    def page(self, principal: P) -> str:
        return f"{self.path}/{principal.id}"

    def place(self, principal: P) -> Place:
        return Place(self.label(principal).casefold(), principal.id)

    async def known(self, visit: Visit) -> Known[P]:
        """Whom the path names; raise NotFound, or Forbidden as the API's route does."""
        await require(visit, self.read)

        def read(reader: Reader) -> Known[P]:
            found = self.find(reader, str(visit.request.path_params["principal_id"]))
            ids = [found.id]
            if not self.is_member:
                ids = sorted({each.member_id for each in reader.members_of(found.id)})
            return Known(found, open_ports(reader, ids))

        return await visit.read(read)

    # -- routes

    def add_list(self) -> None:
        """Route the list."""

        @self.router.get(self.path)
        @shows(self.read)
        async def show(visit: CurrentVisit) -> Response:
            refused = lacks(visit, self.read, self.path)
            if refused is not None:
                return refused
            said = visit.request.query_params
            part = said.get("q", "").strip()[:LONGEST_NAME]
            query = NameQuery(self.path, part, read_turn(said))
            sheet, cells = await visit.read(lambda reader: self._sheet(reader, query))
            return show_tab(
                visit,
                self.path,
                "access_list.html",
                kind=self,
                query=query,
                sheet=sheet,
                cells=cells,
                soon=visit.now + SOON,
                why_not_add=visit.why_not(self.write, whole(visit)),
            )

    def _sheet(
        self, reader: Reader, query: NameQuery
    ) -> tuple[Sheet[P], Sequence[Sequence[object]]]:
        def fetch(is_backward: bool, after: Place | None, limit: int) -> Sequence[P]:
            return self.rows(reader, after, limit, query.part, is_descending=is_backward)

        total = self.count(reader, query.part)
        sheet = turn_to(fetch, self.place, query.turn, total, PAGE_SIZE, query.turned)
        return sheet, [[each.value(reader, row) for each in self.columns] for row in sheet.rows]

    def add_page(self, more: Callable[[Visit, Reader, P], dict[str, Any]]) -> None:
        """Route the page of one, with what it holds and ``more``."""

        @self.router.get(self.one)
        @shows(self.read)
        async def show(visit: CurrentVisit) -> Response:
            known, place = await self.known(visit), whole(visit)
            one = known.one
            found = await visit.read(
                lambda reader: {
                    "standing": why_not_change(visit, reader, one.id),
                    **self._held(visit, reader, one),
                    **more(visit, reader, one),
                }
            )
            standing = found.pop("standing")
            found[self.word] = one
            return show_tab(
                visit,
                self.path,
                f"access_{self.word}.html",
                **found,
                ports=known.ports,
                soon=visit.now + SOON,
                why_not_write=visit.why_not(self.write, place) or standing,
                why_not_delete=visit.why_not(self.delete, place) or standing,
            )

    def _held(self, visit: Visit, reader: Reader, one: P) -> dict[str, Any]:
        ids: Sequence[str] = [one.id]
        if self.is_member:
            ids = assignments.principal_with_groups(reader, one.id, visit.now)
        sees_roles = visit.may(ASSIGNMENT_READ, whole(visit))
        held = reader.role_assignments_of(ids) if sees_roles else ()
        groups = [group for each in ids[1:] if (group := reader.group(each))]
        return {
            "own_id": one.id,
            "sees_roles": sees_roles,
            "roles": [assignments.view_of(reader, each) for each in held],
            **({"groups": groups} if self.is_member else {}),
        }

    def add_act(
        self,
        act: str,
        effects: Sequence[str],
        work: Callable[[Transaction, Act, Subject, P], object],
        *,
        notice: str = "removed",
        submit: str = "",
        tells_ports: bool = True,
    ) -> None:
        """Route an act that ends something at one: a page says the effects, then it is done.

        ``act`` is the last part of its path and of its code; ``effects`` and ``submit``, what the
        button says, are texts.
        """
        code = f"access.{self.word}_{act}"
        title = TEXTS[code]

        def told(visit: Visit, known: Known[P]) -> Sequence[str]:
            said = [visit.words(each, **self._named(known.one)) for each in effects]
            is_partial = not self.is_member  # whoever is in two groups may keep theirs
            return [*said, effect_on_ports(visit, known.ports, is_partial)] if tells_ports else said

        is_delete = act == "delete"
        add_confirmed(
            self.router,
            Confirmed(
                f"{self.one}/{act}",
                self.delete if is_delete else self.write,
                self.known,
                lambda t, known: t(title, **self._named(known.one)),
                submit or TEXTS[f"{code}_do"],
                told,
                lambda tx, doing, subject, known: work(tx, doing, subject, known.one),
                lambda known: self.page(known.one),
                self.path if is_delete else "",
                notice,
            ),
        )

    def _named(self, one: P) -> dict[str, str]:
        """The name, as words call it."""
        return {"name": self.label(one), self.word: self.label(one)}

    def add_button(
        self,
        act: str,
        work: Callable[[Transaction, Act, Visit, str], object],
        notice: str,
    ) -> None:
        """Route an act that needs no question; ``work`` takes the id that the path names."""

        @self.router.post(f"{self.one}/{act}")
        @decides(self.write)
        async def do(visit: CurrentVisit, principal_id: str) -> Response:
            await perform_at(visit, self.write, lambda tx, act: work(tx, act, visit, principal_id))
            return visit.go(f"{self.path}/{principal_id}", notice)
