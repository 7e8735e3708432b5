"""What a report is settled by, in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, exists

from bascule.domain.exposure import Admitted
from bascule.interfaces.settling import Settling
from bascule.store import tables as t
from bascule.store.callers import OWN_POINT, CallerReads, own_point_of_row
from bascule.store.exposure import NOT_CLOSED, OPEN_NOW, ExposureReads, opening_of_row, span_of_row
from bascule.store.grants import UNSETTLED_OF, GrantReads, grant_of_row
from bascule.store.side_by_side import SideBySide

_POINT, _GRANT, _OPENING, _SPAN = range(4)
_HAS_RELEASES = exists().where(
    t.closed_ports.c.machine_uid == t.machines.c.uid, t.closed_ports.c.is_released
)
_SETTLING = SideBySide(
    OWN_POINT.add_columns(_HAS_RELEASES.label("has_releases")),
    UNSETTLED_OF.order_by(None),
    NOT_CLOSED.order_by(None),
    OPEN_NOW,
)


class SettlingReads(CallerReads, GrantReads, ExposureReads):
    __slots__ = ()

    def settling(self, uid: str) -> Settling | None:
        found, wrong = self._readable(_SETTLING.statement, {"wanted": uid, "uid": uid}, _part)
        point = next((made for query, _, made in found if query == _POINT), None)
        if point is None:
            if wrong:
                raise wrong[0]
            return None
        found.sort(key=lambda each: each[:2])
        grants = [made for query, _, made in found if query == _GRANT]
        openings = [made for query, _, made in found if query == _OPENING]
        spans = [made for query, _, made in found if query == _SPAN]
        if wrong:  # each by itself leaves out, or refuses, what it cannot read
            grants = list(self.unsettled_grants(uid))
            openings = list(self.current_openings(uid))
        return Settling(
            own_point_of_row(point), point.has_releases, grants, Admitted(openings, spans)
        )


def _part(row: Row[Any]) -> tuple[int, int, Any]:
    """Which query it is of, its place there, and what it tells."""
    query, part = _SETTLING.apart(row)
    if query == _POINT:
        return query, 0, part
    make = {_GRANT: grant_of_row, _OPENING: opening_of_row, _SPAN: span_of_row}[query]
    return query, part.sequence, make(part)
