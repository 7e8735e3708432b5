"""What of other programs lets our closed ports be reached, or blocks what we open: when to look.

A look reads every rule and socket of the host. It is taken after a pass, never before an opening,
at most every ten seconds and for at most a fiftieth of the time. What is told is of the last look.
``drivers.linux.shadows`` says what is looked for; here nft gives the words of a rule.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection

from bascule.domain.desired import RuleSet
from bascule.domain.net import PortMapped
from bascule.domain.weaknesses import RULES_UNREAD, Weakness
from bascule.drivers.linux.legacy import LegacyTable
from bascule.drivers.linux.other_rules import AnyTable
from bascule.drivers.linux.ruleset import INET
from bascule.drivers.linux.shadows import Looked, look
from bascule.drivers.nftables.layout import HANDOVERS, TABLE
from bascule.drivers.nftables.library import Context
from bascule.errors import EnforcementFailed

SHORTEST = 10.0  # seconds between two looks
SHARE = 50  # a look of a second is followed by 50 s without one
_FAMILIES = {INET: "inet", 2: "ip", 10: "ip6", 5: "netdev"}
_HANDLE = re.compile(r"^\s*(.*?)\s*# handle (\d+)$")
_LONGEST_RULE = 300  # characters


def look_now(context: Context | None, held: RuleSet) -> Looked:
    """All that is found now of the ports that ``held`` keeps closed. Raises OSError."""
    admitted = [
        (key.port, key.source.network_address)
        for key in held.openings
        if key.source.prefixlen == key.source.max_prefixlen and not isinstance(key.port, PortMapped)
    ]
    # A public port leads on before anybody is served there: what it leads to is looked at.
    closed = [each.port for each in held.closed if not isinstance(each.port, PortMapped)]
    return look(closed, admitted, is_ours, _Words(context))


def is_ours(family: int, name: str) -> bool:
    return family == INET and name in (TABLE, *HANDOVERS)


class Shadowed:
    """The findings of the last look. For the driver's thread, under its lock."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._next = float("-inf")
        self.has_looked = False
        self._closed: Collection[object] = ()
        self.weaknesses: tuple[Weakness, ...] = ()

    def look(self, held: RuleSet) -> None:
        """Look if it is time, or if other ports are closed than at the last look."""
        began = self._clock()
        if began < self._next and held.closed == self._closed:
            return
        try:
            looked = look_now(self._context, held)
            found = tuple(dict.fromkeys(looked.found))
            if looked.unread:
                found = (*found, RULES_UNREAD(unread=", ".join(looked.unread)))
        except Exception as error:  # noqa: BLE001  # reason: to close never waits for others' rules
            found = (RULES_UNREAD(unread=str(error) or type(error).__name__),)
        self.weaknesses, self._closed, self.has_looked = found, held.closed, True
        now = self._clock()
        self._next = now + max(SHORTEST, SHARE * (now - began))


class _Words:
    """A rule as nft writes it; each chain is listed once."""

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._listed: dict[tuple[int, str, str], dict[int, str]] = {}

    def __call__(self, table: AnyTable, chain: str, at: int) -> str:
        handle = table.handles[chain][at]
        if isinstance(table, LegacyTable):
            return f"rule {handle}"
        key = table.family, table.name, chain
        if key not in self._listed:
            self._listed[key] = self._list(*key)
        return self._listed[key].get(handle, f"rule with handle {handle}")

    def _list(self, family: int, table: str, chain: str) -> dict[int, str]:
        if self._context is None:
            return {}
        try:
            listing = self._context.run_for_handles(
                f"list chain {_FAMILIES.get(family, 'inet')} {table} {chain}"
            )
        except EnforcementFailed:
            return {}
        lines = (_HANDLE.match(line) for line in listing.splitlines())
        return {int(line[2]): line[1][:_LONGEST_RULE] for line in lines if line is not None}
