"""The copy of a host in which findings are tried, and what of a packet is seen there (EDGES G7)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bascule.domain.net import Address, PortKey
from bascule.drivers.linux import scratch
from bascule.drivers.linux.scratch import Journey, Scratch, Space
from tests.netns.rulesets import tcp, udp

HOST, NEAR = ip_address("10.0.0.1"), ip_address("10.0.0.254")
HOST6, NEAR6 = ip_address("fd00::1"), ip_address("fd00::254")
ADDRESSES = (("eth0", HOST), ("eth0", HOST6))


def _dropping(port: PortKey) -> str:
    return (
        "table inet filter {\nchain input {\ntype filter hook input priority filter\n"
        f"{str(port.protocol).lower()} dport {port.number} drop\n}}\n}}\n"
    )


@pytest.mark.parametrize("port", [udp(53), tcp(22)], ids=str)
@pytest.mark.parametrize(("source", "to"), [(NEAR, HOST), (NEAR6, HOST6)], ids=str)
def test_a_packet_arrives_until_a_rule_drops_it(
    port: PortKey, source: Address, to: Address
) -> None:
    """A datagram that was sent before the rules were loaded is not taken for one that passed them."""
    with Scratch(Journey(source, "eth0", to, port), ["lo", "eth0"], ADDRESSES) as made:
        made.check()
        made.here.run("nft", "-f", "-", text=_dropping(udp(54)))
        assert made.arrives()
        made.here.run("nft", "-f", "-", text=_dropping(port))
        assert not made.arrives()
        assert not made.arrives()


@pytest.mark.parametrize("by", ["eth0", "tunl0"])
def test_links_that_every_new_namespace_has_are_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """With ipip, sit or gre loaded the kernel makes tunl0, sit0 or gre0 in each; here bridges stand for them."""

    class Tunnelled(Space):
        def __init__(self) -> None:
            super().__init__()
            self.links("link add tunl0 type bridge", "link add sit0 type bridge")

    monkeypatch.setattr(scratch, "Space", Tunnelled)
    names = ["lo", "tunl0", "sit0", "eth0"]
    with Scratch(Journey(NEAR, by, HOST, tcp(22)), names, ((by, HOST),)) as made:
        made.check()
        assert made.arrives()
