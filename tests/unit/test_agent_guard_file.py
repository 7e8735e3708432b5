"""The guard file: what it admits, and that a bad one admits nothing rather than everything."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent.guard_file import closed_guard, guard_of_host, load_guard
from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.guard import bound
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import ConfigurationError

TCP, UDP = TransportProtocol.TCP, TransportProtocol.UDP


def guard_of(tmp_path: Path, text: str) -> Guard:
    path = tmp_path / "guard.toml"
    path.write_text(text)
    return load_guard(path)


def test_an_absent_file_bounds_nothing(tmp_path: Path) -> None:
    assert load_guard(tmp_path / "none.toml") == Guard()


@pytest.mark.parametrize("linked", ["guard.toml", "etc"])
def test_a_link_that_leads_to_nothing_is_no_absent_file(tmp_path: Path, linked: str) -> None:
    """Somebody meant a guard to be there (guarantee 21)."""
    path = tmp_path / "guard.toml" if linked == "guard.toml" else tmp_path / "etc" / "guard.toml"
    (tmp_path / linked).symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match=r"guard\.toml"):
        load_guard(path)
    guard = guard_of_host(path)
    assert guard == closed_guard(guard.problem)
    assert "it is a dangling link" in guard.problem
    (tmp_path / "nothing").mkdir()
    if linked == "etc":
        assert load_guard(path) == Guard(), "a link that leads somewhere, and no file there"


def test_a_whole_file(tmp_path: Path) -> None:
    text = 'ports = ["22/tcp", "53"]\nsources = ["10.0.0.0/8"]\nmax_duration = "PT2H"\n'
    assert guard_of(tmp_path, text) == Guard(
        (PortKey(TCP, 22), PortKey(TCP, 53), PortKey(UDP, 53)),
        (AddressPrefix.parse("10.0.0.0/8"),),
        timedelta(hours=2),
        may_release=False,
    )
    assert guard_of(tmp_path, text + "release = true\n").may_release
    assert not guard_of(tmp_path, "release = false\n").may_release


GATEWAY = (
    'networks = ["10.1.0.0/16", "fd01::/16"]\n'
    'public_addresses = ["198.51.100.7", "2001:db8::7"]\npublic_ports = "20000-20999"\n'
)


def test_a_gateways_file(tmp_path: Path) -> None:
    """EDGES G1: what is behind it, and what of it stands for that."""
    networks = tuple(map(AddressPrefix.parse, ("10.1.0.0/16", "fd01::/16")))
    addresses = tuple(map(ip_address, ("198.51.100.7", "2001:db8::7")))
    forwarding = Forwarding(networks, addresses, 20000, 20999)
    assert guard_of(tmp_path, GATEWAY) == Guard(forwarding=forwarding, may_release=False)
    only = 'networks = ["10.1.0.0/16"]\nrelease = true\n'
    assert guard_of(tmp_path, only) == Guard(forwarding=Forwarding(networks[:1]))
    assert guard_of(tmp_path, "networks = []\n").forwarding == Forwarding()
    one = guard_of(tmp_path, GATEWAY.replace("20000-20999", "1-1")).forwarding
    assert one is not None
    assert (one.first, one.last) == (1, 1)


def test_without_a_file_nothing_is_behind(tmp_path: Path) -> None:
    for guard in (load_guard(tmp_path / "none.toml"), guard_of(tmp_path, 'ports = ["22"]\n')):
        assert guard.forwarding is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('networks = ["10.1.0.0/16", "fd01::/16"]\n', ""),
        ('"10.1.0.0/16"', '"10.1.0.1/16"'),
        ('"10.1.0.0/16"', "10"),
        ('["10.1.0.0/16", "fd01::/16"]', '"10.1.0.0/16"'),
        ('public_addresses = ["198.51.100.7", "2001:db8::7"]\n', ""),
        ('"198.51.100.7"', '"198.51.100.0/24"'),
        ('"198.51.100.7"', '"*"'),
        ('"198.51.100.7"', '"gw.example"'),
        ('"198.51.100.7"', '"0.0.0.0"'),
        ('"198.51.100.7"', '"127.0.0.1"'),
        ('"198.51.100.7"', '"224.0.0.1"'),
        ('"198.51.100.7"', '"255.255.255.255"'),
        ('"198.51.100.7"', '"fe80::1"'),
        ('"198.51.100.7"', "7"),
        ('public_ports = "20000-20999"\n', ""),
        ("20000-20999", "20000"),
        ("20000-20999", "20999-20000"),
        ("20000-20999", "0-20999"),
        ("20000-20999", "20000-65536"),
        ("20000-20999", "20000-20999,3"),
        ("20000-20999", "²-9"),
        ('"20000-20999"', "20000"),
        ('"20000-20999"', "[20000, 20999]"),
    ],
)
def test_what_is_not_right_of_a_gateways_file_admits_nothing(
    tmp_path: Path, before: str, after: str
) -> None:
    assert before in GATEWAY
    path = tmp_path / "guard.toml"
    path.write_text(GATEWAY.replace(before, after))
    with pytest.raises(ConfigurationError, match=r"guard\.toml is invalid: .+\.$"):
        load_guard(path)
    guard = guard_of_host(path)
    assert (guard.ports, guard.sources, guard.forwarding) == ((), (), None)


def test_an_absent_key_bounds_nothing_and_an_empty_list_admits_nothing(tmp_path: Path) -> None:
    assert guard_of(tmp_path, "ports = []\n") == Guard(ports=(), may_release=False)
    assert guard_of(tmp_path, "") == Guard()


@pytest.mark.parametrize(
    "text",
    [
        "ports = [",
        'port = ["22"]\n',
        'ports = ["ssh"]\n',
        'ports = ["22/sctp"]\n',
        "ports = [0]\n",
        'ports = ["70000"]\n',
        "ports = 22\n",
        'ports = "22"\n',
        'sources = "10.0.0.0/8"\n',
        "sources = [10]\n",
        'sources = ["10.0.0.1/8"]\n',
        'sources = ["everywhere"]\n',
        'max_duration = "2h"\n',
        'max_duration = "PT0S"\n',
        "max_duration = 7200\n",
        'release = "no"\n',
        "\xff",
        f"ports = {'[' * 10_000}",
    ],
)
def test_what_is_not_right_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"guard\.toml"):
        guard_of(tmp_path, text)


def test_a_file_that_cannot_be_read_admits_nothing() -> None:
    """What the agent goes by then: every lease is refused, each with its sentence."""
    lease = Lease(
        "g-1", (PortKey(TCP, 22),), (AddressPrefix.parse("192.0.2.1"),), timedelta(minutes=5)
    )
    released = {PortKey(TCP, 22): 3}
    state = DesiredState("uid-1", 3, frozenset(), released, (lease,))
    bounded = bound(state, closed_guard("it is no TOML"))
    assert bounded.state.leases == ()
    assert bounded.state.released == {}
    assert bounded.refused == {"g-1": Objection.UNREADABLE}
    assert "g-1" in bounded.notes[0]
