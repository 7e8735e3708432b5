"""The reconciler: one pass makes the firewall what is held, and says only what it read back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_network

import pytest

from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import HOST
from bascule.domain.desired import Cut, DesiredState, Lease, Opening, OpeningKey, RuleSet
from bascule.domain.held import Held, HeldLease
from bascule.domain.machine import ClosedPort
from bascule.domain.net import AddressPrefix, PortKey, PortMapped, TransportProtocol
from bascule.domain.plan import (
    ClosePort,
    DropOpening,
    Observed,
    Operation,
    PutCut,
    PutOpening,
    Rebuild,
    ReleasePort,
)
from bascule.domain.weaknesses import GUARD_REFUSES_PORT, GUARD_UNUSABLE
from bascule.errors import ConfigurationError, EnforcementFailed
from bascule.interfaces.driver import Blocked, Condition
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock

SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)


class Firewall:
    """A firewall in memory that a test can break."""

    def __init__(self) -> None:
        self.rules = RuleSet()
        self.is_intact = False
        self.refusals = 0
        self.is_full = False  # takes no plan that opens
        self.refused = ""  # takes no plan that opens for this grant
        self.is_unreadable = False
        self.applied: list[Operation] = []

    capabilities = HOST

    def condition(self) -> Condition:
        return Condition(is_owned=True)

    def observe(self) -> Observed:
        if self.is_unreadable:
            raise EnforcementFailed("it cannot be read")
        return Observed(self.rules, self.is_intact, "" if self.is_intact else "the table is gone")

    def taken(self, ports: Collection[PortMapped]) -> Collection[PortMapped]:
        del ports
        return ()

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        if self.refusals:
            self.refusals -= 1
            raise EnforcementFailed("the kernel refused")
        if any(self.is_full or grant_id == self.refused for grant_id in opened(operations)):
            raise EnforcementFailed("No space")
        for operation in operations:
            self.applied.append(operation)
            self._apply(operation)

    def _apply(self, operation: Operation) -> None:
        rules = self.rules
        openings = dict(rules.openings)
        closed = {each.port: each for each in rules.closed}
        match operation:
            case Rebuild(wanted):
                self.rules, self.is_intact = wanted, True
                return
            case ClosePort(each):
                closed[each.port] = each
            case ReleasePort(port):
                del closed[port]
            case PutOpening(opening):
                openings[opening.key] = opening
            case DropOpening(key):
                del openings[key]
            case PutCut():
                pass
        self.rules = RuleSet(frozenset(closed.values()), openings, rules.cuts)

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int]:
        return [1 for _ in openings]

    def tidy(self) -> None: ...

    def blocked(self) -> Sequence[Blocked]:
        return ()

    def remove(self) -> None:
        self.rules = RuleSet()


def opened(operations: Sequence[Operation]) -> Iterator[str]:
    """The grants for which a plan opens."""
    for operation in operations:
        match operation:
            case Rebuild(rules):
                yield from (each.grant_id for each in rules.openings.values())
            case PutOpening(opening):
                yield opening.grant_id


@dataclass
class Memory:
    held: Held = field(default_factory=Held)
    saves: int = 0

    def save(self, held: Held) -> None:
        self.held = held
        self.saves += 1

    def load(self) -> Held:
        return self.held


def lease(grant_id: str, seconds: float, source: str = "192.0.2.1", extension: int = 0) -> Lease:
    return Lease(
        grant_id, (SSH,), (AddressPrefix.parse(source),), timedelta(seconds=seconds), extension
    )


def wanted(
    generation: int, *leases: Lease, released: frozenset[PortKey] = frozenset()
) -> DesiredState:
    closed = frozenset() if SSH in released else frozenset({ClosedPort(SSH)})
    return DesiredState("m", generation, closed, dict.fromkeys(released, generation), leases)


@pytest.fixture
def firewall() -> Firewall:
    return Firewall()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def reconciler(firewall: Firewall, clock: SetClock) -> Reconciler:
    made = Reconciler(firewall, Memory(), clock)
    made.restore(None)
    return made


def test_the_first_pass_shuts_and_the_next_opens(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    reconciler.take(wanted(1), clock.boottime())
    assert reconciler.reconcile().in_force == frozenset()
    assert firewall.rules.closed == {ClosedPort(SSH)}
    reconciler.take(wanted(2, lease("g", 60)), clock.boottime())
    outcome = reconciler.reconcile()
    assert outcome.generation == 2
    assert outcome.in_force == {"g"}


def test_a_refused_plan_is_tried_again_and_never_said_to_be_done(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    firewall.refusals = 1
    assert reconciler.reconcile().in_force == {"g"}
    reconciler.take(wanted(2, lease("g", 60), lease("h", 60, "192.0.2.2")), clock.boottime())
    firewall.refusals = 9
    outcome = reconciler.reconcile()
    assert outcome.in_force == {"g"}
    assert outcome.refused == "the kernel refused"
    assert "the kernel refused" in reconciler.notes[0]


def test_what_shuts_is_never_held_up_by_an_opening(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    """One that the kernel refuses must not keep a revocation, a closing or a cut from anybody."""
    reconciler.take(wanted(1, lease("g", 60), lease("h", 60, "192.0.2.2")), clock.boottime())
    reconciler.reconcile()
    firewall.is_full = True
    cut = Cut("g", (SSH,), (AddressPrefix.parse("192.0.2.1"),), timedelta(seconds=60))
    shut = frozenset({ClosedPort(SSH), ClosedPort(RDP)})
    more = (lease("h", 9, "192.0.2.2"), lease("i", 60, "192.0.2.3"))
    state = DesiredState("m", 2, shut, {}, more, (cut,))
    reconciler.take(state, clock.boottime())
    outcome = reconciler.reconcile()
    assert firewall.rules.closed == shut
    assert not firewall.rules.openings, "what was to end earlier has ended too"
    assert [each for each in firewall.applied if isinstance(each, PutCut)]
    assert outcome.in_force == frozenset()
    assert reconciler.reconcile().drift == "", "nobody else edited anything"
    assert len(reconciler.notes) == 1

    firewall.is_full = False
    assert reconciler.reconcile().in_force == {"h", "i"}
    firewall.is_full = True
    reconciler.take(wanted(3, lease("j", 60)), clock.boottime())
    reconciler.reconcile()
    assert len(reconciler.notes) == 2, "said again when it comes again"


def test_no_text_of_a_server_or_driver_forges_or_removes_another_note(
    firewall: Firewall, clock: SetClock
) -> None:
    """A note is of the condition that we name, however others' texts begin and how many there are."""
    reconciler = Reconciler(firewall, Memory(), clock, Guard(ports=(RDP,)))
    reconciler.note("the disk is full", "no room")
    reconciler.note("the disk", "the disk is full: no room")
    reconciler.forget_note("the disk")
    reconciler.note("the disk is full", "no room")
    assert reconciler.notes == ["the disk is full: no room", "the disk: the disk is full: no room"]
    for generation in range(1, 20):
        leases = (lease(f"{generation}-{n}", 60) for n in range(500))
        reconciler.take(wanted(generation, *leases), clock.boottime())
        reconciler.note("the disk", f"reason {generation}")
    assert reconciler.notes[0] == "the disk is full: no room"
    assert sum(each.startswith("the disk: reason") for each in reconciler.notes) == 8
    assert len(reconciler.notes) < 300


def test_at_the_start_the_ports_are_shut_although_no_opening_can_be_put(
    firewall: Firewall, clock: SetClock
) -> None:
    """After a reboot: else a memory that the kernel refuses would leave every port open."""
    memory = Memory()
    before = Reconciler(firewall, memory, clock)
    before.restore(None)
    before.take(wanted(1, lease("g", 60)), clock.boottime())
    before.open_locally(
        "local-1",
        HeldLease((SSH,), (AddressPrefix(None),), clock.boottime() + 60, is_local=True),
        None,
    )
    before.save()
    booted = Firewall()
    booted.is_full = True
    reconciler = Reconciler(booted, memory, clock)
    reconciler.restore(booted.observe().rules)
    assert reconciler.reconcile().in_force == frozenset()
    assert booted.rules == RuleSet(frozenset({ClosedPort(SSH)}))

    booted = Firewall()
    booted.refused = "g"
    reconciler = Reconciler(booted, memory, clock)
    reconciler.restore(booted.observe().rules)
    assert reconciler.reconcile().in_force == {"local-1"}, "root's own way in goes first"


def test_an_unreadable_firewall_is_not_an_empty_one(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    """Habit 11: nothing is done on an unknown observation."""
    reconciler.take(wanted(1), clock.boottime())
    firewall.is_unreadable = True
    with pytest.raises(EnforcementFailed):
        reconciler.reconcile()
    assert firewall.applied == []


def test_what_the_kernel_still_shuts_stays_shut_when_memory_is_lost(
    firewall: Firewall, clock: SetClock
) -> None:
    """Empty state opens nothing (EDGES A10)."""
    firewall.rules = RuleSet(frozenset({ClosedPort(SSH), ClosedPort(RDP)}))
    firewall.is_intact = True
    reconciler = Reconciler(firewall, Memory(), clock)
    reconciler.restore(firewall.observe().rules)
    reconciler.take(DesiredState("m", 1, frozenset(), {}, ()), clock.boottime())
    reconciler.reconcile()
    assert {each.port for each in firewall.rules.closed} == {SSH, RDP}


def test_an_orphan_opening_is_closed(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    """Owned by us and wanted by nobody."""
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    reconciler.reconcile()
    reconciler.held = replace(reconciler.held, leases={})
    reconciler.reconcile()
    assert firewall.rules.openings == {}


def test_a_release_by_name_is_the_only_way_out(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    reconciler.take(wanted(1), clock.boottime())
    reconciler.reconcile()
    reconciler.take(wanted(2, released=frozenset({SSH})), clock.boottime())
    reconciler.reconcile()
    assert firewall.rules.closed == frozenset()


def test_drift_is_named_once_and_healed(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    reconciler.take(wanted(1), clock.boottime())
    assert reconciler.reconcile().drift == ""  # the first load is no drift
    firewall.is_intact = False
    assert reconciler.reconcile().drift == "the table is gone"
    assert firewall.is_intact
    assert reconciler.reconcile().drift == ""


def test_what_is_shut_is_saved_before_it_is_said(firewall: Firewall, clock: SetClock) -> None:
    """At the next boot it must be known, whatever happens after this pass."""
    memory = Memory()
    reconciler = Reconciler(firewall, memory, clock)
    reconciler.restore(None)
    reconciler.take(wanted(1), clock.boottime())
    firewall.refusals = 9
    with pytest.raises(EnforcementFailed):
        reconciler.reconcile()
    assert memory.held.closed == {ClosedPort(SSH)}


def test_a_death_before_a_port_is_let_go_loses_no_release(
    firewall: Firewall, clock: SetClock
) -> None:
    """What is let go is remembered as shut until the firewall has let it go."""
    memory = Memory()
    reconciler = Reconciler(firewall, memory, clock)
    reconciler.restore(None)
    reconciler.take(wanted(1), clock.boottime())
    reconciler.reconcile()
    reconciler.take(wanted(2, released=frozenset({SSH})), clock.boottime())
    firewall.refusals = 9
    outcome = reconciler.reconcile()
    assert outcome.refused
    assert {closed.port for closed in outcome.observed.rules.closed} == {SSH}
    assert not reconciler.kept_closed(outcome.observed), "it is on its way out: not told as shut"
    reconciler.save()
    assert memory.held.closed == {ClosedPort(SSH)}
    firewall.refusals = 0

    born_again = Reconciler(firewall, memory, clock)
    born_again.restore(firewall.rules)
    born_again.reconcile()
    assert {closed.port for closed in firewall.rules.closed} == {SSH}
    born_again.take(wanted(2, released=frozenset({SSH})), clock.boottime())
    born_again.reconcile()
    born_again.save()
    assert not firewall.rules.closed
    assert not memory.held.closed


@pytest.mark.parametrize("left", [(), (lease("g", 5),)], ids=["revoked", "shortened"])
def test_an_earlier_end_is_saved_before_it_is_brought_about(
    firewall: Firewall, clock: SetClock, left: tuple[Lease, ...]
) -> None:
    """The server may hear that it is shut, then the agent is killed and the server away: what
    memory says must not open it again."""
    memory = Memory()
    reconciler = Reconciler(firewall, memory, clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 600)), clock.boottime())
    reconciler.reconcile()
    reconciler.save()
    assert memory.held.leases["g"].deadline == clock.boottime() + 600
    reconciler.take(wanted(2, *left), clock.boottime())
    firewall.refusals = 9  # nothing is applied: what is in memory was there before
    with pytest.raises(EnforcementFailed):
        reconciler.reconcile()
    ends = {key: each.deadline for key, each in memory.held.leases.items()}
    assert ends == {each.grant_id: clock.boottime() + 5 for each in left}


def test_the_guard_has_the_last_word(firewall: Firewall, clock: SetClock) -> None:
    """ARCHITECTURE rule 9: a stolen server cannot exceed what root wrote on the host."""
    guard = Guard((SSH,), (AddressPrefix.parse("10.0.0.0/8"),), timedelta(minutes=10))
    reconciler = Reconciler(firewall, Memory(), clock, guard)
    reconciler.restore(None)
    state = wanted(1, lease("out", 60), lease("in", 3600, "10.1.2.3"))
    reconciler.take(state, clock.boottime())
    assert reconciler.reconcile().in_force == {"in"}
    (opening,) = firewall.rules.openings.values()
    assert opening.remaining == timedelta(minutes=10)
    assert "out" in reconciler.notes[0]
    assert reconciler.refused == {"out": Objection.SOURCE}
    assert reconciler.earlier_ends() == {"in": clock.boottime() + 600}


def test_a_firewall_that_ends_no_lease_opens_nothing(clock: SetClock) -> None:
    """Whatever the server wants: the port would stay open if this process died (rule 2)."""
    packets = FakeFirewall(clock, replace(HOST, ends_leases=False))
    reconciler = Reconciler(FakeDriver(packets), Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    assert reconciler.reconcile().in_force == frozenset()
    assert not packets.reaches("192.0.2.1", SSH)
    assert reconciler.refused == {"g": Objection.LEASELESS}
    assert reconciler.weaknesses() == (), "no guard file says so"
    with pytest.raises(EnforcementFailed):
        reconciler.require_leases()


def test_what_a_driver_without_leases_finds_open_is_closed(clock: SetClock) -> None:
    """Left by an agent of before, or by somebody's hand: it would never end."""
    packets = FakeFirewall(clock, replace(HOST, ends_leases=False))
    left = FakeDriver(packets)
    key = OpeningKey(ip_network("192.0.2.1/32"), SSH)
    opening = Opening(key, timedelta(seconds=60), "old")
    left.apply([Rebuild(RuleSet(frozenset({ClosedPort(SSH)}), {key: opening}))])
    assert packets.reaches("192.0.2.1", SSH)
    reconciler = Reconciler(FakeDriver(packets), Memory(), clock)
    reconciler.restore(packets.held(packets.rules))
    reconciler.reconcile()
    assert not packets.reaches("192.0.2.1", SSH)


def test_sessions_that_cannot_be_counted_are_not_called_none(clock: SetClock) -> None:
    packets = FakeFirewall(clock, replace(HOST, counts_sessions=False))
    reconciler = Reconciler(FakeDriver(packets), Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 5)), clock.boottime())
    reconciler.reconcile()
    assert reconciler.count_sessions() == {}, "there is none to count"
    clock.pass_time(6)
    reconciler.reconcile()
    assert reconciler.count_sessions() is None


def test_an_end_is_told_while_it_comes_before_the_server_s_and_no_longer(
    firewall: Firewall, clock: SetClock
) -> None:
    """B3: the end that people see is the end that the host holds, until the server says the same."""
    reconciler = Reconciler(firewall, Memory(), clock, Guard(max_duration=timedelta(seconds=20)))
    reconciler.restore(None)
    began = clock.boottime()
    reconciler.take(wanted(1, lease("cut", 1800), lease("short", 15)), began)
    assert reconciler.earlier_ends() == {"cut": began + 20}
    clock.pass_time(5)
    reconciler.take(wanted(1, lease("cut", 15.5), lease("short", 10)), clock.boottime())
    assert reconciler.earlier_ends() == {}, "the server has the same end now"


def test_what_a_guard_refuses_is_a_weakness_while_it_is_wanted(
    firewall: Firewall, clock: SetClock
) -> None:
    reconciler = Reconciler(firewall, Memory(), clock, Guard(ports=()))
    reconciler.restore(None)
    assert reconciler.weaknesses() == ()
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    (weakness,) = reconciler.weaknesses()
    assert weakness == GUARD_REFUSES_PORT()
    reconciler.take(wanted(2), clock.boottime())
    assert reconciler.weaknesses() == ()
    broken = Reconciler(firewall, Memory(), clock, Guard(ports=(), problem="it is no TOML"))
    assert broken.weaknesses() == (GUARD_UNUSABLE(problem="it is no TOML"),)


def test_a_guard_that_was_tightened_reaches_what_was_open(
    firewall: Firewall, clock: SetClock
) -> None:
    """Root writes the guard and starts the agent anew; the server, which may be stolen, is not
    asked."""
    memory = Memory()
    before = Reconciler(firewall, memory, clock)
    before.restore(None)
    leases = (lease("out", 600), lease("in", 600, "10.1.2.3"))
    before.take(wanted(1, *leases), clock.boottime())
    before.reconcile()
    before.save()
    guard = Guard(sources=(AddressPrefix.parse("10.0.0.0/8"),), max_duration=timedelta(minutes=1))
    reconciler = Reconciler(firewall, memory, clock, guard)
    reconciler.restore(firewall.rules)
    assert reconciler.reconcile().in_force == {"in"}
    (opening,) = firewall.rules.openings.values()
    assert (opening.grant_id, opening.remaining) == ("in", timedelta(minutes=1))
    assert "out" in reconciler.notes[0]


def test_a_refused_key_ends_all_and_opens_nothing(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    """EDGES A12: every opening is shut at once, the ports stay closed."""
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    reconciler.reconcile()
    reconciler.end_all()
    assert reconciler.reconcile().in_force == frozenset()
    assert not firewall.rules.openings
    assert firewall.rules.closed == {ClosedPort(SSH)}


def test_another_machine_s_point_inherits_only_what_is_shut(
    firewall: Firewall, clock: SetClock
) -> None:
    """EDGES A12; and a server that counts anew is not taken for an older backup."""
    memory = Memory()
    reconciler = Reconciler(firewall, memory, clock)
    reconciler.restore(None)
    reconciler.take(wanted(7, lease("g", 60)), clock.boottime())
    local = HeldLease((RDP,), (), clock.boottime() + 60, is_local=True)
    reconciler.open_locally("local-1", local, None)
    reconciler.reconcile()
    reconciler.reconcile()
    assert firewall.rules.openings

    reconciler.begin_anew()
    reconciler.reconcile()

    assert not firewall.rules.openings
    assert {closed.port for closed in firewall.rules.closed} == {SSH}
    assert set(memory.held.leases) == {"local-1"}
    assert reconciler.take(wanted(1), clock.boottime()), "its first state is taken in"
    assert reconciler.held.generation == 1


def test_no_identity_is_taken_while_what_the_last_one_held_cannot_be_deleted(
    firewall: Firewall, clock: SetClock
) -> None:
    """EDGES A12: what is on a full disk would be loaded at the next start."""

    class Full(Memory):
        def save(self, held: Held) -> None:
            raise ConfigurationError("held.json cannot be written: No space left on device.")

    memory = Full(Held(7, frozenset({ClosedPort(SSH)}), {"g": HeldLease((SSH,), (), 60.0)}))
    reconciler = Reconciler(firewall, memory, clock)
    reconciler.restore(None)
    with pytest.raises(ConfigurationError):
        reconciler.begin_anew()


def test_sessions_of_ended_grants_are_counted(
    reconciler: Reconciler, firewall: Firewall, clock: SetClock
) -> None:
    """Every revoke says how many still live (EDGES A24)."""
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    reconciler.reconcile()
    assert reconciler.count_sessions() == {}
    reconciler.take(wanted(2), clock.boottime())
    reconciler.reconcile()
    assert reconciler.count_sessions() == {"g": 1}


class SlowDriver(FakeDriver):
    """Each look and each change takes its time, as with thousands of elements."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__(FakeFirewall(clock))
        self.clock = clock

    def observe(self) -> Observed:
        seen = super().observe()
        self.clock.pass_time(1.2)
        return seen

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        self.clock.pass_time(0.3)
        super().apply(operations, since)


def test_a_slow_look_lengthens_nothing_and_settles(clock: SetClock) -> None:
    """Else each pass would write each opening anew, and blame it on another program."""
    driver = SlowDriver(clock)
    reconciler = Reconciler(driver, Memory(), clock)
    reconciler.restore(None)
    reconciler.take(wanted(1, lease("g", 60)), clock.boottime())
    end = clock.boottime() + 60
    assert reconciler.reconcile().in_force == {"g"}
    assert driver.firewall.rules is not None
    ((written, _),) = driver.firewall.rules.openings.values()
    assert written == pytest.approx(end)
    assert len(driver.applied) == 1
    for _ in range(3):
        assert not reconciler.reconcile().drift
    assert len(driver.applied) == 1
