"""Places for callers without identity, and who loses one when they run out (EDGES E6).

Places are waiting device codes, and sign-ins on their way to an identity provider. Their number
is limited per network, per IPv6 /48 and in all. At a limit, the busiest of those who share it
loses its oldest place to one with fewer; networks where nobody has ever signed in lose first. So
a flood takes places from itself, and an equally busy new caller must wait. Not here: how often a
caller may ask for a place (``api.oauth.quota``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from bascule.domain.sign_in import network_of, wide_network_of


@dataclass(frozen=True, slots=True)
class TakenPlace:
    """One that is taken."""

    key: str  # of the store's
    address: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Bounds:
    network: int  # an IPv4 address, an IPv6 /64
    wide_network: int  # an IPv6 /48, which one customer may hold whole
    in_all: int


@dataclass(frozen=True, slots=True)
class Room:
    """There is room for another place, once the given place is freed."""

    gives_way: str = ""  # the key of a place; empty: none has to


@dataclass(frozen=True, slots=True)
class Full:
    until: datetime  # when the oldest place of those who share the bound ends


KnownAmong = Callable[[Collection[str]], frozenset[str]]  # networks where anybody has signed in


def find_room(
    places: Sequence[TakenPlace], address: str, bounds: Bounds, known_among: KnownAmong
) -> Room | Full:
    """Find room for another place at ``address``; ``places`` are all places, oldest first."""
    network, wide = _network(address), _wide(address)
    neighbours = [each for each in places if _network(each.address) == network]
    around = [each for each in places if _wide(each.address) == wide]
    levels: list[tuple[Sequence[TakenPlace], int, Callable[[str], str]]] = [
        (neighbours, bounds.network, str),  # each address is a part
        (around, bounds.wide_network, _network),
        (places, bounds.in_all, _wide),
    ]
    full = next((n for n, (crowd, most, _) in enumerate(levels) if len(crowd) >= most), None)
    if full is None:
        return Room()
    # Where all parts are alike, the newcomer's own may still hold somebody who is busier.
    for crowd, _, part_of in reversed(levels[: full + 1]):
        gives_way = _among(crowd, part_of, address, known_among)
        if gives_way is not None:
            return Room(gives_way)
    return Full(min(each.ends_at for each in levels[full][0]))


def _among(
    crowd: Sequence[TakenPlace],
    part_of: Callable[[str], str],
    address: str,
    known_among: KnownAmong,
) -> str | None:
    """The place to free in ``crowd``, which is grouped by ``part_of`` the address.

    A group loses a place only to one with at least two fewer; otherwise two groups could displace
    each other, and write, without end.
    """
    known = known_among({_network(address), *(_network(each.address) for each in crowd)})
    is_known = _network(address) in known
    strangers = [each for each in crowd if _network(each.address) not in known]
    candidates = crowd if is_known and not strangers else strangers
    counts = Counter(part_of(each.address) for each in candidates)
    busiest, most = next(iter(counts.most_common(1)), ("", 0))
    goes_first = is_known and bool(strangers)
    if not goes_first and most <= counts[part_of(address)] + 1:
        return None
    return next(each.key for each in candidates if part_of(each.address) == busiest)


@lru_cache(maxsize=10_000)
def _network(address: str) -> str:
    return network_of(address)


@lru_cache(maxsize=10_000)
def _wide(address: str) -> str:
    """The IPv6 /48 or the IPv4 address, which may belong to one customer."""
    return wide_network_of(address) or network_of(address)
