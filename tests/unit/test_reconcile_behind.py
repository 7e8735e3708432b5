"""One pass makes a gateway's firewall what is held for it and for every machine behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent.local_openings import LocalOpenings
from bascule.agent.news import Way
from bascule.agent.reporting import Reports
from bascule.agent.witness import Witness
from bascule.domain.bindings import Whereabouts
from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.desired import DesiredState, Lease, RuleSet
from bascule.domain.held import Held, HeldBehind
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, PortMapped, PublicPort, TransportProtocol
from bascule.domain.plan import Observed
from bascule.errors import EnforcementFailed
from bascule.reconcile.read_back import read_back
from bascule.reconcile.reconciler import Outcome, Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock

SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)
APP, APP6, NEW, SQL = map(ip_address, ("10.1.0.10", "fd01::10", "10.1.0.11", "10.1.0.20"))
BOB = "192.0.2.1"
HERE = Whereabouts((APP,))
PUBLIC, OTHER, BEYOND = (PublicPort(ip_address("198.51.100.7"), each) for each in (2222, 2223, 9))
NETWORKS = tuple(map(AddressPrefix.parse, ("10.1.0.0/16", "fd01::/16")))
BEHIND = Guard(forwarding=Forwarding(NETWORKS, (PUBLIC.address,), 2000, 2999))


class Memory:
    def __init__(self) -> None:
        self.held = Held()

    def save(self, held: Held) -> None:
        self.held = held

    def load(self) -> Held:
        return self.held


class Gateway:
    """A point with its firewall; ``restarted`` is its next agent."""

    def __init__(self, before: Gateway | None = None) -> None:
        self.clock: SetClock = before.clock if before else SetClock()
        self.memory: Memory = before.memory if before else Memory()
        self.firewall: FakeFirewall = before.firewall if before else FakeFirewall(self.clock)
        self.driver = FakeDriver(self.firewall)
        self.reconciler = Reconciler(self.driver, self.memory, self.clock, BEHIND)

    def restarted(self, kernel: RuleSet | None = None, guard: Guard | None = None) -> Gateway:
        after = Gateway(self)
        after.reconciler = Reconciler(after.driver, after.memory, after.clock, guard or BEHIND)
        after.reconciler.restore(kernel)
        return after

    def tell(
        self, state: DesiredState, where: Whereabouts = HERE, uid: str = "app", ago: float = 0
    ) -> bool:
        told = replace(state, where=where)
        return self.reconciler.take_behind(uid, told, self.clock.boottime() - ago)

    def settle(self) -> Outcome:
        self.reconciler.reconcile()
        self.clock.pass_time(0.001)
        return self.reconciler.reconcile()

    def reaches(self, port: PortKey, source: str = BOB) -> bool:
        return self.firewall.reaches(source, port)


def lease(grant_id: str = "g", source: str = BOB, seconds: float = 600) -> Lease:
    return Lease(grant_id, (SSH,), (AddressPrefix.parse(source),), timedelta(seconds=seconds))


def state(
    generation: int = 1, *leases: Lease, released: Sequence[PortKey] = (), kill: bool = False
) -> DesiredState:
    after = OnExpiry.KILL if kill else OnExpiry.KEEP
    closed = frozenset() if SSH in released else frozenset({ClosedPort(SSH, after)})
    return DesiredState("app", generation, closed, dict.fromkeys(released, generation), leases)


@pytest.fixture
def gateway() -> Gateway:
    made = Gateway()
    made.reconciler.restore(None)
    return made


def test_a_machine_is_closed_and_opened_where_it_is(gateway: Gateway) -> None:
    assert gateway.tell(state(3, lease()))
    found = gateway.settle()
    assert found.behind["app"].generation == 3
    assert found.behind["app"].in_force == {"g"}
    assert found.behind["app"].closed == {ClosedPort(SSH)}
    assert (found.generation, found.in_force) == (0, frozenset()), "nothing is said of the host"
    assert gateway.reconciler.kept_closed(found.observed) == frozenset()
    assert gateway.reaches(SSH.behind(APP))
    assert not gateway.reaches(SSH.behind(APP), "192.0.2.2")
    assert gateway.reaches(SSH), "the gateway's own port is another"


def test_two_machines_and_the_gateway_have_each_their_own(gateway: Gateway) -> None:
    own = replace(state(7, lease("mine", "192.0.2.9")), machine_uid="gw")
    gateway.reconciler.take(own, gateway.clock.boottime())
    gateway.tell(state(3, lease()))
    gateway.tell(state(5, kill=True), Whereabouts((SQL,)), "sql")
    found = gateway.settle()
    assert (found.generation, found.in_force) == (7, frozenset({"mine"}))
    told = {uid: (each.generation, each.in_force) for uid, each in found.behind.items()}
    assert told == {"app": (3, frozenset({"g"})), "sql": (5, frozenset())}
    assert found.behind["sql"].closed == {ClosedPort(SSH, OnExpiry.KILL)}
    assert not gateway.reaches(SSH)
    assert not gateway.reaches(SSH.behind(SQL))


@pytest.mark.parametrize("where", [Whereabouts(()), Whereabouts((APP6,))])
def test_a_grant_that_opens_nothing_is_not_in_force(gateway: Gateway, where: Whereabouts) -> None:
    """The machine has no address of its source's version here."""
    gateway.tell(state(1, lease()), where)
    found = gateway.settle().behind["app"]
    assert found.in_force == frozenset()
    assert bool(found.closed) is bool(where.addresses), "without an address nothing is closed"


def test_a_slow_answer_opens_nothing_and_is_not_taken(gateway: Gateway) -> None:
    assert not gateway.tell(state(1, lease()), ago=31)
    assert gateway.settle().behind["app"].in_force == frozenset()
    assert not gateway.reaches(SSH.behind(APP))


def test_a_machine_that_moved_is_closed_where_it_was(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()))
    gateway.settle()
    gateway.tell(state(2, lease("h")), Whereabouts((NEW,)))
    found = gateway.settle().behind["app"]
    assert found.in_force == {"h"}
    assert found.closed == {ClosedPort(SSH)}
    assert gateway.reaches(SSH.behind(NEW))
    assert not gateway.reaches(SSH.behind(APP))


def test_what_is_still_open_where_a_machine_was_is_told_as_open(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()))
    gateway.settle()
    gateway.tell(state(2, lease()), Whereabouts((NEW,)))
    place = HeldBehind(gateway.reconciler.held.behind["app"].held, (NEW,), frozenset({APP}))
    seen = gateway.driver.observe()
    assert read_back(place, seen, gateway.clock.boottime()).in_force == {"g"}
    empty = HeldBehind(Held(), (APP,))
    assert read_back(empty, seen, gateway.clock.boottime()).in_force == {"g"}
    elsewhere = HeldBehind(Held(), (SQL,))
    assert read_back(elsewhere, seen, gateway.clock.boottime()).in_force == frozenset()


def test_closed_is_what_is_closed_at_every_address() -> None:
    place = HeldBehind(Held(closed=frozenset({ClosedPort(SSH, OnExpiry.KILL)})), (APP,), {*[APP6]})  # type: ignore[arg-type]  # reason: any set
    strict, loose = ClosedPort(SSH.behind(APP), OnExpiry.KILL), ClosedPort(SSH.behind(APP6))
    both = read_back(place, Observed(RuleSet(frozenset({strict, loose})), True), 0.0)
    assert both.closed == {ClosedPort(SSH)}, "it is not kill everywhere"
    one = read_back(place, Observed(RuleSet(frozenset({strict})), True), 0.0)
    assert one.closed == frozenset()


def test_a_machine_that_is_bound_no_more_loses_its_access_at_once(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()))
    gateway.settle()
    gateway.reconciler.keep_named([])
    found = gateway.settle()
    assert found.behind["app"].in_force == frozenset()
    assert not gateway.reaches(SSH.behind(APP))


def test_the_guard_holds_for_machines_behind(gateway: Gateway) -> None:
    """And when root tightens it, at the next start."""
    gateway.tell(state(1, lease()))
    gateway.settle()
    strict = gateway.restarted(
        guard=replace(BEHIND, sources=(AddressPrefix.parse("198.51.100.0/24"),))
    )
    assert strict.settle().behind["app"].in_force == frozenset()
    strict.tell(state(2, lease("h")))
    assert strict.settle().behind["app"].in_force == frozenset()
    assert strict.reconciler.refused_of("app") == {"h": Objection.SOURCE}
    assert strict.reconciler.refused == {}
    assert len(strict.reconciler.weaknesses()) == 1
    assert not strict.reaches(SSH.behind(APP))
    short = gateway.restarted(guard=replace(BEHIND, max_duration=timedelta(seconds=60)))
    short.tell(state(2, lease("h")))
    assert short.reconciler.earlier_ends("app") == {"h": short.clock.boottime() + 60}
    assert short.reconciler.earlier_ends() == {}


def test_after_a_death_what_is_closed_behind_stays_closed(gateway: Gateway) -> None:
    """EDGES A6: by the file after a reboot, and by the kernel without a file."""
    gateway.tell(state(1, lease()))
    gateway.settle()
    rebooted = gateway.restarted()
    rebooted.firewall.flush()
    assert rebooted.settle().behind["app"].in_force == {"g"}
    assert not rebooted.reaches(SSH.behind(APP), "192.0.2.2")

    kernel = gateway.driver.observe().rules
    gateway.memory.held = Held()
    lost = gateway.restarted(kernel)
    found = lost.settle()
    assert found.behind == {}, "whose it is, is not known"
    assert found.observed.rules.closed == {ClosedPort(SSH.behind(APP))}
    assert not lost.reaches(SSH.behind(APP))
    assert lost.memory.held.closed == frozenset(), "it is no port of the gateway's own"
    lost.tell(state(1, lease("h")))
    assert lost.settle().behind["app"].in_force == {"h"}


def test_a_death_before_a_release_was_applied_releases_nothing(gateway: Gateway) -> None:
    gateway.tell(state(1))
    gateway.settle()
    gateway.tell(state(2, released=[SSH]))
    gateway.driver.refusals = 99
    assert gateway.reconciler.reconcile().refused
    gateway.reconciler.save()
    after = gateway.restarted()
    after.settle()
    assert not after.reaches(SSH.behind(APP))
    after.tell(state(2, released=[SSH]))
    after.settle()
    assert after.reaches(SSH.behind(APP))


def test_what_is_to_be_closed_behind_is_saved_before_it_is_closed(gateway: Gateway) -> None:
    gateway.tell(state(1))
    gateway.driver.refusals = 99
    with pytest.raises(EnforcementFailed):
        gateway.reconciler.reconcile()
    assert gateway.memory.held.behind["app"].held.closed == {ClosedPort(SSH)}


def test_a_refused_key_ends_all_access_behind(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()))
    gateway.settle()
    gateway.reconciler.end_all()
    assert gateway.settle().behind["app"].in_force == frozenset()
    assert not gateway.reaches(SSH.behind(APP))


def test_a_new_identity_inherits_what_is_closed_behind(gateway: Gateway) -> None:
    """EDGES A12."""
    gateway.tell(state(4, lease()))
    gateway.settle()
    gateway.reconciler.begin_anew()
    found = gateway.settle().behind["app"]
    assert (found.generation, found.in_force) == (0, frozenset())
    assert found.closed == {ClosedPort(SSH)}


def test_sessions_of_ended_grants_are_counted_at_their_machine(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()))
    gateway.settle()
    assert gateway.firewall.connect(BOB, SSH.behind(APP)) is not None
    gateway.tell(state(2))
    gateway.settle()
    assert gateway.reconciler.count_sessions("app") == {"g": 1}
    assert gateway.reconciler.count_sessions() == {}
    assert gateway.reconciler.count_sessions("sql") == {}


def test_the_next_end_is_of_whichever_machine(gateway: Gateway) -> None:
    gateway.reconciler.take(replace(state(1, lease("a", seconds=500))), gateway.clock.boottime())
    gateway.tell(state(1, lease("b", seconds=400)))
    now = gateway.clock.boottime()
    assert gateway.reconciler.next_end() == now + 400
    gateway.settle()
    gateway.clock.pass_time(401)
    found = gateway.settle()
    assert found.in_force == {"a"}
    assert found.behind["app"].in_force == frozenset()


def test_who_knocks_at_a_machine_behind_is_not_told_as_the_gateways_own(
    gateway: Gateway, tmp_path: Path
) -> None:
    """The gateway's port of that number may be open to everybody."""
    gateway.tell(state(1))
    gateway.settle()
    reports = Reports(
        gateway.reconciler,
        gateway.driver,
        gateway.clock,
        lambda: None,
        LocalOpenings(tmp_path),
        Witness(),
        "fake",
        tuple,
    )
    way = Way(is_open=True, is_polled=True)
    reports.of_pass(gateway.settle(), way)
    assert not gateway.reaches(SSH.behind(APP))
    report = reports.of_pass(gateway.settle(), way)
    assert report is not None
    assert report.knocks == ()
    assert report.blocked_attempts == 0
    assert report.closed == frozenset()
    assert report.in_force == frozenset()


# -- what the gateway's own root admits, and public ports (EDGES G1, G6) -------------------------


def mapped(*public: PublicPort, port: PortKey = SSH) -> Whereabouts:
    return Whereabouts((APP,), mapped={port: public})


def led(gateway: Gateway) -> set[tuple[int, str]]:
    """(public port, source) of each opening by one."""
    return {
        (key.port.number, str(key.source.network_address))
        for key in gateway.driver.observe().rules.openings
        if isinstance(key.port, PortMapped)
    }


def test_without_a_guard_file_nothing_is_opened_behind_and_what_is_closed_stays_so() -> None:
    gateway = Gateway().restarted(guard=Guard())
    gateway.tell(state(1, lease()), mapped(PUBLIC))
    found = gateway.settle()
    assert found.behind["app"].in_force == frozenset()
    assert found.behind["app"].closed == {ClosedPort(SSH)}
    assert gateway.reconciler.refused_of("app") == {"g": Objection.NETWORK}
    assert led(gateway) == set()
    assert not gateway.reaches(SSH.behind(APP))
    assert gateway.reaches(RDP.behind(APP)), "what no policy closed passes"
    assert [each.code for each in gateway.reconciler.weaknesses()] == ["GuardRefusesNetwork"]


def test_root_who_takes_a_network_or_public_ports_away_ends_what_is_open_there(
    gateway: Gateway,
) -> None:
    gateway.tell(state(1, lease()), mapped(PUBLIC))
    assert gateway.settle().behind["app"].in_force == {"g"}
    assert led(gateway) == {(2222, BOB)}
    for forwarding in (
        None,
        Forwarding(NETWORKS),
        Forwarding(NETWORKS[1:], (PUBLIC.address,), 1, 9999),
    ):
        narrowed = gateway.restarted(guard=Guard(forwarding=forwarding))
        assert narrowed.settle().behind["app"].in_force == frozenset()
        assert led(narrowed) == set()
        assert not narrowed.reaches(SSH.behind(APP))


def test_a_grant_is_in_force_when_its_public_port_leads(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()), mapped(PUBLIC, OTHER))
    assert gateway.settle().behind["app"].in_force == {"g"}
    assert led(gateway) == {(2222, BOB), (2223, BOB)}
    rules = gateway.firewall.rules
    assert rules is not None
    (key,) = [key for key in rules.openings if key.port.number == 2223]
    del rules.openings[key]
    place = gateway.reconciler.held.behind["app"]
    found = read_back(place, gateway.driver.observe(), gateway.clock.boottime())
    assert found.in_force == frozenset(), "one that leads nobody yet is not open"
    found = read_back(replace(place, held=Held()), gateway.driver.observe(), 0.0)
    assert found.in_force == {"g"}, "and one that still leads somebody is"
    assert gateway.settle().behind["app"].in_force == {"g"}


@pytest.mark.parametrize("public", [(BEYOND,), (PUBLIC, BEYOND)])
def test_a_public_port_beyond_the_guard_is_refused(
    gateway: Gateway, public: tuple[PublicPort, ...]
) -> None:
    gateway.tell(state(1, lease()), mapped(*public))
    assert gateway.settle().behind["app"].in_force == frozenset()
    assert gateway.reconciler.refused_of("app") == {"g": Objection.MAPPED}
    assert led(gateway) == set()
    codes = [each.code for each in gateway.reconciler.weaknesses()]
    assert codes == ["GuardRefusesPublicPort"]


def test_a_public_port_that_the_gateway_serves_is_refused_and_asked_for_again(
    gateway: Gateway,
) -> None:
    """Until then what is there is left alone; and once it leads, nobody is asked any more."""
    gateway.firewall.listens.add(PUBLIC)
    gateway.tell(state(1, lease()), mapped(PUBLIC))
    found = gateway.settle()
    assert found.behind["app"].in_force == frozenset()
    assert found.observed.rules.closed == {ClosedPort(SSH.behind(APP))}
    assert gateway.reconciler.refused_of("app") == {"g": Objection.TAKEN}
    assert [each.code for each in gateway.reconciler.weaknesses()] == ["PublicPortTaken"]
    gateway.firewall.listens.clear()
    gateway.tell(state(2, lease("h")), mapped(PUBLIC))
    assert gateway.settle().behind["app"].in_force == {"h"}
    gateway.firewall.listens.add(PUBLIC)
    gateway.tell(state(3, lease("h"), lease("i", "192.0.2.9")), mapped(PUBLIC))
    assert gateway.settle().behind["app"].in_force == {"h", "i"}


def test_whether_a_public_port_is_free_must_be_known(gateway: Gateway) -> None:
    gateway.driver.is_unreadable = True
    gateway.tell(state(1, lease()), mapped(PUBLIC))
    gateway.driver.is_unreadable = False
    assert gateway.settle().behind["app"].in_force == frozenset()
    assert any(
        "whether public ports are free cannot be read" in e for e in gateway.reconciler.notes
    )


def test_a_public_port_of_another_or_of_two_or_closed_here_is_refused(gateway: Gateway) -> None:
    gateway.tell(state(1, lease()), mapped(PUBLIC))
    gateway.tell(state(1, lease("h")), Whereabouts((SQL,), mapped={SSH: (PUBLIC,)}), "sql")
    found = gateway.settle()
    assert found.behind["app"].in_force == {"g"}
    assert found.behind["sql"].in_force == frozenset()
    assert gateway.reconciler.refused_of("sql") == {"h": Objection.TAKEN}
    twice = Whereabouts((SQL,), mapped={SSH: (OTHER,), RDP: (OTHER,)})
    gateway.tell(state(2, lease("h")), twice, "sql")
    assert gateway.reconciler.refused_of("sql") == {"h": Objection.TAKEN}
    own = replace(state(1), closed=frozenset({ClosedPort(PortKey(TransportProtocol.TCP, 2223))}))
    gateway.reconciler.take(own, gateway.clock.boottime())
    gateway.tell(state(3, lease("h")), Whereabouts((SQL,), mapped={SSH: (OTHER,)}), "sql")
    assert gateway.reconciler.refused_of("sql") == {"h": Objection.TAKEN}
    assert gateway.settle().behind["sql"].in_force == frozenset()
    assert led(gateway) == {(2222, BOB)}


def test_after_a_death_public_ports_lead_for_what_is_left(gateway: Gateway) -> None:
    gateway.tell(state(1, lease(seconds=60)), mapped(PUBLIC))
    gateway.settle()
    rebooted = gateway.restarted()
    rebooted.firewall.flush()
    assert rebooted.settle().behind["app"].in_force == {"g"}
    assert led(rebooted) == {(2222, BOB)}
    rebooted.clock.pass_time(60)
    assert rebooted.settle().behind["app"].in_force == frozenset()
    assert led(rebooted) == set()
