"""When the interpreter looks for circles of objects (``gc``): among what is new, and briefly.

While it looks, everybody waits; looking through all that 10,000 agents leave in memory takes most
of a second. A call leaves no circle (``tests/wire/test_circles.py``), nor does a connection that
fails, so nearly all is freed without it. What survives a whole pass is set aside (``gc.freeze``):
later passes look at what came since, and none takes longer than 20 ms (``bench.pauses``).

What is set aside is still freed when nothing refers to it, unless it became part of a circle
later. Should such circles fill the memory, all of it is looked through once: a long pause, which
is logged. CPython 3.11 to 3.13 have these generations; later versions may do without.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger("bascule.server")

YOUNG = 5_000  # new objects, less those that went, to begin a pass over the new ones
OLDER = 8  # such passes, to begin one over what survived them
WHOLE = 2  # of those, to begin a whole one
_MUCH = 2 * 1024**3  # bytes in memory to suspect circles among what was set aside
_RESIDENT = Path("/proc/self/statm")
_WHOLE_PASS = 2  # its generation


class Collector:
    def __init__(self, later: Callable[[Callable[[], None]], object], much: int = _MUCH) -> None:
        """``later`` runs something once a pass is over, from any thread; ``much``: bytes."""
        self._later = later
        self._much = much
        self._is_asked = False

    def begin(self) -> None:
        """To be called when all is loaded: it stays, and is not looked through while calls wait."""
        gc.freeze()
        gc.set_threshold(YOUNG, OLDER, WHOLE)
        gc.callbacks.append(self._on_pass)
        gc.enable()

    def end(self) -> None:
        gc.callbacks.remove(self._on_pass)

    def _on_pass(self, phase: str, info: Mapping[str, int]) -> None:
        if phase != "stop" or info["generation"] != _WHOLE_PASS:
            return
        gc.freeze()
        if not self._is_asked and _resident() > self._much:
            self._is_asked = True
            self._later(self._look_through_all)

    def _look_through_all(self) -> None:
        gc.unfreeze()
        found = gc.collect()
        self._much = max(self._much, 2 * _resident())
        self._is_asked = False
        log.warning(
            "memory was looked through for circles of objects",
            freed=found,
            next="If this is often in the log, restart the server, and report it.",
        )


def _resident() -> int:
    """Bytes of this process in memory."""
    try:
        pages = int(_RESIDENT.read_text().split()[1])
    except (OSError, ValueError, IndexError):  # no such file system: then never
        return 0
    return pages * resource.getpagesize()
