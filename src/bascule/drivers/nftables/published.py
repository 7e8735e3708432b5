"""Where closed ports lead when they are published: what is closed to those who route there.

Container engines publish a port by translating its destination. Whoever adds a route to the
container's network reaches the same service by the container's own address, and no rule of
the host's port sees that. So the targets stand in sets of our table, for a chain that drops
what comes to them untranslated from anywhere but a container network (EDGES E3).

Containers come and go: each pass reads the rules again when the kernel's ruleset has another
generation. What cannot be read is said as a weakness, and what was known stays.
"""

from __future__ import annotations

from collections.abc import Collection

from bascule.domain.net import Address, PortKey
from bascule.domain.weaknesses import PUBLISHED_UNREAD, Weakness
from bascule.drivers.linux import conntrack, nat_rules, ruleset
from bascule.drivers.linux.addresses import local_addresses
from bascule.drivers.linux.links import container_links
from bascule.drivers.linux.nat_rules import Target, Translations
from bascule.drivers.nftables import rules
from bascule.drivers.nftables.render import Element, ElementKey
from bascule.drivers.nftables.shadowed import is_ours

_MOST_NAMED = 3


class Published:
    """The targets of closed ports, as the host's rules and its connections show them."""

    def __init__(self, *, has_conntrack: bool) -> None:
        self._has_conntrack = has_conntrack
        self._read_at: tuple[int, frozenset[PortKey], frozenset[Address]] | None = None
        self._read = Translations()
        self._met: set[tuple[PortKey, Target]] = set()  # in connections, while rules are unread
        self._elements: dict[ElementKey, Element | None] = {}
        self._fault = ""

    @property
    def weaknesses(self) -> tuple[Weakness, ...]:
        what = (self._fault,) if self._fault else self._read.unread
        if not what:
            return ()
        more = f" and {len(what) - _MOST_NAMED} more" if len(what) > _MOST_NAMED else ""
        return (PUBLISHED_UNREAD(unread=f"{', '.join(what[:_MOST_NAMED])}{more}"),)

    def look(self, closed: Collection[PortKey]) -> dict[ElementKey, Element | None]:
        """The elements that are to stand for these ports; those of before when it fails."""
        try:
            targets = self._targets(frozenset(closed))
            inside = container_links({address for address, _ in targets})
        except Exception as error:  # noqa: BLE001  # reason: to close never waits for others' rules
            self._fault = str(error) or type(error).__name__
        else:
            self._fault = ""
            self._elements = rules.published_elements(targets, inside)
        return self._elements

    def _targets(self, closed: frozenset[PortKey]) -> frozenset[Target]:
        # First: what changes while we read is read again.
        now = ruleset.generation(), closed, local_addresses()
        if now != self._read_at:
            self._read = nat_rules.translations(closed, is_ours)
            self._read_at = now
        self._met = {each for each in self._met if each[0] in closed and self._read.unread}
        if self._read.unread and self._has_conntrack:
            self._met |= conntrack.targets(closed)
        return self._read.targets | {target for _, target in self._met}
