"""The networks from which somebody proved who they are, since this process began.

When places, or memory for bodies, run out, callers of other networks lose theirs first
(EDGES E6). A network is an IPv4 address or the /64 of an IPv6 one. One principal makes few
networks known: else whoever stole one agent's key, and holds an IPv6 prefix, would have as
many known networks as there are places. Memory is bounded. What is forgotten first is what
was longest without a call, which costs no more than precedence.
What is not here: what a principal may do.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import lru_cache

from bascule.domain.sign_in import network_of
from bascule.errors import InvalidInput

MOST_NETWORKS = 16_384  # counted once for each principal that was seen there
MOST_OF_PRINCIPAL = 8
AGENTS_KNOWN_FOR = 86_400.0  # seconds


@lru_cache(maxsize=1024)  # a connection's address is asked for several times
def network_or_nothing(address: str) -> str:
    """The network of an address; empty when it is not an address."""
    try:
        return network_of(address.partition("%")[0])
    except InvalidInput:
        return ""


class KnownNetworks:
    """Use from one event loop."""

    def __init__(self, most: int = MOST_NETWORKS) -> None:
        self._most = most
        # Pairs of network and principal, the one longest without a call first.
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._of_principal: dict[str, OrderedDict[str, None]] = {}
        self._principals: Counter[str] = Counter()  # by network
        self.on_change: Callable[[str], None] = lambda _: None  # one is known now, or forgotten

    def __contains__(self, network: object) -> bool:
        return network in self._principals

    def note(self, address: str, principal_id: str) -> None:
        """Record that the principal proved its identity from ``address`` just now."""
        network = network_or_nothing(address)
        if not network:
            return
        own = self._of_principal.setdefault(principal_id, OrderedDict())
        if network not in own:
            self._principals[network] += 1
            if self._principals[network] == 1:
                self.on_change(network)
        own[network] = None
        own.move_to_end(network)
        self._seen[network, principal_id] = None
        self._seen.move_to_end((network, principal_id))
        if len(own) > MOST_OF_PRINCIPAL:
            self._forget(next(iter(own)), principal_id)
        elif len(self._seen) > self._most:
            self._forget(*next(iter(self._seen)))

    def _forget(self, network: str, principal_id: str) -> None:
        del self._seen[network, principal_id]
        own = self._of_principal[principal_id]
        del own[network]
        if not own:
            del self._of_principal[principal_id]
        self._principals[network] -= 1
        if not self._principals[network]:
            del self._principals[network]
            self.on_change(network)


class AgentNetworks:
    """The networks from which agents have proved themselves in the last day, one for each agent.

    Whoever has stolen an agent's key has one network known by it. Use from one event loop.
    """

    def __init__(self) -> None:
        self._of: dict[str, str] = {}  # network, by the uid of the point
        self._points: Counter[str] = Counter()  # by network
        self._last: dict[str, float] = {}  # when one proved itself there, by network

    def note(self, point_uid: str, network: str, at: float) -> None:
        """``at``: seconds since boot, as all times here; an empty network is none."""
        before = self._of.pop(point_uid, "")
        if before:
            self._points[before] -= 1
            if not self._points[before]:
                del self._points[before], self._last[before]
        if network:
            self._of[point_uid] = network
            self._points[network] += 1
            self._last[network] = max(at, self._last.get(network, at))

    def has(self, network: str, now: float) -> bool:
        last = self._last.get(network)
        return last is not None and now - last <= AGENTS_KNOWN_FOR
