"""Security plans and policies of scopes: is just-in-time access on or off there?"""

from __future__ import annotations

from bascule.store.rows import Rows


class PlanReads(Rows):
    __slots__ = ()


class PlanWrites(PlanReads):
    __slots__ = ()
