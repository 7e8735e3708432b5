"""A gateway over its own death and reboots, with the real kernel and the agent's files (EDGES A6)."""

from __future__ import annotations

import struct
import time
from contextlib import closing
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent.memory import NEWEST, HeldFile
from bascule.clocks import SystemClock
from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PublicPort
from bascule.drivers.linux import netlink
from bascule.reconcile.reconciler import Reconciler
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, APP6, SQL, Gateway
from tests.netns.network import CLIENT, HOST, PATIENCE, Network, is_alive
from tests.netns.rulesets import tcp

BOTH = Whereabouts(
    (ip_address(APP), ip_address(APP6)), mapped={tcp(22): (PublicPort(ip_address(HOST), 2222),)}
)


BEHIND = Guard(
    forwarding=Forwarding(
        tuple(map(AddressPrefix.parse, ("10.78.0.0/15", "fd78::/15"))),
        (ip_address(HOST),),
        2000,
        2999,
    )
)


class Agent:
    """One life of a gateway's agent, in one boot."""

    def __init__(self, network: Network, directory: Path, boot: str) -> None:
        self.clock = SystemClock()
        self.driver = DriverProcess(network.host.name, use_owner=False)
        memory = HeldFile(directory, self.clock, boot)
        self.reconciler = Reconciler(self.driver, memory, self.clock, BEHIND)
        self.reconciler.restore(self.driver.observe().rules)

    def tell(self, generation: int, *leases: Lease, where: Whereabouts = BOTH) -> None:
        closed = frozenset({ClosedPort(tcp(22)), ClosedPort(tcp(23), OnExpiry.KILL)})
        state = DesiredState("app", generation, closed, {}, leases, where=where)
        assert self.reconciler.take_behind("app", state, self.clock.boottime())

    def close(self) -> None:
        self.driver.close()


def lease(number: int, seconds: float) -> Lease:
    source = (AddressPrefix.parse(CLIENT),)
    return Lease(f"g-{number}", (tcp(number),), source, timedelta(seconds=seconds))


def _forget_connections() -> None:
    """As a reboot does: IPCTNL_MSG_CT_DELETE without a tuple."""
    assert netlink.request(12, 1 << 8 | 2, [struct.pack("=BBH", 0, 0, 0)]) == [0]


@pytest.fixture
def gateway(network: Network) -> Gateway:
    made = Gateway(network)
    network.echo(22, 23, space=made.app)
    return made


def test_a_rebooted_gateway_closes_what_was_closed_and_opens_what_has_time_left(
    network: Network, gateway: Gateway, tmp_path: Path
) -> None:
    """Without a word of its server; a connection whose lease ended meanwhile is not adopted."""
    with closing(Agent(network, tmp_path, "boot-1")) as agent:
        agent.tell(1, lease(22, 60), lease(23, 3))
        found = agent.reconciler.reconcile()
        assert agent.reconciler.reconcile().behind["app"].in_force == {"g-22", "g-23"}
        assert not found.refused
        killed = network.session(network.client, 23, APP)
        agent.reconciler.save()
    network.host.run("nft", "flush", "ruleset")
    network.host.inside(_forget_connections)
    assert network.stranger.lets_in(22, APP), "nothing is left in the kernel"
    time.sleep(3)
    with closing(Agent(network, tmp_path, "boot-2")) as agent:
        found = agent.reconciler.reconcile()
        assert agent.reconciler.reconcile().behind["app"].in_force == {"g-22"}
        assert not network.stranger.reaches(22, APP)
        assert not network.stranger.reaches(22, APP6)
        assert not network.client.reaches(23, APP)
        assert network.client.lets_in(22, APP)
        assert network.client.lets_in(2222), "and by its public port"
        assert not network.stranger.reaches(2222)
        assert not is_alive(killed)


def test_with_the_file_lost_the_kernels_closed_ports_behind_stay_closed(
    network: Network, gateway: Gateway, tmp_path: Path
) -> None:
    with closing(Agent(network, tmp_path, "boot-1")) as agent:
        agent.tell(1, lease(22, 60))
        agent.reconciler.reconcile()
    for path in tmp_path.iterdir():
        path.unlink()
    with closing(Agent(network, tmp_path, "boot-1")) as agent:
        agent.reconciler.reconcile()
        for space in (network.client, network.stranger):
            assert not space.reaches(22, APP)
            assert not space.reaches(22, APP6)
        agent.tell(2, lease(22, 60))
        agent.reconciler.reconcile()
        assert network.client.lets_in(22, APP)
        assert not network.stranger.reaches(22, APP)
    assert (tmp_path / NEWEST).exists()


def test_a_machine_that_moves_is_opened_where_it_is_and_closed_where_it_was(
    network: Network, gateway: Gateway, tmp_path: Path
) -> None:
    """Its connections there go on, on a keep port, and end on a kill port."""
    network.echo(22, 23, space=gateway.sql)
    with closing(Agent(network, tmp_path, "boot-1")) as agent:
        agent.tell(1, lease(22, 60), lease(23, 60))
        agent.reconciler.reconcile()
        kept, killed = (network.session(network.client, number, APP) for number in (22, 23))
        moved = Lease("h", (tcp(22),), (AddressPrefix.parse(CLIENT),), timedelta(seconds=60))
        agent.tell(2, moved, where=Whereabouts((ip_address(SQL),)))
        agent.reconciler.reconcile()
        assert agent.reconciler.reconcile().behind["app"].in_force == {"h"}
        assert network.client.lets_in(22, SQL)
        assert not network.client.reaches(22, APP)
        assert not network.stranger.reaches(22, SQL)
        assert is_alive(kept, PATIENCE)
        assert not is_alive(killed)
