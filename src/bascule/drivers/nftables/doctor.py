"""One look at this host, for ``bascule doctor``: whoever owns the table, it is read and no more.

What is found is tried with a packet in a copy of the rules, in a network namespace of its own.
Without CAP_NET_ADMIN no rule can be read; sockets can. What could not be read is told.
"""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.desired import RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import Address, PortKey
from bascule.domain.weaknesses import Weakness
from bascule.drivers.linux.other_rules import OtherRules
from bascule.drivers.linux.returns import returning_elsewhere, route_elsewhere
from bascule.drivers.linux.shadows import Looked, bounded
from bascule.drivers.linux.trials import tried
from bascule.drivers.nftables import parse, rules
from bascule.drivers.nftables.layout import HANDOVERS, TABLE
from bascule.drivers.nftables.library import NOT_PERMITTED, Context, says
from bascule.drivers.nftables.load import Loader
from bascule.drivers.nftables.shadowed import is_ours, look_now
from bascule.errors import ConfigurationError, EnforcementFailed
from bascule.interfaces.driver import Examination, Outcome, Trial

_FAMILY = "inet"
_TABLE_UNREAD = "Bascule’s own table, which says what is closed here"
_ROUTES_UNREAD = "the routes of this host"
_ANSWERS_UNREAD = "whether answers of machines behind this gateway come back through it"
_PROGRAMS_UNREAD = "the processes of other users, which hold most sockets"


def examine(ports: Collection[PortKey], gateways: Collection[Address] = ()) -> Examination:
    """Raises EnforcementFailed where the kernel refuses for another reason than a missing right."""
    context = _context()
    try:
        held, is_read = _held(context)
        unread = [] if is_read else [_TABLE_UNREAD]
        if ports:
            closed = frozenset(map(ClosedPort, ports))
            held, unread = RuleSet(closed, held.openings), []
        try:
            looked = look_now(context, held)
        except OSError as error:
            raise EnforcementFailed(
                f"This host’s rules and sockets could not be read: {error.strerror}."
            ) from error
    finally:
        if context is not None:
            context.close()
    unread += [*looked.unread, *(() if looked.are_programs_read else (_PROGRAMS_UNREAD,))]
    looked_at = frozenset(each.port for each in held.closed)
    routes, untold = _routes(looked_at, gateways)
    unread += untold
    told = Trial(Outcome.CONFIRMED, "by the routes, and by what was answered")
    trials = (*_tried(looked), *(told for _ in routes))
    return Examination(looked_at, (*looked.found, *routes), tuple(unread), trials)


def _routes(
    closed: Collection[PortKey], gateways: Collection[Address]
) -> tuple[tuple[Weakness, ...], list[str]]:
    """Answers that go another way than by the gateway; and what could not be told."""
    try:
        own = tuple(each for gateway in gateways for each in route_elsewhere(gateway))
    except OSError:
        return (), [_ROUTES_UNREAD]
    try:
        found, untold = returning_elsewhere(closed)
    except OSError:
        return own, [_ANSWERS_UNREAD]
    return (*own, *bounded(found)), untold


def _tried(looked: Looked) -> tuple[Trial, ...]:
    if not looked.found:
        return ()
    names = {f"{_FAMILY} {name}" for name in (TABLE, *HANDOVERS)}
    try:
        host = OtherRules(is_ours, lambda _table, _chain, _at: "")
        return tried(looked.found, host, lambda family, name: f"{family} {name}" in names)
    except OSError as error:
        untried = Trial(Outcome.UNTRIED, error.strerror or str(error))
        return (untried,) * len(looked.found)


def _context() -> Context | None:
    """None where nftables is not here: then nothing of ours is closed either."""
    try:
        return Context()
    except ConfigurationError:
        return None


def _held(context: Context | None) -> tuple[RuleSet, bool]:
    """What our table keeps closed and lets in; and whether it could be read."""
    if context is None:
        return RuleSet(), True
    try:
        table = Loader(context, ()).read(TABLE)
    except EnforcementFailed as error:
        if says(error, NOT_PERMITTED):
            return RuleSet(), False
        raise
    if table is None:
        return RuleSet(), True
    try:
        return rules.from_table(table), True
    except parse.Unreadable:
        return RuleSet(rules.closed_in(table)), True
