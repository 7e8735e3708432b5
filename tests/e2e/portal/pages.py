"""All pages, with whom they show something, for the walk over them and for the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.portal.portal_world import World


@dataclass(frozen=True, slots=True)
class Shown:
    """One page in one state."""

    name: str
    where: str | Callable[[World], str]
    person: str = "owner"
    status: int = 200

    def path(self, world: World) -> str:
        return self.where if isinstance(self.where, str) else self.where(world)


PAGES = (
    Shown("sign-in", "/signin", person=""),
    Shown("overview", "/portal"),
    Shown("overview-nobody", "/portal", person="nobody"),
    Shown("jit-configured", "/portal/jit"),
    Shown("jit-not-configured", "/portal/jit?tab=notConfigured"),
    Shown("jit-unsupported", "/portal/jit?tab=unsupported"),
    Shown("jit-reader", "/portal/jit", person="reader"),
    Shown("jit-nobody", "/portal/jit", person="nobody"),
    Shown("not-there", "/portal/nothing-here", status=404),
)
