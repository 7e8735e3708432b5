"""The decision: each rule in English, an allow, and the deny that stands next to it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.api.wire.places import path_of_target
from bascule.domain.bounds import Guard
from bascule.domain.decide import Allowed, Decision, Denied, decide
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState
from bascule.domain.limits import MAXIMUM_OPENINGS_PER_MACHINE
from bascule.domain.machine import OnExpiry, Unable
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.drivers.nftables.layout import MAX_GRANTS
from tests.samples import (
    ALICE_HOST,
    ANYWHERE,
    BOB_HOST,
    DB,
    DNS,
    HOUR,
    NOW,
    SSH,
    WEB,
    asked,
    codes,
    grant,
    ids,
    machine,
    policy,
    prefixes,
    request,
    rule,
)

SECOND = timedelta(seconds=1)
INVENTORY = {WEB: machine(), DB: machine(DB, "uid-db")}


def judge(
    request_: AccessRequest, policy_: Policy | None = None, live: tuple[Grant, ...] = ()
) -> Decision:
    return decide(policy_ or policy(), request_, INVENTORY, live, ids(), NOW)


def allowed(decision: Decision) -> Allowed:
    assert isinstance(decision, Allowed), decision
    return decision


def reasons(decision: Decision) -> list[str]:
    return codes(decision.reasons) if isinstance(decision, Denied) else []


# -- the policy must name the machine ------------------------------------------------------


def test_a_machine_that_the_policy_names_is_opened() -> None:
    """The whole grant, field by field: this is what everything after it stands on."""
    assert allowed(judge(request(why="on call"))).grants == (
        Grant(
            id="grant-1",
            request_id="request-1",
            policy_id=policy().id,
            machine_uid="uid-web",
            machine_id=WEB,
            requestor_id="alice",
            requestor="Alice",
            number=22,
            protocol=RuleProtocol.TCP,
            sources=ALICE_HOST,
            on_expiry=OnExpiry.KEEP,
            max_duration=3 * HOUR,
            started_at=NOW,
            ends_at=NOW + HOUR,
            ends_at_text=format_utc(NOW + HOUR),
        ),
    )


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (DB, "MachineNotInPolicy"),
        (replace(WEB, names=("unknown",)), "MachineNotFound"),
        (replace(WEB, resource_group="other"), "MachineNotFound"),
    ],
)
def test_another_machine_is_not(identity: ResourceId, reason: str) -> None:
    """A machine of the same name in another group is another machine."""
    assert reasons(judge(request(identity=identity))) == [reason]


def test_a_machine_that_left_the_inventory_is_not_found() -> None:
    """A policy that still names it cannot bring it back (EDGES A12)."""
    verdict = decide(policy(), request(), {}, (), ids(), NOW)
    assert reasons(verdict) == ["MachineNotFound"]


def test_one_bad_machine_denies_them_all() -> None:
    """All or nothing: a partly opened request is one that nobody asked for."""
    both = replace(
        request(),
        machines=(RequestedMachine(WEB, (asked(),)), RequestedMachine(DB, (asked(),))),
    )
    assert reasons(judge(both)) == ["MachineNotInPolicy"]
    wider = policy().with_rules(MachineRules(DB, (rule(),)))
    assert [each.machine_uid for each in allowed(judge(both, wider)).grants] == [
        "uid-web",
        "uid-db",
    ]


def test_a_request_names_something() -> None:
    """An empty request that was "allowed" would look like access."""
    assert reasons(judge(replace(request(), machines=()))) == ["MachinesRequired"]
    empty = replace(request(), machines=(RequestedMachine(WEB, ()),))
    assert reasons(judge(empty)) == ["PortsRequired"]


# -- the policy must name the port ---------------------------------------------------------


def test_a_port_that_no_rule_names_is_refused_with_those_on_offer() -> None:
    """The answer that saves the next question."""
    verdict = judge(request(asked(23)), policy(rule(22), rule(3389)))
    assert isinstance(verdict, Denied)
    assert codes(verdict.reasons) == ["PortNotInPolicy"]
    assert path_of_target(verdict.reasons[0].target) == "virtualMachines[0].ports[0].number"
    assert "22, 3389" in verdict.reasons[0].message


def test_a_machine_without_rules_offers_nothing() -> None:
    """``none`` rather than an empty place at the end of a sentence."""
    bare = Policy(policy().id, "Basic", (MachineRules(WEB, ()),))
    verdict = judge(request(), bare)
    assert isinstance(verdict, Denied)
    assert "none" in verdict.reasons[0].message


# -- the source must lie inside the rule's -------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "offered", "expected"),
    [
        (ALICE_HOST, ANYWHERE, []),
        (ALICE_HOST, prefixes("192.0.2.0/24"), []),
        (ALICE_HOST, prefixes("198.51.100.0/24"), ["SourceNotAllowed"]),
        (prefixes("192.0.2.10", "198.51.100.1"), prefixes("192.0.2.0/24"), ["SourceNotAllowed"]),
        (ANYWHERE, prefixes("0.0.0.0/0"), ["SourceNotAllowed"]),
        ((), ANYWHERE, ["SourceNotAllowed"]),
    ],
)
def test_the_source(sources: tuple, offered: tuple, expected: list[str]) -> None:  # type: ignore[type-arg]  # reason: table rows
    """One of several sources outside denies; so does none at all."""
    verdict = judge(request(asked(sources=sources)), policy(rule(sources=offered)))
    assert reasons(verdict) == expected


# -- the end must be after now, and at most the maximum away --------------------------------


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (SECOND, []),
        (timedelta(microseconds=1), []),
        (timedelta(0), ["EndTimePassed"]),
        (-SECOND, ["EndTimePassed"]),
        (3 * HOUR, []),
        (3 * HOUR + 60 * SECOND, []),
        (3 * HOUR + 61 * SECOND, ["DurationTooLong"]),
        (timedelta(days=3650), ["DurationTooLong"]),
    ],
)
def test_the_end(span: timedelta, expected: list[str]) -> None:
    """A second is enough; a minute over the maximum is a clock, more is a wish (EDGES A14)."""
    assert reasons(judge(request(asked(span=span)))) == expected


def test_an_end_within_the_tolerance_is_cut_to_the_maximum() -> None:
    """Tolerating a clock must not give a minute away: the answer carries the end that holds."""
    (given,) = allowed(judge(request(asked(span=3 * HOUR + 30 * SECOND)))).grants
    assert given.ends_at == NOW + 3 * HOUR
    assert given.ends_at_text == format_utc(NOW + 3 * HOUR)


def test_an_end_inside_keeps_the_callers_spelling() -> None:
    """Azure echoes the seven digits that it was sent."""
    spelt = replace(asked(), ends_at_text="2030-01-31T13:00:00.0000001Z")
    (given,) = allowed(judge(request(spelt))).grants
    assert given.ends_at_text == "2030-01-31T13:00:00.0000001Z"


@pytest.mark.parametrize(
    ("longest", "words"),
    [
        (3 * HOUR, "at most 3 h."),
        (timedelta(minutes=90), "at most 1 h 30 min."),
        (timedelta(minutes=5, seconds=1), "at most 5 min 1 s."),
        (timedelta(0), "at most 0 s."),
    ],
)
def test_the_maximum_is_said_in_words(longest: timedelta, words: str) -> None:
    """``3:00:00`` is Python's form, not a person's."""
    verdict = judge(request(asked(span=longest + HOUR)), policy(rule(longest=longest)))
    assert isinstance(verdict, Denied)
    assert words in verdict.reasons[0].message


# -- a justification ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("on call", []),
        (None, ["JustificationRequired"]),
        ("", ["JustificationRequired"]),
        (" \t\n", ["JustificationRequired"]),
        ("x" * 1024, []),
        ("x" * 1025, ["JustificationTooLong"]),
    ],
)
def test_a_reason_where_the_policy_wants_one(why: str | None, expected: list[str]) -> None:
    """Blanks are not a reason; 1,024 characters are one."""
    assert reasons(judge(request(why=why), policy(rule(justified=True)))) == expected


def test_no_reason_where_none_is_wanted() -> None:
    """The neighbour: nobody is asked for what no rule asks."""
    assert reasons(judge(request(why=None))) == []


# -- two rules of one number -----------------------------------------------------------------


def test_tcp_and_udp_of_one_number_are_two_grants() -> None:
    """The request names a number only: it means both rules of it, and both must allow."""
    two = policy(rule(53, RuleProtocol.TCP), rule(53, RuleProtocol.UDP, longest=HOUR))
    given = allowed(judge(request(asked(53)), two)).grants
    assert [each.protocol for each in given] == [RuleProtocol.TCP, RuleProtocol.UDP]
    assert reasons(judge(request(asked(53, span=2 * HOUR)), two)) == ["DurationTooLong"]


def test_the_same_port_twice_with_different_sources_is_two_grants() -> None:
    """EDGES A15; and named twice alike it is one, as last named."""
    twice = request(asked(), asked(sources=BOB_HOST))
    assert [each.sources for each in allowed(judge(twice)).grants] == [ALICE_HOST, BOB_HOST]
    alike = request(asked(span=HOUR), asked(span=2 * HOUR))
    assert [each.ends_at for each in allowed(judge(alike)).grants] == [NOW + 2 * HOUR]


# -- a newer request takes an older one's place -----------------------------------------------


@pytest.mark.parametrize(
    ("count", "said"), [(1, ""), (10, ""), (11, ", and 1 more"), (1000, ", and 990 more")]
)
def test_a_sentence_names_ten_sources_or_ports_at_most(count: int, said: str) -> None:
    """A thousand of each in each of a thousand reasons would fill the record."""
    many_ = prefixes(*(f"10.9.{n // 250}.{n % 250}" for n in range(count)))
    listed = ", ".join(map(str, many_[:10])) + said
    outside = judge(request(asked(sources=many_)), policy(rule(sources=BOB_HOST)))
    assert isinstance(outside, Denied)
    assert f"Source {listed} is not allowed" in outside.reasons[0].message
    outside = judge(request(), policy(rule(sources=many_)))
    assert isinstance(outside, Denied)
    assert outside.reasons[0].message.endswith(f"for port 22. The policy allows: {listed}.")
    unknown = judge(request(asked(23)), policy(*(rule(1000 + n) for n in range(count))))
    assert isinstance(unknown, Denied)
    ports = ", ".join(str(1000 + n) for n in range(min(count, 10))) + said
    assert unknown.reasons[0].message.endswith(f"The policy offers: {ports}.")


def test_the_same_persons_older_grant_gives_way() -> None:
    """NewerRequestInitiated; the opening goes on without a gap."""
    old = grant()
    assert allowed(judge(request(), live=(old,))).superseded == (old,)


@pytest.mark.parametrize(
    "other",
    [grant(who="bob"), grant(sources=BOB_HOST), grant(number=23), grant(uid="uid-db")],
)
def test_anybody_elses_grant_stays(other: Grant) -> None:
    """One person's request never ends another's access."""
    assert allowed(judge(request(), live=(other,))).superseded == ()


@pytest.mark.parametrize(
    ("rules", "old", "is_over"),
    [
        ([RuleProtocol.TCP], RuleProtocol.TCP, True),
        ([RuleProtocol.ALL], RuleProtocol.UDP, True),
        ([RuleProtocol.ALL], RuleProtocol.ALL, True),
        ([RuleProtocol.TCP, RuleProtocol.UDP], RuleProtocol.ALL, True),
        ([RuleProtocol.TCP], RuleProtocol.UDP, False),
        ([RuleProtocol.UDP], RuleProtocol.TCP, False),
        ([RuleProtocol.TCP], RuleProtocol.ALL, False),
    ],
)
def test_a_grant_gives_way_when_all_its_protocols_are_opened_anew(
    rules: list[RuleProtocol], old: RuleProtocol, is_over: bool
) -> None:
    """Who asks a policy for TCP keeps the UDP that another gave him."""
    held = grant(protocol=old)
    offered = policy(*(rule(protocol=each) for each in rules))
    assert (allowed(judge(request(), offered, live=(held,))).superseded == (held,)) is is_over


def test_a_large_request_beside_many_grants_is_judged_in_a_moment() -> None:
    """1,000 sources beside 10,000 grants: one look at each, not one at each pair of them."""
    wanted = request(*(asked(sources=prefixes(f"10.0.{n // 250}.{n % 250}")) for n in range(1000)))
    live = tuple(
        replace(grant(sources=prefixes(f"10.1.{n // 250}.{n % 250}")), id=f"old-{n}")
        for n in range(10_000)
    )
    began = time.process_time()
    assert reasons(judge(wanted, live=live)) == ["TooManyGrants"] * 2 + ["TooManyOpenings"]
    assert time.process_time() - began < 8  # a look at each pair takes more than 10


# -- how many -------------------------------------------------------------------------------


def host(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def many(count: int, who: str = "alice", uid: str = "uid-web") -> tuple[Grant, ...]:
    return tuple(
        replace(grant(f"old-{i}", who, prefixes(host(i)), uid=uid), state=GrantState.OPEN)
        for i in range(count)
    )


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (many(99), []),
        (many(100), ["TooManyGrants"]),
        (many(100, who="bob"), []),
        (many(100, uid="uid-db"), []),
    ],
)
def test_a_requestor_holds_a_hundred_on_one_machine(
    live: tuple[Grant, ...], expected: list[str]
) -> None:
    """The hundred-and-first is refused; other people's and other machines' do not count."""
    assert reasons(judge(request(), live=live)) == expected


def test_the_one_that_gives_way_is_not_counted() -> None:
    """At the limit, renewing what one holds must still be possible."""
    held = (*many(99), grant())
    assert reasons(judge(request(), live=held)) == []


def test_a_machine_has_ten_thousand() -> None:
    """A bound for the kernel's sets, whoever holds them."""
    crowd = tuple(each for n in range(100) for each in many(100, who=f"person-{n}"))
    assert reasons(judge(request(), live=crowd)) == ["TooManyGrants"]
    assert reasons(judge(request(), live=crowd[1:])) == []


def hosts(count: int, first: int = 0) -> tuple[AddressPrefix, ...]:
    return prefixes(*(host(n) for n in range(first, first + count)))


@pytest.mark.parametrize(
    ("rules", "wanted", "expected"),
    [
        ((rule(22),), (asked(sources=hosts(1000)),), []),
        ((rule(22, RuleProtocol.ALL),), (asked(sources=hosts(1000)),), []),
        ((rule(22, RuleProtocol.ALL),), (asked(sources=hosts(1001)),), ["TooManyOpenings"]),
        ((rule(22),), (asked(sources=hosts(1999)),), []),
        ((rule(22),), (asked(sources=hosts(1998) + ANYWHERE),), []),  # one a family
        ((rule(22),), (asked(sources=hosts(1999) + ANYWHERE),), ["TooManyOpenings"]),
        (
            (rule(22, RuleProtocol.ALL),),
            tuple(asked(sources=hosts(1000, 1000 * n)) for n in range(33)),
            ["TooManyOpenings"] * 2,
        ),
    ],
)
def test_a_requestor_holds_two_thousand_openings_on_one_machine(
    rules: tuple[PortRule, ...], wanted: tuple[RequestedPort, ...], expected: list[str]
) -> None:
    """What the kernel's sets hold is counted: each source, for each transport protocol."""
    assert reasons(judge(request(*wanted), policy(*rules))) == expected


def test_openings_of_live_grants_count_and_of_those_that_give_way_do_not() -> None:
    """Neither asking in parts nor asking again leads around the bound, or into it."""
    half = replace(grant("half", sources=hosts(1000)), state=GrantState.OPEN)
    rest = asked(sources=hosts(1000, 5000))
    more = asked(sources=hosts(1001, 5000))
    assert reasons(judge(request(rest), live=(half,))) == []
    assert reasons(judge(request(more), live=(half,))) == ["TooManyOpenings"]
    assert reasons(judge(request(rest, asked(sources=half.sources)), live=(half,))) == []
    others = (replace(half, requestor_id="bob"), replace(half, machine_uid="uid-db"))
    assert reasons(judge(request(rest, asked(sources=hosts(1000, 9000))), live=others)) == []


def test_a_machine_has_thirty_thousand_openings() -> None:
    """Twice that fits in a set of the kernel: what ended may still lie there uncollected."""
    crowd = tuple(
        replace(grant(f"old-{n}", f"person-{n}", hosts(2000, 2000 * n)), state=GrantState.OPEN)
        for n in range(15)
    )
    assert 2 * MAXIMUM_OPENINGS_PER_MACHINE < MAX_GRANTS
    verdict = judge(request(), live=crowd)
    assert isinstance(verdict, Denied)
    assert codes(verdict.reasons) == ["TooManyOpenings"]
    assert "30001" in verdict.reasons[0].message
    assert reasons(judge(request(), live=crowd[1:])) == []


# -- everything at once -----------------------------------------------------------------------


def test_all_reasons_are_given_at_once() -> None:
    """Whoever asks badly in four ways is told of four (ARCHITECTURE rule 7)."""
    bad = request(asked(sources=BOB_HOST, span=9 * HOUR), asked(23), why="x" * 2000)
    strict = policy(rule(sources=ALICE_HOST))
    assert reasons(judge(bad, strict)) == [
        "JustificationTooLong",
        "SourceNotAllowed",
        "DurationTooLong",
        "PortNotInPolicy",
    ]


def test_denied_takes_no_place() -> None:
    """A denial must leave the older grant as it was."""
    verdict = judge(request(asked(span=9 * HOUR)), live=(grant(),))
    assert isinstance(verdict, Denied)


# -- what the host itself admits -------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "refused"),
    [
        (Guard(), []),
        (Guard(ports=(SSH,), sources=ALICE_HOST, max_duration=HOUR), []),
        (Guard(ports=(DNS,)), ["PortNotAdmittedByHost"]),
        (Guard(ports=()), ["PortNotAdmittedByHost"]),
        (Guard(sources=BOB_HOST), ["SourceNotAdmittedByHost"]),
        (Guard(max_duration=HOUR / 2), ["LongerThanHostAdmits"]),
        (Guard(problem="it is no file"), ["HostGuardUnusable"]),
    ],
)
def test_what_the_hosts_guard_refuses_is_refused_here(guard: Guard, refused: list[str]) -> None:
    """Before anybody waits; the host has the last word all the same (ARCHITECTURE rule 9)."""
    verdict = decide(policy(), request(), INVENTORY, (), ids(), NOW, guards={"uid-web": guard})
    assert reasons(verdict) == refused
    assert guard.is_bounding == (guard != Guard())


def test_another_hosts_guard_counts_for_nothing() -> None:
    none = {"uid-db": Guard(ports=())}
    allowed(decide(policy(), request(), INVENTORY, (), ids(), NOW, guards=none))


def test_a_machine_where_nothing_can_be_opened_is_refused_at_once() -> None:
    """Nobody is there to open it; or a point that cannot end an opening begins none."""
    for why, code in (
        (Unable.UNINSTALLED, "AgentUninstalled"),
        (Unable.LEASELESS, "LeasesNotEnded"),
        (Unable.MANAGED, "ManagedElsewhere"),
    ):
        unable = {"uid-web": why}
        refused = decide(policy(), request(), INVENTORY, (), ids(), NOW, unable=unable)
        assert reasons(refused) == [code]
        elsewhere = {"uid-db": why}
        allowed(decide(policy(), request(), INVENTORY, (), ids(), NOW, unable=elsewhere))
