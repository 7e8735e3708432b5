"""Loading whole tables: one transaction each, then read back and compared.

Usually rules are flushed and written anew while sets keep their elements. Where the
kernel's table is not of our present form (an older version's, or another program put
things into it) it is deleted and made anew in that same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from bascule.drivers.nftables import parse, render, rules
from bascule.drivers.nftables.layout import (
    ADOPTED_SETS,
    ALWAYS,
    ALWAYS_BEHIND,
    ALWAYS_MAPPED,
    BLOCKED,
    BLOCKED_BEHIND,
    DRAIN,
    ENDED,
    GRANTED,
    HANDOVERS,
    INSIDE,
    LEARNING,
    LEARNT_SETS,
    PORT_SETS,
    REPEATED_SETS,
    SEEN_SETS,
    TABLE,
    TARGETS,
    TO,
    SourceSet,
    is_behind,
    is_mapped,
)
from bascule.drivers.nftables.library import ABSENT, EXISTS, NOT_PERMITTED, Context, says
from bascule.drivers.nftables.parse import Layout, Table
from bascule.drivers.nftables.render import Changes
from bascule.errors import EnforcementFailed

_JUDGING = ("by_number", "guard", "granted")
_JUDGING_BEHIND = (*_JUDGING, "translated")
_CHAINS = frozenset({"published", "delivered", "routed", "arrived", *_JUDGING})
_OTHERS = frozenset({f"counter {BLOCKED}", "counter cut"})
_CONNECTION_SETS = frozenset({*ADOPTED_SETS, *LEARNING.values(), *LEARNT_SETS, *REPEATED_SETS})
PUBLISHED_SETS = frozenset({INSIDE, *TARGETS.values()})
_CLOSING_SETS = PUBLISHED_SETS | PORT_SETS.keys()
_PLAIN_SETS = frozenset({*PORT_SETS, *PUBLISHED_SETS, *_CONNECTION_SETS, *SEEN_SETS})
_ALREADY = "already exists"  # the library's own word, before it asks the kernel
_UNSUPPORTED = "Operation not supported"  # a table made without ``persist`` cannot gain it


class Loader:
    def __init__(self, context: Context, flags: tuple[str, ...]) -> None:
        self.context = context
        self.flags = flags

    def read(self, name: str) -> Table | None:
        """The table as the kernel has it now; None when there is none."""
        try:
            text = self.context.run(f"list table inet {name}")
        except EnforcementFailed as error:
            if says(error, ABSENT):
                return None
            raise
        try:
            return parse.table(text)
        except parse.Unreadable as error:
            raise EnforcementFailed(
                f"The firewall table {name} cannot be read back: {error}.",
                advice="Check that nft and libnftables are of one version.",
            ) from error

    def load(self, wanted: Changes, before: Table | None, *, is_whole: bool) -> Layout:
        """Put our rules in place with the elements ``wanted`` and return what is then read.

        ``is_whole``: what else is closed or granted is to go. Adopted connections and cuts
        stay in either case. ``before`` is the table as it was just read.
        """
        live = ALWAYS | _in_use(before, (ENDED,) if is_whole else (ENDED, GRANTED, DRAIN, TO))
        live |= rules.source_sets(name for (name, _), each in wanted.items() if each is not None)
        if _has(before, is_mapped) or render.is_about_mapped(wanted):
            live |= ALWAYS_MAPPED | ALWAYS_BEHIND
        if _has(before, is_behind) or render.is_about_behind(wanted):
            live |= ALWAYS_BEHIND
        wanted = render.in_sets(wanted, _plain(live) | {each.name for each in live})
        if before is None or is_ours(before):
            try:
                self.context.run(self._renewal(wanted, before, live, is_whole=is_whole))
            except EnforcementFailed as error:
                if before is None or not is_other_form(error):
                    raise
                self._replace(wanted, before, live, is_whole=is_whole)
        else:
            self._replace(wanted, before, live, is_whole=is_whole)
        layout = self.verified(TABLE)
        self._delete_leftover()
        return layout

    def _renewal(
        self, wanted: Changes, before: Table | None, live: frozenset[SourceSet], *, is_whole: bool
    ) -> str:
        """Rules written anew over sets that stay."""
        known = rules.source_sets(before.layout.sets if before is not None else ())
        text = render.definition(TABLE, live, self.flags, {each.name for each in known - live})
        if is_whole:
            emptied = {each.name for each in live if each.kind in (GRANTED, DRAIN, TO)}
            text += render.flush_sets(TABLE, emptied | (_plain(live) & _CLOSING_SETS))
        return text + render.changes(TABLE, wanted)

    def _replace(
        self, wanted: Changes, before: Table, live: frozenset[SourceSet], *, is_whole: bool
    ) -> None:
        """A table made anew in place of one of another form."""
        kept = [
            *ADOPTED_SETS,
            *LEARNING.values(),
            *(each.name for each in live if each.kind == ENDED),
        ]
        carried = rules.carried(before, timedelta(0), kept if is_whole else None)
        self.context.run(
            render.delete(TABLE)
            + render.definition(TABLE, live, self.flags)
            + render.changes(TABLE, {**carried, **wanted})
        )

    def has_leftover(self) -> bool:
        """Did a crash in the middle of a hand-over leave its second table?

        Such a table is as closed as it then was, and would stay so when ours opens.
        """
        return bool(self.leftovers())

    def leftovers(self) -> list[str]:
        """The names of the second tables that are there."""
        lines = self.context.run("list tables inet").splitlines()
        return [name for name in HANDOVERS if f"table inet {name}" in lines]

    def _delete_leftover(self) -> None:
        for name in self.leftovers():
            try:
                self.context.run(render.delete(name))
            except EnforcementFailed as error:
                # A living owner deletes its own, and may just have done so.
                if not says(error, NOT_PERMITTED) and not says(error, ABSENT):
                    raise

    def verified(self, name: str) -> Layout:
        """Read a table that was just loaded. Raises EnforcementFailed when it is not so."""
        table = self.read(name)
        if table is None or not is_ours(table) or table.layout.flags != frozenset(self.flags):
            raise EnforcementFailed(
                f"The firewall table {name} is not as it was just written.",
                advice="Find the program that writes to it: nft monitor.",
            )
        return table.layout

    def remove(self) -> None:
        for name in (TABLE, *self.leftovers()):
            if self.read(name) is not None:
                self.context.run(render.delete(name))


def is_other_form(error: EnforcementFailed) -> bool:
    """Was a definition refused because what exists by that name is of another form?"""
    return any(says(error, words) for words in (EXISTS, _ALREADY, _UNSUPPORTED))


def _has(table: Table | None, is_part: Callable[[str], bool]) -> bool:
    return table is not None and any(map(is_part, table.layout.sets))


def _plain(sets: Iterable[SourceSet]) -> frozenset[str]:
    """The other sets of a table with these source sets."""
    has_behind = any(each.is_behind for each in sets)
    has_mapped = any(each.is_map for each in sets)
    return frozenset(
        name
        for name in _PLAIN_SETS
        if (has_behind or not is_behind(name)) and (has_mapped or not is_mapped(name))
    )


def _in_use(table: Table | None, kinds: tuple[str, ...]) -> frozenset[SourceSet]:
    if table is None:
        return frozenset()
    found = rules.source_sets(name for name, elements in table.elements.items() if elements)
    return frozenset(each for each in found if each.kind in kinds)


def is_ours(table: Table) -> bool:
    """Has it our chains, sets and counters and no others?"""
    names = frozenset(table.layout.sets)
    sources = rules.source_sets(names)
    has_mapped = _has(table, is_mapped)
    has_behind = has_mapped or _has(table, is_behind)
    needed = ALWAYS | ALWAYS_BEHIND if has_behind else ALWAYS
    needed |= ALWAYS_MAPPED if has_mapped else frozenset()
    behind = {f"behind_{each}" for each in _JUDGING_BEHIND} if has_behind else set[str]()
    behind |= {"mapped_ports"} if has_mapped else set()
    counters = {f"counter {BLOCKED_BEHIND}"} if has_behind else set[str]()
    return (
        frozenset(table.layout.chains) == _CHAINS | behind
        and names - {each.name for each in sources} == _plain(sources)
        and needed <= sources
        and frozenset(table.layout.others) == _OTHERS | counters
    )
