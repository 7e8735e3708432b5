"""What our own mistakes come to: a wrong element closes, it does not stay open."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import pytest

from bascule.clocks import SystemClock
from bascule.domain.desired import RuleSet
from bascule.domain.held import Held, HeldLease
from bascule.domain.net import AddressPrefix
from bascule.reconcile.reconciler import Reconciler
from tests.netns.conftest import StartDriver
from tests.netns.driver_process import DriverProcess
from tests.netns.network import CLIENT, CLIENT6, HOST, HOST6, Network
from tests.netns.rulesets import closed, make_so, tcp


@pytest.mark.parametrize(
    ("kept_in", "source", "address"), [("g4", CLIENT, HOST), ("g6", CLIENT6, HOST6)]
)
def test_an_opening_without_a_time_ends_within_a_second(
    network: Network, kept_in: str, source: str, address: str
) -> None:
    """The set's default is a second (EDGES A7). Written by hand, into a table without owner."""
    with contextlib.closing(DriverProcess(network.host.name, use_owner=False)) as driver:
        network.echo(22)
        make_so(driver, RuleSet(closed(tcp(22))))

        def is_open() -> bool:
            network.host.nft(f"add element inet bascule {kept_in} {{ {source} . tcp . 22 }}\n")
            return network.client.reaches(22, address)

        assert any(is_open() for _ in range(6)), "a busy machine may look too late"
        time.sleep(1.1)
        assert not network.client.reaches(22, address)


class Kept:
    """A HeldStore in memory."""

    def __init__(self) -> None:
        self.held = Held()

    def load(self) -> Held:
        return self.held

    def save(self, held: Held) -> None:
        self.held = held


def test_an_opening_that_the_kernel_refuses_keeps_nothing_from_being_shut(
    network: Network, start_driver: StartDriver
) -> None:
    """EDGES A7: at a boot with a memory that it refuses, and beside a revocation.

    A time that is longer than the kernel counts stands for whatever it may refuse.
    """
    network.echo(22, 23)
    clock, memory = SystemClock(), Kept()
    now = clock.boottime()
    anywhere = (AddressPrefix(None),)
    good = HeldLease((tcp(22),), anywhere, now + 60)
    endless = HeldLease((tcp(22),), anywhere, now + 8e13)
    memory.held = Held(closed=closed(tcp(22)), leases={"good": good, "endless": endless})
    reconciler = Reconciler(start_driver(), memory, clock)
    reconciler.restore(None)
    assert reconciler.reconcile().refused
    assert not network.client.reaches(22), "shut, and nothing is open"

    reconciler.held = replace(reconciler.held, leases={"good": good})
    assert reconciler.reconcile().in_force == {"good"}
    assert network.client.lets_in(22)
    elsewhere = HeldLease((tcp(23),), anywhere, now + 8e13)
    both = closed(tcp(22), tcp(23))
    reconciler.held = replace(reconciler.held, closed=both, leases={"endless": elsewhere})
    assert reconciler.reconcile().refused
    assert not network.client.reaches(22), "its revocation took effect"
    assert not network.client.reaches(23), "so did the closing of the other port"
    assert len(reconciler.notes) == 2
