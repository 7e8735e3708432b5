"""From one owner to the next without a gap (EDGES A5).

A table is owned by a socket. Between the moment when the old owner's socket closes and the
one when we define the table as ours, any `nft flush ruleset` deletes it. So a second table
with the same rules and elements is loaded first, owned by us: what it drops is dropped,
whatever happens to the first. Then the stored socket is given up, the first table is taken
over, or made anew when it was flushed, and the second goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

from bascule.drivers.nftables import render, rules
from bascule.drivers.nftables.layout import ALWAYS, HANDOVERS, TABLE, SourceSet
from bascule.drivers.nftables.library import NOT_PERMITTED, says
from bascule.drivers.nftables.load import Loader, is_other_form, is_ours
from bascule.drivers.nftables.parse import Layout, Table, Unreadable
from bascule.errors import EnforcementFailed

_PATIENCE = 2.0  # seconds for the kernel to notice that the old socket is closed
_PAUSE = 0.01


def take_over(loader: Loader, release_stored: Callable[[], None]) -> Layout | None:
    """Make the table ours; return what is then read, None when there was no table at all.

    A second table that a crash left behind is replaced, or stands for the first when that
    is gone. A table that is not understood (an older version's) is only owned, not written:
    the rebuild that follows replaces it. When the first table stays somebody else's, the
    second goes; on any other failure it stays and keeps things closed, until the next load.
    """
    read_at = time.monotonic()  # before: reading takes its time, of which nobody is given any
    leftovers = {
        name: left for name in loader.leftovers() if (left := loader.read(name)) is not None
    }
    table = loader.read(TABLE) or next(iter(leftovers.values()), None)
    if table is None:
        release_stored()
        return None
    if not _is_understood(table):
        release_stored()
        _until_permitted(lambda: _own(loader))
        return None
    copy = _Copy(table, read_at, loader.flags)
    mirror = _mirror(loader, copy, leftovers)
    release_stored()
    try:
        _until_permitted(lambda: _write(loader, copy))
    except EnforcementFailed as error:
        if says(error, NOT_PERMITTED):
            loader.context.run(render.delete(mirror))
        raise
    found = loader.verified(TABLE)
    for name in {mirror, *leftovers}:
        _until_permitted(partial(_drop, loader, name))
    return found


def _mirror(loader: Loader, copy: _Copy, leftovers: Collection[str]) -> str:
    """Load the second table under our own socket; returns the name that it got.

    Each agent that was killed in its own hand-over left a second table whose socket is still
    stored: it cannot be written before that is given up, which must not be before ours
    stands. So there are more names than sockets can be stored.
    """
    for name in HANDOVERS:
        before = render.delete(name) if name in leftovers else ""
        try:
            loader.context.run(before + copy.text(name))
        except EnforcementFailed as error:
            if name == HANDOVERS[-1] or not says(error, NOT_PERMITTED):
                raise
        else:
            return name
    raise AssertionError  # the last name returns or raises


class _Copy:
    """A table as it was read at one moment, to be written later or under another name."""

    def __init__(self, table: Table, read_at: float, flags: tuple[str, ...]) -> None:
        self._table = table
        self._read_at = read_at
        self._flags = flags
        self._sets: frozenset[SourceSet] = ALWAYS | rules.source_sets(table.layout.sets)

    def text(self, name: str) -> str:
        elapsed = timedelta(seconds=time.monotonic() - self._read_at)
        elements = rules.carried(self._table, elapsed)
        return render.definition(name, self._sets, self._flags) + render.changes(name, elements)


def _is_understood(table: Table) -> bool:
    try:
        rules.from_table(table)
    except Unreadable:
        return False
    return is_ours(table)


def _until_permitted(write: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _was_permitted(write, may_wait=time.monotonic() < deadline):
        time.sleep(_PAUSE)


def _was_permitted(write: Callable[[], None], *, may_wait: bool) -> bool:
    """Write; False when the old owner is still in the way."""
    try:
        write()
    except EnforcementFailed as error:
        if may_wait and says(error, NOT_PERMITTED):
            return False
        raise
    return True


def _drop(loader: Loader, name: str) -> None:
    loader.context.run(render.delete(name))


def _own(loader: Loader) -> None:
    """Own the table as it stands; one that was made without ``persist`` cannot be."""
    try:
        loader.context.run(render.ownership(TABLE, loader.flags))
    except EnforcementFailed as error:
        if not is_other_form(error):
            raise


def _write(loader: Loader, copy: _Copy) -> None:
    try:
        loader.context.run(copy.text(TABLE))
    except EnforcementFailed as error:
        if not is_other_form(error):
            raise
        loader.context.run(render.delete(TABLE) + copy.text(TABLE))
