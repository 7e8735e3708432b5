"""``is_within`` against counting addresses one by one, which cannot be wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.net import AddressPrefix, is_within
from tests.strategies import prefix_sets, small_prefixes

small_sets = st.lists(small_prefixes, max_size=4).map(tuple)


def addresses(prefixes: tuple[AddressPrefix, ...]) -> set[object]:
    return {address for each in prefixes for network in each.networks for address in network}


@given(small_sets, small_sets)
def test_containment_is_containment_of_addresses(
    asked: tuple[AddressPrefix, ...], allowed: tuple[AddressPrefix, ...]
) -> None:
    """Every address asked for is one that is allowed; asking for none is refused."""
    expected = bool(asked) and addresses(asked) <= addresses(allowed)
    assert is_within(asked, allowed) is expected


@given(prefix_sets, prefix_sets, prefix_sets)
def test_containment_is_transitive(
    a: tuple[AddressPrefix, ...], b: tuple[AddressPrefix, ...], c: tuple[AddressPrefix, ...]
) -> None:
    """A guard inside a policy: what is within what is within is within."""
    if is_within(a, b) and is_within(b, c):
        assert is_within(a, c)


@given(prefix_sets, prefix_sets, prefix_sets)
def test_allowing_more_never_allows_less(
    asked: tuple[AddressPrefix, ...],
    allowed: tuple[AddressPrefix, ...],
    more: tuple[AddressPrefix, ...],
) -> None:
    """Adding a source to a rule cannot lock out who was let in by it."""
    if is_within(asked, allowed):
        assert is_within(asked, (*allowed, *more))
