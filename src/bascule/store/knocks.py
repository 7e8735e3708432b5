"""Rows of blocked attempts.

An hour's rows of one scope stand together in the primary key: what is asked of the last
hours reads them and no others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import (
    BigInteger,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
    update,
)

from bascule.domain.knocks import HOUR, MOST_ATTEMPTS, OTHERS, Knocker, Knocks, hour_of
from bascule.domain.net import PortKey, TransportProtocol
from bascule.store.columns import Instant
from bascule.store.rows import Rows, slices
from bascule.store.tables.knocks import knock_hours as hours_table
from bascule.store.tables.knocks import knocks as t

_HERE = and_(t.c.scope == bindparam("here"), t.c.hour == bindparam("at"))
_KNOWN = select(t.c.scope, t.c.source, t.c.protocol, t.c.number).where(
    t.c.scope.in_(bindparam("scopes", expanding=True)),
    t.c.hour == bindparam("at"),
    t.c.source.in_(bindparam("sources", expanding=True)),
)
_NAMED = select(func.count()).select_from(t).where(_HERE, t.c.source != OTHERS)
_MORE = bindparam("more", type_=BigInteger())
_SEEN = bindparam("seen", type_=Instant())
_ADD = (
    update(t)
    .where(
        _HERE,
        t.c.source == bindparam("whose"),
        t.c.protocol == bindparam("by"),
        t.c.number == bindparam("to"),
    )
    .values(
        attempts=case(
            (t.c.attempts > MOST_ATTEMPTS - _MORE, MOST_ATTEMPTS), else_=t.c.attempts + _MORE
        ),
        last_at=case((t.c.last_at > _SEEN, t.c.last_at), else_=_SEEN),
    )
)
_MOST_OF_HOUR = 10**15  # a sum that no number of lying agents brings to overflow
_ADD_HOUR = (
    update(hours_table)
    .where(hours_table.c.scope == bindparam("here"), hours_table.c.hour == bindparam("at"))
    .values(
        attempts=case(
            (hours_table.c.attempts > _MOST_OF_HOUR - _MORE, _MOST_OF_HOUR),
            else_=hours_table.c.attempts + _MORE,
        )
    )
)
_LAST = select(func.max(t.c.last_at)).where(
    t.c.scope == bindparam("here"),
    t.c.hour.in_(bindparam("hours", expanding=True)),
    t.c.source == bindparam("whose"),
    t.c.last_at >= _SEEN,
)
_ATTEMPTS = func.sum(t.c.attempts).label("attempts")
_LOOKED_ON = timedelta(days=1)  # as far as ``last_knock`` looks on from its ``since``


class KnockReads(Rows):
    __slots__ = ()

    def knock_hours(
        self, scopes: Collection[str], since: datetime, source: str | None = None
    ) -> Sequence[tuple[datetime, int]]:
        sums: dict[datetime, int] = {}
        for some in slices(sorted(scopes)):
            for row in self._all(_hours_of(some, since, source)):
                sums[row.hour] = sums.get(row.hour, 0) + int(row.attempts)
        return sorted(sums.items())

    def knockers(
        self, scopes: Collection[str], since: datetime, limit: int, source: str | None = None
    ) -> Sequence[Knocker]:
        columns = (t.c.source, _ATTEMPTS, func.max(t.c.last_at).label("last_at"))
        found: dict[str, Knocker] = {}
        parts = slices(sorted(scopes))
        for some in parts:
            wanted = _lately(select(*columns), some, since, source).where(t.c.source != OTHERS)
            wanted = wanted.group_by(t.c.source)
            if len(parts) == 1:
                wanted = wanted.order_by(_ATTEMPTS.desc(), t.c.source).limit(limit)
            for row in self._all(wanted):
                found[row.source] = _together(found.get(row.source), row)
        first = sorted(found.values(), key=lambda each: (-each.attempts, each.source))[:limit]
        return self._with_ports(first, parts, since)

    def _with_ports(
        self, knockers: Sequence[Knocker], parts: Sequence[Sequence[str]], since: datetime
    ) -> Sequence[Knocker]:
        ports: dict[str, set[PortKey]] = {each.source: set() for each in knockers}
        hours = _hours(since, max((each.last_at for each in knockers), default=since))
        columns = select(t.c.source, t.c.protocol, t.c.number)
        for some, named in product(parts, slices(sorted(ports))):
            here = (t.c.scope.in_(some), t.c.hour.in_(hours), t.c.source.in_(named))
            for row in self._all(columns.where(*here)):
                ports[row.source].add(PortKey(TransportProtocol(row.protocol), row.number))
        return [
            Knocker(each.source, each.attempts, each.last_at, tuple(sorted(ports[each.source])))
            for each in knockers
        ]

    def last_knock(
        self, scope: str, source: str, since: datetime, beside: Collection[PortKey] = ()
    ) -> datetime | None:
        hours = _hours(hour_of(since), since + _LOOKED_ON)
        asked = _LAST
        for port in sorted(beside):
            asked = asked.where(or_(t.c.protocol != port.protocol, t.c.number != port.number))
        row = self._first(asked, {"here": scope, "hours": hours, "whose": source, "seen": since})
        return None if row is None else row[0]


class KnockWrites(KnockReads):
    __slots__ = ()

    def add_known_knocks(
        self, scopes: Sequence[str], hour: datetime, knocks: Sequence[Knocks]
    ) -> bool:
        wanted = {(scope, *_key(each)) for scope in scopes for each in knocks}
        sources = sorted({each.source for each in knocks})
        if not wanted or len(slices(sources)) > 1:
            return False
        rows = self._all(_KNOWN, {"scopes": sorted(scopes), "at": hour, "sources": sources})
        if not wanted <= {tuple(row) for row in rows}:
            return False
        heres = [{"here": scope, "at": hour} for scope in scopes]
        self._run(_ADD, [_addition(here, each) for here in heres for each in knocks])
        told = min(sum(each.attempts for each in knocks), _MOST_OF_HOUR)
        for here in heres:
            self._add_hour(here, told)
        return True

    def add_knocks(
        self, scope: str, hour: datetime, knocks: Sequence[Knocks], most: int
    ) -> Sequence[Knocks]:
        here = {"here": scope, "at": hour}
        named = [each for each in knocks if each.source != OTHERS]
        known = self._known(here, named)
        new = [each for each in named if _key(each) not in known]
        row = self._first(_NAMED, here) if new else None
        room = max(0, most - int(row[0])) if row is not None else 0
        added = [each for each in named if _key(each) in known]
        if added:
            self._run(_ADD, [_addition(here, each) for each in added])
        if new[:room]:
            self._run(t.insert(), [_values(scope, hour, each) for each in new[:room]])
        others = _summed([*new[room:], *(each for each in knocks if each.source == OTHERS)])
        if others and not self._run(_ADD, _addition(here, others)):
            self._run(t.insert(), _values(scope, hour, others))
        if knocks:
            told = sum(each.attempts for each in knocks)
            self._add_hour(here, min(told, _MOST_OF_HOUR))
        return [*added, *new[:room], *([others] if others else [])]

    def _add_hour(self, here: dict[str, Any], attempts: int) -> None:
        if not self._run(_ADD_HOUR, {**here, "more": attempts}):
            values = {"scope": here["here"], "hour": here["at"], "attempts": attempts}
            self._run(hours_table.insert(), values)

    def _known(self, here: dict[str, Any], named: Sequence[Knocks]) -> set[tuple[str, str, int]]:
        found: set[tuple[str, str, int]] = set()
        for some in slices(sorted({each.source for each in named})):
            rows = self._all(_KNOWN, {"scopes": [here["here"]], "at": here["at"], "sources": some})
            found.update((row.source, row.protocol, row.number) for row in rows)
        return found

    def forget_knocks(self, before: datetime, most_scopes: int) -> int:
        oldest = self._first(select(func.min(t.c.hour)))
        hour = oldest[0] if oldest is not None else None
        if hour is None or hour >= before:
            return 0
        wanted = select(t.c.scope).where(t.c.hour == hour).distinct().limit(most_scopes)
        scopes = [row.scope for row in self._all(wanted)]
        gone = 0
        for some in slices(scopes):
            gone += self._run(delete(t).where(t.c.hour == hour, t.c.scope.in_(some)))
            self._run(
                delete(hours_table).where(hours_table.c.hour == hour, hours_table.c.scope.in_(some))
            )
        return gone


def _hours_of(scopes: Sequence[str], since: datetime, source: str | None) -> Select[Any]:
    """Of one source its own rows are added up; of all there is a sum."""
    if source is not None:
        return _lately(select(t.c.hour, _ATTEMPTS), scopes, since, source).group_by(t.c.hour)
    return select(hours_table.c.hour, hours_table.c.attempts).where(
        hours_table.c.scope.in_(scopes), hours_table.c.hour >= since
    )


def _lately(
    wanted: Select[Any], scopes: Sequence[str], since: datetime, source: str | None
) -> Select[Any]:
    whose = true() if source is None else t.c.source == source
    return wanted.where(t.c.scope.in_(scopes), t.c.hour >= since, whose)


def _hours(since: datetime, until: datetime) -> list[datetime]:
    """By name, so that a source is looked up in each; a range of them would be read."""
    return [since + HOUR * later for later in range((until - since) // HOUR + 1)]


def _together(known: Knocker | None, row: Row[Any]) -> Knocker:
    if known is None:
        return Knocker(row.source, int(row.attempts), row.last_at)
    last_at = max(known.last_at, row.last_at)
    return Knocker(row.source, known.attempts + int(row.attempts), last_at)


def _key(knocks: Knocks) -> tuple[str, str, int]:
    port = knocks.port
    return (knocks.source, "", 0) if port is None else (knocks.source, port.protocol, port.number)


def _addition(here: dict[str, Any], knocks: Knocks) -> dict[str, Any]:
    source, protocol, number = _key(knocks)
    what = {"whose": source, "by": protocol, "to": number}
    return {**here, **what, "more": knocks.attempts, "seen": knocks.last_at}


def _values(scope: str, hour: datetime, knocks: Knocks) -> dict[str, Any]:
    source, protocol, number = _key(knocks)
    return {
        "scope": scope,
        "hour": hour,
        "source": source,
        "protocol": protocol,
        "number": number,
        "attempts": knocks.attempts,
        "last_at": knocks.last_at,
    }


def _summed(knocks: Sequence[Knocks]) -> Knocks | None:
    """All of them as others; None when there are none."""
    if not knocks:
        return None
    attempts = min(MOST_ATTEMPTS, sum(each.attempts for each in knocks))
    return Knocks(OTHERS, None, attempts, max(each.last_at for each in knocks))
