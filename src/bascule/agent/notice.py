"""What the agent tells the service that warns: numbers and address prefixes, nothing that a person typed (EDGES J13).

A datagram of three lines: port and minutes; the sources; those of them who are told nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from bascule.domain.net import Address, Network
from bascule.errors import InvalidInput

MOST_BYTES = 65_536  # of a datagram; some thousand sources
MOST_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """Access from ``sources`` to a TCP port ends in ``minutes``, but for those in ``spared``."""

    port: int
    minutes: int  # 0 to 5; 0: less than one
    sources: tuple[Network, ...]
    spared: tuple[Network, ...] = ()  # whom another lease admits for longer

    @property
    def text(self) -> bytes:
        """What is written to a terminal: fixed words."""
        when = {0: "less than a minute", 1: "1 minute"}.get(self.minutes, f"{self.minutes} minutes")
        return (
            f"\r\nBascule: access to port {self.port} ends in {when}. To extend: bascule extend\r\n"
        ).encode("ascii")

    def is_for(self, peer: Address) -> bool:
        return _is_in(peer, self.sources) and not _is_in(peer, self.spared)

    def encode(self) -> bytes:
        lines = (f"{self.port} {self.minutes}", *map(_words, (self.sources, self.spared)))
        return "\n".join(lines).encode("ascii")


def _is_in(peer: Address, networks: Iterable[Network]) -> bool:
    return any(each.version == peer.version and peer in each for each in networks)


def _words(networks: Iterable[Network]) -> str:
    return " ".join(map(str, networks))


def parse_notice(data: bytes) -> Notice:
    """Raise InvalidInput for whatever ``Notice.encode`` would not have written."""
    try:
        numbers, sources, spared = data.decode("ascii").split("\n")
        port, minutes = map(int, numbers.split(" "))
        found = Notice(port, minutes, _networks(sources), _networks(spared))
    except ValueError:
        raise InvalidInput("This is not a warning.") from None
    is_possible = 1 <= port <= 65535 and 0 <= minutes <= MOST_MINUTES and found.sources
    if not is_possible or found.encode() != data:
        raise InvalidInput("This is not a possible warning.")
    return found


def _networks(words: str) -> tuple[Network, ...]:
    return tuple(ip_network(each) for each in words.split(" ")) if words else ()
