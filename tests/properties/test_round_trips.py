"""What is printed is parsed back to the same value; what is parsed prints in one form."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.ids import ResourceId, is_name, is_resource_group_name
from bascule.domain.net import Address, AddressPrefix, is_within, parse_address
from bascule.domain.times import format_duration, format_utc, parse_duration, parse_instant
from bascule.errors import InvalidInput
from tests.strategies import any_prefixes, instants

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
groups = st.from_regex(r"[A-Za-z0-9_(][A-Za-z0-9._()-]{0,89}", fullmatch=True).filter(
    lambda text: not text.endswith(".")
)


@st.composite
def resource_ids(draw: st.DrawFn) -> ResourceId:
    types = draw(st.lists(names, min_size=1, max_size=3))
    return ResourceId(
        str(draw(st.uuids())),
        draw(groups),
        draw(names),
        tuple(types),
        tuple(draw(st.lists(names, min_size=len(types), max_size=len(types)))),
    )


@given(resource_ids())
def test_ids(identity: ResourceId) -> None:
    """An id that a client reads must name the same resource when it is sent back."""
    parsed = ResourceId.parse(str(identity))
    assert parsed == identity
    assert parsed.names == identity.names
    assert ResourceId.parse(str(identity).upper()) == identity


@given(any_prefixes)
def test_prefixes(prefix: AddressPrefix) -> None:
    """A stored source is read back as the source that was granted."""
    assert AddressPrefix.parse(str(prefix)) == prefix
    assert is_within([prefix], [prefix])


@given(st.ip_addresses())
def test_addresses(address: Address) -> None:
    """An IPv4-mapped address is its IPv4 address, and everything else itself."""
    parsed = parse_address(str(address))
    assert parsed == (getattr(address, "ipv4_mapped", None) or address)
    assert parse_address(str(parsed)) == parsed


@given(st.integers(0, 10**9))
def test_durations(seconds: int) -> None:
    """A maximum that grew by being stored would be a longer lease."""
    span = timedelta(seconds=seconds)
    assert parse_duration(format_duration(span)) == span


@given(instants)
def test_instants(instant: datetime) -> None:
    """To the microsecond, for every year that there is."""
    text = format_utc(instant)
    assert parse_instant(text) == instant
    assert len(text) == len("2030-01-31T12:00:00.0000000Z")


@given(instants, instants)
def test_instants_sort_as_text(one: datetime, other: datetime) -> None:
    """Audit records are compared as they are written."""
    assert (one < other) == (format_utc(one) < format_utc(other))


SOUP = st.text(alphabet=st.sampled_from("0123456789abcdefPTDHMSZ:/.-+*% ⅷ٢\n"), max_size=40)


@given(st.one_of(SOUP, st.text(max_size=40)))
def test_anything_else_is_refused_in_our_own_words(text: str) -> None:
    """Whatever is typed: a value or InvalidInput, never another exception (a 500)."""
    for parse in (
        AddressPrefix.parse,
        parse_address,
        parse_duration,
        parse_instant,
        ResourceId.parse,
    ):
        with contextlib.suppress(InvalidInput):
            parse(text)
    assert not is_name(text) or text.isascii()
    assert not is_resource_group_name(text) or text.isascii()
