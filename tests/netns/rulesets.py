"""Short ways to write rule sets; a host's rules are made so as in the driver's contract."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from bascule.domain.desired import Opening, OpeningKey
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from tests.contracts.driver import make_so

__all__ = ["KEEP", "KILL", "SHORT", "closed", "cuts", "keys", "make_so", "openings", "tcp", "udp"]

KEEP, KILL = OnExpiry.KEEP, OnExpiry.KILL


def tcp(number: int) -> PortKey:
    return PortKey(TransportProtocol.TCP, number)


def udp(number: int) -> PortKey:
    return PortKey(TransportProtocol.UDP, number)


# Seconds to which an opening is shortened once what needed it is done: it ends by itself all the
# same, and a busy machine has the time that it takes.
SHORT = 0.3


def closed(*keep: PortKey, kill: Iterable[PortKey] = ()) -> frozenset[ClosedPort]:
    return frozenset(
        [*(ClosedPort(port) for port in keep), *(ClosedPort(port, KILL) for port in kill)]
    )


def keys(source: str, port: PortKey) -> tuple[OpeningKey, ...]:
    """The keys of a source as a policy writes it: two for ``*``."""
    return tuple(OpeningKey(each, port) for each in AddressPrefix.parse(source).networks)


def openings(
    *given: tuple[str, PortKey, float], grant_id: str = "grant-1"
) -> dict[OpeningKey, Opening]:
    """(source, port, seconds) -> openings."""
    return {
        key: Opening(key, timedelta(seconds=seconds), grant_id)
        for source, port, seconds in given
        for key in keys(source, port)
    }


def cuts(*given: tuple[str, PortKey, float]) -> dict[OpeningKey, timedelta]:
    return {
        key: timedelta(seconds=seconds)
        for source, port, seconds in given
        for key in keys(source, port)
    }
