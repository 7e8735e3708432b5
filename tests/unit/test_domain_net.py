"""Ports and prefixes: one normal form, containment instead of text (EDGES A7)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from bascule.domain.net import (
    AddressPrefix,
    PortKey,
    is_within,
    parse_address,
    parse_port_number,
)
from bascule.errors import InvalidInput
from tests.samples import TCP, UDP, prefixes


@pytest.mark.parametrize("number", [1, 22, 65535])
def test_a_port_number(number: int) -> None:
    """The bounds are inclusive: 65535 is a port that services have."""
    assert parse_port_number(number) == number


@pytest.mark.parametrize("number", [-1, 0, 65536, 2**40])
def test_no_port_number(number: int) -> None:
    """0 would mean "any" to some firewalls, and a larger one wraps in others."""
    with pytest.raises(InvalidInput) as refused:
        parse_port_number(number, "ports[0].number")
    assert refused.value.specific_code == "InvalidPort"
    assert refused.value.target == "ports[0].number"


def test_port_keys_print_and_sort() -> None:
    """Operations are ordered by port, so that two plans of one difference are equal."""
    assert str(PortKey(TCP, 22)) == "22/tcp"
    assert str(PortKey(UDP, 53)) == "53/udp"
    assert sorted([PortKey(UDP, 1), PortKey(TCP, 443), PortKey(TCP, 22)]) == [
        PortKey(TCP, 22),
        PortKey(TCP, 443),
        PortKey(UDP, 1),
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:DB8::1", IPv6Address("2001:db8::1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),  # judged as what it reaches
        ("::ffff:c000:0201", IPv4Address("192.0.2.1")),
    ],
)
def test_an_address(text: str, address: object) -> None:
    """An IPv4 caller of a dual-stack socket is seen as ::ffff:a.b.c.d: it is IPv4."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "fe80::1%eth0",
        "1::2::3",
        " 192.0.2.1",
        "192.0.2.1\n",
        "٣.0.2.1",
    ],
)
def test_no_address(text: str) -> None:
    """A zone id names an interface of the caller's, which is nothing here."""
    with pytest.raises(InvalidInput) as refused:
        parse_address(text, "source")
    assert refused.value.specific_code == "InvalidAddress"
    assert refused.value.target == "source"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("*", "*"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.1/128", "192.0.2.1"),
        ("::ffff:128.0.0.0/97", "128.0.0.0/1"),
    ],
)
def test_a_prefix_has_one_form(text: str, printed: str) -> None:
    """Two spellings of one source are one opening, counted once and revoked together."""
    prefix = AddressPrefix.parse(text)
    assert str(prefix) == printed
    assert AddressPrefix.parse(printed) == prefix


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1/24",  # host bits: did he mean the host or the network?
        "2001:db8::1/64",
        "192.0.2.0/33",
        "2001:db8::/129",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/-1",
        "192.0.2.0/",
        "192.0.2.0/24/8",
        "192.0.2.0/٢٤",
        "fe80::1%eth0/64",
        "fe80::%1/64",
        "/24",
        "**",
        "any",
        "::ffff:0:0/96",
    ],
)
def test_no_prefix(text: str) -> None:
    """What is not plainly a prefix is refused, never rounded to one that is wider."""
    with pytest.raises(InvalidInput) as refused:
        AddressPrefix.parse(text, "source")
    assert refused.value.specific_code in {"InvalidAddressPrefix", "InvalidAddress"}
    assert refused.value.target == "source"


def test_host_bits_are_answered_with_what_may_be_meant() -> None:
    """The commonest mistake deserves its answer."""
    with pytest.raises(InvalidInput, match=r"Did you mean 192\.0\.2\.0/24"):
        AddressPrefix.parse("192.0.2.1/24")


def test_the_mapped_range_is_answered_with_ipv4() -> None:
    """``::ffff:0:0/96`` looks like IPv6 and would open to all of IPv4."""
    with pytest.raises(InvalidInput, match=r"0\.0\.0\.0/0"):
        AddressPrefix.parse("::ffff:0:0/96")


def test_networks_of_a_prefix() -> None:
    """``*`` is both families; a prefix is its own; ``::/0`` is IPv6 alone."""
    assert prefixes("*")[0].networks == (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    assert prefixes("::/0")[0].networks == (IPv6Network("::/0"),)
    assert AddressPrefix.of(ip_address("192.0.2.1")).networks == (IPv4Network("192.0.2.1/32"),)


@pytest.mark.parametrize(
    ("asked", "allowed", "inside"),
    [
        # An address or prefix inside an allowed prefix is allowed; one bit outside is not.
        (["192.0.2.1"], ["192.0.2.0/24"], True),
        (["192.0.3.1"], ["192.0.2.0/24"], False),
        (["192.0.2.0/25"], ["192.0.2.0/24"], True),
        (["192.0.2.0/23"], ["192.0.2.0/24"], False),
        (["2001:db8::1"], ["2001:db8::/64"], True),
        (["2001:db8:1::1"], ["2001:db8::/64"], False),
        # * allows anything; anything short of both families does not allow *.
        (["192.0.2.1", "2001:db8::1"], ["*"], True),
        (["*"], ["*"], True),
        (["*"], ["0.0.0.0/0"], False),
        (["*"], ["::/0"], False),
        (["*"], ["0.0.0.0/0", "::/0"], True),
        # The families are strangers: no IPv6 prefix contains an IPv4 address.
        (["192.0.2.1"], ["::/0"], False),
        (["2001:db8::1"], ["0.0.0.0/0"], False),
        (["::ffff:192.0.2.1"], ["::/0"], False),
        (["::ffff:192.0.2.1"], ["192.0.2.1"], True),
        # The union counts: two halves contain the whole, a hole between them does not.
        (["192.0.2.0/24"], ["192.0.2.0/25", "192.0.2.128/25"], True),
        (["192.0.2.0/24"], ["192.0.2.0/25", "192.0.2.192/26"], False),
        (["2001:db8::/32"], ["2001:db8::/33", "2001:db8:8000::/33"], True),
        # Every one asked for must be inside; nothing asked or nothing allowed is a no.
        (["192.0.2.1", "198.51.100.1"], ["192.0.2.0/24"], False),
        ([], ["*"], False),
        (["192.0.2.1"], [], False),
        ([], [], False),
    ],
)
def test_containment(asked: list[str], allowed: list[str], inside: bool) -> None:
    """The rule of the whole product: a source is judged by containment, not by its text."""
    assert is_within(prefixes(*asked), prefixes(*allowed)) is inside
