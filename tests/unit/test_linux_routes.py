"""Where answers go, as far as routes and other programs' rules tell, without a kernel (EDGES G7)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest

from bascule.bootstrap.drivers import HostParts
from bascule.domain.net import PortKey, TransportProtocol
from bascule.drivers.linux import addresses, masquerading, netlink, routes
from bascule.drivers.linux.rewriting import POSTROUTING
from bascule.drivers.linux.routes import Hop
from bascule.drivers.linux.ruleset import Base, Element, Rule

OWN, GATEWAY, BOB = map(ip_address, ("10.1.0.10", "10.1.0.1", "203.0.113.5"))
APP, SQL = map(ip_address, ("10.1.0.20", "10.1.0.30"))
SSH, HTTPS = PortKey(TransportProtocol.TCP, 22), PortKey(TransportProtocol.TCP, 443)
NAT = Base(POSTROUTING, 100, "nat", drops=False)
MASQUERADE: Rule = [("masq", {})]


def rule(*attributes: int, tos: int = 0) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, tos, 254, 0, 0, 1, 0)
    return head + b"".join(netlink.attribute(each, bytes(4)) for each in attributes)


USUAL = [
    rule(6, 13, 14, 15, 18, 21),
    rule(1, 2, 4, 6, 11),
]  # as the kernel tells of rules by address


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[bytes], int], None]:
    """One with these rules, that has one route, or answers with an error's number."""

    def is_so(rules: Sequence[bytes], error: int = 0) -> None:
        def ask(_protocol: int, _kind: int, _body: bytes) -> bytes:
            if error:
                raise OSError(error, os.strerror(error))
            head = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 254, 0, 0, 1, 0)
            out = netlink.attribute(4, struct.pack("=I", 2))
            return head + out + netlink.attribute(5, GATEWAY.packed)

        monkeypatch.setattr(netlink, "ask", ask)
        monkeypatch.setattr(netlink, "dump", lambda _protocol, _kind, _body: rules)
        monkeypatch.setattr(routes, "_has_neighbours", lambda _interface: True)

    return is_so


@pytest.mark.parametrize("selector", [3, 10, 12, 16, 17, 19, 20, 22, 23, 24, 25, 26, 27, 40])
def test_by_another_rule_than_by_addresses_nothing_can_be_told(
    kernel: Callable[[Sequence[bytes], int], None], selector: int
) -> None:
    """By interface, mark, tunnel, user, port, service class, flow label, or what a newer kernel knows."""
    kernel(USUAL, 0)
    assert routes.next_hops(BOB, OWN) == frozenset({GATEWAY})
    kernel([*USUAL, rule(6, 15, selector)], 0)
    assert routes.next_hops(BOB, OWN) is None
    kernel([*USUAL, rule(6, 15, tos=0x10)], 0)
    assert routes.next_hops(BOB, OWN) is None


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES])
def test_what_the_kernel_says_of_no_route(
    kernel: Callable[[Sequence[bytes], int], None], number: int
) -> None:
    kernel(USUAL, number)
    assert routes.next_hops(BOB, OWN) == frozenset()
    assert routes.hop_to(BOB) is None


def test_a_source_that_has_just_gone_is_no_missing_route(
    kernel: Callable[[Sequence[bytes], int], None],
) -> None:
    kernel(USUAL, errno.EINVAL)
    assert routes.next_hops(BOB, OWN) is None
    assert routes.hop_to(BOB) is None, "a blackhole of IPv4"


class Rules:
    """One other program's table of nftables."""

    family, name = socket.AF_INET, "odd"

    def __init__(self, base: Base, chains: dict[str, list[Rule]]) -> None:
        self.bases = {"post": base}
        self.rules = chains

    def elements(self, _name: str) -> list[Element]:
        return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Of which addresses the way was asked; all are neighbours, and nobody masks anything."""
    made: list[object] = []

    def hop_to(to: object) -> Hop:
        made.append(to)
        return Hop(2, None, GATEWAY)

    monkeypatch.setattr(masquerading, "hop_to", hop_to)
    monkeypatch.setattr(masquerading, "local_addresses", lambda: {GATEWAY})
    monkeypatch.setattr(masquerading, "legacy_tables", list)
    monkeypatch.setattr(masquerading, "hooked_tables", list)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(2, "eth0")])
    return made


def told() -> list[frozenset[object]]:
    machines = [[SSH.behind(APP), HTTPS.behind(APP)], [SSH.behind(SQL)]]
    return [frozenset(each) for each in HostParts().answered_by(machines)]


def test_each_machine_s_way_is_asked_once(asked: list[object]) -> None:
    assert told() == [{GATEWAY}, {GATEWAY}]
    assert sorted(map(str, asked)) == [str(APP), str(SQL)]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (NAT, [frozenset(), frozenset()]),
        (Base(POSTROUTING, 0, "filter", drops=False), [{GATEWAY}, {GATEWAY}]),
        (Base(0, -100, "nat", drops=False), [{GATEWAY}, {GATEWAY}]),
    ],
)
def test_a_masquerade_that_a_map_leads_to_counts(
    asked: list[object],
    monkeypatch: pytest.MonkeyPatch,
    base: Base,
    expected: list[frozenset[object]],
) -> None:
    """What leads to its chain is not followed."""
    lookup: Rule = [("lookup", {})]
    table = Rules(base, {"post": [lookup], "mask": [MASQUERADE]})
    monkeypatch.setattr(masquerading, "hooked_tables", lambda: [(table.family, table.name)])
    monkeypatch.setattr(masquerading, "Table", lambda _family, _name: table)
    assert told() == expected
    assert asked


@pytest.mark.parametrize("error", [OSError(errno.EPERM, "no"), ValueError("a form of a newer nft")])
def test_what_cannot_be_read_keeps_nothing_waiting(
    asked: list[object], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else one odd rule would keep every new state, or each report of a gateway, away."""

    def fail(*_what: object) -> object:
        raise error

    monkeypatch.setattr(masquerading, "hooked_tables", fail)
    monkeypatch.setattr(routes, "next_hops", fail)
    monkeypatch.setattr(addresses, "local_addresses", fail)
    assert told() == [frozenset(), frozenset()]
    assert HostParts().next_hops(BOB, OWN) is None
    assert HostParts().own_addresses() == frozenset()
    assert asked
