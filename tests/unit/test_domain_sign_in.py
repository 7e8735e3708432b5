"""Which networks are told apart."""

from __future__ import annotations

import pytest

from bascule.domain.sign_in import network_of, wide_network_of


@pytest.mark.parametrize(
    ("address", "network", "wide"),
    [
        ("192.0.2.7", "192.0.2.7/32", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64", "2001:db8:1::/48"),
        ("", "", ""),
    ],
)
def test_networks(address: str, network: str, wide: str) -> None:
    assert network_of(address) == network
    assert wide_network_of(address) == wide
