"""Reference cycles are searched for among new objects, and freed wherever they are."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from bascule.bootstrap.collector import OLDER, WHOLE, YOUNG, Collector

ENOUGH = 3 * YOUNG * (OLDER + 1) * (WHOLE + 1)  # objects, for a whole pass whatever was before


class Ring:
    """Holds itself."""

    def __init__(self) -> None:
        self.ring = self


class Alone:
    """Nothing refers to it but who made it."""


@pytest.fixture
def later() -> Iterator[list[Callable[[], None]]]:
    """What is to be done when a pass is over."""
    before = gc.get_threshold()
    yield []
    gc.set_threshold(*before)
    gc.unfreeze()


def make_objects() -> list[list[int]]:
    return [[number] for number in range(ENOUGH)]


def test_no_pass_looks_through_all_that_is_there(later: list[Callable[[], None]]) -> None:
    """What takes long with the interpreter's own setting: it grows with the fleet."""
    before = len(gc.get_objects())
    collector = Collector(later.append)
    collector.begin()
    try:
        kept = make_objects()
        looked_at = len(gc.get_objects()) - before  # without what is frozen
    finally:
        collector.end()
    assert len(kept) == ENOUGH
    assert looked_at < ENOUGH // 2


def test_a_cycle_of_a_call_is_freed(later: list[Callable[[], None]]) -> None:
    collector = Collector(later.append)
    collector.begin()
    try:
        ring = weakref.ref(Ring())
        kept = make_objects()
    finally:
        collector.end()
    assert len(kept) == ENOUGH
    assert ring() is None
    assert not later, "memory is not full"


def test_what_was_set_aside_is_freed_by_itself_or_when_memory_fills(
    later: list[Callable[[], None]],
) -> None:
    collector = Collector(later.append, much=0)
    collector.begin()
    try:
        alone, ring = Alone(), Ring()
        of_alone, of_ring = weakref.ref(alone), weakref.ref(ring)
        kept = make_objects()  # a whole pass: they are set aside
        del alone
        assert of_alone() is None
        del ring
        kept += make_objects()
        assert of_ring() is not None, "it is not looked at"
        assert len(later) == 1
        later[0]()
        assert of_ring() is None
    finally:
        collector.end()
    assert len(kept) == 2 * ENOUGH
