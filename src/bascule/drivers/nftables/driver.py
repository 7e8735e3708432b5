"""The nftables driver: ``interfaces.driver.HostDriver`` over one table, ``inet bascule``.

``observe`` reads the table back; ``apply`` is one transaction, one load of text. The driver
remembers two things: the form in which the kernel showed our rules right after our own last
load, to detect drift; and which ports were closed, because a connection found when a port is
closed again did not exist before the port was first closed. Until this process has loaded the
rules, they are never reported as intact.

All calls are synchronous and serialised by a lock. The netlink socket belongs to the network
namespace of the thread that made the driver; callers must be in the same namespace. When to
reconcile is decided elsewhere (``bascule.reconcile``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from bascule.domain.capabilities import HOST, Capabilities
from bascule.domain.desired import RuleSet
from bascule.domain.net import PortKey, PortMapped
from bascule.domain.plan import Observed, Operation
from bascule.drivers.linux.shadows import bounded
from bascule.drivers.linux.sockets import Connection
from bascule.drivers.linux.unanswered import Unanswered
from bascule.drivers.nftables import existing, parse, render, rules
from bascule.drivers.nftables.change import Change, gather
from bascule.drivers.nftables.drift import drift
from bascule.drivers.nftables.features import Features, probe, require_translation
from bascule.drivers.nftables.handover import take_over
from bascule.drivers.nftables.layout import (
    ADOPTED_FOR,
    BLOCKED,
    BLOCKED_BEHIND,
    ENDED_FOR,
    TABLE,
    is_behind,
    is_mapped,
)
from bascule.drivers.nftables.library import Context
from bascule.drivers.nftables.load import PUBLISHED_SETS, Loader
from bascule.drivers.nftables.offload import offloaded
from bascule.drivers.nftables.ownership import own
from bascule.drivers.nftables.parse import Layout, Table
from bascule.drivers.nftables.published import Published
from bascule.drivers.nftables.render import Changes, Element, ElementKey
from bascule.drivers.nftables.shadowed import Shadowed
from bascule.drivers.nftables.taken import taken
from bascule.errors import EnforcementFailed
from bascule.interfaces.driver import Blocked, Condition, Keeper

MANY = 100  # elements of one change, of which the time they take is measured
SLOWEST = 0.001  # seconds for an element; a longer time means that the process was suspended
LEFTOVER = "An interrupted hand-over left a second table, which blocks what is opened."


def open_driver(use_owner: bool = True) -> NftablesDriver:
    """Probe this host's features and make its driver; nothing is changed yet.

    ``use_owner`` False behaves like an old kernel. Raises ConfigurationError, with advice,
    when the library or a permission is missing, or this host cannot hold the rules.
    """
    context = Context()
    return NftablesDriver(context, probe(context, use_owner))


class NftablesDriver:
    def __init__(self, context: Context, features: Features) -> None:
        self._context = context
        self._features = features
        self._loader = Loader(context, features.flags)
        self._lock = threading.Lock()
        self._loaded: Layout | None = None  # our rules as the kernel showed them
        self._pace = 0.0  # seconds for an element, in the last write of many
        self._known: set[PortKey] = set()  # seen closed, and not released by us since
        self._adopted_first: set[ElementKey] = set()  # adopted when their port was first closed
        self._missed: set[PortKey] = set()  # closed while connections could not be listed
        self._published = Published(has_conntrack=features.has_conntrack)
        self._shadowed = Shadowed(context)
        self._unanswered = Unanswered()

    @property
    def capabilities(self) -> Capabilities:
        return HOST

    @property
    def owner_fd(self) -> int:
        """The socket that owns the table; the table stays owned while any copy is open."""
        return self._context.owner_fd

    def condition(self) -> Condition:
        if not self._shadowed.has_looked:  # else the first report would call closed what is not
            with self._lock, suppress(EnforcementFailed):
                table, held = self._held()
                if table is not None:
                    self._shadowed.look(held)
        weaknesses = (
            *self._features.weaknesses,
            *self._published.weaknesses,
            *offloaded(self._known),
            *self._shadowed.weaknesses,
            *bounded(self._unanswered.weaknesses),
        )
        known = self._features
        return Condition(known.is_owned, weaknesses, known.facts, known.flushed_by)

    def close(self) -> None:
        """Close the library's socket; the table stays, and stays owned if a copy is open."""
        with self._lock:
            self._context.close()

    # -- the rule set -------------------------------------------------------------------

    def observe(self) -> Observed:
        with self._lock:
            read_at = _boottime()
            table = self._loader.read(TABLE)
            has_leftover = self._loader.has_leftover()
            self._known |= {closed.port for closed in rules.closed_in(table)}
        counters = table.counters if table is not None else {}
        return replace(
            self._observed(table, has_leftover=has_leftover),
            read_at=read_at,
            blocked_behind=counters.get(BLOCKED_BEHIND, 0),
        )

    def _observed(self, table: Table | None, *, has_leftover: bool) -> Observed:
        if table is None:
            return Observed(RuleSet(), False, f"The firewall table inet {TABLE} is missing.")
        knocks = table.counters.get(BLOCKED, 0)
        try:
            held = rules.from_table(table)
        except parse.Unreadable as error:
            sentence = f"The firewall table was changed by another program: {error}."
            return Observed(RuleSet(rules.closed_in(table)), False, sentence, knocks)
        if self._loaded is None:
            return Observed(held, False, "The rules were not loaded by this process.", knocks)
        sentence = drift(self._loaded, table.layout) or (LEFTOVER if has_leftover else "")
        return Observed(held, not sentence, sentence, knocks)

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        began = _boottime() if since is None else since
        change = gather(operations)
        with self._lock:
            if change.rebuild is None and self._loaded is None:
                raise EnforcementFailed(
                    "The rules have not been loaded yet by this process.",
                    advice="Observe first: the plan then begins with the whole rule set.",
                )
            self._apply(change, began)

    def _apply(self, change: Change, since: float) -> None:
        before = None
        if self._must_read(change):
            before = self._loader.read(TABLE)
        if change.rebuild is not None:
            already = {closed.port for closed in rules.closed_in(before)}
            change.new_ports |= {closed.port for closed in change.rebuild.closed} - already
        # What another tool opened meanwhile let in nobody who may stay (EDGES A3).
        change.new_ports -= {port for port in self._known if change.is_kill(port)}
        for key in rules.adopted_left(before) if before is not None else ():
            if rules.adopted_port(key) in change.released:
                change.elements |= rules.without_adoption(key)
        again = change.new_ports & self._known
        # At a rebuild nobody knows whether it is the first time: a gateway may have been rebooted.
        learnt = {} if change.rebuild is not None else rules.learning(change.new_ports - again)
        kept = set() if change.rebuild is not None else self._known - change.released
        shut = kept | change.closed()
        published = self._published.look(_own(shut)) if change.closed() else {}
        first = self._existing_or_none(change.new_ports)
        pace = self._pace * len(change.elements)
        elapsed = timedelta(seconds=_boottime() - since + pace)
        elements = rules.aged(change.elements, elapsed)
        wanted = {
            **self._adoption(_not_leased(first, change), again),
            **published,
            **learnt,
            **elements,
        }
        if change.rebuild is not None or self._needs_sets(change):
            self._loaded = self._loader.load(wanted, before, is_whole=change.rebuild is not None)
        elif self._loaded is not None and wanted:
            self._write(render.in_sets(wanted, self._loaded.sets.keys()))
        self._known = shut
        self._missed -= change.released
        try:
            self._adopt_late(change.new_ports, first, again)
        except EnforcementFailed:
            self._missed |= change.new_ports  # the rest is done; ``tidy`` retries and reports it

    def _write(self, elements: Changes) -> None:
        """Change these elements, and measure the time: the library is slow with thousands."""
        began = _boottime()
        self._context.run(render.changes(TABLE, elements))
        if len(elements) >= MANY:
            self._pace = min((_boottime() - began) / len(elements), SLOWEST)

    def _must_read(self, change: Change) -> bool:
        return change.rebuild is not None or bool(change.released) or self._needs_sets(change)

    def _needs_sets(self, change: Change) -> bool:
        known = self._loaded.sets if self._loaded is not None else {}
        if not any(map(is_behind, known)) and render.is_about_behind(change.elements):
            return True  # the first machine behind this host
        if not any(map(is_mapped, known)) and render.is_about_mapped(change.elements):
            return True  # the first public port
        return any(each.name not in known for each in change.sets())

    def taken(self, ports: Collection[PortMapped]) -> Collection[PortMapped]:
        require_translation(self._context)
        try:
            return taken(ports)
        except OSError as error:
            raise EnforcementFailed(
                f"Whether public ports are free cannot be read: {error}.",
                advice="Check the module nf_tables, and that /proc is mounted.",
            ) from error

    # -- connections --------------------------------------------------------------------

    def _existing(self, ports: Collection[PortKey]) -> Sequence[Connection]:
        return existing.connections(ports, self._features.has_conntrack)

    def _existing_or_none(self, ports: Collection[PortKey]) -> Sequence[Connection]:
        """The existing connections; none if they cannot be read.

        Closing the port comes first; the second reading, after the load, finds all of them.
        """
        try:
            return self._existing(ports)
        except EnforcementFailed:
            return []

    def _adoption(
        self, connections: Collection[Connection], again: Collection[PortKey]
    ) -> dict[ElementKey, Element | None]:
        """The elements that let these connections continue.

        On ports that are closed ``again`` a connection may come from a grant, so a cut must end
        it as if it had never been adopted (EDGES A24); except those adopted when the port was
        first closed.
        """
        found = {rules.adopted(each) for each in connections}
        on_known_ports = {key for key in found if rules.adopted_port(key) in again}
        adopted_again = on_known_ports - self._adopted_first
        return rules.adoption(connections, adopted_again)

    def _adopt_late(
        self,
        ports: Collection[PortKey],
        first: Collection[Connection],
        again: Collection[PortKey],
    ) -> None:
        """Adopt connections made between the first reading and the load, without an opening or drain."""
        seen = {rules.adopted(each) for each in first}
        late = [each for each in self._existing(ports) if rules.adopted(each) not in seen]
        if not late:
            return
        table, held = self._held()
        opened = existing.Reach([*held.openings, *held.drains])
        unopened = [each for each in late if table is not None and not opened.holds(each)]
        if unopened:
            self._context.run(render.changes(TABLE, self._adoption(unopened, again)))

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int] | None:
        is_behind = any(port.at is not None for port, _ in openings)
        if is_behind and not self._features.has_conntrack:
            return None  # no socket tells of them
        with self._lock:
            return existing.count(self._existing({port for port, _ in openings}), openings)

    def tidy(self) -> None:
        with self._lock:
            table, held = self._held()
            if table is not None:
                self._follow(table)
                self._tidy(held, rules.adopted_left(table), rules.adopted_again(table))
                self._shadowed.look(held)
                self._unanswered.look(rules.repeated(table), time.monotonic)

    def _follow(self, table: Table) -> None:
        """Update the targets of closed published ports: containers come and go."""
        wanted = self._published.look(_own(closed.port for closed in rules.closed_in(table)))
        try:
            is_so = rules.published_in(table) == wanted.keys()
        except (TypeError, ValueError):  # another program's elements: not of our form
            is_so = False
        if not is_so:
            self._context.run(
                render.flush_sets(TABLE, PUBLISHED_SETS) + render.changes(TABLE, wanted)
            )

    def _held(self) -> tuple[Table | None, RuleSet]:
        """The table and its rule set; None if it is not in the form that we write.

        Such a table is about to be loaded again, so nothing is decided by it.
        """
        table = self._loader.read(TABLE)
        try:
            return (None, RuleSet()) if table is None else (table, rules.from_table(table))
        except parse.Unreadable:
            return None, RuleSet()

    def _tidy(
        self, held: RuleSet, adopted: Mapping[ElementKey, timedelta], adopted_again: set[ElementKey]
    ) -> None:
        self._adopted_first = adopted.keys() - adopted_again
        adopted = self._without_ended(held, adopted, adopted_again)
        ports = {closed.port for closed in held.closed if closed.is_kill} | self._missed
        ports |= {rules.adopted_port(key) for key in adopted} | {key.port for key in held.cuts}
        found = self._existing(ports)
        unwanted = existing.unadmitted(found, held, adopted)
        missed = self._missed_of(found, unwanted, held, adopted)
        if self._features.can_destroy:
            existing.destroy(unwanted)
            unwanted = [each for each in unwanted if not each.identity]
        renewed = _renewed_adoptions(found, held, adopted, adopted_again)
        renewed |= _renewed_cuts(unwanted, held)
        renewed |= self._adoption(missed, self._missed)
        if renewed:
            self._context.run(render.changes(TABLE, renewed))
        self._missed.clear()

    def _missed_of(
        self,
        found: Collection[Connection],
        unwanted: Collection[Connection],
        held: RuleSet,
        adopted: Collection[ElementKey],
    ) -> list[Connection]:
        """Connections that may stay on ports closed while connections could not be listed."""
        if not self._missed:
            return []
        over = {rules.adopted(each) for each in unwanted}
        spared = [each for each in found if rules.adopted(each) not in over]
        return _missed_on(self._missed, spared, held, adopted)

    def _without_ended(
        self,
        held: RuleSet,
        adopted: Mapping[ElementKey, timedelta],
        adopted_again: Collection[ElementKey],
    ) -> Mapping[ElementKey, timedelta]:
        """The remaining adoptions, after removing those of ``adopted_again`` that must end."""
        over = existing.ended_adoptions(adopted_again, held)
        if over:
            self._context.run(render.changes(TABLE, dict.fromkeys(over)))
        return {key: left for key, left in adopted.items() if key not in over}

    # -- the rest -----------------------------------------------------------------------

    def blocked(self) -> Sequence[Blocked]:
        with self._lock:
            table, _ = self._held()
        return [] if table is None else rules.knocks(table)

    def own(self, keeper: Keeper) -> None:
        own(keeper, self.owner_fd, self.take_over)

    def take_over(self, release_stored: Callable[[], None]) -> None:
        """Take over the table while its ports stay closed, whoever owns it (EDGES A5).

        ``release_stored`` must close the stored copies of the previous owner's socket before it
        returns. Raises EnforcementFailed when the table still has another owner.
        """
        with self._lock:
            self._loaded = take_over(self._loader, release_stored)

    def remove(self) -> None:
        with self._lock:
            self._loader.remove()
            self._loaded = None
            for remembered in (self._known, self._adopted_first, self._missed):
                remembered.clear()


def _boottime() -> float:
    """``Clock.boottime``, by which leases end; suspended time counts.

    The kernel ends elements by jiffies, which may stand still during suspend. The next pass
    removes an element that is left too long because of that.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _own(ports: Iterable[PortKey]) -> set[PortKey]:
    """Those of this host itself."""
    return {port for port in ports if port.at is None}


def _not_leased(found: Collection[Connection], change: Change) -> list[Connection]:
    """The connections without those that a lease on a kill port admits: they end with it."""
    leased = existing.Reach(key for key in change.openings() if change.is_kill(key.port))
    return [each for each in found if not leased.holds(each)]


def _renewed_adoptions(
    found: Collection[Connection],
    held: RuleSet,
    adopted: Mapping[ElementKey, timedelta],
    adopted_again: Collection[ElementKey],
) -> dict[ElementKey, Element | None]:
    """On keep ports an adoption is renewed for as long as its connection lives."""
    aging = (
        each for each in found if adopted.get(rules.adopted(each), ADOPTED_FOR) < ADOPTED_FOR / 2
    )
    return rules.adoption(_on_keep_ports(aging, held), adopted_again)


def _missed_on(
    ports: Collection[PortKey],
    found: Collection[Connection],
    held: RuleSet,
    adopted: Collection[ElementKey],
) -> list[Connection]:
    """Connections on keep ports among ``ports`` that are not adopted yet."""
    missed = (each for each in found if each.to in ports and rules.adopted(each) not in adopted)
    return _on_keep_ports(missed, held)


def _on_keep_ports(found: Iterable[Connection], held: RuleSet) -> list[Connection]:
    keep = {closed.port for closed in held.closed if not closed.is_kill}
    return [each for each in found if each.to in keep]


def _renewed_cuts(left: Collection[Connection], held: RuleSet) -> dict[ElementKey, Element | None]:
    """A cut stays until none of its connections is left (EDGES A24).

    ``left`` are those that were not just destroyed: they end in no socket here, or this
    kernel destroys none.
    """
    return {
        rules.ended(key): rules.timed(ENDED_FOR)
        for key, remaining in held.cuts.items()
        if remaining < ENDED_FOR / 2 and any(map(existing.Reach([key]).holds, left))
    }
