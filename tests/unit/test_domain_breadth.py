"""Which sources a request is warned of before it is sent."""

from __future__ import annotations

import pytest

from bascule.domain.breadth import is_everybody, wide_ones
from bascule.domain.net import AddressPrefix


@pytest.mark.parametrize(
    ("sources", "wide"),
    [
        (["192.0.2.7"], []),
        (["192.0.2.0/24"], []),
        (["192.0.2.0/23"], ["192.0.2.0/23"]),
        (["2001:db8::/48"], []),
        (["2001:db8::/47"], ["2001:db8::/47"]),
        (["2001:db8::1", "192.0.2.0/24", "10.0.0.0/8"], ["10.0.0.0/8"]),
        (["0.0.0.0/0"], ["0.0.0.0/0"]),
        (["::/0"], ["::/0"]),
        (["192.0.2.7", "*"], ["*"]),
        # Two halves of a wide prefix are that prefix.
        (["192.0.2.0/24", "192.0.3.0/24"], ["192.0.2.0/23"]),
        (["0.0.0.0/1", "128.0.0.0/1"], ["0.0.0.0/0"]),
        (["2001:db8::/48", "2001:db8:1::/48"], ["2001:db8::/47"]),
        # Those that are not side by side are not.
        (["192.0.2.0/24", "192.0.4.0/24"], []),
        ([], []),
    ],
)
def test_what_is_wider_than_one_network(sources: list[str], wide: list[str]) -> None:
    found = wide_ones(AddressPrefix.parse(each) for each in sources)
    assert [str(each) for each in found] == wide


@pytest.mark.parametrize(
    ("source", "is_it"),
    [("*", True), ("0.0.0.0/0", True), ("::/0", True), ("0.0.0.0/1", False), ("::1", False)],
)
def test_everybody_is_everybody_of_one_family_too(source: str, is_it: bool) -> None:
    assert is_everybody(AddressPrefix.parse(source)) is is_it
