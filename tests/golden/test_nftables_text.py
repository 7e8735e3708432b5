"""The rule text, one file a case: what we write, and what nft printed when asked.

A changed text is shown as a difference; run with BASCULE_WRITE_GOLDEN=1 to accept it, and
read the difference in the commit. The listing was printed by nft 1.1.3 on Linux 6.18.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, PublicPort, TransportProtocol
from bascule.drivers.linux.unanswered import Repeated
from bascule.drivers.nftables import parse, render, rules
from bascule.drivers.nftables.layout import (
    ALWAYS,
    ALWAYS_BEHIND,
    ALWAYS_MAPPED,
    FLAGS,
    GRANTED,
    TABLE,
    SourceSet,
)

HERE = Path(__file__).parent / "nftables"
SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)
SNMP = PortKey(TransportProtocol.UDP, 161)


def given(*rows: tuple[str, PortKey, float, str]) -> dict[OpeningKey, Opening]:
    found = {}
    for source, port, seconds, grant_id in rows:
        for network in AddressPrefix.parse(source).networks:
            key = OpeningKey(network, port)
            found[key] = Opening(key, timedelta(seconds=seconds), grant_id)
    return found


APP, APP6 = map(ip_address, ("10.1.0.10", "fd01::10"))
PUBLIC, PUBLIC6 = (
    PublicPort(ip_address(address), 2222) for address in ("198.51.100.7", "2001:db8::7")
)
LED, LED6 = (
    SSH.mapped(public, SSH.behind(app)) for public, app in ((PUBLIC, APP), (PUBLIC6, APP6))
)

IN_USE = RuleSet(
    closed=frozenset(
        {
            ClosedPort(SSH),
            ClosedPort(RDP, OnExpiry.KILL),
            ClosedPort(SNMP),
            ClosedPort(SSH.behind(APP)),
            ClosedPort(SSH.behind(APP6), OnExpiry.KILL),
            ClosedPort(SSH.mapped(PUBLIC)),
            ClosedPort(SSH.mapped(PUBLIC6)),
        }
    ),
    openings=given(
        ("192.0.2.11", SSH.behind(APP), 58.96, "1a2b-3"),
        ("0.0.0.0/0", SSH.behind(APP), 18.96, ""),
        ("2001:db8:2::/48", SSH.behind(APP6), 57.96, "1a2b-4"),
        ("192.0.2.11", LED, 58.96, "1a2b-3"),
        ("0.0.0.0/0", LED, 18.96, ""),
        ("2001:db8:2::/48", LED6, 57.96, "1a2b-4"),
        ("192.0.2.10", SSH, 5398.96, "0f8c-1"),
        ("198.51.100.0/24", RDP, 93783.46, "0f8c-1"),
        ("2001:db8::7", SNMP, 60.208, "0f8c-1"),
        ("2001:db8:1::/48", SSH, 3598.96, "0f8c-1"),
        ("*", RDP, 28.96, ""),
    ),
    cuts={
        key: opening.remaining
        for key, opening in given(
            ("192.0.2.99", SSH, 98.96, ""),
            ("203.0.113.0/26", SSH, 88.96, ""),
            ("::/0", SSH, 78.96, ""),
            ("192.0.2.0/24", SSH.behind(APP), 68.96, ""),
        ).items()
    },
)


def sets_of(elements: Iterable[render.ElementKey]) -> frozenset[SourceSet]:
    always = ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED
    return always | rules.source_sets(name for name, _ in elements)


def written(name: str, text: str) -> str:
    """The golden text of ``name``; rewritten first when that is asked for."""
    path = HERE / name
    if os.environ.get("BASCULE_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_a_table_with_exact_sources_only() -> None:
    text = render.definition(TABLE, ALWAYS, FLAGS)
    assert text == written("empty.nft", text)


def test_a_table_with_nobody_behind_has_nothing_of_it() -> None:
    """Each set costs time whenever the table is read back."""
    assert "behind" not in render.definition(TABLE, ALWAYS, FLAGS)
    behind = render.definition(TABLE, ALWAYS | ALWAYS_BEHIND, FLAGS)
    assert "behind" in behind
    assert "mapped" not in behind
    assert "type nat" not in behind, "a kernel that cannot translate holds it"
    assert "mapped" in render.definition(TABLE, ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED, FLAGS)


def test_a_table_without_flags_differs_in_the_flags_alone() -> None:
    """A kernel without ``persist`` gets neither: owner alone would open all on our death."""
    owned = render.definition(TABLE, ALWAYS, FLAGS)
    assert render.definition(TABLE, ALWAYS, ()) == owned.replace("flags owner, persist\n", "")


def test_a_table_with_prefixes_and_elements() -> None:
    elements = rules.to_elements(IN_USE)
    text = render.definition(
        TABLE, sets_of(elements), FLAGS, unused=["g6_56", "g4_8", "mapped_to4_8"]
    )
    text += render.changes(TABLE, dict(sorted(elements.items())))
    assert text == written("in_use.nft", text)


LED_KEY = ("192.0.2.1", "198.51.100.7", "tcp", "2222")


def test_changes_of_elements() -> None:
    """What a map led to elsewhere goes first: its key is the same."""
    changes: dict[render.ElementKey, render.Element | None] = {
        ("g4", ("192.0.2.1", "tcp", "22")): render.Element(1500, "grant-7"),
        ("g4", ("192.0.2.2", "tcp", "22")): None,
        ("closed", ("tcp", "22")): render.Element(),
        ("ended4", ("192.0.2.2", "tcp", "22")): None,
        ("mapped_to4", (*LED_KEY, "10.1.0.10", "22")): render.Element(1500, "grant-7"),
        ("mapped_to4", (*LED_KEY, "10.1.0.11", "22")): None,
    }
    text = render.changes(TABLE, changes)
    assert text == written("changes.nft", text)


def test_what_the_kernel_shows_reads_back_as_the_rule_set() -> None:
    table = parse.table((HERE / "in_use.listing").read_text(encoding="utf-8"))
    assert table.name == TABLE
    assert table.layout.flags == frozenset(FLAGS)
    assert rules.from_table(table) == IN_USE
    assert rules.adopted_left(table) == {
        ("adopted4", ("192.0.2.77", "50022", "22")): timedelta(minutes=9, seconds=59),
        ("behind_adopted6", ("2001:db8::77", "50022", "fd01::10", "22")): timedelta(
            minutes=9, seconds=58
        ),
        ("behind_adopted4", ("203.0.113.8", "50023", "10.1.0.10", "22")): timedelta(minutes=9),
    }
    assert [each.words[0] for each in table.elements["seen4"]] == ["203.0.113.9"]
    asked = Repeated(ip_address("203.0.113.7"), SSH.behind(APP), packets=3, ago=2.0)
    assert rules.repeated(table) == [asked]
    target = ip_address("172.17.0.2"), SSH
    assert (
        rules.published_in(table) == rules.published_elements([target], ["docker0", "br-4f"]).keys()
    )


@pytest.mark.parametrize("comment", ["a b", 'x" ; flush ruleset ; #', "a\nb", "x" * 65, "é"])
def test_only_a_grant_id_becomes_a_comment(comment: str) -> None:
    """nft prints comments unescaped, and dies in the library on long ones."""
    key = ("g4", ("192.0.2.1", "tcp", "22"))
    assert "comment" not in render.changes(TABLE, {key: render.Element(9, comment)})
    assert 'comment "g:1_a.B-c"' in render.changes(TABLE, {key: render.Element(9, "g:1_a.B-c")})


def test_no_element_is_written_without_a_millisecond() -> None:
    """``timeout 0s`` would be for ever."""
    key = ("g4", ("192.0.2.1", "tcp", "22"))
    assert "timeout 1ms" in render.changes(TABLE, {key: render.Element(1)})
    with pytest.raises(ValueError, match="millisecond"):
        render.changes(TABLE, {key: render.Element(0)})
    assert rules.timed(timedelta(milliseconds=1)) == render.Element(1)
    assert rules.timed(timedelta(microseconds=999)) is None


def test_many_elements_are_written_in_several_commands() -> None:
    keys = [("g4", (f"10.0.{n // 256}.{n % 256}", "tcp", "22")) for n in range(1001)]
    text = render.changes(TABLE, {key: render.Element(60_000) for key in keys})
    assert [line.split()[0] for line in text.splitlines()] == [
        verb for verb in ("add", "delete", "add") for _ in range(3)
    ]
    assert text.count(" . tcp . 22") == 3003


def test_set_names_say_family_and_length() -> None:
    assert SourceSet(GRANTED, 4, 32).name == "g4"
    assert SourceSet(GRANTED, 6, 128).name == "g6"
    assert SourceSet(GRANTED, 4, 0).name == "g4_0"
    assert SourceSet("ended", 6, 64).name == "ended6_64"
    assert SourceSet(GRANTED, 6, 65).mask == "ffff:ffff:ffff:ffff:8000::"
    assert SourceSet(GRANTED, 4, 1).mask == "128.0.0.0"


def test_a_rule_names_tcp_before_a_port_that_conntrack_leads_to() -> None:
    """Else nft 1.0.6, Debian 12's, takes none of the rules: such a port has no type for it."""
    text = render.definition(TABLE, ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED, ())
    leading = [line for line in text.splitlines() if "ct reply proto-src" in line]
    assert leading
    for line in leading:
        before = line.partition("ct reply proto-src")[0]
        assert before.startswith("meta l4proto tcp ") or ". tcp sport ." in before, line
