"""Which existing connections go on and which are destroyed: allow and the neighbouring deny."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import cast

import pytest

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import (
    ClosePort,
    DropOpening,
    PutCut,
    PutOpening,
    Rebuild,
    ReleasePort,
)
from bascule.drivers.linux.sockets import Connection, State
from bascule.drivers.nftables import existing, rules
from bascule.drivers.nftables.change import gather
from bascule.drivers.nftables.driver import NftablesDriver
from bascule.drivers.nftables.existing import Reach, count, ended_adoptions, unadmitted
from bascule.drivers.nftables.features import Features
from bascule.drivers.nftables.library import Context
from bascule.drivers.nftables.parse import Layout, ReadElement, Table
from bascule.errors import EnforcementFailed

TCP, UDP = TransportProtocol.TCP, TransportProtocol.UDP
SSH, RDP = PortKey(TCP, 22), PortKey(TCP, 3389)
MINUTE = timedelta(minutes=1)


def connection(source: str, port: int = 3389, state: State = State.ESTABLISHED) -> Connection:
    return Connection(ip_address(source), 50000, ip_address("192.0.2.1"), port, state, 2, b"id")


def keys(source: str, port: PortKey = RDP) -> list[OpeningKey]:
    return [OpeningKey(each, port) for each in AddressPrefix.parse(source).networks]


@pytest.mark.parametrize(
    ("source", "inside", "outside"),
    [
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2", "::a00:1"]),
        ("10.0.0.0/25", ["10.0.0.0", "10.0.0.127"], ["10.0.0.128", "9.255.255.255"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "fd00::1"]),
        ("::/0", ["::", "fd00::1"], ["0.0.0.0", "10.0.0.1"]),
        ("*", ["10.0.0.1", "fd00::1"], []),
        ("2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::1"]),
    ],
)
def test_reach_is_containment(source: str, inside: list[str], outside: list[str]) -> None:
    reach = Reach(keys(source))
    assert all(reach.holds(connection(each)) for each in inside)
    assert not any(reach.holds(connection(each)) for each in outside)
    assert not any(reach.holds(connection(each, port=22)) for each in inside)
    assert not any(Reach(keys(source, PortKey(UDP, 3389))).holds(connection(e)) for e in inside)


KILL_RDP = RuleSet(frozenset({ClosedPort(RDP, OnExpiry.KILL), ClosedPort(SSH)}))


def opened(rules_before: RuleSet, source: str, port: PortKey = RDP) -> RuleSet:
    added = {key: Opening(key, MINUTE, "g") for key in keys(source, port)}
    return replace(rules_before, openings={**rules_before.openings, **added})


def test_on_a_kill_port_whom_nothing_admits_is_destroyed() -> None:
    one, kept = connection("10.0.0.1"), connection("10.0.0.1", port=22)
    assert unadmitted([one, kept], KILL_RDP, {}) == [one]
    assert unadmitted([one], opened(KILL_RDP, "10.0.0.0/24"), {}) == []
    assert unadmitted([one], opened(KILL_RDP, "10.0.1.0/24"), {}) == [one]
    assert unadmitted([one], opened(KILL_RDP, "10.0.0.1", SSH), {}) == [one]
    assert unadmitted([one], KILL_RDP, {rules.adopted(one)}) == []
    neighbour = replace(one, source_port=50001)
    assert unadmitted([neighbour], KILL_RDP, {rules.adopted(one)}) == [neighbour]
    half_open = replace(one, state=State.SYN_RECV)
    assert unadmitted([half_open], KILL_RDP, {}) == [half_open]


def test_on_a_keep_port_only_who_is_cut_is_destroyed() -> None:
    cut = replace(KILL_RDP, cuts=dict.fromkeys(keys("10.0.0.0/24", SSH), MINUTE))
    one, other = connection("10.0.0.1", port=22), connection("10.0.1.1", port=22)
    assert unadmitted([one, other], cut, {}) == [one]
    assert unadmitted([one], opened(cut, "10.0.0.1", SSH), {}) == []
    assert unadmitted([one], cut, {rules.adopted(one)}) == []


class _Host(NftablesDriver):
    """A driver over a kernel that is only told: what is held, which connections there are."""

    def __init__(self, held: RuleSet, found: Connection, can_destroy: bool) -> None:
        self.written: list[str] = []
        kernel = SimpleNamespace(run=self.written.append)
        super().__init__(cast("Context", kernel), Features((), False, can_destroy, (), {}))
        self._held_rules, self._found = held, found
        self.table = Table("bascule", Layout(frozenset(), {}, {}))

    def _held(self) -> tuple[Table | None, RuleSet]:
        return self.table, self._held_rules

    def _existing(self, ports: Collection[PortKey]) -> Sequence[Connection]:
        return [self._found]


@pytest.mark.parametrize(
    ("is_forwarded", "can_destroy", "left", "is_renewed"),
    [
        (False, True, MINUTE / 2, False),  # it has just been destroyed
        (False, False, MINUTE / 2, True),  # this kernel cannot: the socket lives on
        (True, True, MINUTE / 2, True),  # no socket here
        (True, True, MINUTE * 2, False),  # not yet
    ],
)
def test_a_cut_stays_until_none_of_its_connections_is_left(
    monkeypatch: pytest.MonkeyPatch,
    is_forwarded: bool,
    can_destroy: bool,
    left: timedelta,
    is_renewed: bool,
) -> None:
    """Else a session that was silent for two minutes would go on as if nothing had been."""
    monkeypatch.setattr(existing, "destroy", list)
    cut = RuleSet(frozenset({ClosedPort(SSH)}), {}, dict.fromkeys(keys("10.0.0.1", SSH), left))
    one = replace(connection("10.0.0.1", port=22), identity=b"" if is_forwarded else b"id")
    host = _Host(cut, one, can_destroy)
    host.tidy()
    assert ["ended4" in each for each in host.written] == [True] * is_renewed


class _Compared(Connection):
    """It counts how often it is held against another one."""

    times = 0

    def __eq__(self, other: object) -> bool:
        _Compared.times += 1
        return self is other

    __hash__ = Connection.__hash__


@pytest.mark.parametrize("missed", [set(), {SSH}])
def test_many_who_are_to_end_are_not_held_against_each_other(
    monkeypatch: pytest.MonkeyPatch, missed: set[PortKey]
) -> None:
    """Ten thousand through a published port would keep the driver busy for seconds at each pass."""
    monkeypatch.setattr(existing, "destroy", list)
    one = connection("10.0.0.1")
    many = [
        _Compared(one.source, number, one.address, 3389, one.state, 2, b"")
        for number in range(1000, 1100)
    ]
    host = _Host(KILL_RDP, one, can_destroy=True)
    monkeypatch.setattr(host, "_existing", lambda _: many)
    host._missed |= missed
    _Compared.times = 0
    host.tidy()
    assert _Compared.times == 0


class _Blind(_Host):
    """Its next looks at the connections fail."""

    blind_for = 0

    def _existing(self, ports: Collection[PortKey]) -> Sequence[Connection]:
        if ports and self.blind_for:
            self.blind_for -= 1
            raise EnforcementFailed("The kernel's connections cannot be read.")
        return super()._existing(ports) if ports else []


@pytest.mark.parametrize(
    ("blind_for", "later"),
    [
        (0, []),
        (1, []),  # the look after the load finds them all
        (3, ["raises", "adopts"]),
    ],
)
def test_a_port_is_shut_although_connections_cannot_be_listed(
    blind_for: int, later: list[str]
) -> None:
    """EDGES A3: shutting comes first; who was there is adopted as soon as he can be seen."""
    host = _Blind(RuleSet(frozenset({ClosedPort(SSH)})), connection("10.0.0.1", 22), True)
    host.blind_for = blind_for
    host._loaded = Layout(frozenset(), {}, {"closed": (), "kill": ()})
    host.apply([ClosePort(ClosedPort(SSH), is_new=True)])
    assert "add element inet bascule closed { tcp . 22 }" in host.written[0]
    happened = []
    for _ in range(3):
        written = len(host.written)
        try:
            host.tidy()
        except EnforcementFailed:
            happened.append("raises")
        happened += ["adopts" for each in host.written[written:] if "adopted4" in each]
    assert happened == later
    assert "add element inet bascule adopted4 { 10.0.0.1 . 50000 . 22" in "".join(host.written)


@pytest.mark.parametrize(("drains", "is_adopted"), [("10.0.0.1", False), ("10.0.0.2", True)])
def test_who_drains_is_not_adopted_late(drains: str, is_adopted: bool) -> None:
    """EDGES J14: no cut would reach him for ten minutes."""
    closed = ClosedPort(SSH, OnExpiry.KILL)
    held = RuleSet(frozenset({closed}), drains=dict.fromkeys(keys(drains, SSH), MINUTE))
    host = _Blind(held, connection("10.0.0.1", 22), True)
    host.blind_for = 1
    host._loaded = Layout(frozenset(), {}, {"closed": (), "kill": ()})
    host.apply([ClosePort(closed, is_new=True)])
    assert any("adopted4" in each for each in host.written) is is_adopted


@pytest.mark.parametrize("on_expiry", OnExpiry)
def test_who_is_on_a_port_that_was_shut_unlooked_is_adopted_where_he_may_stay(
    monkeypatch: pytest.MonkeyPatch, on_expiry: OnExpiry
) -> None:
    """On a kill port he may be of a lease that ended since."""
    destroyed: list[Connection] = []
    monkeypatch.setattr(existing, "destroy", destroyed.extend)
    one = connection("10.0.0.1", 22)
    host = _Blind(RuleSet(frozenset({ClosedPort(SSH, on_expiry)})), one, True)
    host.blind_for = 2
    host._loaded = Layout(frozenset(), {}, {"closed": (), "kill": ()})
    host.apply([ClosePort(ClosedPort(SSH, on_expiry), is_new=True)])
    host.tidy()
    is_keep = on_expiry is OnExpiry.KEEP
    assert any("adopted4" in each for each in host.written) is is_keep
    assert destroyed == ([] if is_keep else [one])


def test_a_cut_takes_away_what_a_healing_adopted() -> None:
    """By its element alone, whether connections can be listed or not; old acquaintances stay."""
    one = connection("10.0.0.1", 22)
    cut = dict.fromkeys(keys("10.0.0.0/24", SSH), MINUTE)
    held = RuleSet(frozenset({ClosedPort(SSH)}), {}, cut)
    assert ended_adoptions([rules.adopted(one)], held) == {rules.adopted(one)}
    assert ended_adoptions([rules.adopted(one)], opened(held, "10.0.0.1", SSH)) == set()
    assert ended_adoptions([rules.adopted(connection("10.0.1.1", 22))], held) == set()
    assert ended_adoptions([rules.adopted(connection("10.0.1.1"))], KILL_RDP) != set()


def test_who_was_found_when_a_port_was_shut_again_is_marked_for_the_next_agent() -> None:
    """In the kernel, not in a process's memory alone; a renewal keeps the mark."""
    one, friend = connection("10.0.0.1", 22), connection("10.0.0.2", 22)
    found = rules.adoption([one, friend], {rules.adopted(one)})
    assert {key: each.comment for key, each in found.items() if each} == {
        rules.adopted(one): "again",
        rules.adopted(friend): "",
    }
    read = tuple(
        ReadElement(key[1], MINUTE, each.comment) for key, each in found.items() if each is not None
    )
    table = Table("bascule", Layout(frozenset(), {}, {}), {"adopted4": read})
    assert rules.adopted_again(table) == {rules.adopted(one)}
    assert rules.adopted_left(table).keys() == found.keys()
    assert rules.from_table(table) == RuleSet(), "the mark is no grant"
    carried = rules.carried(table, timedelta(0))[rules.adopted(one)]
    assert carried == rules.timed(MINUTE, "again")

    host = _Host(RuleSet(frozenset({ClosedPort(SSH)})), one, can_destroy=True)
    host.table = table
    host.tidy()
    (written,) = host.written
    assert 'adopted4 { 10.0.0.1 . 50000 . 22 timeout 600000ms comment "again" }' in written


@pytest.mark.parametrize(("took", "taken_off"), [(0.01, 0.01), (3600.0, 0.1)])
def test_a_write_that_was_stopped_shortens_no_later_opening_by_much(
    monkeypatch: pytest.MonkeyPatch, took: float, taken_off: float
) -> None:
    """What the library takes for many elements is taken off the next ones; an hour's sleep is not."""
    now = [1000.0]
    monkeypatch.setattr("bascule.drivers.nftables.driver._boottime", lambda: now[0])
    host = _Host(RuleSet(), connection("10.0.0.1"), can_destroy=True)

    def run(text: str) -> None:
        host.written.append(text)
        now[0] += took

    monkeypatch.setattr(host, "_context", SimpleNamespace(run=run))
    many = [rules.granted(key) for n in range(100) for key in keys(f"10.0.0.{n}")]
    host._write(dict.fromkeys(many, rules.timed(MINUTE)))
    assert host._pace * len(many) == pytest.approx(taken_off)


def test_live_connections_are_counted_per_source() -> None:
    found = [
        connection("10.0.0.1"),
        connection("10.0.0.2", state=State.CLOSE_WAIT),
        connection("10.0.0.3", state=State.SYN_RECV),
        connection("fd00::1"),
        connection("10.0.0.1", port=22),
    ]
    asked = [
        (RDP, "10.0.0.1"),
        (RDP, "10.0.0.0/24"),
        (RDP, "*"),
        (SSH, "*"),
        (PortKey(UDP, 1), "*"),
    ]
    assert list(count(found, asked)) == [1, 2, 3, 1, 0]


@pytest.mark.parametrize("has_conntrack", [True, False])
def test_forwarded_connections_that_cannot_be_listed_are_not_called_none(
    has_conntrack: bool,
) -> None:
    host = _Host(RuleSet(), connection("10.0.0.1"), can_destroy=True)
    host._features = replace(host._features, has_conntrack=has_conntrack)
    assert host.sessions([(RDP, "*")]) == [1]
    behind = RDP.behind(ip_address("10.1.0.10"))
    found = host.sessions([(RDP, "*"), (behind, "*")])
    assert found == ([1, 0] if has_conntrack else None)


def test_an_adopted_connection_has_one_element() -> None:
    assert rules.adopted(connection("fd00::1")) == ("adopted6", ("fd00::1", "50000", "3389"))
    (element,) = rules.adoption([connection("10.0.0.1")]).values()
    assert element == rules.timed(timedelta(minutes=10))


def test_operations_gather_into_one_change() -> None:
    (key,) = keys("10.0.0.1")
    change = gather(
        [
            Rebuild(opened(KILL_RDP, "10.9.0.0/16")),
            ClosePort(ClosedPort(PortKey(TCP, 80)), is_new=True),
            ClosePort(ClosedPort(SSH, OnExpiry.KILL), is_new=False),
            PutOpening(Opening(key, MINUTE, "g-2")),
            PutCut(key, MINUTE),
            ReleasePort(RDP),
        ]
    )
    assert change.rebuild is not None
    assert change.new_ports == {PortKey(TCP, 80)}
    assert change.released == {RDP}
    assert change.elements[("kill", ("tcp", "22"))] is not None
    assert change.elements[("kill", ("tcp", "80"))] is None
    assert change.elements[("closed", ("tcp", "3389"))] is None
    assert change.elements[rules.granted(key)] == rules.timed(MINUTE, "g-2")
    assert {each.name for each in change.sets()} == {"g4", "g4_16", "ended4"}
    again = gather([ClosePort(ClosedPort(SSH), is_new=True), ReleasePort(SSH), Rebuild(RuleSet())])
    assert (again.elements, again.new_ports, again.released) == ({}, set(), set())
    dropped = gather([PutOpening(Opening(key, MINUTE, "g")), DropOpening(key)])
    assert dropped.elements == {rules.granted(key): None}
    assert key.source == ip_network("10.0.0.1")
