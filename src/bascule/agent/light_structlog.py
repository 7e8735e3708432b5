"""Loads structlog without what it loads beside itself: 11 MB that an agent has no use for."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType


def load_structlog() -> None:
    """Before anything else imports it."""
    # None is "not there"; structlog's coroutines alone use asyncio, and the agent has none.
    in_place: dict[str, ModuleType | None] = {
        "rich": None,
        "greenlet": None,
        "asyncio": ModuleType("asyncio"),
    }
    absent = [name for name in in_place if name not in sys.modules]
    sys.modules.update({name: in_place[name] for name in absent})  # type: ignore[misc]  # reason: as above
    try:
        importlib.import_module("structlog")
    except (
        ImportError,
        AttributeError,
    ):  # a version that needs them: the agent starts all the same
        for name in [*absent, *(each for each in sys.modules if each.startswith("structlog"))]:
            sys.modules.pop(name, None)
        importlib.import_module("structlog")
    else:
        if "asyncio" in absent:
            del sys.modules["asyncio"]
