"""Several points of one machine: together they are no better than the worst of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import MOST_FORMER, Binding, Whereabouts, seen, together
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.capabilities import HOST, Latency
from bascule.domain.machine import ClosedPort, EnforcementPoint, Unable, unable_words
from bascule.domain.net import Address, AddressPrefix, PortKey
from bascule.domain.weaknesses import BLOCKED_ELSEWHERE, RULES_UNREAD, Weakness
from tests.samples import SSH, TCP, prefixes

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
    assert own.at(OWN) is OWN
    here = replace(BOUND, generation=-1).at(OTHER)
    assert (here.machine_uid, here.observed_generation) == ("db", 0)
    assert here.enrolled_at == BOUND.bound_at


def test_open_needs_all_and_closed_needs_all() -> None:
    other = Binding("db", "db", NOW, NOW, 6, None, frozenset({"h", "i"}), frozenset())
    found = seen([BOUND, other])
    assert found.generation == 5
    assert found.everywhere == {"h"}
    assert found.somewhere == {"g", "h", "i"}
    assert found.closed == frozenset()
    assert seen([BOUND]).closed == BOUND.closed
    assert seen([BOUND, Binding("db", "x", NOW)]).generation == -1


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
