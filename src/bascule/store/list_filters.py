"""The filters of lists of machines, as conditions on the columns of ``listed_machines``.

Which machines are in a state follows from the table in ``domain.machine_access``; here is how each
of its facts is asked in SQL. The columns come from the table itself, or from a part of it that
was read in an order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    not_,
    or_,
    select,
    true,
)

from bascule.domain.classify import Trait, tag_part
from bascule.domain.exposure import END_BELIEVED_AFTER
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine_access import AccessState, Fact, conditions_of
from bascule.domain.roles import Reach
from bascule.domain.weaknesses import Shadow
from bascule.interfaces.listing import CHOICES, ListFilter
from bascule.store import tables as t
from bascule.store.rows import Rows, slices
from bascule.store.tables.exposure import IS_NOT_CLOSED, spans
from bascule.store.tables.listing import listed_machines as listed
from bascule.store.within import clauses_within


def traits_code(groups_off: frozenset[str], rows: FromClause = listed) -> ColumnElement[int]:
    """``domain.classify.Traits.code`` of a row, the plan's bit with it."""
    traits: ColumnElement[int] = rows.c.traits
    if not groups_off:
        return traits.op("|")(Trait.PLAN)
    is_on = rows.c.group_key.not_in(sorted(groups_off))
    return traits.op("|")(case((is_on, Trait.PLAN), else_=0))


class ListScopes(Rows):
    __slots__ = ()

    def _within_listed(self, reach: Reach) -> Iterator[ColumnElement[bool]]:
        """As ``clauses_within``; the subscription's groups are looked up together, by name."""
        row = self._first(select(t.installation.c.subscription_id))
        above = "" if row is None else f"/subscriptions/{row.subscription_id}/resourcegroups/"
        groups = {
            key
            for key in reach.keys
            if above and key.startswith(above) and "/" not in key[len(above) :]
        }
        for some in slices(sorted(key[len(above) :] for key in groups)):
            yield listed.c.group_key.in_(some)
        yield from clauses_within(Reach(reach.keys - groups), listed.c.id_key)


def conditions(wanted: ListFilter, rows: FromClause = listed) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.traits is not None:
        found.append(traits_code(wanted.groups_off, rows).in_(sorted(wanted.traits)))
    for choice in CHOICES:
        value = getattr(wanted, choice.field)
        if not choice.kept or not value:
            continue
        column = rows.c[choice.kept]
        if choice.is_tag:
            found.append(column.contains(tag_part(value), autoescape=True))
            continue
        if choice.kind is None:
            value = value.casefold()
        found.append(column.contains(value, autoescape=True) if choice.is_part else column == value)
    if wanted.versions is not None:
        of_version = t.agents.c.agent_version.in_(sorted(wanted.versions))
        found.append(rows.c.machine_uid.in_(select(t.agents.c.machine_uid).where(of_version)))
    if wanted.is_silent is not None:
        found.append(rows.c.is_silent.is_(wanted.is_silent))
    if wanted.is_behind is not None:
        found.append(rows.c.is_behind.is_(wanted.is_behind))
    if wanted.state is not None:
        found.append(_is_in(wanted.state, rows, wanted.now))
    return found


def _is_in(state: AccessState, rows: FromClause, now: datetime | None) -> ColumnElement[bool]:
    asked = _facts(rows, now)
    return or_(
        *(
            and_(
                true(),
                *(asked[fact] for fact in condition.facts),
                *(not_(and_(*(asked[fact] for fact in each))) for each in condition.except_where),
            )
            for condition in conditions_of(state)
        )
    )


def _facts(rows: FromClause, now: datetime | None) -> Mapping[Fact, ColumnElement[bool]]:
    grants = _GrantsAt(rows)
    is_closed = rows.c.is_closed.is_(True)
    uid: ColumnElement[Any] = rows.c.machine_uid
    open_, closing = GrantState.OPEN, GrantState.CLOSING
    return {
        Fact.NO_POINT: rows.c.traits.op("&")(Trait.POINT) == 0,
        Fact.UNHEARD: rows.c.is_silent.is_(True),
        Fact.WAS_OPEN: or_(
            grants.in_(open_),
            grants.in_(closing, after=now),
            and_(is_closed, uid.in_(_opened_by_root(now))),
        ),
        Fact.LETS_IN: or_(grants.in_(open_), and_(is_closed, uid.in_(_opened_by_root()))),
        Fact.OPENING: grants.in_(GrantState.OPENING),
        Fact.CLOSING: grants.in_(closing),
        Fact.BEHIND: rows.c.is_behind.is_(True),
        Fact.KEPT_CLOSED: is_closed,
        Fact.PAST_US: rows.c.shadow == Shadow.ADMITS.value,
        Fact.UNREAD: rows.c.shadow == Shadow.UNREAD.value,
    }


class _GrantsAt:
    """Has the machine a grant in one of these states? Few have: the index holds only those."""

    def __init__(self, rows: FromClause) -> None:
        self._uid: ColumnElement[Any] = rows.c.machine_uid

    def in_(self, *states: GrantState, after: datetime | None = None) -> ColumnElement[bool]:
        """With ``after`` none that is *ended, not confirmed* by then (EDGES E9)."""
        uids = select(t.grants.c.machine_uid).where(t.IS_UNSETTLED, t.is_in_state(states))
        if after is not None:
            uids = uids.where(t.grants.c.ends_at > after - END_BELIEVED_AFTER)
        return self._uid.in_(uids)


def _opened_by_root(after: datetime | None = None) -> Select[str]:
    """Machines where root on the host let somebody in, by what is told of exposure."""
    found = select(spans.c.machine_uid).where(IS_NOT_CLOSED, spans.c.request_id == "")
    if after is not None:
        still = spans.c.ends_by > after - END_BELIEVED_AFTER
        found = found.where(or_(spans.c.ends_by.is_(None), still))
    return found
