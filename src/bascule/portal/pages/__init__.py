"""One module a page, each with its ``router``; in the order in which paths are matched."""

from __future__ import annotations

from types import ModuleType

from bascule.portal.pages import overview

MODULES: tuple[ModuleType, ...] = (overview,)
