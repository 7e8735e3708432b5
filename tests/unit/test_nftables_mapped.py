"""Elements of public ports that stand for ports of machines behind this host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given

from bascule.domain.behind import behind, united
from bascule.domain.desired import OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import EVERY_IPV4, PortMapped, PublicPort
from bascule.domain.plan import ReleasePort
from bascule.drivers.linux import own_ports
from bascule.drivers.linux.nat_rules import Translations
from bascule.drivers.nftables import existing, parse, render, rules, taken
from bascule.drivers.nftables.change import gather
from bascule.drivers.nftables.layout import (
    ALWAYS,
    ALWAYS_BEHIND,
    ALWAYS_MAPPED,
    canonical,
    is_behind,
    is_mapped,
    parse_set_name,
)
from bascule.drivers.nftables.load import is_ours
from bascule.drivers.nftables.parse import ReadElement, Table, Unreadable
from tests.samples import DNS, SSH
from tests.strategies import rule_sets
from tests.unit.test_nftables_behind import EMPTY, MINUTE, table_of

APP, APP6 = map(ip_address, ("10.1.0.10", "fd01::10"))
PUBLIC, PUBLIC6 = (
    PublicPort(ip_address(address), 2222) for address in ("198.51.100.7", "2001:db8::7")
)
SHUT, LED = SSH.mapped(PUBLIC), SSH.mapped(PUBLIC, SSH.behind(APP))
WORDS = ("198.51.100.7", "tcp", "2222")


@given(rule_sets(), rule_sets())
def test_what_is_written_reads_back_as_the_rule_set(gateway: RuleSet, machine: RuleSet) -> None:
    mapped = {SSH: (PUBLIC, PUBLIC6), DNS: (PUBLIC,)}
    held = united([gateway, behind(machine, [APP, APP6], (), mapped)])
    assert rules.from_table(table_of(held)) == held


def test_a_public_port_is_closed_by_a_set_and_leads_by_a_map() -> None:
    """What ends its connections are the elements of the machine's port."""
    key = OpeningKey(EVERY_IPV4, LED)
    assert rules.granted(key) == ("mapped_to4_0", (*WORDS, "10.1.0.10", "22"))
    one = OpeningKey(EVERY_IPV4.__class__("192.0.2.1/32"), LED)
    assert rules.granted(one) == ("mapped_to4", ("192.0.2.1", *WORDS, "10.1.0.10", "22"))
    for after in OnExpiry:
        elements = rules.closed_elements(ClosedPort(SHUT, after))
        assert elements == {("mapped_closed4", WORDS): render.Element()}
    assert gather([ReleasePort(SHUT)]).elements == {("mapped_closed4", WORDS): None}
    assert rules.learning([SHUT]) == {}
    assert list(rules.opened({rules.granted(key): render.Element(9)})) == []


def test_no_connection_is_looked_for_at_a_public_port() -> None:
    """It is one to the machine's port."""
    assert existing.connections([SHUT], has_conntrack=True) == []


def test_set_names_say_what_is_about_public_ports() -> None:
    sets = ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED
    assert {parse_set_name(each.name) for each in sets} == sets
    assert {each.name for each in sets if is_mapped(each.name)} == {"mapped_to4", "mapped_to6"}
    assert not any(is_behind(each.name) for each in ALWAYS_MAPPED)
    for name in (
        "to4",
        "behind_to4",
        "mapped_g4",
        "mapped_ended4",
        "mapped_to4_33",
        "mapped_to4_032",
    ):
        assert parse_set_name(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mapped_closed4", ("6", "22")),
        ("mapped_closed4", ("2001:db8::7", "6", "22")),
        ("mapped_closed6", WORDS),
        ("mapped_to4", WORDS),
        ("mapped_to4", ("192.0.2.1", *WORDS)),
        ("mapped_to4", ("192.0.2.1", *WORDS, "10.1.0.10")),
        ("mapped_to4", ("192.0.2.1", *WORDS, "fd01::10", "22")),
        ("mapped_to4", ("192.0.2.1", *WORDS, "10.1.0.10", "ssh")),
        ("mapped_to4_0", ("192.0.2.1", *WORDS, "10.1.0.10", "22")),
        ("mapped_to6", ("192.0.2.1", *WORDS, "10.1.0.10", "22")),
        ("mapped_to4", ("192.0.2.1", "198.51.100.7", "132", "2222", "10.1.0.10", "22")),
    ],
)
def test_what_we_never_write_is_refused(name: str, words: tuple[str, ...]) -> None:
    """Read as ours it would lead another, or elsewhere."""
    with pytest.raises((ValueError, TypeError)):
        canonical(name, words)
    with pytest.raises(Unreadable):
        rules.from_table(Table("bascule", EMPTY, {name: (ReadElement(words, MINUTE),)}))


def test_a_kill_port_of_the_same_words_is_another() -> None:
    elements = {name: (ReadElement(WORDS, None),) for name in ("mapped_closed4", "behind_kill4")}
    assert rules.closed_in(Table("bascule", EMPTY, elements)) == {ClosedPort(SHUT)}


def test_where_a_map_leads_is_carried_with_its_time() -> None:
    """To a table that stands in for the first, and to the one after."""
    words = ("192.0.2.1", *WORDS, "10.1.0.10", "22")
    lasting = {"mapped_to4": (ReadElement(words, MINUTE, "g"),)}
    table = Table("bascule", EMPTY, {**lasting, "mapped_closed4": (ReadElement(WORDS, None),)})
    assert rules.carried(table, timedelta(seconds=10)) == {
        ("mapped_to4", words): render.Element(50_000, "g"),
        ("mapped_closed4", WORDS): render.Element(),
    }
    endless = Table("bascule", EMPTY, {"mapped_to4": (ReadElement(words, None),)})
    assert rules.carried(endless, timedelta(0)) == {}


@pytest.mark.parametrize("missing", ["mapped_to6", "mapped_closed4", "mapped_ports", "behind_g4"])
def test_a_table_that_lacks_a_part_of_it_is_not_ours(missing: str) -> None:
    """It is made anew as a whole."""
    text = render.definition("bascule", ALWAYS | ALWAYS_BEHIND | ALWAYS_MAPPED, ())
    body = text[text.index("table inet bascule {", 10) :]
    listing = ["table inet bascule {"]
    for line in body.splitlines()[1:-1]:
        is_head = line.endswith("{") or line == "}"
        listing.append(f"\t{line}" if is_head else f"\t\t{line}")
    whole = parse.table("\n".join([*listing, "}"]))
    assert is_ours(whole)
    assert whole.layout.sets["mapped_to4"][0].endswith(": ipv4_addr . inet_service")
    for part in (whole.layout.sets, whole.layout.chains):
        assert isinstance(part, dict)
        part.pop(missing, None)
    assert not is_ours(whole)


# -- what is taken (EDGES G6) ------------------------------------------------------------------

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue\n"
SOCKETS = {
    "tcp": {
        "0100007F:0016": "0A",
        "0763A8C6:08AE": "01",
        "076433C6:08AF": "0A",
        "00000000:08B0": "0A",
    },
    "udp": {"00000000:08B1": "07", "00000000:08B2": "01"},
    "tcp6": {"00000000000000000000000000000000:08B3": "0A"},
}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, sockets in SOCKETS.items():
        lines = [f"   0: {local} 00000000:0000 {state} 0:0\n" for local, state in sockets.items()]
        (tmp_path / name).write_text(_HEAD + "".join(lines))
    monkeypatch.setattr(own_ports, "_PROC", tmp_path)
    return tmp_path


def of(number: int, *, is_udp: bool = False, address: str = "198.51.100.7") -> PortMapped:
    return (DNS if is_udp else SSH).mapped(PublicPort(ip_address(address), number))


def test_what_listens_there_takes_a_port(kernel: Path) -> None:
    """At that address or at every one; a connection, or a socket that is connected, takes none."""
    here = [of(2223), of(2224), of(2225, is_udp=True), of(2227), of(2227, address="2001:db8::7")]
    free = [
        of(22),
        of(2222),
        of(2224, is_udp=True),
        of(2225),
        of(2226, is_udp=True),
        of(2223, address="198.51.100.8"),
        of(2224, address="2001:db8::7"),
    ]
    assert own_ports.listens([*here, *free]) == {*here}


def test_who_cannot_be_asked_says_nothing_of_it(kernel: Path) -> None:
    (kernel / "tcp").unlink()
    assert own_ports.listens([of(2227)]) == {of(2227)}, "a kernel without one of the versions"
    (kernel / "udp").unlink()
    (kernel / "udp").mkdir()
    with pytest.raises(OSError, match="directory"):
        own_ports.listens([of(2225, is_udp=True)])


@pytest.mark.parametrize(
    ("found", "is_taken"),
    [
        (Translations(), False),
        (Translations(targets=frozenset({(APP, SSH)})), True),
        (Translations(redirected=frozenset({SSH})), True),
        (Translations(unread=("a translation in chain pre",)), False),
    ],
)
def test_another_programs_rule_takes_a_port(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, found: Translations, *, is_taken: bool
) -> None:
    """What is not understood comes after ours, and leads nobody whom ours does not let through."""
    asked: list[tuple[Sequence[object], object]] = []

    def translations(
        ports: Sequence[object], is_ours: Callable[[int, str], bool], at: object
    ) -> Translations:
        assert is_ours(1, "bascule")
        asked.append((ports, at))
        return found

    monkeypatch.setattr(taken, "translations", translations)
    assert taken.taken([of(2222)]) == ({of(2222)} if is_taken else set())
    assert [str(at) for _, at in asked] == ["198.51.100.7"]
