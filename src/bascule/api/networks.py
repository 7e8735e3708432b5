"""The networks from which somebody proved who they are, since this process began.

When places, or memory for bodies, run out, callers of other networks lose theirs first
(EDGES E6). A network is an IPv4 address or the /64 of an IPv6 one. Memory is bounded: of too
many networks the one that was longest without a call is forgotten, which costs it no more than
its precedence. What is not here: who they are, and what they may do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from bascule.domain.sign_in import network_of
from bascule.errors import InvalidInput

MOST_NETWORKS = 16_384


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
        self._networks: OrderedDict[str, None] = OrderedDict()  # the longest unheard of first
        self.on_change: Callable[[str], None] = lambda _: None  # one is known now, or forgotten

    def __contains__(self, network: object) -> bool:
        return network in self._networks

    def note(self, address: str) -> None:
        """Somebody at ``address`` has just proved who they are."""
        network = network_or_nothing(address)
        if not network:
            return
        is_new = network not in self._networks
        self._networks[network] = None
        self._networks.move_to_end(network)
        if is_new:
            self.on_change(network)
        if len(self._networks) > self._most:
            forgotten, _ = self._networks.popitem(last=False)
            self.on_change(forgotten)
