"""How much each network may begin that the server has to keep: so many in a span of time.

An IPv6 network is counted as its /64 and once more as the /48 around it, which one customer
may hold whole: otherwise one customer alone could fill what is bounded for all (EDGES B8).
Memory is bounded: when too many networks were counted, further ones wait for the span's end.
What is not here: the bound for all together, which the store keeps; other replicas' counts.
"""

from __future__ import annotations

from datetime import timedelta

from bascule.domain.sign_in import network_of, wide_network_of

MOST_NETWORKS = 10_000  # that are told apart in one span
MOST_OWN = 5  # in one span, of a user whose browser brings a mark


class Quota:
    """Counts of the current span. Use from one event loop."""

    def __init__(self, span: timedelta, most: int, most_wide: int) -> None:
        self._span = span.total_seconds()
        self._most, self._most_wide = most, most_wide
        self._number = -1  # of the span, since boot
        self._counts: dict[str, int] = {}
        self._own: dict[str, int] = {}

    def take(self, address: str, boottime: float) -> timedelta | None:
        """Count one; a timedelta is how long to wait instead, and nothing was counted."""
        wanted = {network_of(address): self._most}
        if wide := wide_network_of(address):
            wanted[wide] = self._most_wide
        number = self._begin(boottime)
        if any(self._is_full(network, most) for network, most in wanted.items()):
            return timedelta(seconds=(number + 1) * self._span - boottime)
        for network in wanted:
            self._counts[network] = self._counts.get(network, 0) + 1
        return None

    def take_own(self, user_id: str, boottime: float) -> bool:
        """Count one of somebody who is known (EDGES E5); False when their share is used up.

        Users are few: their counts stand beside those of networks, however many there are.
        """
        self._begin(boottime)
        if self._own.get(user_id, 0) >= MOST_OWN:
            return False
        self._own[user_id] = self._own.get(user_id, 0) + 1
        return True

    def _begin(self, boottime: float) -> int:
        """The number of the span that it is now."""
        number = int(boottime // self._span)
        if number != self._number:
            self._number, self._counts, self._own = number, {}, {}
        return number

    def _is_full(self, network: str, most: int) -> bool:
        count = self._counts.get(network, 0)
        return count >= most or (not count and len(self._counts) >= MOST_NETWORKS)
