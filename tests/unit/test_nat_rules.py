"""What iptables-nft wrote, read back without iptables: the forms that nft does not show.

``iptables_nft_rules.json`` is what a kernel answered after Debian's iptables 1.8.11 had written
the rules of Docker 26.1 and these::

    -A DOCKER ! -i docker0 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 172.17.0.2:22
    -A DOCKER ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.2:5353
    -A DOCKER -d 10.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8000:8010 -j DNAT
        --to-destination 172.17.0.2:9000-9010/8000
    -A DOCKER -p tcp -m multiport --dports 80,440:450 -j DNAT --to-destination 172.17.0.3
    -A PREROUTING -p tcp -m tcp ! --dport 1:60000 -j DNAT --to-destination 172.17.0.9:1
    (ip6tables) -A DOCKER ! -i docker0 -p tcp -m tcp --dport 2222 -j DNAT --to-destination [fd17::2]:22

What nft itself writes is read in ``tests/netns/test_published``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.drivers.linux import legacy, nat_rules, netlink

OWN = {bytes([10, 0, 0, 1])}
RECORDED = json.loads(Path(__file__).with_name("iptables_nft_rules.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Answers as recorded; the directory stands for /proc/thread-self/net."""

    def dump(protocol: int, kind: int, body: bytes) -> list[bytes]:
        assert protocol == 12
        return [bytes.fromhex(each) for each in RECORDED[f"{kind}:{body.hex()}"]]

    monkeypatch.setattr(netlink, "dump", dump)
    monkeypatch.setattr(legacy, "_PROC", tmp_path)
    monkeypatch.setattr(nat_rules, "is_local", OWN.__contains__)
    return tmp_path


@pytest.mark.parametrize(
    ("port", "targets"),
    [
        ("2222/tcp", {"172.17.0.2 22/tcp", "fd17::2 22/tcp"}),
        ("2222/udp", set()),
        ("53/udp", {"172.17.0.2 5353/udp"}),
        ("53/tcp", set()),
        ("7999/tcp", set()),
        ("8000/tcp", {"172.17.0.2 9000/tcp"}),
        ("8010/tcp", {"172.17.0.2 9010/tcp"}),
        ("8011/tcp", set()),
        ("80/tcp", {"172.17.0.3 80/tcp"}),
        ("81/tcp", set()),
        ("445/tcp", {"172.17.0.3 445/tcp"}),
        ("451/tcp", set()),
        ("60000/tcp", set()),
        ("60001/tcp", {"172.17.0.9 1/tcp"}),
    ],
)
def test_where_a_port_leads(port: str, targets: set[str]) -> None:
    number, protocol = port.split("/")
    found = nat_rules.translations([PortKey(TransportProtocol(protocol.upper()), int(number))])
    assert {f"{address} {own}" for address, own in found.targets} == targets
    assert found.unread == ()


def test_what_is_for_anothers_address_is_no_published_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service of a cluster has an address of its own, which no port of this host's is."""
    monkeypatch.setattr(nat_rules, "is_local", lambda _: False)
    found = nat_rules.translations([PortKey(TransportProtocol.TCP, 8000)])
    assert found.targets == frozenset()


def test_tables_of_the_old_iptables_that_cannot_be_read_are_said(kernel: Path) -> None:
    """What is read of those that can be: ``tests/netns/test_shadows``."""
    (kernel / "ip_tables_names").mkdir()
    found = nat_rules.translations([PortKey(TransportProtocol.TCP, 2222)])
    assert found.unread == ("the tables of iptables-legacy",)


def test_the_ports_that_rules_ask_for_are_known() -> None:
    """Any other port is treated alike, so that one of them stands for all."""
    numbers = nat_rules.Translators().mentioned()
    assert {2222, 53, 8000, 8005, 8010, 80, 440, 450, 1, 60000} <= numbers
    assert not {79, 8011, 451, 30000} & numbers
