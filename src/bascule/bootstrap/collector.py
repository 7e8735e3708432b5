"""Python's garbage collector (``gc``) searches for reference cycles among new objects only.

The whole process waits while it searches; searching all objects of 10,000 agents takes most of a
second. A call leaves no cycle (``tests/wire/test_cycles.py``), nor does a connection that fails, so
nearly everything is freed without a search. Objects that survive a full pass are set aside
(``gc.freeze``). Later passes search only newer objects, and none takes longer than 20 ms
(``bench.pauses``).

An object that is set aside is still freed when nothing refers to it, unless it became part of a
cycle later. If memory grows too much, such cycles are suspected, and all objects are searched once:
a long pause, which is logged. CPython 3.11 to 3.13 have these generations; later versions may not.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger("bascule.server")

YOUNG = 5_000  # objects made minus objects freed, at which a pass over new objects begins
OLDER = 8  # such passes, after which one over their survivors begins
WHOLE = 2  # of those, after which a full pass begins
_MUCH = 2 * 1024**3  # bytes of memory at which cycles among objects set aside are suspected
_RESIDENT = Path("/proc/self/statm")
_WHOLE_PASS = 2  # its generation


class Collector:
    def __init__(self, later: Callable[[Callable[[], None]], object], much: int = _MUCH) -> None:
        """``later`` runs something once a pass is over, from any thread; ``much``: bytes."""
        self._later = later
        self._much = much
        self._is_asked = False

    def begin(self) -> None:
        """Call this when everything is loaded. The objects of that moment are set aside."""
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
            "all memory was searched for reference cycles",
            freed=found,
            next="If this line is frequent, restart the server and report it.",
        )


def _resident() -> int:
    """Bytes of this process in memory."""
    try:
        pages = int(_RESIDENT.read_text().split()[1])
    except (OSError, ValueError, IndexError):  # no such file system: then never
        return 0
    return pages * resource.getpagesize()
