"""What a host's own guard admits, as its server hears of it: refused before the wait, shown as held.

An agent's word narrows what may be asked of its own machine, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.bounds import Guard, Objection
from bascule.domain.decide import Denied
from bascule.domain.facts.grants import GrantShortened
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import Conflict
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.protocol.codec import decode, encode
from bascule.protocol.report import Report
from bascule.protocol.shapes import MOST_BOUNDS
from bascule.services import doubt, live_requests, machine_rules, policies, requests, unnamed_ports
from bascule.services.act import Act
from bascule.services.closed_ports import named_ports
from bascule.services.exposure import exposure_of, moment_of
from bascule.services.notes import OPENINGS_PER_SPAN
from bascule.services.request_rights import sight_of
from bascule.services.rights import rights_of
from bascule.services.sweep import sweep
from tests.samples import prefixes
from tests.unit.services_world import ANNA, World, rules

SSH = PortKey(TransportProtocol.TCP, 22)
SHUT = frozenset({ClosedPort(SSH)})
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.put(rules(made.web, 22), rules(made.db, 22))
    yield made
    made.close()


def codes(answer: object) -> list[str]:
    assert isinstance(answer, Denied), answer
    return [each.code for each in answer.reasons]


@pytest.mark.parametrize(
    ("guard", "refused"),
    [
        # What the host admits may be asked for.
        (Guard(), []),
        (Guard((SSH,), prefixes("192.0.2.0/24"), timedelta(minutes=10)), []),
        # Port, source, time, and a file that cannot be used: each by its own reason.
        (Guard(ports=()), ["PortNotAdmittedByHost"]),
        (Guard(ports=(PortKey(TransportProtocol.UDP, 22),)), ["PortNotAdmittedByHost"]),
        (Guard(sources=prefixes("198.51.100.0/24")), ["SourceNotAdmittedByHost"]),
        (Guard(max_duration=2 * MINUTE), ["LongerThanHostAdmits"]),
        (Guard((), (), 2 * MINUTE), ["PortNotAdmittedByHost", "LongerThanHostAdmits"]),
        (Guard((), (), None, False, "it is no TOML"), ["HostGuardUnusable"]),
    ],
)
def test_what_the_host_does_not_admit_is_refused_before_the_wait(
    world: World, guard: Guard, refused: list[str]
) -> None:
    """For ten minutes, as its own last word would be; another machine is not touched by it."""
    world.report(world.web, guard=guard)
    answer = world.ask(world.web)
    if refused:
        assert codes(answer) == refused
    else:
        assert isinstance(answer, requests.Initiated)
    assert isinstance(world.ask(world.db), requests.Initiated)


def test_why_its_file_cannot_be_used_is_not_told_to_whoever_may_ask(world: World) -> None:
    """The complaint quotes the file, which is root's."""
    world.report(world.web, guard=Guard((), (), problem="unknown key secret_bounds"))
    answer = world.ask(world.web)
    assert isinstance(answer, Denied)
    assert "secret_bounds" not in answer.reasons[0].message


def test_within_a_minute_of_the_hosts_longest_the_end_is_the_hosts(world: World) -> None:
    """As with a policy's maximum (EDGES A14): what is granted is what will be held."""
    world.report(world.web, guard=Guard(max_duration=20 * SECOND))
    grant = world.granted(world.web, seconds=70)
    assert grant.ends_at == world.clock.now() + 20 * SECOND


def test_an_extension_is_bounded_by_the_host_too(world: World) -> None:
    grant = world.granted(world.web)
    world.report(world.web, grant.id, guard=Guard(max_duration=timedelta(minutes=15)))
    ends = world.clock.now() + timedelta(hours=1)

    def extended() -> Denied | None:
        return world.do(
            lambda tx, act: live_requests.extend(tx, act, grant.request_id, ends, "text", ANNA)
        )

    assert codes(extended()) == ["LongerThanHostAdmits"]
    world.report(world.web, grant.id, guard=Guard())
    assert extended() is None


def test_a_guard_speaks_until_the_next_agent_does(world: World) -> None:
    """Another agent is enrolled: what the one before said of its host is forgotten."""
    world.report(world.web, guard=Guard(ports=()))
    world.enrol(world.web, "key-2", replaces=True)
    assert isinstance(world.ask(world.web), requests.Initiated)


# -- what is live when a guard is written ------------------------------------------------------


def shortened(world: World) -> list[GrantShortened]:
    wanted = EventFilter(world.web.id.key, ("GrantShortened",))
    found = (event.fact for _, event in world.see(lambda r: r.events(wanted, limit=5000)))
    return [each for each in found if isinstance(each, GrantShortened)]


def ends_shown(world: World, grant: Grant) -> list[object]:
    """The grant's own, and the exposure's."""
    now = world.clock.now()

    def read(reader: object) -> object:
        sight = sight_of(rights_of(reader, ANNA.principal_id, now), ANNA.principal_id)  # type: ignore[arg-type]  # reason: a Reader
        return exposure_of(reader, moment_of(now), sight, world.web.id)  # type: ignore[arg-type]  # reason: a Reader

    exposure = world.see(read)
    (port,) = exposure.ports  # type: ignore[attr-defined]  # reason: there is one
    return [world.grant(grant).ends_at, *(each.opening.ends_by for each in port.openings)]


@pytest.mark.parametrize("is_open", [True, False])
def test_the_end_that_people_see_is_the_end_that_the_host_holds(
    world: World, is_open: bool
) -> None:
    """Tightened while it is live, or held shorter from the first: 20 seconds, not ten minutes."""
    grant = world.granted(world.web)
    if is_open:
        world.report(world.web, grant.id, closed=SHUT)
        world.clock.pass_time(30)
    world.report(world.web, grant.id, closed=SHUT, ends={grant.id: 20 * SECOND})
    ends = world.clock.now() + 20 * SECOND
    assert ends_shown(world, grant) == [ends, ends]
    assert [each.grant_id for each in shortened(world)] == [grant.id]
    world.report(world.web, grant.id, closed=SHUT, ends={grant.id: 20 * SECOND})
    assert len(shortened(world)) == 1, "told again, it is no news"
    world.clock.pass_time(20)
    world.do(sweep)
    assert world.grant(grant).state is GrantState.CLOSING, "it has expired at the end that was told"


def test_an_end_of_the_only_point_is_told_to_nobody(world: World) -> None:
    """The host that reports it holds it: it is not asked to take a state again."""
    grant = world.granted(world.web)
    before = world.see(lambda tx: tx.generation(world.web.uid))
    world.report(world.web, grant.id, ends={grant.id: 20 * SECOND})
    assert world.grant(grant).ends_at == world.clock.wall + 20 * SECOND
    assert world.see(lambda tx: tx.generation(world.web.uid)) == before


def test_a_host_only_brings_an_end_forward(world: World) -> None:
    """A stolen agent lengthens nothing, and moves nothing of another machine."""
    grant = world.granted(world.web)
    other = world.granted(world.db)
    ends = {grant.id: timedelta(hours=20), other.id: SECOND}
    world.report(world.web, grant.id, ends=ends)
    assert world.grant(grant).ends_at == grant.ends_at
    assert world.grant(other).ends_at == other.ends_at


def test_an_end_of_before_an_extension_does_not_undo_it(world: World) -> None:
    """The report was under way when it was extended: only its own generation counts (A8)."""
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    before = world.see(lambda tx: tx.generation(world.web.uid))
    ends = world.clock.now() + timedelta(hours=1)
    world.do(lambda tx, act: live_requests.extend(tx, act, grant.request_id, ends, "text", ANNA))
    world.report(world.web, grant.id, generation=before, ends={grant.id: 20 * SECOND})
    assert world.grant(grant).ends_at == ends


def test_ends_that_a_stolen_agent_moves_on_and_on_fill_no_disk(world: World) -> None:
    grant = world.granted(world.web, seconds=3 * 3600)
    for step in range(OPENINGS_PER_SPAN + 20):
        left = timedelta(hours=3) - (step + 1) * 2 * SECOND
        world.report(world.web, grant.id, ends={grant.id: left})
    assert len(shortened(world)) == OPENINGS_PER_SPAN
    world.clock.pass_time(61)
    world.report(world.web, grant.id, ends={grant.id: MINUTE})
    assert world.grant(grant).ends_at == world.clock.now() + MINUTE, "it is told a minute later"


def test_ends_that_are_moved_for_an_hour_are_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubt, "MOST_TOLD_CHANGES", 60)
    grant = world.granted(world.web, seconds=3 * 3600)
    for step in range(120):
        left = timedelta(hours=3) - (step + 1) * 2 * SECOND
        world.report(world.web, grant.id, ends={grant.id: left})
        world.clock.pass_time(1)
    assert len(shortened(world)) <= 60
    assert world.kinds().count("AgentDoubted") == 1


@pytest.mark.parametrize("objection", list(Objection))
def test_what_the_host_refuses_all_the_same_fails_at_once(
    world: World, objection: Objection
) -> None:
    """Root wrote the guard after it was asked for: nobody waits a minute to be told something else."""
    grant = world.granted(world.web)
    other = world.granted(world.db)
    world.report(world.web, refused={grant.id: objection, other.id: objection})
    failed = world.grant(grant)
    assert failed.state is GrantState.FAILED
    words = {
        Objection.LEASELESS: "point of web-1",
        Objection.NETWORK: "guard file of the gateway of web-1 names no network",
        Objection.MAPPED: "guard file of the gateway of web-1 does not give its public port",
        Objection.TAKEN: "public port of web-1 is taken at its gateway",
        Objection.PAST: "web-1 does not answer this source through a gateway",
        Objection.NOWHERE: "web-1 has no route to this source",
    }
    assert words.get(objection, "guard file of web-1") in failed.failure
    assert world.grant(other).state is GrantState.OPENING


def test_what_was_open_and_is_refused_ends(world: World) -> None:
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    world.report(world.web, grant.id, refused={grant.id: Objection.PORT})
    assert world.grant(grant).state is GrantState.OPEN, "it is in force: that is what counts"
    world.report(world.web, refused={grant.id: Objection.PORT})
    assert world.grant(grant).state is GrantState.CLOSING
    world.report(world.web)
    assert world.grant(grant).state is GrantState.CLOSED


def test_a_refusal_of_before_the_grant_is_nothing(world: World) -> None:
    before = world.see(lambda tx: tx.generation(world.web.uid))
    grant = world.granted(world.web)
    world.report(world.web, generation=before, refused={grant.id: Objection.PORT})
    assert world.grant(grant).state is GrantState.OPENING


# -- releases ----------------------------------------------------------------------------------


def test_a_release_that_the_host_does_not_admit_is_refused(world: World) -> None:
    world.report(world.web, closed=SHUT, guard=Guard(may_release=False))
    world.put(rules(world.db, 22))

    def release() -> object:
        return world.do(
            lambda tx, act: unnamed_ports.release_ports(tx, act, ANNA, world.web.id, {SSH})
        )

    with pytest.raises(Conflict, match="does not allow releases"):
        release()
    world.report(world.web, closed=SHUT, guard=Guard())
    assert release() == (SSH,)


@pytest.mark.parametrize("is_whole_policy", [True, False])
def test_rules_that_are_removed_release_nothing_where_the_host_keeps_it_shut(
    world: World, is_whole_policy: bool
) -> None:
    """Nothing says that a port opens which stays shut; it is shut, in no policy."""
    for machine in (world.web, world.db):
        world.report(machine, closed=SHUT, guard=Guard(may_release=machine is world.db))

    def remove(tx: Transaction, act: Act) -> None:
        if is_whole_policy:
            policies.delete_policy(tx, act, ANNA, world.policy_id())
        else:
            for machine in (world.web, world.db):
                machine_rules.delete_machine_rules(tx, act, ANNA, machine.id)

    world.do(remove)
    shut = world.see(lambda tx: tx.closed_ports(world.web.uid))
    assert shut == SHUT
    assert world.see(lambda tx: named_ports(tx, world.web)) == frozenset()
    assert world.see(lambda tx: tx.closed_ports(world.db.uid)) == frozenset()
    assert world.kinds().count("PortReleased") == 1
    wanted = EventFilter(world.web.id.key, ("PortLeftPolicies",))
    assert len(world.see(lambda tx: tx.events(wanted))) == 1


# -- the wire ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "guard",
    [
        Guard(),
        Guard((), (), 20 * SECOND, False, "it is no TOML"),
        Guard((SSH, PortKey(TransportProtocol.UDP, 53)), prefixes("10.0.0.0/8", "*")),
    ],
)
def test_a_report_brings_the_guard_over(guard: Guard) -> None:
    told = Report(
        4,
        frozenset({"g"}),
        guard=guard,
        refused={"h": Objection.SOURCE},
        ends={"g": timedelta(milliseconds=20_001)},
    )
    heard = decode(Report, encode(told))
    assert (heard.guard, heard.refused, heard.ends) == (told.guard, told.refused, told.ends)


def test_what_is_too_much_of_a_guard_to_keep_bounds_nothing_here() -> None:
    """Half a list would refuse what the host admits; the host goes by the whole."""
    many = tuple(PortKey(TransportProtocol.TCP, number) for number in range(1, MOST_BOUNDS + 2))
    heard = decode(Report, encode(Report(1, frozenset(), guard=Guard(many))))
    assert heard.guard == Guard()
    body = encode(Report(1, frozenset(), guard=Guard(sources=prefixes("10.0.0.0/8"))))
    body["guard"]["sources"] = ["nonsense"]
    body["refused"] = {"g": "aWordOfANewerAgent"}
    heard = decode(Report, body)
    assert (heard.guard, heard.refused) == (Guard(), {})


def test_the_host_s_guard_is_kept_with_its_point(world: World) -> None:
    guard = Guard((SSH,), prefixes("192.0.2.0/24"), 20 * SECOND, False, "")
    world.report(world.web, guard=guard)
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.guard == guard
    world.report(world.web, guard=replace(guard, max_duration=MINUTE))
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert point.guard == replace(guard, max_duration=MINUTE)
