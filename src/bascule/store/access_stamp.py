"""A stamp that each change of access replaces: what was computed under an older one is out of date.

Random, not counted: a transaction that is undone, a database that is restored, or another
database never shows a stamp that somebody has seen with other rows.
"""

from __future__ import annotations

import secrets

from sqlalchemy import bindparam, select, update

from bascule.errors import Unavailable
from bascule.store.rows import Rows
from bascule.store.tables import access as t

_STAMP = select(t.access_stamp.c.stamp)
STAMP = _STAMP.scalar_subquery().label("stamp")  # beside who calls, whose rights are asked next
_RENEW = update(t.access_stamp).values(stamp=bindparam("renewed"))


class AccessStamp(Rows):
    __slots__ = ()

    def access_stamp(self) -> str:
        """Read once a unit of work: in one, nobody else changes it."""
        if not self._stamp:
            row = self._first(_STAMP)
            if row is None:
                raise Unavailable("The database has lost its access counter. Restore a backup.")
            self._stamp = str(row.stamp)
        return self._stamp

    def _renew_stamp(self) -> None:
        renewed = secrets.token_hex(16)
        self._run(_RENEW, {"renewed": renewed})
        self._stamp = renewed
