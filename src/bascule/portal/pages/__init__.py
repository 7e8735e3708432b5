"""One module a page, each with its ``router``; in the order in which paths are matched."""

from __future__ import annotations

from types import ModuleType

from bascule.portal.pages import jit, jit_configure, jit_remove, overview, welcome

MODULES: tuple[ModuleType, ...] = (overview, jit, jit_configure, jit_remove, welcome)
