"""Which addresses the record may be sent to: the neighbouring deny of each allow."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bascule.domain.destinations import objection
from bascule.domain.net import AddressPrefix


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2606:4700::1",
        "2001:200::1",
        "2a00::1",
    ],
)
def test_global_addresses_may_be_reached(text: str) -> None:
    assert objection(ip_address(text)) == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this network"),
        ("0.1.2.3", "this network"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "shared by a provider's customers"),
        ("169.254.169.254", "link-local"),
        ("192.0.0.192", "set aside for protocols"),
        ("192.0.2.1", "documentation"),
        ("198.18.0.1", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "not given out"),  # IPv4-compatible
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b::808:808", "NAT64"),
        ("64:ff9b:1::1", "NAT64"),
        ("100::1", "not given out"),  # discard
        ("2001::1", "Teredo"),
        ("2001:10::1", "set aside for protocols"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::1", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "not given out"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "not given out"),  # site-local
        ("ff02::1", "multicast"),
    ],
)
def test_others_may_not(text: str, word: str) -> None:
    assert objection(ip_address(text)) == word


def test_a_network_that_was_named_may_be_reached_and_its_neighbour_may_not() -> None:
    allowed = [AddressPrefix.parse("10.1.2.0/24"), AddressPrefix.parse("fd00:1::/64")]
    assert objection(ip_address("10.1.2.3"), allowed) == ""
    assert objection(ip_address("10.1.3.3"), allowed) == "private"
    assert objection(ip_address("fd00:1::5"), allowed) == ""
    assert objection(ip_address("fd00:2::5"), allowed) == "private"


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:10.1.2.3"]
)
def test_what_is_no_host_cannot_be_allowed(text: str) -> None:
    allowed = [AddressPrefix.parse("0.0.0.0/0"), AddressPrefix.parse("::/0")]
    assert objection(ip_address(text), allowed) != ""
