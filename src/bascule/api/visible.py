"""Which machines a list of views may show: those at which the caller holds its action, or whose
view it holds it at (EDGES B1).
"""

from __future__ import annotations

from collections.abc import Callable

from bascule.domain.ids import COMPUTE, VIRTUAL_MACHINES
from bascule.domain.roles import Reach, Rights

_MACHINES = f"/providers/{COMPUTE}/{VIRTUAL_MACHINES}/".casefold()


def machines_shown(rights: Rights, action: str, stem: Callable[[str], str | None]) -> Reach:
    """Where machines lie whose view may be shown; ``stem`` tells from a view's name whose it is."""
    kind = action.split("/")[1].casefold()
    keys = rights.reach(action).keys
    return Reach(frozenset(_machine_key(key, kind, stem) for key in keys))


def _machine_key(key: str, kind: str, stem: Callable[[str], str | None]) -> str:
    group, is_view, name = key.partition(f"/providers/microsoft.network/{kind}/")
    machine = stem(name) if is_view and "/" not in name else None
    return key if machine is None else f"{group}{_MACHINES}{machine}"
