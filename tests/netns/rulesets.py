"""Short ways to write rule sets, and to make a host's rules so by observe, plan, apply."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import PutOpening, plan
from bascule.interfaces import Driver

LOOSELY = timedelta(seconds=2)
KEEP, KILL = OnExpiry.KEEP, OnExpiry.KILL


def tcp(number: int) -> PortKey:
    return PortKey(TransportProtocol.TCP, number)


def udp(number: int) -> PortKey:
    return PortKey(TransportProtocol.UDP, number)


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


def make_so(driver: Driver, desired: RuleSet) -> None:
    """One turn of the loop, then look again: nothing may be left to do."""
    driver.apply(plan(desired, driver.observe()))
    seen = driver.observe()
    assert seen.is_intact, seen.drift
    left = plan(desired, seen)
    assert all(isinstance(each, PutOpening) for each in left), left
    for key, opening in desired.openings.items():  # time passes while the test goes on
        assert abs(opening.remaining - seen.rules.openings[key].remaining) < LOOSELY
