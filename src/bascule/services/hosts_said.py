"""What the enforcement points of machines reported, as decisions need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bascule.domain.bounds import Guard
from bascule.domain.features import KNOWN, Feature
from bascule.domain.machine import EnforcementPoint, Unable
from bascule.interfaces.points import PointReads

Said = tuple[
    Mapping[str, Guard], Mapping[str, Unable], Mapping[str, frozenset[Feature]], frozenset[str]
]


def said_by_hosts(tx: PointReads, uids: Sequence[str]) -> Said:
    """What the enforcement points of these machines reported, by machine uid, for ``decide``:
    guards; why a machine can open nothing; the features of agents that do not know all of them.
    """
    return said_by(tx.points_of(uids))


def said_by(points: Mapping[str, EnforcementPoint]) -> Said:
    guards = {uid: point.guard for uid, point in points.items() if point.guard is not None}
    unable = {uid: why for uid, point in points.items() if (why := point.unable)}
    knows = {uid: each.knows for uid, each in points.items() if each.knows < KNOWN}
    cannot_drain = frozenset(uid for uid, each in points.items() if each.lacks("drains"))
    return guards, unable, knows, cannot_drain


def guards_of(tx: PointReads, uids: Sequence[str]) -> Mapping[str, Guard]:
    """The guards that the hosts of these machines reported; older agents report none."""
    return said_by_hosts(tx, uids)[0]
