"""Elements of machines behind a gateway: each stands for one port of one machine, both ways."""

from __future__ import annotations

import struct
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given

from bascule.domain.behind import behind, united
from bascule.domain.desired import OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.net import EVERY_IPV4, PortKey
from bascule.domain.plan import ClosePort, Rebuild, ReleasePort
from bascule.drivers.linux import netlink
from bascule.drivers.linux.sockets import Connection, State
from bascule.drivers.nftables import layout, rules
from bascule.drivers.nftables.change import gather
from bascule.drivers.nftables.layout import (
    ALWAYS,
    ALWAYS_BEHIND,
    canonical,
    is_behind,
    parse_set_name,
)
from bascule.drivers.nftables.offload import offloaded
from bascule.drivers.nftables.parse import Layout, ReadElement, Table, Unreadable
from tests.samples import DNS, SSH
from tests.strategies import rule_sets

APP, APP6 = map(ip_address, ("10.1.0.10", "fd01::10"))
EMPTY = Layout(frozenset(), {}, {})
MINUTE = timedelta(minutes=1)


def table_of(held: RuleSet) -> Table:
    """What would be read back after these were written."""
    elements: dict[str, tuple[ReadElement, ...]] = {}
    for (name, words), each in rules.to_elements(held).items():
        if each is not None:
            left = None if each.timeout_ms is None else timedelta(milliseconds=each.timeout_ms)
            read = ReadElement(words, left, each.comment)
            elements[name] = (*elements.get(name, ()), read)
    return Table("bascule", EMPTY, elements)


@given(rule_sets(), rule_sets())
def test_what_is_written_reads_back_as_the_rule_set(gateway: RuleSet, machine: RuleSet) -> None:
    """Else a plan would never be empty; and no element of a machine is the gateway's own."""
    held = united([gateway, behind(machine, [APP, APP6], ())])
    assert rules.from_table(table_of(held)) == held


def test_set_names_say_whose_ports_are_in_them() -> None:
    key = OpeningKey(EVERY_IPV4, SSH.behind(APP))
    assert rules.granted(key) == ("behind_g4_0", ("10.1.0.10", "tcp", "22"))
    assert rules.ended(key)[0] == "behind_ended4_0"
    sets = ALWAYS | ALWAYS_BEHIND
    assert {parse_set_name(each.name) for each in sets} == sets
    assert {each.name for each in sets if is_behind(each.name)} == {e.name for e in ALWAYS_BEHIND}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("behind_closed4", ("6", "22")),
        ("behind_closed4", ("fd01::10", "6", "22")),
        ("behind_closed6", ("10.1.0.10", "6", "22")),
        ("behind_closed4", ("10.1.0.10", "10.1.0.11", "6", "22")),
        ("closed", ("10.1.0.10", "6", "22")),
        ("behind_g4", ("192.0.2.1", "6", "22")),
        ("behind_g4_0", ("192.0.2.1", "10.1.0.10", "6", "22")),
        ("g4", ("192.0.2.1", "10.1.0.10", "6", "22")),
        ("behind_adopted4", ("192.0.2.1", "50000", "22")),
        ("behind_adopted4", ("192.0.2.1", "50000", "fd01::10", "22")),
        ("adopted4", ("192.0.2.1", "50000", "10.1.0.10", "22")),
        ("behind_learning4", ("10.1.0.10",)),
    ],
)
def test_what_we_never_write_is_refused(name: str, words: tuple[str, ...]) -> None:
    """Read as ours it would stand for another port, or another machine's."""
    with pytest.raises(ValueError):
        canonical(name, words)
    if "adopted" not in name and "learning" not in name:
        table = Table("bascule", EMPTY, {name: (ReadElement(words, MINUTE),)})
        with pytest.raises(Unreadable):
            rules.from_table(table)
        assert rules.closed_in(table) == frozenset()


@pytest.mark.parametrize(
    ("name", "words", "spelling"),
    [
        ("behind_closed6", ("fd01:0::10", "tcp", "22"), ("fd01::10", "tcp", "22")),
        ("behind_g4_24", ("192.0.2.0", "10.1.0.10", "17", "53"), None),
        ("behind_adopted6", ("2001:db8::1", "050", "fd01::10", "22"), None),
        ("behind_learning6", ("fd01::0:10", "022"), ("fd01::10", "22")),
    ],
)
def test_one_element_has_one_spelling(
    name: str, words: tuple[str, ...], spelling: tuple[str, ...] | None
) -> None:
    """Under two it would be deleted twice in one transaction, which is refused."""
    once = canonical(name, words)
    assert canonical(name, once) == once
    assert spelling in (None, once)


def test_a_forwarded_connection_is_adopted_at_its_machine_alone() -> None:
    source = ip_address("192.0.2.1")
    forwarded = Connection(source, 50000, APP, 22, State.ESTABLISHED, is_forwarded=True)
    own = Connection(source, 50000, APP, 22, State.ESTABLISHED)
    key = rules.adopted(forwarded)
    assert key == ("behind_adopted4", ("192.0.2.1", "50000", "10.1.0.10", "22"))
    assert rules.adopted(own) == ("adopted4", ("192.0.2.1", "50000", "22"))
    assert rules.adopted_port(key) == forwarded.to == SSH.behind(APP)
    assert rules.adopted_port(rules.adopted(own)) == own.to == SSH
    read, longer = ReadElement(key[1], MINUTE), ReadElement(key[1], MINUTE * 2)
    assert rules.adopted_left(Table("bascule", EMPTY, {key[0]: (read,)})) == {key: MINUTE}
    learnt = ("behind_learnt4", key[1])
    both = Table("bascule", EMPTY, {key[0]: (read,), learnt[0]: (longer,)})
    assert rules.adopted_left(both) == {key: MINUTE * 2}, "by the kernel as well"
    assert rules.without_adoption(key) == {key: None, learnt: None}
    assert rules.without_adoption(rules.adopted(own)) == {rules.adopted(own): None}


def test_only_tcp_ports_behind_are_learnt() -> None:
    """Of the host's own ports sockets tell; UDP is never adopted (EDGES A4)."""
    ports: list[PortKey] = [SSH, DNS, SSH.behind(APP), SSH.behind(APP6), DNS.behind(APP)]
    assert rules.learning(ports) == {
        ("behind_learning4", ("10.1.0.10", "22")): rules.timed(layout.LEARN_FOR),
        ("behind_learning6", ("fd01::10", "22")): rules.timed(layout.LEARN_FOR),
    }


def test_a_release_takes_away_all_that_is_about_the_port() -> None:
    port = SSH.behind(APP)
    change = gather([ReleasePort(port)])
    assert change.elements == {
        ("behind_closed4", ("10.1.0.10", "tcp", "22")): None,
        ("behind_kill4", ("10.1.0.10", "tcp", "22")): None,
        ("behind_learning4", ("10.1.0.10", "22")): None,
    }
    closing = gather([Rebuild(RuleSet()), ClosePort(ClosedPort(port), is_new=True)])
    assert closing.closed() == {port}
    assert closing.new_ports == {port}


FLOW_TABLE = (
    struct.pack("=BBH", 1, 0, 0)
    + netlink.attribute(1, b"filter\0")
    + (netlink.attribute(2, b"fast\0"))
)


@pytest.mark.parametrize(
    ("closed", "replies", "said"),
    [
        ([SSH.behind(APP)], [FLOW_TABLE], "inet filter fast"),
        ([SSH.behind(APP)], [], None),
        ([SSH], [FLOW_TABLE], None),
        ([], [FLOW_TABLE], None),
    ],
)
def test_a_flow_table_is_a_weakness_where_a_machine_is_behind(
    monkeypatch: pytest.MonkeyPatch,
    closed: list[PortKey],
    replies: list[bytes],
    said: str | None,
) -> None:
    """What it carries passes no rule (EDGES G5), and something else manages the gateway (G9)."""
    monkeypatch.setattr(netlink, "dump", lambda *_: replies)
    found = offloaded(closed)
    assert [each.arguments["tables"] for each in found] == ([said] if said else [])
    assert [each.manager for each in found] == ([f"flow table {said}"] if said else [])


def test_flow_tables_that_cannot_be_read_are_said_to_be_so_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """EDGES G9: what is not known takes no machine out of service."""

    def refuse(*_: object) -> list[bytes]:
        raise OSError(1, "refused")

    monkeypatch.setattr(netlink, "dump", refuse)
    (found,) = offloaded([SSH.behind(APP)])
    assert (found.code, found.gravity, found.manager) == ("FlowTablesNotRead", "limited", "")
