"""Emergency access, as it is decided: what it needs, and what it is refused for (EDGES J10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.bounds import Guard
from bascule.domain.decide import Allowed, Denied, decide
from bascule.domain.due import Approval
from bascule.domain.emergency import FRESH_FOR, LONGEST, check_person, review_problem
from bascule.domain.ids import policy_id
from bascule.domain.pending import MOST_WAITING, too_many
from bascule.domain.rules import Conditions, Effect, Rule
from bascule.domain.stages import Approvers, Stage
from bascule.domain.tickets import TicketCheck
from bascule.errors import Forbidden
from tests.samples import HOUR, NOW, POLICY_ID, WEB, asked, ids, machine, policy, request, rule

TICK = timedelta(microseconds=1)
ANN = Subject("ann", PrincipalKind.USER, "ann", factor_at=NOW - FRESH_FOR)
EMERGENCY = replace(request(asked(), why="fire"), is_emergency=True)
OTHER = policy_id(POLICY_ID.subscription_id, "r", "local", "other")
BOB = Stage(Approvers(("bob",)))


def judged(
    *rules: Rule, approval: Approval | None = None, of: object = EMERGENCY, **more: object
) -> Allowed | Denied:
    held = replace(policy(replace(rule(), approval=(BOB,))), rules=rules)
    found = decide(
        held,
        of,  # type: ignore[arg-type]  # reason: a request
        {WEB: machine()},
        more.get("live", ()),  # type: ignore[arg-type]  # reason: grants
        ids(),
        NOW,
        guards=more.get("guards", {}),  # type: ignore[arg-type]  # reason: of hosts
        approval=approval or Approval((held,)),
    )
    assert isinstance(found, Allowed | Denied), "nobody is asked"
    return found


def codes(found: Allowed | Denied) -> list[str]:
    return [each.code for each in found.reasons] if isinstance(found, Denied) else []


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (ANN, None),
        (replace(ANN, factor_at=NOW - FRESH_FOR - TICK), "SecondFactorTooOld"),
        (replace(ANN, factor_at=NOW + TICK), "SecondFactorTooOld"),
        (replace(ANN, factor_at=None), "SecondFactorTooOld"),
        (replace(ANN, kind=PrincipalKind.SERVICE), "OnlyPeopleInEmergency"),
        (replace(ANN, kind=PrincipalKind.AGENT), "OnlyPeopleInEmergency"),
    ],
)
def test_a_person_with_a_fresh_factor_alone(subject: Subject, code: str | None) -> None:
    if code is None:
        check_person(subject, NOW)
        return
    with pytest.raises(Forbidden) as error:
        check_person(subject, NOW)
    assert error.value.specific_code == code


def test_nobody_is_asked_and_what_is_granted_says_so() -> None:
    found = judged(Rule("two", Effect.APPROVE, Conditions(), (BOB,)))
    assert isinstance(found, Allowed)
    (grant,) = found.grants
    assert grant.is_emergency
    assert grant.ends_at == NOW + HOUR


def test_a_deny_that_was_judged_and_one_that_could_not_be() -> None:
    never = Rule("never", Effect.DENY, Conditions(ports=(22,)))
    assert codes(judged(never)) == ["DeniedByRule"]
    tired = Rule("tired", Effect.DENY, Conditions(factor_older_than=HOUR))
    assert codes(judged(tired)) == []
    known = replace(EMERGENCY, factor_age=2 * HOUR)
    assert codes(judged(tired, of=known)) == ["DeniedByRule"]
    staff = Rule("staff", Effect.DENY, Conditions(groups=("staff",)))
    held = replace(policy(rule()), rules=(staff,))
    assert codes(judged(approval=Approval((held,), groups=None))) == []
    assert codes(judged(approval=Approval((held,), frozenset({"staff"})))) == ["DeniedByRule"]


def test_a_deny_without_a_confirmed_ticket_says_which_ticket_is_missing() -> None:
    changes = Rule("changes", Effect.DENY, Conditions(ticket_confirmed=False))
    held = replace(
        policy(rule()),
        rules=(changes,),
        tickets=TicketCheck(r"CHG\d{7}", "https://tickets.example/", sealed_secret="x"),
    )
    assert codes(judged(approval=Approval((held,)))) == ["DeniedByRule", "TicketRequired"]


def test_a_policy_that_names_another_port_denies_nothing() -> None:
    other = replace(policy(rule(number=80)), id=OTHER, rules=(Rule("n", Effect.DENY),))
    assert codes(judged(approval=Approval((other,)))) == []


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (LONGEST, []),
        (LONGEST + timedelta(seconds=60), []),
        (LONGEST + timedelta(seconds=60) + TICK, ["EmergencyTooLong"]),
    ],
)
def test_an_hour_at_most_whatever_the_policy_allows(span: timedelta, expected: list[str]) -> None:
    of = replace(request(replace(asked(), ends_at=NOW + span), why="fire"), is_emergency=True)
    found = judged(of=of)
    assert codes(found) == expected
    if isinstance(found, Allowed):
        assert found.grants[0].ends_at == NOW + LONGEST


def test_the_guard_may_make_it_shorter() -> None:
    found = judged(guards={machine().uid: Guard(max_duration=HOUR)})
    assert isinstance(found, Allowed)
    short = judged(guards={machine().uid: Guard(max_duration=HOUR / 2)})
    assert codes(short) == ["LongerThanHostAdmits"]


@pytest.mark.parametrize("why", [None, "", " \n"])
def test_a_reason_is_always_required(why: str | None) -> None:
    assert codes(judged(of=replace(EMERGENCY, justification=why))) == ["JustificationRequired"]


def test_no_second_one_while_the_first_is_open() -> None:
    first = judged()
    assert isinstance(first, Allowed)
    (grant,) = first.grants
    assert codes(judged(live=(grant,))) == ["EmergencyNotExtended"]
    for other in (
        replace(grant, is_emergency=False),
        replace(grant, requestor_id="another"),
        replace(grant, machine_uid="another"),
        replace(grant, number=80),
    ):
        assert codes(judged(live=(other,))) == []


def test_who_may_not_review_it() -> None:
    program = replace(ANN, kind=PrincipalKind.SERVICE)
    found = [review_problem(who, subject) for who, subject in (("bob", program), ("ann", ANN))]
    assert [each and each.specific_code for each in found] == ["OnlyPeopleReview", "OwnEmergency"]
    assert review_problem("bob", ANN) is None


def test_a_refused_one_opened_nothing() -> None:
    assert not EMERGENCY.is_refused
    assert str(MOST_WAITING) in str(too_many().message)
