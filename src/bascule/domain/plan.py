"""The ordered difference between the desired and the observed rules of a firewall.

A driver receives only ``plan(desired, observed)``. Order: close first, then end, then open, and
release last, so that a plan that stops half-way has never opened anything early.

Remaining times drift by the milliseconds between two observations, so an opening is rewritten
only if it differs by more than TOLERANCE, a drain likewise; a shorter desired end within TOLERANCE stays as the
kernel has it. A cut is rewritten only to last longer.

A driver applies a plan whole or not at all, so one refused opening would block every closing in
the same plan. ``closing_halves`` are what to apply then: ever smaller plans that still close
every port.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, port_order

TOLERANCE = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read back. A failure to read is an error, never an empty Observed."""

    rules: RuleSet
    is_intact: bool  # False: our rules are missing or are not as we write them
    drift: str = ""  # a sentence, when not intact: what differs
    blocked_attempts: int = 0  # packets to this host dropped since the table was made
    read_at: float | None = None  # seconds of CLOCK_BOOTTIME; the times left count from there
    blocked_behind: int = 0  # packets to machines behind it, likewise


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Put the whole rule set in place, in one transaction."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class ClosePort:
    """Close a port, or change what happens to its connections at expiry."""

    closed: ClosedPort
    is_new: bool  # False when only on_expiry changes


@dataclass(frozen=True, slots=True)
class DropOpening:
    key: OpeningKey


@dataclass(frozen=True, slots=True)
class PutOpening:
    """Open, or set the time left of an opening that exists."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class PutCut:
    """End a source's connections, or lengthen an existing cut."""

    key: OpeningKey
    remaining: timedelta


@dataclass(frozen=True, slots=True)
class DropDrain:
    key: OpeningKey


@dataclass(frozen=True, slots=True)
class PutDrain:
    """Let a source's connections on a kill port stay for so long, or set the time left of that."""

    key: OpeningKey
    remaining: timedelta


@dataclass(frozen=True, slots=True)
class ReleasePort:
    port: PortKey


Operation = (
    Rebuild | ClosePort | DropOpening | PutOpening | PutCut | DropDrain | PutDrain | ReleasePort
)


def plan(desired: RuleSet, observed: Observed) -> tuple[Operation, ...]:
    """The operations that turn ``observed`` into ``desired``; empty if they are equal."""
    if not observed.is_intact:
        return (Rebuild(desired),)
    return tuple(_difference(desired, observed.rules))


def _difference(desired: RuleSet, observed: RuleSet) -> Iterable[Operation]:
    held = {closed.port: closed for closed in observed.closed}
    wanted = {closed.port for closed in desired.closed}
    for closed in sorted(desired.closed, key=lambda each: port_order(each.port)):
        if held.get(closed.port) != closed:
            yield ClosePort(closed, is_new=closed.port not in held)
    yield from _endings(desired, observed)
    for key, opening in desired.openings.items():
        existing = observed.openings.get(key)
        if existing is None or abs(existing.remaining - opening.remaining) > TOLERANCE:
            yield PutOpening(opening)
    for key, remaining in desired.drains.items():
        left = observed.drains.get(key)
        if left is None or abs(left - remaining) > TOLERANCE:
            yield PutDrain(key, remaining)
    for port in sorted(held, key=port_order):
        if port not in wanted:
            yield ReleasePort(port)


def _endings(desired: RuleSet, observed: RuleSet) -> Iterable[Operation]:
    for key in observed.openings:
        if key not in desired.openings:
            yield DropOpening(key)
    for key in observed.drains:
        if key not in desired.drains:
            yield DropDrain(key)
    for key, remaining in desired.cuts.items():
        left = observed.cuts.get(key)
        if left is None or remaining - left > TOLERANCE:
            yield PutCut(key, remaining)


def closing_halves(
    operations: Iterable[Operation], observed: RuleSet, kept: Collection[str]
) -> Iterable[tuple[Operation, ...]]:
    """Smaller plans to try when a plan was refused.

    First the closings with the openings of ``kept`` grants, then only the closings, then those
    without cuts. None releases a port or lets connections stay, and earlier ends take effect.
    """
    given = tuple(operations)
    yield tuple(_without_openings(given, observed, kept, has_cuts=True))
    yield tuple(_without_openings(given, observed, (), has_cuts=True))
    yield tuple(_without_openings(given, observed, (), has_cuts=False))


def _without_openings(
    operations: Iterable[Operation], observed: RuleSet, kept: Collection[str], *, has_cuts: bool
) -> Iterable[Operation]:
    for operation in operations:
        match operation:
            case Rebuild(rules):
                wanted = {each.port for each in rules.closed}
                still = frozenset(each for each in observed.closed if each.port not in wanted)
                few = {k: each for k, each in rules.openings.items() if each.grant_id in kept}
                yield Rebuild(RuleSet(rules.closed | still, few, rules.cuts if has_cuts else {}))
            case PutOpening(opening) if opening.grant_id not in kept:
                old = observed.openings.get(opening.key)
                if old is not None and opening.remaining < old.remaining:
                    yield DropOpening(opening.key)
            case ReleasePort():
                pass
            case PutDrain(key, remaining):
                if remaining < observed.drains.get(key, remaining):
                    yield DropDrain(key)
            case PutCut() if not has_cuts:
                pass
            case _:
                yield operation
