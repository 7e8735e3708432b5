"""The drivers' examination, sat by the fake and by nftables on real packets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.capabilities import ABILITIES, HOST, Capabilities
from bascule.domain.net import PortKey, PublicPort, TransportProtocol
from bascule.interfaces.driver import Driver
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeConnection, FakeFirewall
from tests.contracts.driver import DriverContract, UnownedDriverContract
from tests.netns.conftest import why_not
from tests.netns.driver_process import DriverProcess
from tests.netns.gateway import APP, BEYOND, BehindDriver, Gateway, MappedDriver
from tests.netns.network import CLIENT, PATIENCE, STRANGER, EchoServer, Network, Space, is_alive
from tests.netns.network import HOST as HOST_ADDRESS


class SetClock:
    def __init__(self) -> None:
        self.passed = 1000.0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def boottime(self) -> float:
        return self.passed


class FakeWorld:
    client, stranger, neighbourhood = "192.0.2.10", "198.51.100.20", "192.0.2.0/24"

    def __init__(self, abilities: Capabilities = HOST) -> None:
        self.clock = SetClock()
        self.firewall = FakeFirewall(self.clock, abilities)
        self.driver = FakeDriver(self.firewall)

    def reaches(self, source: str, port: PortKey) -> bool:
        return self.firewall.reaches(source, port)

    def connect(self, source: str, port: PortKey) -> FakeConnection:
        made = self.firewall.connect(source, port)
        assert made is not None
        return made

    def is_alive(self, connection: FakeConnection) -> bool:
        return self.firewall.is_alive(connection)

    def pass_time(self, seconds: float) -> None:
        self.clock.passed += seconds

    def lose_rules(self) -> None:
        self.firewall.flush()


class KernelWorld:
    """The host's driver in a process of its own; client and stranger in namespaces."""

    client, stranger, neighbourhood = CLIENT, STRANGER, "10.77.0.0/24"
    target = HOST_ADDRESS

    def __init__(self, network: Network, driver: DriverProcess) -> None:
        self._network = network
        self.driver: Driver = driver
        network.echo(22, 23)
        network.echo_udp(161)

    def reaches(self, source: str, port: PortKey) -> bool:
        if port.protocol is TransportProtocol.UDP:
            return self._space(source).asks(port.number, self.target)
        return self._space(source).reaches(port.number, self.target)

    def connect(self, source: str, port: PortKey) -> socket.socket:
        return self._network.session(self._space(source), port.number, self.target)

    def is_alive(self, connection: socket.socket) -> bool:
        return is_alive(connection, PATIENCE)  # who is cut is reset, and need not wait

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def lose_rules(self) -> None:
        self._network.host.run("nft", "flush", "ruleset")

    def _space(self, source: str) -> Space:
        return self._network.client if source == CLIENT else self._network.stranger


class GatewayWorld(KernelWorld):
    """The ports are those of a machine behind the host, to which it forwards."""

    target = APP

    def __init__(self, network: Network, driver: DriverProcess) -> None:
        self._network = network
        self.driver = BehindDriver(driver)
        app = Gateway(network).app
        network.echo(22, 23, space=app)
        network.keep(EchoServer(app, 161, socket.SOCK_DGRAM))


class TrackingWorld(GatewayWorld):
    """Another program's rules have connections tracked all the while."""

    def __init__(self, network: Network, driver: DriverProcess) -> None:
        super().__init__(network, driver)
        network.host.nft(
            "table inet tracking {\nchain forward {\ntype filter hook forward priority 0\n"
            "ct state new accept\n}\n}\n"
        )

    def lose_rules(self) -> None:
        self._network.host.run("nft", "delete", "table", "inet", "bascule")


class MappedWorld(TrackingWorld):
    """The gateway has public ports that stand for the machine's; connections are made through them."""

    def __init__(self, network: Network, driver: DriverProcess) -> None:
        super().__init__(network, driver)
        self._process = driver
        self.driver = MappedDriver(driver)

    def reaches(self, source: str, port: PortKey) -> bool:
        """Whom the machine's port lets in, its public port leads there."""
        is_open = super().reaches(source, port)
        if is_open and self._is_mapped(port):
            space, number = self._space(source), port.number + BEYOND
            if port.protocol is TransportProtocol.UDP:
                assert space.asks(number, HOST_ADDRESS)
            else:
                assert space.lets_in(number, HOST_ADDRESS)
        return is_open

    def connect(self, source: str, port: PortKey) -> socket.socket:
        if not self._is_mapped(port):
            return super().connect(source, port)
        return self._network.session(self._space(source), port.number + BEYOND, HOST_ADDRESS)

    def _is_mapped(self, port: PortKey) -> bool:
        public = PublicPort(ip_address(HOST_ADDRESS), port.number + BEYOND)
        found = self._process.observe().rules.closed
        return port.mapped(public) in {each.port for each in found}


def lacking(ability: str) -> Capabilities:
    return replace(HOST, **{ability: False})  # type: ignore[arg-type]  # reason: each is a bool


class TestFake(DriverContract, UnownedDriverContract):
    """As a driver that can do everything, and as one that lacks each ability in turn."""

    @pytest.fixture(params=["", *ABILITIES])
    def world(self, request: pytest.FixtureRequest) -> FakeWorld:
        return FakeWorld(lacking(request.param) if request.param else HOST)


class OnTheKernel:
    use_owner = True
    kind = KernelWorld

    @pytest.fixture
    def world(self) -> Iterator[KernelWorld]:
        with Network() as network:
            driver = DriverProcess(network.host.name, use_owner=self.use_owner)
            try:
                yield self.kind(network, driver)
            finally:
                driver.close()


needs_kernel = pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")


@pytest.mark.root
@pytest.mark.sockets
@needs_kernel
class TestNftables(OnTheKernel, DriverContract):
    pass


@pytest.mark.root
@pytest.mark.sockets
@needs_kernel
class TestNftablesWithoutOwner(OnTheKernel, UnownedDriverContract):
    """As on a kernel before 6.9."""

    use_owner = False


@pytest.mark.root
@pytest.mark.sockets
@needs_kernel
class TestGateway(OnTheKernel, DriverContract):
    """A gateway judges what it forwards as a host judges what it is sent (EDGES G5)."""

    kind = GatewayWorld


@pytest.mark.root
@pytest.mark.sockets
@needs_kernel
class TestGatewayWithoutOwner(OnTheKernel, UnownedDriverContract):
    use_owner = False
    kind = TrackingWorld


@pytest.mark.root
@pytest.mark.sockets
@needs_kernel
class TestTranslatingGateway(OnTheKernel, DriverContract, UnownedDriverContract):
    """And what it translates on the way, through a public port of its own."""

    use_owner = False
    kind = MappedWorld
