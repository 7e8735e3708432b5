"""The examination of every ``interfaces.driver.Driver``, on the state of the world: who got through?

An adapter's test inherits ``DriverContract``, and ``UnownedDriverContract`` where other
programs can write to its rules, and gives a fixture ``world``, fresh for each
test: a driver that has loaded nothing yet, and people who can knock. Ports 22 and 23 (TCP)
and 161 (UDP) are served there. Time is asked to pass: a real world sleeps, so the waits
here are short, and assertions keep 300 ms of distance from every end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import pytest

from bascule.domain.desired import Opening, OpeningKey, RuleSet
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.domain.plan import ClosePort, DropOpening, PutCut, PutDrain, PutOpening, Rebuild, plan
from bascule.errors import EnforcementFailed
from bascule.interfaces.driver import Driver

SSH = PortKey(TransportProtocol.TCP, 22)
TELNET = PortKey(TransportProtocol.TCP, 23)
SNMP = PortKey(TransportProtocol.UDP, 161)
KEEP, KILL = OnExpiry.KEEP, OnExpiry.KILL
TRIES = 6  # of what a busy machine may look at too late
MINUTE = 60.0  # within which every driver sees what others did
LOOSELY = timedelta(seconds=1)  # how much a slow machine may lose between writing and looking


class DriverWorld(Protocol):
    """What a test of the contract stands on."""

    @property
    def driver(self) -> Driver: ...
    @property
    def client(self) -> str:
        """The address of one who knocks."""
        ...

    @property
    def stranger(self) -> str:
        """The address of another."""
        ...

    @property
    def neighbourhood(self) -> str:
        """A prefix that holds the client and not the stranger."""
        ...

    def reaches(self, source: str, port: PortKey) -> bool:
        """Does ``source`` (client or stranger) get through to ``port``?"""
        ...

    def connect(self, source: str, port: PortKey) -> object:
        """Make a TCP connection that must come about."""
        ...

    def is_alive(self, connection: object) -> bool: ...
    def pass_time(self, seconds: float) -> None: ...


class LosableWorld(DriverWorld, Protocol):
    """One where rules are not owned."""

    def lose_rules(self) -> None:
        """Have another program take all rules away."""
        ...


def opened(source: str, port: PortKey, seconds: float) -> dict[OpeningKey, Opening]:
    keys = [OpeningKey(each, port) for each in AddressPrefix.parse(source).networks]
    return {key: Opening(key, timedelta(seconds=seconds), "grant-1") for key in keys}


def cut(source: str, port: PortKey, seconds: float = 120) -> dict[OpeningKey, timedelta]:
    return {key: each.remaining for key, each in opened(source, port, seconds).items()}


def shut(*closed: ClosedPort | PortKey) -> frozenset[ClosedPort]:
    return frozenset(each if isinstance(each, ClosedPort) else ClosedPort(each) for each in closed)


def make_so(driver: Driver, desired: RuleSet) -> None:
    """Plan and apply, then look: nothing but the passing of time may be left to correct."""
    began = time.monotonic()
    driver.apply(plan(desired, driver.observe()))
    seen = driver.observe()
    passed = timedelta(seconds=time.monotonic() - began)
    assert seen.is_intact, seen.drift
    left = plan(desired, seen)
    assert all(isinstance(each, PutOpening | PutCut | PutDrain) for each in left), left
    for key, opening in desired.openings.items():
        if key not in seen.rules.openings and opening.remaining <= passed:
            continue  # it ended meanwhile
        assert abs(seen.rules.openings[key].remaining - opening.remaining) < LOOSELY + passed
        assert seen.rules.openings[key].grant_id == opening.grant_id
    for key, remaining in desired.cuts.items():
        if key in seen.rules.cuts or remaining > passed:
            assert remaining - seen.rules.cuts[key] < LOOSELY + passed
    if driver.capabilities.drains:
        for key, remaining in desired.drains.items():
            if key in seen.rules.drains or remaining > passed:
                assert abs(remaining - seen.rules.drains[key]) < LOOSELY + passed


def lets_in(world: DriverWorld, source: str, port: PortKey) -> bool:
    """As ``reaches``, where it should: a busy machine may answer one knock too late."""
    return any(world.reaches(source, port) for _ in range(5))


def run_out(world: DriverWorld, closed: frozenset[ClosedPort], seconds: float) -> None:
    """Have every opening's time pass; what does not end by itself is taken away, as agents do."""
    world.pass_time(seconds)
    if not world.driver.capabilities.ends_leases:
        make_so(world.driver, RuleSet(closed))


def assert_ended(world: DriverWorld, connection: object) -> None:
    """Cut, unless the driver has said that it cannot cut."""
    assert world.is_alive(connection) is not world.driver.capabilities.ends_sessions


def assert_sessions(
    world: DriverWorld, openings: Sequence[tuple[PortKey, str]], expected: list[int]
) -> None:
    """So many live, where they can be counted; else that is said, and nothing is guessed."""
    found = world.driver.sessions(openings)
    if world.driver.capabilities.counts_sessions:
        assert found is not None
        assert list(found) == expected
    else:
        assert found is None


def lose_rules(world: LosableWorld) -> None:
    """Have another program take all rules away, and wait until the driver can see that."""
    world.lose_rules()
    if not world.driver.capabilities.sees_changes:
        assert world.driver.observe().is_intact, "it cannot see it at once"
        world.pass_time(MINUTE)


class DriverContract:
    """All of it."""

    # -- reading back -------------------------------------------------------------------

    def test_before_loading_nothing_is_intact(self, world: DriverWorld) -> None:
        seen = world.driver.observe()
        assert not seen.is_intact
        assert seen.drift
        assert plan(RuleSet(), seen) == (Rebuild(RuleSet()),)

    def test_what_was_applied_reads_back(self, world: DriverWorld) -> None:
        every = RuleSet(
            shut(SSH, ClosedPort(TELNET, KILL), SNMP, ClosedPort(PortKey(SNMP.protocol, 53), KILL)),
            {
                **opened("192.0.2.1", SSH, 60),
                **opened("198.51.100.0/24", TELNET, 3600),
                **opened("2001:db8::1", SNMP, 86400),
                **opened("2001:db8:1::/48", SSH, 60),
                **opened("*", TELNET, 60),
            },
            {**cut("192.0.2.9", SSH), **cut("203.0.113.0/26", SSH), **cut("*", SNMP)},
        )
        make_so(world.driver, every)
        seen = world.driver.observe().rules
        assert seen.closed == every.closed
        assert seen.openings.keys() == every.openings.keys()
        assert seen.cuts.keys() == every.cuts.keys()

    def test_no_operations_change_nothing(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH)))
        world.driver.apply([])
        assert world.driver.observe().rules == RuleSet(shut(SSH))

    def test_changes_before_a_load_are_refused(self, world: DriverWorld) -> None:
        """Nothing opens on rules that this process has not seen."""
        (opening,) = opened(world.client, SSH, 60).values()
        with pytest.raises(EnforcementFailed):
            world.driver.apply([PutOpening(opening)])
        assert world.driver.observe().rules == RuleSet()

    def test_the_last_operation_has_the_last_word(self, world: DriverWorld) -> None:
        (opening,) = opened(world.client, SSH, 60).values()
        make_so(world.driver, RuleSet(shut(SSH)))
        world.driver.apply([PutOpening(opening), DropOpening(opening.key)])
        assert not world.reaches(world.client, SSH)
        world.driver.apply([DropOpening(opening.key), PutOpening(opening)])
        assert lets_in(world, world.client, SSH)

    def test_dropping_what_is_not_there_is_no_error(self, world: DriverWorld) -> None:
        """It may have ended between the look and the act."""
        make_so(world.driver, RuleSet(shut(SSH), opened(world.neighbourhood, SSH, 0.3)))
        drops = [DropOpening(key) for key in opened(world.neighbourhood, SSH, 60)]
        drops += [DropOpening(key) for key in opened("10.9.0.0/17", SSH, 60)]
        drops += [DropOpening(key) for key in opened("192.0.2.55", SSH, 60)]
        world.pass_time(0.6)
        world.driver.apply(drops)
        (wider,) = opened("10.8.0.0/13", SSH, 60).values()
        world.driver.apply([*drops, PutOpening(wider)])
        world.driver.apply([*drops, ClosePort(ClosedPort(TELNET), is_new=True)])
        assert world.driver.observe().rules.openings.keys() == {wider.key}

    def test_a_rebuild_leaves_no_opening_behind(self, world: DriverWorld) -> None:
        given = {**opened("*", SSH, 60), **opened(world.client, SSH, 60)}
        make_so(world.driver, RuleSet(shut(SSH), given))
        world.driver.apply([Rebuild(RuleSet(shut(SSH)))])
        assert world.driver.observe().rules == RuleSet(shut(SSH))
        assert not world.reaches(world.client, SSH)

    # -- who gets through ---------------------------------------------------------------

    def test_closing_shuts_one_port_and_releasing_opens_it(self, world: DriverWorld) -> None:
        assert lets_in(world, world.stranger, SSH)
        make_so(world.driver, RuleSet(shut(SSH, SNMP)))
        assert not world.reaches(world.stranger, SSH)
        assert not world.reaches(world.stranger, SNMP)
        assert lets_in(world, world.stranger, TELNET)
        make_so(world.driver, RuleSet(shut(SNMP)))
        assert lets_in(world, world.stranger, SSH)
        assert not world.reaches(world.stranger, SNMP)

    def test_an_opening_is_for_its_source_and_port(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH, TELNET), opened(world.client, SSH, 60)))
        assert lets_in(world, world.client, SSH)
        assert not world.reaches(world.stranger, SSH)
        assert not world.reaches(world.client, TELNET)

    def test_a_prefix_lets_in_those_within_it(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH), opened(world.neighbourhood, SSH, 60)))
        assert lets_in(world, world.client, SSH)
        assert not world.reaches(world.stranger, SSH)

    def test_everybody_is_everybody(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH, TELNET), opened("*", SSH, 60)))
        assert lets_in(world, world.stranger, SSH)
        assert not world.reaches(world.stranger, TELNET)

    def test_udp_is_opened_as_tcp_is(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SNMP, SSH), opened(world.client, SNMP, 60)))
        assert lets_in(world, world.client, SNMP)
        assert not world.reaches(world.stranger, SNMP)
        assert not world.reaches(world.client, SSH)

    def test_an_opening_ends_by_itself(self, world: DriverWorld) -> None:
        def is_open_at_half() -> bool:
            make_so(world.driver, RuleSet(shut(SSH)))
            make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 1)))
            world.pass_time(0.6)
            return world.reaches(world.client, SSH)

        assert any(is_open_at_half() for _ in range(TRIES)), "it ends before its time"
        world.pass_time(0.7)
        if world.driver.capabilities.ends_leases:
            assert not world.reaches(world.client, SSH)
            assert world.driver.observe().rules.openings == {}
            return
        (left,) = world.driver.observe().rules.openings.values()
        assert left.remaining == timedelta(0), "what did not end is read back, with no time left"
        make_so(world.driver, RuleSet(shut(SSH)))
        assert not world.reaches(world.client, SSH)

    def test_an_opening_is_lengthened_and_shortened(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 0.5)))
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 60)))
        world.pass_time(0.9)
        assert lets_in(world, world.client, SSH)
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 0.4)))
        run_out(world, shut(SSH), 0.7)
        assert not world.reaches(world.client, SSH)

    # -- connections --------------------------------------------------------------------

    def test_the_time_since_reading_is_taken_off(self, world: DriverWorld) -> None:
        """However long planning and writing took, an opening ends when it was to end."""
        given = RuleSet(shut(SSH), opened(world.client, SSH, 60))
        for _ in range(2):  # a rebuild, then a change
            seen = world.driver.observe()
            world.pass_time(1)
            world.driver.apply(plan(given, seen), seen.read_at)
            for each in world.driver.observe().rules.openings.values():
                assert timedelta(seconds=50) < each.remaining <= timedelta(seconds=59)
            given = RuleSet(shut(SSH), opened("*", SSH, 60))
        short = RuleSet(shut(SSH), opened("*", SSH, 0.5))
        seen = world.driver.observe()
        world.pass_time(1)
        world.driver.apply(plan(short, seen), seen.read_at)
        run_out(world, shut(SSH), 0)
        assert not world.reaches(world.stranger, SSH)

    def test_a_kept_connection_outlives_its_opening(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 60)))
        connection = world.connect(world.client, SSH)
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 0.5)))
        run_out(world, shut(SSH), 0.8)
        world.driver.tidy()
        assert world.is_alive(connection)
        assert_sessions(world, [(SSH, world.client), (SSH, "*"), (TELNET, "*")], [1, 1, 0])

    def test_a_kill_connection_does_not(self, world: DriverWorld) -> None:
        closed = shut(ClosedPort(SSH, KILL))
        connections = []

        def is_alive_at_half() -> bool:
            make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 60)))
            connections.append(world.connect(world.client, SSH))
            make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 1)))
            world.pass_time(0.5)
            world.driver.tidy()
            return world.is_alive(connections[-1])

        assert any(is_alive_at_half() for _ in range(TRIES)), "it ends before its time"
        run_out(world, closed, 0.8)
        for each in connections:
            assert_ended(world, each)
        world.driver.tidy()
        left = 0 if world.driver.capabilities.ends_sessions else len(connections)
        assert_sessions(world, [(SSH, "*")], [left])

    def test_a_draining_connection_outlives_its_opening_for_its_time(
        self, world: DriverWorld
    ) -> None:
        """And nobody comes in meanwhile. Where that cannot be, it ends with its opening."""
        closed, port = shut(ClosedPort(SSH, KILL)), SSH
        stays = cut(world.client, port, 60)
        make_so(world.driver, RuleSet(closed, opened(world.client, port, 60), drains=stays))
        connection = world.connect(world.client, port)
        can = world.driver.capabilities
        make_so(world.driver, RuleSet(closed, drains=stays))
        world.driver.tidy()
        assert not world.reaches(world.client, port)
        assert world.is_alive(connection) is (can.drains or not can.ends_sessions)
        make_so(world.driver, RuleSet(closed, drains=cut(world.client, port, 0.5)))
        world.pass_time(0.8)
        assert_ended(world, connection)
        world.driver.tidy()
        assert_sessions(world, [(port, "*")], [0 if can.ends_sessions else 1])

    def test_a_cut_ends_a_draining_connection(self, world: DriverWorld) -> None:
        closed = shut(ClosedPort(SSH, KILL))
        stays = cut(world.client, SSH, 60)
        make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 60), drains=stays))
        connection = world.connect(world.client, SSH)
        make_so(world.driver, RuleSet(closed, {}, cut(world.client, SSH), stays))
        assert_ended(world, connection)

    def test_a_drain_admits_nobody_else(self, world: DriverWorld) -> None:
        closed = shut(ClosedPort(SSH, KILL))
        given = {**opened(world.client, SSH, 60), **opened(world.stranger, SSH, 60)}
        make_so(world.driver, RuleSet(closed, given, drains=cut(world.stranger, SSH, 60)))
        connection = world.connect(world.client, SSH)
        make_so(world.driver, RuleSet(closed, drains=cut(world.stranger, SSH, 60)))
        assert not world.reaches(world.stranger, SSH)
        assert_ended(world, connection)

    def test_a_rebuild_leaves_no_drain_behind(self, world: DriverWorld) -> None:
        closed = shut(ClosedPort(SSH, KILL))
        stays = cut(world.client, SSH, 60)
        make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 60), drains=stays))
        world.driver.apply([Rebuild(RuleSet(closed))])
        assert not world.driver.observe().rules.drains

    def test_a_cut_ends_what_no_opening_admits(self, world: DriverWorld) -> None:
        others = opened(world.stranger, SSH, 60)
        make_so(world.driver, RuleSet(shut(SSH), {**opened(world.client, SSH, 60), **others}))
        ended, spared = world.connect(world.client, SSH), world.connect(world.stranger, SSH)
        make_so(world.driver, RuleSet(shut(SSH), others))
        assert world.is_alive(ended), "revoking alone leaves it"
        make_so(world.driver, RuleSet(shut(SSH), others, cut("*", SSH)))
        assert_ended(world, ended)
        assert world.is_alive(spared)
        world.driver.tidy()
        left = 0 if world.driver.capabilities.ends_sessions else 1
        assert_sessions(world, [(SSH, world.client), (SSH, world.stranger)], [left, 1])

    @pytest.mark.parametrize("on_expiry", [KEEP, KILL])
    def test_connections_that_exist_when_a_port_is_closed_go_on(
        self, world: DriverWorld, on_expiry: OnExpiry
    ) -> None:
        """Nobody is locked out by installing, and nobody new gets in by it."""
        connection = world.connect(world.stranger, SSH)
        make_so(world.driver, RuleSet(shut(TELNET)))
        make_so(world.driver, RuleSet(shut(TELNET, ClosedPort(SSH, on_expiry))))
        world.driver.tidy()
        assert world.is_alive(connection)
        assert not world.reaches(world.stranger, SSH)

    def test_a_connection_of_a_lease_is_not_adopted_by_a_rebuild(self, world: DriverWorld) -> None:
        rules = RuleSet(shut(ClosedPort(SSH, KILL)), opened(world.client, SSH, 60))
        make_so(world.driver, rules)
        connection = world.connect(world.client, SSH)
        world.driver.apply([Rebuild(RuleSet(rules.closed))])
        assert_ended(world, connection)

    def test_keep_and_kill_are_exchanged(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 60)))
        connection = world.connect(world.client, SSH)
        world.driver.apply([ClosePort(ClosedPort(SSH, KILL), is_new=False)])
        assert world.driver.observe().rules.closed == shut(ClosedPort(SSH, KILL))
        assert world.is_alive(connection)
        make_so(world.driver, RuleSet(shut(ClosedPort(SSH, KILL))))
        assert_ended(world, connection)

    # -- the rest -----------------------------------------------------------------------

    def test_those_who_knock_are_remembered(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH)))
        before = world.driver.observe().blocked_attempts
        assert not world.reaches(world.stranger, SSH)
        if not world.driver.capabilities.sees_blocked:
            assert world.driver.observe().blocked_attempts == before
            assert not world.driver.blocked()
            return
        assert world.driver.observe().blocked_attempts > before
        (seen,) = world.driver.blocked()
        assert (seen.source, seen.port) == (world.stranger, SSH)
        assert seen.packets >= 1

    def test_removing_opens_everything(self, world: DriverWorld) -> None:
        make_so(world.driver, RuleSet(shut(SSH)))
        world.driver.remove()
        assert lets_in(world, world.stranger, SSH)
        assert not world.driver.observe().is_intact
        world.driver.remove()

    def test_a_condition_says_what_is_weak(self, world: DriverWorld) -> None:
        found = world.driver.condition()
        assert found.is_owned or found.weaknesses


class UnownedDriverContract:
    """For drivers whose rules other programs can reach."""

    def test_rules_that_others_took_away_are_missed_and_put_back(self, world: LosableWorld) -> None:
        desired = RuleSet(shut(SSH), opened(world.client, SSH, 60))
        make_so(world.driver, desired)
        lose_rules(world)
        seen = world.driver.observe()
        assert not seen.is_intact
        assert seen.drift
        make_so(world.driver, desired)
        assert lets_in(world, world.client, SSH)
        assert not world.reaches(world.stranger, SSH)

    def test_healing_adopts_nothing_on_a_kill_port(self, world: LosableWorld) -> None:
        """Neither whom a lease had let in, for longer than that, nor who came in the gap."""
        closed = shut(ClosedPort(SSH, KILL))
        make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 60)))
        admitted = world.connect(world.client, SSH)
        lose_rules(world)
        stranger = world.connect(world.stranger, SSH)
        make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 60)))
        assert world.is_alive(admitted)
        assert_ended(world, stranger)
        make_so(world.driver, RuleSet(closed, opened(world.client, SSH, 0.5)))
        run_out(world, closed, 0.8)
        assert_ended(world, admitted)

    def test_a_cut_reaches_whom_a_healing_found_on_a_keep_port(self, world: LosableWorld) -> None:
        """He lives on as he would have, and no longer; old acquaintances stay what they were."""
        old = world.connect(world.client, SSH)
        make_so(world.driver, RuleSet(shut(SSH), opened(world.client, SSH, 60)))
        world.driver.tidy()
        admitted = world.connect(world.client, SSH)
        lose_rules(world)
        make_so(world.driver, RuleSet(shut(SSH)))
        world.driver.tidy()
        assert world.is_alive(admitted)
        make_so(world.driver, RuleSet(shut(SSH), {}, cut(world.client, SSH)))
        world.driver.tidy()
        assert_ended(world, admitted)
        assert world.is_alive(old)
        left = 1 if world.driver.capabilities.ends_sessions else 2
        assert_sessions(world, [(SSH, "*")], [left])
