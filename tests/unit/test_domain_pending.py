"""What an approval approves, and what a request needs by the rules of its policies (EDGES J1, J6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.decide import Allowed, Denied, NeedsApproval, decide
from bascule.domain.due import Approval, may_approve_own, names_port
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.net import RuleProtocol
from bascule.domain.pending import (
    LATEST,
    Pending,
    asked_again,
    begin,
    digest_of,
    judged_again,
    longest_of,
    opening_at,
    opens_at,
    reach_of,
    same_of,
    scheduled,
)
from bascule.domain.policy import Policy, check_policy
from bascule.domain.request import AccessRequest
from bascule.domain.rules import Conditions, Effect, Rule, Span
from bascule.domain.stages import (
    Approvers,
    Because,
    DueStage,
    Stage,
    Vote,
    covers,
    met,
    united,
)
from bascule.domain.times import format_utc
from tests.samples import DB, HOUR, NOW, WEB, asked, ids, machine, policy, request, rule

BOB, CAROL, DAVE = (Stage(Approvers((who,))) for who in ("bob", "carol", "dave"))
WHY = Because("policy", "two", "machine", 22)
LENGTH = replace(asked(), length=HOUR)


def due(*stages: Stage) -> tuple[DueStage, ...]:
    return united((each, WHY) for each in stages)


def vote(who: str, stage: int = 0, **more: Any) -> Vote:
    return replace(Vote(who, who, NOW, stage, ""), **more)


def waiting(of: AccessRequest | None = None, *stages: Stage) -> Pending:
    of = of or request(LENGTH)
    stages = stages or (BOB, CAROL)
    pending_for = timedelta(days=1)
    return begin(of, [machine()], due(*stages), pending_for, NOW, may_approve_own=False)


def test_a_stage_is_asked_when_those_before_are_met() -> None:
    pending = waiting()
    assert pending.asked(()) == 0
    assert pending.asked([vote("bob")]) == 1
    assert pending.asked([vote("carol", 1)]) == 0
    assert pending.asked([vote("bob"), vote("carol", 1)]) is None


def test_the_moment_since_which_a_stage_is_asked_is_kept() -> None:
    later = NOW + HOUR
    pending = waiting()
    assert pending.asked_since == (NOW, None)
    assert pending.asking((), later) == pending
    moved = pending.asking([vote("bob")], later)
    assert moved.asked_since == (NOW, later)
    assert moved.asking([vote("bob")], later + HOUR) == moved
    assert moved.asking([vote("bob"), vote("carol", 1)], later) == moved
    assert (pending.since(0, later), pending.since(1, later)) == (NOW, later)


def test_only_yeses_to_what_is_asked_now_are_named() -> None:
    pending = waiting()
    good = vote("bob", digest=pending.digest)
    others = (vote("carol"), vote("dave", digest=pending.digest, is_void=True))
    assert replace(pending, votes=(good, *others)).named() == (good,)


@pytest.mark.parametrize(
    "other",
    [
        request(replace(LENGTH, length=2 * HOUR)),
        request(replace(LENGTH, number=23)),
        request(replace(LENGTH, sources=asked().sources * 2)),
        request(asked()),
        request(LENGTH, why="a reason"),
        request(LENGTH, who="mallory"),
    ],
)
def test_anything_else_asked_for_has_another_digest(other: AccessRequest) -> None:
    one, stages = request(LENGTH), due(BOB)
    assert digest_of(other, [machine()], stages) != digest_of(one, [machine()], stages)
    assert same_of(other) != same_of(one)


def test_another_machine_or_stage_has_another_digest_and_another_moment_has_not() -> None:
    one, stages = request(LENGTH), due(BOB)
    known = digest_of(one, [machine()], stages)
    again = request(replace(LENGTH, ends_at=NOW + 9 * HOUR), now=NOW + HOUR)
    assert digest_of(again, [machine()], stages) == known
    assert same_of(again) == same_of(one)
    assert digest_of(one, [replace(machine(), uid="another")], stages) != known
    assert digest_of(one, [machine()], due(CAROL)) != known
    escalating = replace(BOB, escalate_after=HOUR, escalate_to=CAROL.approvers)
    assert digest_of(one, [machine()], due(escalating)) != known


def test_it_waits_for_so_long_or_until_an_end_that_it_asks_for() -> None:
    assert waiting().pending_until == NOW + timedelta(days=1)
    assert waiting(request(asked())).pending_until == NOW + HOUR


def test_judged_again_it_begins_anew_only_where_something_is_other() -> None:
    pending, one = waiting(), request(LENGTH)
    same = judged_again(
        pending, one, [machine()], due(BOB, CAROL), NOW + HOUR, may_approve_own=True
    )
    assert same == replace(pending, may_approve_own=True)
    other = judged_again(pending, one, [machine()], due(CAROL), NOW + HOUR, may_approve_own=False)
    assert other.digest != pending.digest
    assert other.asked_since == (NOW + HOUR,)


def test_a_length_counts_from_the_opening_an_end_stays_and_approvers_shorten() -> None:
    then = NOW + 10 * HOUR
    (port,) = opening_at(request(LENGTH), (), then).machines[0].ports
    assert (port.ends_at, port.ends_at_text) == (then + HOUR, format_utc(then + HOUR))
    (port,) = opening_at(request(asked()), (), then).machines[0].ports
    assert (port.ends_at, port.ends_at_text) == (NOW + HOUR, asked().ends_at_text)
    half = HOUR / 2
    votes = [vote("bob", longest=half), vote("carol", ends_at=then + 2 * HOUR)]
    (port,) = opening_at(request(LENGTH), votes, then).machines[0].ports
    assert port.ends_at == then + half


def test_what_is_asked_for_at_most() -> None:
    assert longest_of(request(LENGTH)) == (HOUR, None)
    assert longest_of(request(LENGTH, asked(23, span=2 * HOUR))) == (HOUR, NOW + 2 * HOUR)


def test_equal_stages_are_one_with_all_that_asks_for_it() -> None:
    other = replace(WHY, machine_id="other")
    (one, two) = united([(BOB, WHY), (CAROL, WHY), (BOB, other), (BOB, WHY)])
    assert (one.because, one.machine_ids) == ((WHY, other), ("machine", "other"))
    assert two.stage is CAROL


def judged(of: Policy, *policies: Policy, spans: tuple[Span, ...] | None = ()) -> object:
    held = None if spans is None else {machine().uid: spans, "another": [(NOW - 9 * HOUR, NOW)]}
    approval = Approval(policies or (of,), frozenset(), held)
    return decide(of, request(LENGTH), {WEB: machine()}, [], ids(), NOW, approval=approval)


def with_rules(of: Policy, *rules: Rule) -> Policy:
    return replace(of, rules=rules)


DENY, ALLOW = Rule("never", Effect.DENY), Rule("free", Effect.ALLOW)
APPROVE = Rule("two", Effect.APPROVE, Conditions(), (CAROL,))
OWN = replace(rule(), approval=(BOB,))


def test_three_answers() -> None:
    plain, own = policy(rule()), policy(OWN)
    assert isinstance(judged(plain), Allowed)
    assert isinstance(judged(with_rules(own, ALLOW)), Allowed)
    needs = judged(own)
    assert isinstance(needs, NeedsApproval)
    assert [each.stage for each in needs.stages] == [BOB]
    assert needs.allowed.grants
    both = judged(with_rules(own, APPROVE))
    assert isinstance(both, NeedsApproval)
    assert [each.stage for each in both.stages] == [CAROL, BOB]
    lifted = judged(with_rules(own, ALLOW, APPROVE))
    assert isinstance(lifted, NeedsApproval)
    assert [each.stage for each in lifted.stages] == [CAROL]
    denied = judged(with_rules(own, ALLOW, APPROVE, DENY))
    assert isinstance(denied, Denied)
    assert [each.code for each in denied.reasons] == ["DeniedByRule"]


def test_other_policies_count_where_they_name_machine_and_port() -> None:
    plain = policy(rule())
    other = replace(policy(OWN), id=replace_name(plain, "other"))
    needs = judged(plain, plain, with_rules(other, ALLOW))
    assert isinstance(needs, NeedsApproval)  # its allow lifts nothing of a request to another
    elsewhere = replace(policy(replace(OWN, number=23)), id=other.id)
    assert isinstance(judged(plain, plain, with_rules(elsewhere, DENY)), Allowed)
    nowhere = replace(other, machines=())
    assert isinstance(judged(plain, plain, with_rules(nowhere, DENY)), Allowed)


def test_a_policy_counts_for_the_ports_that_it_names_on_that_machine() -> None:
    named = policy(OWN)
    assert names_port(named, machine(), asked(22))
    assert not names_port(named, machine(), asked(23))
    assert not names_port(named, machine(DB, "uid-db"), asked(22))


def test_groups_are_read_where_a_rule_names_one() -> None:
    named = Rule("staff", Effect.DENY, Conditions(groups=("staff",)))
    assert Approval((policy(rule()), with_rules(policy(OWN), APPROVE, named))).reads_groups
    assert not Approval((policy(rule()), with_rules(policy(OWN), APPROVE))).reads_groups
    assert not Approval().reads_groups


def replace_name(of: Policy, name: str) -> ResourceId:
    each = of.id
    return policy_id(each.subscription_id, each.resource_group, "local", name)


def test_how_long_is_judged_by_what_was_held_there() -> None:
    short = Rule("short", Effect.ALLOW, Conditions(at_most=HOUR))
    own = with_rules(policy(OWN), short)
    assert Approval((own,)).looks_back == HOUR
    assert isinstance(judged(own), Allowed)
    for spans in (((NOW - HOUR, NOW),), ((NOW - HOUR, NOW - HOUR / 2),), None):
        assert isinstance(judged(own, spans=spans), NeedsApproval)


def test_own_requests_are_approved_where_every_policy_says_so() -> None:
    own = policy(OWN)
    why = Because(str(own.id), "", "machine", 22)
    stages = united([(BOB, why)])
    assert not may_approve_own(Approval((own,)), stages)
    lenient = replace(own, self_approval=True)
    assert may_approve_own(Approval((lenient,)), stages)
    assert not may_approve_own(Approval((lenient,)), united([(BOB, why), (BOB, WHY)]))


def test_a_policy_is_checked_with_its_rules() -> None:
    good = with_rules(policy(OWN), APPROVE)
    assert check_policy(replace(good, pending_for=timedelta(minutes=5))) == ()
    bad = replace(
        good,
        rules=(replace(APPROVE, name=""),),
        pending_for=timedelta(minutes=4),
        machines=policy(replace(OWN, approval=(Stage(Approvers()),))).machines,
    )
    assert {each.code for each in check_policy(bad)} == {
        "InvalidRuleName",
        "InvalidDuration",
        "ApproversRequired",
    }
    assert good.has_approval
    assert policy(OWN).has_approval
    assert not policy(rule()).has_approval


def test_a_rule_that_takes_the_place_of_others_keeps_their_approvals() -> None:
    merged = rule().with_additions_of([OWN, replace(OWN, approval=(CAROL, BOB))])
    assert merged.approval == (BOB, CAROL)


STEP = timedelta(microseconds=1)
PATIENT = replace(BOB, escalate_after=HOUR, escalate_to=CAROL.approvers)


def test_others_are_asked_once_when_a_stage_has_waited_so_long() -> None:
    pending = waiting(None, PATIENT, DAVE)
    assert pending.escalates_at == NOW + HOUR
    noted = pending.escalating(0)
    assert (noted.escalated, noted.escalates_at) == ((0,), None)
    assert noted.asking((), NOW + 2 * HOUR).escalates_at is None  # never twice
    met = pending.asking([vote("bob")], NOW)
    assert met.escalates_at is None  # the stage that is asked now escalates to nobody
    late = waiting(None, DAVE, PATIENT).asking([vote("dave")], NOW + HOUR)
    assert late.escalates_at == NOW + 2 * HOUR  # since that stage was asked


def test_what_is_other_than_before_is_asked_and_escalated_anew() -> None:
    noted = waiting(None, PATIENT).escalating(0)
    again = judged_again(
        noted, request(LENGTH), [machine()], due(DAVE), NOW + HOUR, may_approve_own=False
    )
    assert again.escalated == ()


def test_it_waits_until_its_start_at_the_latest() -> None:
    soon = replace(request(LENGTH), starts_at=NOW + HOUR)
    assert waiting(soon).pending_until == NOW + HOUR
    late = replace(request(LENGTH), starts_at=NOW + timedelta(days=2))
    assert waiting(late).pending_until == NOW + timedelta(days=1)


def test_a_start_is_opened_for_five_minutes_and_may_need_people_again() -> None:
    start = NOW + 3 * HOUR
    ready = scheduled(waiting(None, PATIENT), start)
    assert (ready.opens_at, ready.escalates_at) == (start, None)
    assert ready.pending_until == start + LATEST
    again = asked_again(ready, HOUR, start, NOW)
    assert (again.opens_at, again.pending_until) == (None, NOW + HOUR)
    assert asked_again(ready, 9 * HOUR, start, NOW).pending_until == start


def test_it_opens_now_and_never_before_its_start() -> None:
    one = request(LENGTH)
    assert opens_at(one, NOW) == NOW
    early = replace(one, starts_at=NOW + HOUR)
    assert (opens_at(early, NOW), opens_at(early, NOW + 2 * HOUR)) == (NOW + HOUR, NOW + 2 * HOUR)


def test_what_is_not_tcp_alone_has_a_digest_of_its_own() -> None:
    one, stages = request(LENGTH), due(BOB)
    opened = [(machine().uid, 22, "*"), (machine().uid, 53, "UDP")]
    given = [digest_of(one, [machine()], stages, some) for some in ((), opened[:1], opened)]
    assert len(set(given)) == 3
    assert digest_of(one, [machine()], stages, opened[::-1]) == given[-1]


@pytest.mark.parametrize(("protocol", "is_told"), [("TCP", False), ("UDP", True), ("*", True)])
def test_what_is_opened_beyond_tcp_is_told(protocol: RuleProtocol, is_told: bool) -> None:
    of = policy(rule(protocol=RuleProtocol(protocol)))
    decision = judged(of, of)
    assert isinstance(decision, Allowed)
    assert decision.beyond_tcp == (((machine().uid, 22, protocol),) if is_told else ())


def test_a_stage_is_met_by_all_its_yeses() -> None:
    stages = due(BOB, replace(CAROL, needed=2))
    assert met(stages, ()) == []
    assert met(stages, [vote("carol", 1), vote("dave", 1)]) == [stages[1]]
    assert met(stages, [vote("bob"), vote("carol", 1)]) == [stages[0]]


def test_who_agreed_by_a_role_agreed_at_those_machines() -> None:
    """People who are named are the same everywhere."""
    role = Stage(Approvers(by_role=True))
    later = replace(BOB, escalate_after=HOUR, escalate_to=Approvers(by_role=True))
    here, there = WHY, replace(WHY, machine_id="another")
    for stage, is_same_elsewhere in ((BOB, True), (role, False), (later, False)):
        one, other = DueStage(stage, (here,)), DueStage(stage, (there,))
        both = DueStage(stage, (here, there))
        assert covers([one], one)
        assert covers([both], one)
        assert covers([other], one) is is_same_elsewhere
        assert covers([one], both) is is_same_elsewhere
        assert not covers([DueStage(DAVE, (here,))], one)
    assert not covers([], DueStage(BOB, (here,)))


def test_a_start_has_a_digest_of_its_own() -> None:
    one, stages = request(LENGTH), due(BOB)
    known = digest_of(one, [machine()], stages)
    for other in (replace(one, starts_at=NOW + HOUR), request(replace(LENGTH, up_to=2 * HOUR))):
        assert digest_of(other, [machine()], stages) != known
        assert same_of(other) != same_of(one)


def test_how_far_it_may_be_extended_is_shortened_by_approvers_too() -> None:
    wide = request(replace(LENGTH, up_to=3 * HOUR))
    assert (reach_of(wide), reach_of(request(LENGTH))) == (3 * HOUR, None)
    (port,) = opening_at(wide, (), NOW).machines[0].ports
    assert port.up_to == 3 * HOUR
    (port,) = opening_at(wide, [vote("bob", longest=2 * HOUR)], NOW).machines[0].ports
    assert (port.ends_at, port.up_to) == (NOW + HOUR, 2 * HOUR)
    then = NOW + HOUR
    (port,) = opening_at(wide, [vote("bob", ends_at=then + HOUR / 2)], then).machines[0].ports
    assert (port.ends_at, port.up_to) == (then + HOUR / 2, HOUR / 2)


@pytest.mark.parametrize(
    ("up_to", "expected"), [(3 * HOUR, []), (3 * HOUR + STEP, ["UpToTooLong"])]
)
def test_nothing_is_approved_for_longer_than_the_port_may_be_open(
    up_to: timedelta, expected: list[str]
) -> None:
    own = policy(OWN)
    found = decide(
        own,
        request(replace(LENGTH, up_to=up_to)),
        {WEB: machine()},
        [],
        ids(),
        NOW,
        approval=Approval((own,)),
    )
    reasons = found.reasons if isinstance(found, Denied) else ()
    assert [each.code for each in reasons] == expected
    if not expected:
        assert isinstance(found, NeedsApproval)
        assert [each.approved_until for each in found.allowed.grants] == [NOW + up_to]
