"""What our own mistakes come to: a wrong element closes, it does not stay open."""

from __future__ import annotations

import contextlib
import time

import pytest

from bascule.domain.desired import RuleSet
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
        network.host.nft(f"add element inet bascule {kept_in} {{ {source} . tcp . 22 }}\n")
        assert network.client.reaches(22, address)
        time.sleep(1.1)
        assert not network.client.reaches(22, address)
