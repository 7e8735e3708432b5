"""Several points of one machine: together they are no better than the worst of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import (
    MOST_FORMER,
    Binding,
    Seen,
    Whereabouts,
    is_dispensable,
    together,
)
from bascule.domain.bounds import Forwarding, Guard, Objection
from bascule.domain.capabilities import HOST, Latency
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import (
    ClosedPort,
    EnforcementPoint,
    Unable,
    elsewhere_words,
    failure_words,
    unable_words,
    unanswered_words,
)
from bascule.domain.net import Address, AddressPrefix, PortKey
from bascule.domain.points import PATIENCE, PointKind, first_patience
from bascule.domain.weaknesses import BLOCKED_ELSEWHERE, RULES_UNREAD, Weakness
from tests.samples import SSH, TCP, grant, prefixes

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RDP = PortKey(TCP, 3389)
OWN = EnforcementPoint(
    "db",
    "own key",
    NOW - MINUTE,
    observed_generation=7,
    last_contact_at=NOW,
    agent_version="1",
    local_port_range=(32768, 60999),
    weaknesses=(Weakness("a"), Weakness("b")),
    blocked_attempts=3,
    facts={"kernel": "6.18"},
    believed_since=NOW,
    guard=Guard(ports=(SSH, RDP)),
    driver="nftables",
    capabilities=HOST,
)
OTHER = replace(
    OWN,
    machine_uid="web",
    enrolled_at=NOW - 2 * MINUTE,
    observed_generation=5,
    weaknesses=(Weakness("b"), Weakness("c")),
    flushed_by="nftables.service",
    facts={"kernel": "5.10"},
    guard=Guard(ports=(SSH,), max_duration=MINUTE),
    driver="cloud",
    capabilities=replace(HOST, ends_sessions=False, latency=Latency.MINUTES),
)
BOUND = Binding(
    "db", "web", NOW - MINUTE, NOW, 5, None, frozenset({"g", "h"}), frozenset({ClosedPort(SSH)})
)


def test_of_one_point_nothing_changes() -> None:
    assert together([OWN]) is OWN


def test_the_worst_counts() -> None:
    found = together([OWN, BOUND.at(OTHER)])
    assert (found.machine_uid, found.agent_version) == ("db", "1")
    assert found.observed_generation == 5
    assert found.last_contact_at == NOW
    assert found.enrolled_at == NOW - MINUTE
    assert [each.code for each in found.weaknesses] == ["a", "b", "c"]
    assert (found.flushed_by, found.believed_since) == ("nftables.service", None)
    assert found.flushed_at == "web"
    assert together([replace(OWN, flushed_by="x"), BOUND.at(OTHER)]).flushed_at == "", "at itself"
    assert together([OWN, BOUND.at(replace(OTHER, flushed_by=""))]).flushed_at == ""
    assert found.blocked_attempts == 3, "those of the other's own host are not this machine's"
    assert found.local_port_range == OWN.local_port_range
    assert found.facts == {"kernel": "6.18"}
    assert found.guard == Guard(ports=(SSH,), max_duration=MINUTE)
    assert found.driver == "nftables, cloud"
    assert found.capabilities == OTHER.capabilities
    assert found.is_enforcing
    only = together([BOUND.at(OTHER), BOUND.at(OTHER)])
    assert only.local_port_range is None, "that of another host"
    assert (only.blocked_attempts, only.facts) == (0, {}), "likewise"


def test_what_leads_past_a_gateway_is_judged_by_the_machine_s_own_agent() -> None:
    """EDGES G7. What blocks at the gateway blocks all the same."""
    past, blocks = RULES_UNREAD(unread="x"), BLOCKED_ELSEWHERE(port=SSH.behind(HERE), rule="r")
    there = replace(BOUND, addresses=(HERE,)).at(
        replace(OTHER, guard=None, weaknesses=(past, blocks))
    )
    alone, both = together([there]), together([replace(OWN, weaknesses=()), there])
    assert [each.code for each in alone.weaknesses] == [past.code, blocks.code]
    assert [each.code for each in both.weaknesses] == [blocks.code]
    assert {each.gateway for each in alone.weaknesses} == {"web"}
    assert together([replace(OWN, weaknesses=(past,)), there]).weaknesses[0] == past, (
        "its own counts"
    )


def test_one_that_was_never_heard_of_this_machine_makes_it_unheard() -> None:
    unheard = replace(BOUND, reported_at=None)
    assert together([OWN, unheard.at(OTHER)]).last_contact_at is None
    assert together([OWN, replace(BOUND, reported_at=NOW - MINUTE).at(OTHER)]).last_contact_at == (
        NOW - MINUTE
    )


def test_what_one_cannot_enforce_is_not_enforced() -> None:
    since = NOW - MINUTE
    idle = together([OWN, BOUND.at(replace(OTHER, not_enforced_since=since))])
    doubted = together([OWN, BOUND.at(replace(OTHER, doubted_since=since))])
    assert (idle.not_enforced_since, doubted.doubted_since) == (since, since)
    here = replace(BOUND, failed_since=NOW - MINUTE).at(OTHER)
    assert together([OWN, here]).not_enforced_since == NOW - MINUTE
    both = [replace(OWN, not_enforced_since=NOW), here]
    assert together(both).not_enforced_since == NOW - MINUTE, "the first of them"


def test_what_nobody_has_said_is_not_known() -> None:
    silent = replace(OTHER, guard=None, capabilities=None, driver="")
    found = together([replace(OWN, guard=None, capabilities=None), silent])
    assert (found.guard, found.capabilities, found.driver) == (None, None, "nftables")
    assert together([OWN, silent]).capabilities == HOST, "of those that have spoken"


def test_the_own_agent_is_what_it_is_and_another_knows_this_machine_by_its_reports() -> None:
    own = Binding("db", "db", NOW)
    assert own.is_own
    assert replace(own.at(OWN), parts=()) == OWN
    here = replace(BOUND, generation=-1).at(OTHER)
    assert (here.machine_uid, here.observed_generation) == ("db", 0)
    assert here.enrolled_at == BOUND.bound_at


def at(uid: str, generation: int = 5, *in_force: str, is_parallel: bool = False) -> Binding:
    held = frozenset(in_force)
    return Binding("db", uid, NOW, NOW, generation, None, held, is_parallel=is_parallel)


def held(**changes: object) -> Grant:
    return replace(grant("g"), generation=5, started_at=NOW, **changes)  # type: ignore[arg-type]  # reason: field names are checked by replace


def test_open_needs_all_and_closed_needs_all() -> None:
    """Two in series: a packet has to pass both."""
    g = held()
    assert Seen([at("db", 5, "g"), at("web", 6, "g")]).is_open(g)
    assert not Seen([at("db", 5, "g"), at("web", 5)]).is_open(g)
    assert not Seen([at("db", 5, "g"), at("web", 4, "g")]).is_open(g), "not as it now is"
    assert Seen([at("db"), at("web")]).is_gone(g)
    assert not Seen([at("db", 5, "g"), at("web")]).is_gone(g)
    assert not Seen([at("db"), at("web", 4)]).is_gone(g), "it has not heard of it"
    assert Seen([at("db", 5, "g"), at("web")]).is_lost(g)
    assert not Seen([at("db", 5, "g"), at("web", 4)]).is_lost(g)
    assert not Seen([at("db", 5, "g"), at("web", 0)]).is_lost(g), "it can say nothing"
    assert Seen([BOUND]).closed == BOUND.closed
    assert Seen([BOUND, at("db")]).closed == frozenset()


def test_of_points_in_parallel_one_is_enough_to_open_and_all_are_to_close() -> None:
    """The machine's own agent filters whatever way a packet comes: it is never one of them."""
    g, own = held(), at("db", 5, "g")
    one, other = at("gw-1", 5, "g", is_parallel=True), at("gw-2", 5, is_parallel=True)
    series = at("gw-3", 5)
    assert Seen([own, one, other]).is_open(g)
    assert Seen([one, other]).is_open(g), "without an agent of its own"
    assert not Seen([at("db"), one, other]).is_open(g), "its own agent has not opened it"
    assert not Seen([own, one, other, series]).is_open(g), "nor has a gateway in series"
    assert not Seen([own, other]).is_open(g)
    assert not Seen([own, at("gw-1", 4, "g", is_parallel=True), other]).is_open(g)
    assert not Seen([at("db"), one, other]).is_gone(g)
    assert Seen([at("db"), other]).is_gone(g)
    assert not Seen([own, one, other]).is_lost(g)
    assert Seen([own, other]).is_lost(g)
    assert [each.point_uid for each in Seen([own, one, other, series]).awaited(g)] == [
        "gw-3",
        "gw-2",
    ]
    is_open = replace(g, state=GrantState.OPEN)
    assert [each.point_uid for each in Seen([own, one, other, series]).awaited(is_open)] == ["gw-2"]


def test_a_point_that_was_withdrawn_opens_nothing_and_is_to_close() -> None:
    """Whatever it reports afterwards."""
    late = at("gw-2", 9, "g", is_parallel=True)
    g = held(withdrawn={"gw-2": "It did not answer."})
    assert not Seen([at("db", 9, "g"), late]).is_open(g)
    assert not Seen([late]).is_open(g), "nobody passes a stage of which no point is left"
    assert Seen([at("db", 9, "g"), late]).is_lost(g)
    assert not Seen([at("db", 9), late]).is_gone(g), "it may still let packets through"
    assert Seen([at("db", 9, "g"), replace(late, is_parallel=False)]).is_open(g), "of before"


def test_a_point_is_withdrawn_alone_where_another_may_open() -> None:
    own, one = at("db"), at("gw-1", is_parallel=True)
    other, series = at("gw-2", is_parallel=True), at("gw-3")
    every = [own, one, other, series]
    g = held()
    assert [uid for uid in ("db", "gw-1", "gw-2", "gw-3") if is_dispensable(uid, every, g)] == [
        "gw-1",
        "gw-2",
    ]
    left = replace(g, withdrawn={"gw-2": ""})
    assert not is_dispensable("gw-1", every, left), "the last of them"
    assert not is_dispensable("gw-2", every, left), "it was"
    assert not is_dispensable("gw-1", [own, one], g), "one alone is in series"


def test_what_a_point_in_parallel_is_told_ends_with_its_patience() -> None:
    """A gateway that comes back later opens nothing, whether or not the server has noticed."""
    g, there = held(), at("gw-1", is_parallel=True)
    limit = NOW + PATIENCE[PointKind.GATEWAY]
    assert there.is_told(g, limit - MINUTE / 60)
    assert not there.is_told(g, limit)
    assert at("gw-1", 5, "g", is_parallel=True).is_told(g, limit), "it has it in force"
    withdrawn = held(withdrawn={"gw-1": ""})
    assert not there.is_told(withdrawn, NOW)
    assert not at("gw-1", 5, "g", is_parallel=True).is_told(withdrawn, NOW)
    assert at("gw-1").is_told(g, limit), "in series the whole request ends"


def test_of_points_in_parallel_one_that_can_open_is_enough() -> None:
    """What one of them cannot do is said all the same."""
    gone = (Weakness("AgentUninstalled"),)
    one, other = at("gw-1", is_parallel=True), at("gw-2", is_parallel=True)
    lost, well = replace(OTHER, weaknesses=gone), OTHER
    own = at("db").at(OWN)
    both = together([own, one.at(lost), other.at(well)])
    assert both.unable is None
    assert gone[0] in both.weaknesses
    assert together([own, one.at(lost), other.at(lost)]).unable is Unable.UNINSTALLED
    assert together([own, at("gw-1").at(lost), other.at(well)]).unable is Unable.UNINSTALLED
    assert together([at("db").at(lost), one.at(well)]).unable is Unable.UNINSTALLED


def test_an_invalid_guard_file_of_one_in_parallel_bounds_nothing_where_another_is_valid() -> None:
    one, other = at("gw-1", is_parallel=True), at("gw-2", is_parallel=True)
    broken = replace(OTHER, guard=Guard(problem="line 1"))
    valid = replace(OTHER, guard=Guard(ports=(SSH,)))
    assert together([one.at(broken), other.at(valid)]).guard == valid.guard
    both = together([one.at(broken), other.at(broken)]).guard
    assert both is not None
    assert both.problem
    series = together([at("gw-1").at(broken), other.at(valid)]).guard
    assert series is not None
    assert series.problem


def test_how_long_a_request_waits_is_shown_before_asking() -> None:
    """EDGES G4: by the kinds of the points, never by what they report."""
    host, gateway = PATIENCE[PointKind.HOST], PATIENCE[PointKind.GATEWAY]
    assert OWN.patience == host
    assert together([at("db").at(OWN), at("gw-1").at(OTHER)]).patience == min(host, gateway)
    one, other = at("gw-1", is_parallel=True), at("gw-2", is_parallel=True)
    assert together([one.at(OTHER), other.at(OTHER)]).patience == gateway
    assert first_patience(()) == host


def test_a_failure_lasts_from_its_first_report() -> None:
    failed = BOUND.after(0, frozenset(), frozenset(), NOW)
    assert failed.failed_since == NOW
    assert failed.after(0, frozenset(), frozenset(), NOW + MINUTE).failed_since == NOW
    assert failed.after(6, frozenset({"g"}), frozenset(), NOW + MINUTE).failed_since is None


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("", "", ""),
        ("10.0.0.0/8", "", "10.0.0.0/8"),
        ("", "10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.0.0/16", "10.0.0.0/8", "10.1.0.0/16"),
        ("*", "192.0.2.1,2001:db8::/32", "192.0.2.1,2001:db8::/32"),
    ],
)
def test_two_guards_admit_what_both_admit(one: str, other: str, both: str) -> None:
    def sources(text: str) -> tuple[AddressPrefix, ...] | None:
        return prefixes(*text.split(",")) if text else None

    assert Guard(sources=sources(one)).within(Guard(sources=sources(other))).sources == sources(
        both
    )


def test_two_guards_that_share_nothing_admit_nothing() -> None:
    apart = Guard(sources=prefixes("10.0.0.0/8")).within(Guard(sources=prefixes("192.0.2.1")))
    assert apart.sources == ()
    assert Guard(ports=(SSH,)).within(Guard(ports=(RDP,))).ports == ()
    assert Guard(ports=(SSH,)).within(Guard()).ports == (SSH,)
    assert Guard().within(Guard(ports=(SSH,))).ports == (SSH,)
    strict = Guard(may_release=False, max_duration=MINUTE).within(Guard(problem="no TOML"))
    assert strict == Guard(None, None, MINUTE, False, "no TOML")
    assert Guard().within(Guard()) == Guard()


# -- where a machine is ------------------------------------------------------------------------

HERE, THERE = ip_address("10.1.0.10"), ip_address("10.1.0.11")


def test_a_binding_tells_where_its_point_reaches_the_machine() -> None:
    assert BOUND.where is None
    placed = BOUND.placed((HERE,))
    assert placed.where == Whereabouts((HERE,))
    moved = placed.placed((THERE,))
    assert moved.where == Whereabouts((THERE,), frozenset({HERE}))
    assert moved.placed((HERE,)).where == Whereabouts((HERE,), frozenset({THERE}))
    assert moved.placed(()).where == Whereabouts((), frozenset({HERE, THERE}))


def test_a_new_agent_has_read_back_nothing_and_finds_the_machine_where_it_is() -> None:
    moved = BOUND.placed((HERE,)).placed((THERE,))
    anew = moved.anew(NOW)
    assert (anew.where, anew.bound_at) == (moved.where, NOW)
    assert anew == replace(Binding("db", "web", NOW), addresses=(THERE,), former=frozenset({HERE}))


def test_a_former_address_that_is_released_is_told_until_the_machine_is_there_again() -> None:
    one, other = ip_address("10.1.0.10"), ip_address("10.1.0.11")
    moved = replace(BOUND, addresses=(one,)).placed((other,))
    let_go = moved.let_go([one], 9)
    assert (let_go.former, let_go.released) == (frozenset(), {one: 9})
    assert let_go.where == Whereabouts((other,), frozenset(), {one: 9})
    back = let_go.placed((one,))
    assert (back.former, back.released) == (frozenset({other}), {})
    assert replace(let_go, addresses=()).where is not None
    assert let_go.anew(NOW).released == {}, "a new agent is told of it by a new release"


def test_of_very_many_released_addresses_the_newest_are_told() -> None:
    many = [ip_address(f"10.2.0.{number}") for number in range(MOST_FORMER + 2)]
    found = BOUND
    for number, each in enumerate(many):
        found = found.let_go([each], number)
    assert list(found.released) == many[2:]


def test_a_machine_that_only_gateways_guard_is_closed_elsewhere() -> None:
    """EDGES G7."""
    assert (OWN.gateways, OWN.elsewhere) == ((), ())
    alone = BOUND.at(OTHER)
    assert alone.elsewhere == ("web",)
    two = together([alone, replace(BOUND, point_uid="gw").at(OTHER)])
    assert two.elsewhere == ("web", "gw")
    both = together([OWN, alone])
    assert (both.gateways, both.elsewhere) == (("web",), ())


@pytest.mark.parametrize(
    ("networks", "addresses", "is_outside"),
    [
        # Every address of the machine must be in a network that the gateway's file names (EDGES G1).
        (("10.1.0.0/16",), (HERE,), False),
        (("10.1.0.0/16", "fd01::/16"), (HERE, ip_address("fd01::10")), False),
        (("10.1.0.0/16",), (HERE, ip_address("fd01::10")), True),
        (("10.2.0.0/16",), (HERE,), True),
        ((), (HERE,), True),
        (None, (HERE,), True),
        # Where nobody has said where a machine is, nothing opens in any case.
        (None, (), False),
    ],
)
def test_a_machine_outside_its_gateways_networks_can_open_nothing(
    networks: tuple[str, ...] | None, addresses: tuple[Address, ...], is_outside: bool
) -> None:
    """Whoever asks is told before they wait."""
    forwarding = None if networks is None else Forwarding(prefixes(*networks))
    gateway = replace(OTHER, guard=Guard(forwarding=forwarding))
    point = BOUND.placed(addresses).at(gateway)
    assert point.unable is (Unable.OUTSIDE if is_outside else None)
    assert together([OWN, point]).unable is point.unable
    assert replace(BOUND, machine_uid=BOUND.point_uid).placed(addresses).at(gateway).unable is None
    untold = replace(gateway, guard=None)
    assert BOUND.placed(addresses).at(untold).unable is None, "its agent is asked, and refuses"
    words = str(unable_words(Unable.OUTSIDE, "db"))
    assert "db is in no network" in words
    assert "/etc/bascule/guard.toml" in words


def test_by_what_answers_come_back_is_of_the_last_report_that_could_enforce() -> None:
    """EDGES G7."""
    by, others = (frozenset({ip_address(each)}) for each in ("10.1.0.1", "10.1.0.2"))
    told = BOUND.after(3, frozenset(), frozenset(), NOW, by)
    assert told.answered_by == by
    assert told.after(0, frozenset(), frozenset(), NOW).answered_by == by
    assert told.after(4, frozenset(), frozenset(), NOW, others).answered_by == others
    assert told.anew(NOW).answered_by == frozenset()
    assert told.placed((ip_address("10.1.0.11"),)).answered_by == frozenset()


@pytest.mark.parametrize("why", [Objection.PAST, Objection.NOWHERE])
def test_why_a_machine_could_not_answer_can_be_said_in_another_language(why: Objection) -> None:
    """As what else is said of a machine by its name alone; of another text nobody knows."""
    said = unanswered_words(why, "web-1")
    failed = replace(grant(), failure=str(said))
    assert failed.failure_words == failure_words(str(said), "web-1") == said
    assert failed.failure_words.template == said.template
    assert failure_words(str(said), "web-2") is None
    assert replace(failed, failure="").failure_words is None
    gone = unable_words(Unable.UNINSTALLED, "web-1")
    assert failure_words(str(gone), "web-1") == gone


@pytest.mark.parametrize("away", ["", "gw-3", "gw-3, gw-4"])
def test_so_can_what_names_its_gateways(away: str) -> None:
    said = elsewhere_words("web-1", "gw-1, gw-2", away)
    found = failure_words(str(said), "web-1")
    assert found is not None
    assert (found, found.template, dict(found.values)) == (said, said.template, dict(said.values))
    for other in (f"{said} And more.", f"{said}".replace("lead to gw-1", "lead to gw-9")):
        assert failure_words(other, "web-1") is None
    assert failure_words(str(said), "web-2") is None
