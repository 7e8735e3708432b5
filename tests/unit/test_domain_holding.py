"""What a gateway holds for machines behind it: no word or silence of a server opens by mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.bindings import Whereabouts
from bascule.domain.desired import STALE_AFTER, DesiredState, Lease, OpeningKey, RuleSet
from bascule.domain.held import (
    Held,
    HeldBehind,
    HeldLease,
    begin_anew,
    close_all,
    forget_ended,
    hold,
    rule_set,
)
from bascule.domain.holding import (
    FOUND,
    all_leases,
    everywhere,
    firewall_rules,
    hold_behind,
    keep_found,
    keep_named,
    none_let_go_yet,
    only_closed,
)
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    PortMapped,
    PublicPort,
    TransportProtocol,
)
from tests.samples import ANYWHERE, SSH, TCP
from tests.strategies import helds, states

APP, APP6, OLD, NEW, SQL = map(
    ip_address, ("10.1.0.10", "fd01::10", "10.1.0.11", "10.1.0.12", "10.1.0.20")
)
HOUR = timedelta(hours=1)
RDP = PortKey(TCP, 3389)
KILL = OnExpiry.KILL
SHUT = frozenset({ClosedPort(SSH)})
HERE = Whereabouts((APP,))
T = 100.0


def state(
    generation: int = 1,
    *,
    closed: frozenset[ClosedPort] = SHUT,
    released: dict[PortKey, int] | None = None,
    leased: bool = True,
) -> DesiredState:
    leases = (Lease("g", (SSH,), ANYWHERE, HOUR),) if leased else ()
    return DesiredState("uid-app", generation, closed, released or {}, leases)


def fresh(held: Held, where: Whereabouts = HERE, told: DesiredState | None = None) -> Held:
    return hold_behind(held, "app", replace(told or state(), where=where), T, T)


def opened(rules: RuleSet) -> set[Address | None]:
    return {key.port.at for key in rules.openings}


def closed(rules: RuleSet) -> set[Address | None]:
    return {each.port.at for each in rules.closed}


def test_a_machines_rules_stand_at_its_addresses_beside_the_gateways_own() -> None:
    own = hold(Held(), state(leased=False), T, T)
    rules = firewall_rules(fresh(own, Whereabouts((APP, APP6))), T)
    assert closed(rules) == {None, APP, APP6}
    assert opened(rules) == {APP, APP6}
    assert firewall_rules(own, T) == rule_set(own, T)


def test_a_state_of_the_gateway_itself_leaves_its_machines_alone() -> None:
    held = fresh(Held())
    assert hold(held, state(3), T, T).behind == held.behind


def test_where_a_machine_was_stays_closed_until_it_is_released_by_name_once() -> None:
    """EDGES A10, for addresses: also when a later state says nothing of it."""
    held = fresh(Held(), Whereabouts((OLD,)))
    moved = fresh(held, HERE, state(2))
    rules = firewall_rules(moved, T)
    assert (closed(rules), opened(rules)) == ({OLD, APP}, {APP})
    assert closed(firewall_rules(fresh(moved, HERE, state(3)), T)) == {OLD, APP}
    released = Whereabouts((APP,), released={OLD: 3})
    let_go = fresh(moved, released, state(3))
    assert closed(firewall_rules(let_go, T)) == {APP}
    back = fresh(let_go, Whereabouts((OLD,), released={OLD: 3}), state(4))
    assert closed(firewall_rules(back, T)) == {OLD, APP}, "it is there again"
    again = fresh(back, Whereabouts((APP,), released={OLD: 3}), state(5))
    assert closed(firewall_rules(again, T)) == {OLD, APP}, "that release has been taken"
    never = fresh(moved, Whereabouts((APP,), released={APP: 3}), state(3))
    assert closed(firewall_rules(never, T)) == {OLD, APP}, "where it is, nothing is released"


def test_a_port_that_is_released_opens_at_every_address_of_its_machine() -> None:
    held = fresh(fresh(Held(), Whereabouts((OLD,))), HERE, state(2))
    gone = fresh(held, HERE, state(3, closed=frozenset(), released={SSH: 3}, leased=False))
    assert firewall_rules(gone, T) == RuleSet()


def test_a_slow_answer_closes_at_its_address_and_opens_nothing_there() -> None:
    late = T + STALE_AFTER + 0.001
    held = hold_behind(
        fresh(Held()),
        "app",
        replace(state(2), where=Whereabouts((OLD,), released={APP: 9})),
        T,
        late,
    )
    rules = firewall_rules(held, late)
    assert (closed(rules), opened(rules)) == ({APP, OLD}, {APP})
    assert held.behind["app"].held.generation == 1, "it is asked for again"
    first = hold_behind(Held(), "app", replace(state(), where=HERE), T, late)
    assert opened(firewall_rules(first, late)) == set()


def test_where_a_machine_was_is_closed_whoever_remembers_it() -> None:
    """The gateway, or the server for a gateway that has lost its memory."""
    told = Whereabouts((APP,), frozenset({OLD, APP}))
    held = fresh(Held(), told)
    rules = firewall_rules(held, T)
    assert (closed(rules), opened(rules)) == ({OLD, APP}, {APP})
    silent = hold_behind(held, "app", state(2), T, T)
    assert silent.behind["app"].addresses == (APP,), "a state without a word of it moves nothing"
    assert firewall_rules(silent, T).closed == rules.closed


def test_an_older_state_changes_nothing() -> None:
    held = fresh(Held(), HERE, state(2))
    assert fresh(held, Whereabouts((OLD,), released={APP: 9}), state(1)) is held


def test_a_machine_that_is_named_no_more_loses_its_access_and_stays_closed() -> None:
    """EDGES F3; and a replayed state of before gives nothing back."""
    held = fresh(fresh(Held()), HERE, state(2))
    assert keep_named(held, {"app", "other"}) is held
    gone = keep_named(held, set())
    rules = firewall_rules(gone, T)
    assert (closed(rules), opened(rules)) == ({APP}, set())
    assert opened(firewall_rules(fresh(gone, HERE, state(2)), T)) == set()
    empty = fresh(Held(), HERE, state(closed=frozenset(), leased=False))
    assert keep_named(empty, set()).behind == {}, "nothing of it is left to keep"
    others = hold_behind(held, "sql", replace(state(), where=Whereabouts((SQL,))), T, T)
    assert opened(firewall_rules(keep_named(others, {"sql"}), T)) == {SQL}


def test_an_address_that_two_machines_claim_opens_for_neither() -> None:
    """And one that was another's before opens for whose it is now."""
    both = hold_behind(fresh(Held()), "sql", replace(state(), where=HERE), T, T)
    rules = firewall_rules(both, T)
    assert (closed(rules), opened(rules)) == ({APP}, set())
    moved = hold_behind(both, "sql", replace(state(2), where=Whereabouts((SQL,))), T, T)
    assert opened(firewall_rules(moved, T)) == {APP, SQL}


def test_what_ends_ends_everywhere() -> None:
    held = replace(fresh(Held()), leases={}, closed=SHUT)
    assert opened(firewall_rules(everywhere(held, close_all), T)) == set()
    later = T + 3601
    over = everywhere(held, lambda each: forget_ended(each, later))
    assert over.behind["app"].held.leases == {}
    anew = everywhere(held, begin_anew)
    assert anew.behind["app"] == HeldBehind(Held(closed=SHUT), (APP,))
    assert anew.closed == SHUT


def test_nothing_is_forgotten_before_the_firewall_has_let_it_go() -> None:
    """After a death in between, the next agent closes it all, and takes the release over again."""
    saved = fresh(fresh(Held(), Whereabouts((OLD,))), HERE, state(2))
    let_go = fresh(saved, Whereabouts((APP,), released={OLD: 3}), state(3))
    assert closed(firewall_rules(none_let_go_yet(let_go, saved), T)) == {OLD, APP}
    ports = fresh(saved, HERE, state(3, closed=frozenset(), released={SSH: 3}))
    kept = none_let_go_yet(ports, saved)
    assert kept.behind["app"].held.closed == SHUT
    assert kept.behind["app"].held.generation == 2
    gone = none_let_go_yet(replace(saved, behind={}), saved)
    rules = firewall_rules(gone, T)
    assert (closed(rules), opened(rules)) == ({OLD, APP}, set())
    added = none_let_go_yet(saved, Held())
    assert added == saved


def test_what_the_kernel_closes_and_no_file_knows_stays_closed() -> None:
    """A lost file opens nothing; at an address it is nobody's, until a server says whose."""
    kernel = RuleSet(
        frozenset(
            ClosedPort(each) for each in (SSH, RDP.behind(APP), SSH.behind(APP), SSH.behind(SQL))
        )
    )
    held = keep_found(fresh(Held()), kernel)
    assert held.closed == SHUT
    assert held.behind.keys() == {"app", f"{FOUND}{APP}", f"{FOUND}{SQL}"}
    assert firewall_rules(held, T).closed == kernel.closed
    assert keep_found(held, kernel) == held
    assert keep_named(held, {"app"}) is not held
    assert firewall_rules(keep_named(held, {"app"}), T).closed == kernel.closed
    more = RuleSet(kernel.closed | {ClosedPort(RDP.behind(SQL))})
    assert firewall_rules(keep_found(held, more), T).closed == more.closed


def test_what_was_found_closed_at_an_address_is_its_machines() -> None:
    """So that its release opens it; and until then no state that omits it does."""
    kernel = RuleSet(frozenset({ClosedPort(RDP.behind(APP)), ClosedPort(SSH.behind(APP), KILL)}))
    held = fresh(keep_found(Held(), kernel))
    assert held.behind.keys() == {"app"}
    assert firewall_rules(held, T).closed == {
        ClosedPort(RDP.behind(APP)),
        ClosedPort(SSH.behind(APP)),
    }
    let_go = fresh(held, HERE, state(2, released={RDP: 2}))
    assert firewall_rules(let_go, T).closed == {ClosedPort(SSH.behind(APP))}
    elsewhere = fresh(keep_found(Held(), kernel), Whereabouts((SQL,)))
    assert closed(firewall_rules(elsewhere, T)) == {APP, SQL}


def test_only_what_is_closed_is_compared_and_every_lease_is_listed() -> None:
    held = fresh(hold(Held(), state(), T, T))
    assert only_closed(held) == Held(
        closed=SHUT, behind={"app": HeldBehind(Held(closed=SHUT), (APP,))}
    )
    assert {(uid, grant_id) for uid, grant_id, _ in all_leases(held)} == {("", "g"), ("app", "g")}


@given(helds, states, st.sampled_from([0.0, 10.0, 30.001, 90.0]), st.booleans())
def test_a_state_is_merged_as_a_hosts_own(
    before: Held, told: DesiredState, delay: float, is_known: bool
) -> None:
    """Whatever holds of a host's state holds of a machine's (EDGES A8, A10)."""
    leases = {
        key: replace(each, at=(APP, APP6) if each.is_local else ())
        for key, each in before.leases.items()
    }
    before = replace(before, leases=leases)
    machine = HeldBehind(before, (APP, APP6)) if is_known else HeldBehind()
    held = Held(behind={"app": machine} if is_known else {})
    where = Whereabouts((APP, APP6))
    after = hold_behind(held, "app", replace(told, where=where), T, T + delay)
    own = hold(machine.held, told, T, T + delay)
    if told.generation >= machine.held.generation:
        assert after.behind["app"].held == own
    wanted = rule_set(own, T + delay)
    found = firewall_rules(after, T + delay)
    expected = {
        OpeningKey(key.source, key.port.behind(at))
        for key in wanted.openings
        for at in (APP, APP6)
        if at.version == key.source.version
    }
    assert found.openings.keys() == (expected if is_known or delay <= STALE_AFTER else set())


# -- what root opened ------------------------------------------------------------------------

BY_ROOT = HeldLease((SSH,), (AddressPrefix.parse("192.0.2.9"),), T + 600, is_local=True, at=(APP,))


def opened_by_root(held: Held, *at: Address, uid: str = "app") -> Held:
    place = held.behind[uid]
    leases = {**place.held.leases, "local-1": replace(BY_ROOT, at=at)}
    opened = replace(place, held=replace(place.held, leases=leases))
    return replace(held, behind={**held.behind, uid: opened})


def open_at(held: Held) -> set[Address | None]:
    found = firewall_rules(held, T).openings
    return {key.port.at for key, each in found.items() if each.grant_id == "local-1"}


def test_what_root_opened_opens_where_root_named_it_and_nowhere_else() -> None:
    """Neither where the machine was before, nor where the server says that it is later."""
    held = fresh(fresh(Held(), Whereabouts((OLD,))), HERE, state(2))
    opened = opened_by_root(held, APP)
    assert open_at(opened) == {APP}
    moved = fresh(opened, Whereabouts((NEW,)), state(3))
    assert open_at(moved) == {APP}, (
        "it is that machine's former address, where root let somebody in"
    )
    assert open_at(fresh(moved, Whereabouts((NEW,), released={APP: 4}), state(4))) == set()


def test_what_root_opened_ends_where_another_machine_is() -> None:
    """Whoever comes to have the address: root named one machine."""
    opened = opened_by_root(fresh(Held()), APP)
    both = hold_behind(opened, "sql", replace(state(), where=Whereabouts((APP,))), T, T)
    assert open_at(both) == set()
    gone = fresh(both, Whereabouts((NEW,)), state(2))
    assert open_at(gone) == set()
    freed = hold_behind(gone, "sql", replace(state(2), where=Whereabouts((SQL,))), T, T)
    assert open_at(freed) == {APP}, "it is nobody's again, and the time that root gave is not over"


def test_no_server_takes_what_root_opened() -> None:
    opened = opened_by_root(fresh(Held()), APP)
    assert open_at(fresh(opened, HERE, replace(state(2), leases=()))) == {APP}
    unnamed = keep_named(opened, [])
    assert open_at(unnamed) == {APP}
    assert [each.grant_id for each in firewall_rules(unnamed, T).openings.values()] == ["local-1"]
    assert not firewall_rules(unnamed, BY_ROOT.deadline).openings, "but its end is its end"


def test_a_public_port_leads_nobody_to_a_former_address() -> None:
    """A map has one place for a source: where the machine is."""
    public = PublicPort(ip_address("198.51.100.7"), 2222)
    here = Whereabouts((APP,), mapped={SSH: (public,)})
    opened = opened_by_root(fresh(Held(), here, replace(state(), leases=())), APP)
    assert {key.port for key in firewall_rules(opened, T).openings} == {
        SSH.behind(APP),
        SSH.mapped(public, SSH.behind(APP)),
    }
    there = Whereabouts((NEW,), mapped={SSH: (public,)})
    moved = fresh(opened, there, replace(state(2), leases=()))
    assert {key.port for key in firewall_rules(moved, T).openings} == {SSH.behind(APP)}


def test_what_root_opened_at_an_address_of_nobody_known_goes_on_when_it_is_somebody_s() -> None:
    kernel = RuleSet(frozenset({ClosedPort(SSH.behind(APP))}))
    opened = opened_by_root(keep_found(Held(), kernel), APP, uid=f"found at {APP}")
    assert open_at(opened) == {APP}
    assert open_at(fresh(opened, HERE, replace(state(), leases=()))) == {APP}


def test_a_machine_keeps_the_name_that_it_was_told_with() -> None:
    named = fresh(Held(), Whereabouts((APP,), name="app-1"))
    assert fresh(named, HERE, state(2)).behind["app"].name == "app-1"
    assert keep_named(named, []).behind["app"].name == "app-1"


# -- public ports ------------------------------------------------------------------------------

PUBLIC, OTHER = (PublicPort(ip_address("198.51.100.7"), number) for number in (2222, 2223))
MAPPED = Whereabouts((APP,), mapped={SSH: (PUBLIC, OTHER)})


def led(rules: RuleSet) -> set[tuple[Address, int, Address | None]]:
    """(public address, number, machine) of every opening by a public port."""
    return {
        (key.port.at, key.port.number, key.port.to.at if key.port.to else None)
        for key in rules.openings
        if isinstance(key.port, PortMapped)
    }


def shut_in_public(rules: RuleSet) -> set[int]:
    return {each.port.number for each in rules.closed if isinstance(each.port, PortMapped)}


BOTH_LED = {(PUBLIC.address, number, APP) for number in (2222, 2223)}


def test_public_ports_are_those_of_the_newest_state() -> None:
    held = fresh(Held(), MAPPED)
    assert led(firewall_rules(held, T)) == BOTH_LED
    silent = hold_behind(held, "app", state(2), T, T)
    assert led(firewall_rules(silent, T)) == BOTH_LED, "a state without a word of it"
    one = fresh(held, Whereabouts((APP,), mapped={SSH: (PUBLIC,)}), state(2))
    assert led(firewall_rules(one, T)) == {(PUBLIC.address, 2222, APP)}
    assert shut_in_public(firewall_rules(one, T)) == {2222}
    none = fresh(one, Whereabouts((APP,)), state(3))
    assert led(firewall_rules(none, T)) == set()
    assert shut_in_public(firewall_rules(none, T)) == set()


def test_a_slow_answer_takes_public_ports_away_and_adds_none() -> None:
    late = T + STALE_AFTER + 0.001
    told = Whereabouts((APP,), mapped={SSH: (OTHER, PublicPort(APP, 9))})
    held = fresh(Held(), MAPPED)
    after = hold_behind(held, "app", replace(state(2), where=told), T, late)
    assert led(firewall_rules(after, late)) == {(OTHER.address, 2223, APP)}
    first = hold_behind(Held(), "app", replace(state(), where=MAPPED), T, late)
    assert shut_in_public(firewall_rules(first, late)) == set()
    gone = hold_behind(held, "app", replace(state(2), where=HERE), T, late)
    assert led(firewall_rules(gone, late)) == set()


def test_a_public_port_that_two_ports_claim_stands_for_neither() -> None:
    """Of two machines, or of one."""
    held = fresh(Held(), Whereabouts((APP,), mapped={SSH: (PUBLIC, OTHER)}))
    sql = Whereabouts((SQL,), mapped={SSH: (PUBLIC,)})
    both = hold_behind(held, "sql", replace(state(), where=sql), T, T)
    assert led(firewall_rules(both, T)) == {(OTHER.address, 2223, APP)}
    assert opened(firewall_rules(both, T)) >= {APP, SQL}, "their own ports are"
    twice = fresh(Held(), Whereabouts((APP,), mapped={SSH: (PUBLIC, PUBLIC)}))
    assert led(firewall_rules(twice, T)) == set()
    udp = PortKey(TransportProtocol.UDP, 53)
    apart = Whereabouts((SQL,), mapped={udp: (PUBLIC,)})
    other = hold_behind(held, "sql", replace(state(), where=apart), T, T)
    assert led(firewall_rules(other, T)) == BOTH_LED, "another protocol's number is another port"


def test_a_machine_that_is_named_no_more_or_has_moved_is_led_to_no_more() -> None:
    held = fresh(Held(), MAPPED)
    assert led(firewall_rules(keep_named(held, set()), T)) == set()
    moved = fresh(held, Whereabouts((SQL,), mapped={SSH: (PUBLIC,)}), state(2))
    assert led(firewall_rules(moved, T)) == {(PUBLIC.address, 2222, SQL)}


def test_a_public_port_that_no_file_knows_is_the_gateways_own_again() -> None:
    """Unlike a machine's port, of which nobody may say that it is open."""
    kernel = firewall_rules(fresh(Held(), MAPPED), T)
    rules = firewall_rules(keep_found(Held(), kernel), T)
    assert closed(rules) == {APP}
    assert shut_in_public(rules) == set()
    assert led(rules) == set()


def test_public_ports_are_kept_with_what_is_let_go_later() -> None:
    saved = fresh(Held(), MAPPED)
    moved = fresh(saved, Whereabouts((SQL,), mapped={SSH: (PUBLIC,)}), state(2))
    kept = none_let_go_yet(moved, saved)
    assert kept.behind["app"].mapped == {SSH: (PUBLIC,)}


def test_a_retired_server_changes_nothing_of_a_machine_behind() -> None:
    """Not of one that the gateway has never heard of either."""
    new = replace(state(), where=HERE, installation=2)
    held = hold_behind(Held(), "app", new, T, T)
    old = replace(state(9), where=Whereabouts((NEW,)), installation=1)
    assert hold_behind(held, "app", old, T, T) == held
    gateway = Held(installation=2)
    assert hold_behind(gateway, "app", old, T, T) == gateway
    lower = hold_behind(held, "app", replace(state(0), where=HERE, installation=3), T, T)
    assert lower.behind["app"].held == replace(held.behind["app"].held, installation=3)
    assert only_closed(lower).behind["app"].held.installation == 3
