"""What nft prints, read: times, elements, layouts; and what is not ours is never taken in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from bascule.domain.desired import RuleSet
from bascule.drivers.nftables import parse, rules
from bascule.drivers.nftables.drift import drift
from bascule.drivers.nftables.layout import CLOSED, KILL, canonical, parse_set_name
from bascule.drivers.nftables.parse import Layout, ReadElement, Table, Unreadable
from tests.strategies import rule_sets

EMPTY = Layout(frozenset(), {}, {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("1ms", 0.001),
        ("5m", 300),
        ("5m1ms", 300.001),
        ("1h2m3s4ms", 3723.004),
        ("1d2h3m4s500ms", 93784.5),
        ("49d17h2m47s295ms", 4294967.295),
        ("0s", 0),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1s1m", "1.5s", "-1s", "never", "1m 1s", "1w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Unreadable):
        parse.duration(text)


def listing(elements: str, name: str = "g4", default: str = "1s") -> Table:
    return parse.table(
        f"table inet bascule {{ # progname bascule\n\tflags owner,persist\n\n\tset {name} {{\n"
        "\t\ttype ipv4_addr . inet_proto . inet_service\n\t\tsize 65536\n"
        f"\t\ttimeout {default}\n\t\telements = {{ {elements} }}\n\t}}\n}}\n"
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "10.0.0.1 . 6 . 22 timeout 1h expires 59m",
            ReadElement(("10.0.0.1", "6", "22"), timedelta(minutes=59)),
        ),
        (  # just written: nothing of it has passed
            '10.0.0.1 . 6 . 22 timeout 1h comment "a-1"',
            ReadElement(("10.0.0.1", "6", "22"), timedelta(hours=1), "a-1"),
        ),
        (  # its time is the set's default
            "10.0.0.1 . 6 . 22 expires 500ms",
            ReadElement(("10.0.0.1", "6", "22"), timedelta(milliseconds=500)),
        ),
        ("10.0.0.1 . 6 . 22", ReadElement(("10.0.0.1", "6", "22"), timedelta(seconds=1))),
        (
            "10.0.0.1 . 6 . 22 counter packets 7 bytes 420 timeout 1m expires 1s",
            ReadElement(("10.0.0.1", "6", "22"), timedelta(seconds=1), packets=7),
        ),
        (
            "0:0:0:1:: . tcp . 22 expires 1s",
            ReadElement(("0:0:0:1::", "tcp", "22"), timedelta(seconds=1)),
        ),
    ],
)
def test_an_element(text: str, read: ReadElement) -> None:
    assert listing(text).elements["g4"] == (read,)
    assert listing(text).strange == ()
    two = f"{text},\n\t\t\t     {text}"
    assert listing(two).elements["g4"] == (read, read)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/8 . 6 . 22 expires 1s",
        "10.0.0.1-10.0.0.9 . 6 . 22 expires 1s",
        "10.0.0.1 . 6 . 22 timeout never",
        '10.0.0.1 . 6 . 22 expires 1s comment "a, b"',
        "10.0.0.1 . 6 . 22 : accept",
        "10.0.0.1 . 6 . 22 expires 1s and more",
    ],
)
def test_an_element_that_is_not_ours_is_no_opening(text: str) -> None:
    """It is not passed over either: the table counts as changed, and is loaded anew."""
    table = listing(text)
    assert table.strange
    with pytest.raises(Unreadable, match="is not an element of ours"):
        rules.from_table(table)
    assert rules.carried(table, timedelta(0)) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g4", "10.0.0.1 . 1 . 22 expires 1s"),
        ("g4", "fd77::1 . 6 . 22 expires 1s"),
        ("g4", "6 . 22 expires 1s"),
        ("g4_0", "10.0.0.1 . 6 . 22 expires 1s"),
        ("g4_24", "10.0.0.1 . 6 . 22 expires 1s"),
        ("closed", "6 . 22 . 22"),
        ("closed", "6 . ssh"),
    ],
)
def test_an_element_of_another_shape_is_no_opening(name: str, text: str) -> None:
    with pytest.raises(Unreadable):
        rules.from_table(listing(text, name))


def test_an_element_without_an_end_is_seen_as_one() -> None:
    """In a set that lost its default: the plan then shortens it, and it is never carried."""
    table = Table("bascule", EMPTY, {"g4": (ReadElement(("10.0.0.1", "tcp", "22"), None),)})
    (opening,) = rules.from_table(table).openings.values()
    assert opening.remaining == timedelta.max
    assert rules.carried(table, timedelta(0)) == {}


def test_what_is_carried_has_lost_the_time_between() -> None:
    table = listing(
        '10.0.0.1 . 6 . 22 timeout 1h expires 3s comment "a-1", 10.0.0.2 . 6 . 22 expires 2s'
    )
    (kept,) = rules.carried(table, timedelta(seconds=2)).items()
    assert kept[0] == ("g4", ("10.0.0.1", "tcp", "22"))
    assert kept[1] == rules.timed(timedelta(seconds=1), "a-1")


def test_what_is_shut_is_known_even_when_more_is_not() -> None:
    words = (("6", "22"), ("6", "http"), ("17", "53"))
    elements = tuple(ReadElement(each, None) for each in words)
    table = Table("bascule", EMPTY, {CLOSED: elements, KILL: elements[2:]})
    assert {str(each.port): each.is_kill for each in rules.closed_in(table)} == {
        "22/tcp": False,
        "53/udp": True,
    }
    assert rules.closed_in(None) == frozenset()


def test_only_elements_of_our_form_are_adopted_connections_or_knocks() -> None:
    adopted = tuple(
        ReadElement(words, timedelta(seconds=9))
        for words in (
            ("0:0:0:1::", "50000", "22"),
            ("10.0.0.1", "50000"),
            ("10.0.0.1", "x", "22"),
            ("host", "1", "22"),
        )
    )
    seen = tuple(
        ReadElement(words, None, packets=3)
        for words in (("10.0.0.1", "6", "22"), ("10.0.0.1", "1", "22"), ("x", "6", "22"))
    )
    table = Table("bascule", EMPTY, {"adopted6": adopted, "seen4": seen})
    (key,) = rules.adopted_left(table)
    assert key == ("adopted6", ("0:0:0:1::", "50000", "22"))
    assert str(rules.adopted_port(key)) == "22/tcp"
    assert [(each.source, str(each.port), each.packets) for each in rules.knocks(table)] == [
        ("10.0.0.1", "22/tcp", 3)
    ]


@pytest.mark.parametrize(
    "text", ["", "\n", "table ip bascule {\n}\n", "Error: no such table", "table inet x\n"]
)
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(Unreadable):
        parse.table(text)


def test_what_is_not_understood_makes_the_layout_differ() -> None:
    plain = parse.table("table inet bascule {\n\tflags owner,persist\n}\n").layout
    for line in ("\tchain x {\n\t}", "\tmap m {\n\t}", '\tcomment "x"', "\tflowtable f {\n\t}"):
        other = parse.table(f"table inet bascule {{\n\tflags owner,persist\n{line}\n}}\n").layout
        assert drift(plain, other), line
        assert drift(plain, plain) == ""


def test_drift_says_what_differs() -> None:
    wanted = Layout(frozenset({"owner"}), {"a": ("x", "y")}, {"s": ("t",)}, ("counter c",))

    def said(**changed: object) -> str:
        parts: dict[str, object] = {
            "flags": wanted.flags,
            "chains": wanted.chains,
            "sets": wanted.sets,
            "others": wanted.others,
        }
        return drift(wanted, Layout(**{**parts, **changed}))  # type: ignore[arg-type]  # reason: a test's short way

    assert said() == ""
    assert "its flags are none instead of owner" in said(flags=frozenset())
    assert "chain a is missing" in said(chains={})
    assert "chain a lacks 'y'" in said(chains={"a": ("x",)})
    assert "chain a has 'z' too" in said(chains={"a": ("x", "y", "z")})
    assert "chain a has its rules in another order" in said(chains={"a": ("y", "x")})
    assert "chain b is not ours" in said(chains={"a": ("x", "y"), "b": ()})
    assert "set s lacks 't'" in said(sets={"s": ()})
    assert "counter c is missing" in said(others=())
    assert "map m is not ours" in said(others=("counter c", "map m"))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("g4", ("g", 4, 32)),
        ("g6_0", ("g", 6, 0)),
        ("ended6_64", ("ended", 6, 64)),
        ("g4_32", None),
        ("g4_33", None),
        ("g4_024", None),
        ("g5", None),
        ("seen4", None),
        ("adopted4", None),
        ("g4_24x", None),
    ],
)
def test_a_set_name_has_one_spelling(name: str, parts: tuple[str, int, int] | None) -> None:
    found = parse_set_name(name)
    assert (found and (found.kind, found.version, found.length)) == parts


@given(rule_sets())
def test_a_rule_set_survives_being_elements(rules_wanted: RuleSet) -> None:
    """``from_table(to_elements(r)) == r``: right after an apply there is nothing left to do."""
    elements = rules.to_elements(rules_wanted)
    by_set: dict[str, list[ReadElement]] = {}
    for (name, words), element in elements.items():
        if element is not None:
            assert canonical(name, words) == words
            left = element.timeout_ms
            remaining = None if left is None else timedelta(milliseconds=left)
            read = ReadElement(words, remaining, element.comment)
            by_set.setdefault(name, []).append(read)
    table = Table("bascule", EMPTY, {name: tuple(each) for name, each in by_set.items()})
    found = rules.from_table(table)
    assert found.closed == rules_wanted.closed
    assert found.openings.keys() == rules_wanted.openings.keys()
    assert found.cuts.keys() == rules_wanted.cuts.keys()
    for key, opening in rules_wanted.openings.items():
        short_by = opening.remaining - found.openings[key].remaining
        assert timedelta(0) <= short_by < timedelta(milliseconds=1)
        assert found.openings[key].grant_id == opening.grant_id
