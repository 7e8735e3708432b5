"""Filters, pages, denials and preconditions, apart from any route."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.api.filters import HOLDS, HOLDS_FOR, Clause, parse_filter
from bascule.api.my_address import is_own_address
from bascule.api.paging import MOST_LOOKED_AT, Wanted, sift
from bascule.api.preconditions import Conditions
from bascule.domain.net import parse_address
from bascule.errors import InvalidInput
from bascule.services.denials import RECORDED_IN_ALL, RECORDED_PER_SOURCE, Denials

OFFERED = (("kind", "eq"), ("at", "ge"), ("resourceId", "eq"))
NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("kind eq 'a'", [Clause("kind", "eq", "a")]),
        ("  KIND  EQ  'a'  ", [Clause("kind", "eq", "a")]),
        ("kind eq a", [Clause("kind", "eq", "a")]),
        ("kind eq 'it''s'", [Clause("kind", "eq", "it's")]),
        ("kind eq ''", [Clause("kind", "eq", "")]),
        ("kind eq 'a and b'", [Clause("kind", "eq", "a and b")]),
        (
            "at ge 2030-01-01T12:00:00Z and RESOURCEID eq '/a/b' AND kind eq 'x'",
            [
                Clause("at", "ge", "2030-01-01T12:00:00Z"),
                Clause("resourceId", "eq", "/a/b"),
                Clause("kind", "eq", "x"),
            ],
        ),
    ],
)
def test_filters_that_can_be_read(text: str, clauses: list[Clause]) -> None:
    assert parse_filter(text, OFFERED) == clauses


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "kind",
        "kind eq",
        "kind ne 'a'",
        "at lt 'x'",
        "kind eq 'a",
        "kind eq 'a' or kind eq 'b'",
        "kind eq 'a' and",
        "and kind eq 'a'",
        "kind eq 'a'kind eq 'b'",
        "(kind eq 'a')",
        "kind eq 'a' andkind eq 'b'",
        "kind eq '" + "a" * 2000 + "'",
    ],
)
def test_filters_that_cannot(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be parsed"):
        parse_filter(text, OFFERED)


READERS: list[Callable[[str], object]] = [
    lambda text: parse_filter(text, OFFERED),
    lambda text: Wanted(1, text).text_after(),
    lambda text: Wanted(1, text).number_after(),
    lambda text: Wanted(1, text).texts_after(),
]


@pytest.mark.parametrize("read", READERS)
@given(text=st.text(max_size=300))
def test_no_text_breaks_a_filter_or_a_token(read: Callable[[str], object], text: str) -> None:
    """Anything but InvalidInput would be a 500."""
    with contextlib.suppress(InvalidInput):
        read(text)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("atScope()", [Clause("atScope", HOLDS, "")]),
        (" ATSCOPE( ) ", [Clause("atScope", HOLDS, "")]),
        (
            "atScope() and assignedTo('it''s') and kind eq 'a'",
            [
                Clause("atScope", HOLDS, ""),
                Clause("assignedTo", HOLDS_FOR, "it's"),
                Clause("kind", "eq", "a"),
            ],
        ),
    ],
)
def test_functions_that_can_be_read(text: str, clauses: list[Clause]) -> None:
    offered = (*OFFERED, ("atScope", HOLDS), ("assignedTo", HOLDS_FOR))
    assert parse_filter(text, offered) == clauses


@pytest.mark.parametrize(
    "text", ["atScope", "atScope('x')", "assignedTo()", "other()", "atScope() kind eq 'a'"]
)
def test_functions_that_cannot_be_read(text: str) -> None:
    """A function that was passed over would list more than was asked for."""
    with pytest.raises(InvalidInput, match=r"atScope\(\), assignedTo\('...'\)"):
        parse_filter(text, (("atScope", HOLDS), ("assignedTo", HOLDS_FOR)))


def test_denials_on_record_are_few_and_begin_anew_each_minute() -> None:
    """EDGES B8: 100,000 bad tokens leave a bounded number of rows."""
    denials = Denials()
    assert sum(denials.is_recorded("one", NOON) for _ in range(1000)) == RECORDED_PER_SOURCE
    many = sum(denials.is_recorded(f"source {n}", NOON) for n in range(100_000))
    assert many == RECORDED_IN_ALL - RECORDED_PER_SOURCE
    assert denials.is_recorded("one", NOON + timedelta(minutes=1))


@pytest.mark.parametrize("header", ['"a', "a", '"a" "b"', "W/", '"a",,"b"'])
def test_what_is_no_entity_tag(header: str) -> None:
    with pytest.raises(InvalidInput, match="entity tag"):
        Conditions(header, "")


@pytest.mark.sockets
def test_own_addresses_are_known_and_others_are_not() -> None:
    assert is_own_address(parse_address("127.0.0.1"))
    for other in ("192.0.2.1", "2001:db8::1", "fe80::1", "ff02::1", "255.255.255.255"):
        assert not is_own_address(parse_address(other))


_A_HOST = """
ip link set lo up && ip link add a0 type veth peer name a1 && ip link set a0 up || exit 99
ip address add 192.0.2.1/24 dev a0 && ip address add 192.0.2.2/24 dev a0
ip address add 198.51.100.1/32 dev a0 && ip address add 2001:db8::1/64 dev a0 nodad
ip address add 2001:db8::2/64 dev a0 nodad
sysctl -qw net.ipv4.ip_nonlocal_bind=1 net.ipv6.ip_nonlocal_bind=1 || exit 99
exec "$0" -c '
import sys
from bascule.api.my_address import is_own_address
from bascule.domain.net import parse_address
print(*(each for each in sys.argv[1:] if is_own_address(parse_address(each))))' "$@"
"""


def test_own_addresses_are_known_where_every_one_can_be_bound() -> None:
    """As on hosts of keepalived and haproxy; an address beside the first in its prefix too."""
    own = ["127.0.0.1", "127.0.0.5", "192.0.2.1", "192.0.2.2", "198.51.100.1"]
    own += ["::1", "2001:db8::1", "2001:db8::2"]
    others = ["192.0.2.3", "203.0.113.1", "192.0.2.255", "2001:db8::3", "fe80::1"]
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", _A_HOST, sys.executable]
    done = subprocess.run([*command, *own, *others], capture_output=True, text=True, check=False)
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip(f"needs user and network namespaces: {done.stderr.strip()}")
    assert done.stdout.split() == own, done.stderr


class _Rows:
    """A list of numbers from 1, read after a place; counts what was read."""

    def __init__(self, many: int) -> None:
        self.many, self.read_in_all = many, 0

    def read(self, after: int | None, limit: int) -> list[int]:
        first = (after or 0) + 1
        rows = list(range(first, min(self.many, first + limit - 1) + 1))
        self.read_in_all += len(rows)
        return rows


@given(
    many=st.integers(0, 6000),
    top=st.integers(1, 1000),
    step=st.sampled_from([1, 2, 7, 999, 7000]),
    is_sieved=st.booleans(),
)
def test_pages_of_what_is_visible_give_each_row_once_and_end(
    many: int, top: int, step: int, is_sieved: bool
) -> None:
    """Pages may be short, never too long; each goes on from further, and the last one ends."""
    rows, wanted = _Rows(many), Wanted(top, "")
    keeps = (lambda number: number % step == 0) if is_sieved else None
    expected = [n for n in range(1, many + 1) if keeps is None or keeps(n)]
    seen: list[int] = []
    after: int | None = None
    while True:
        page = sift(wanted, after, rows.read, keeps, lambda number: number)
        assert len(page.shown) <= top
        seen += page.shown
        if page.goes_on is None:
            break
        assert page.goes_on > (after or 0)
        assert len(page.shown) == top or page.goes_on - (after or 0) >= MOST_LOOKED_AT
        after = page.goes_on
    assert seen == expected


def test_a_page_of_what_is_all_visible_reads_no_more_than_it_shows() -> None:
    rows = _Rows(100_000)
    assert len(sift(Wanted(10, ""), None, rows.read, None, lambda number: number).shown) == 10
    assert rows.read_in_all == 11
