"""When a rule holds (EDGES J4), each beside what nearly does; and how rules are checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bascule.domain.ids import machine_id
from bascule.domain.net import AddressPrefix
from bascule.domain.rules import (
    MOST_RULES,
    MOST_VALUES,
    Asked,
    Conditions,
    Effect,
    Rule,
    Window,
    check_rule,
    check_rules,
    has_tags,
    holds,
    holds_as_judged,
    is_zone,
    longest_span,
    span_with,
    within,
)
from bascule.domain.stages import (
    MOST_APPROVERS,
    MOST_STAGES,
    Approvers,
    Stage,
    asked_at,
    check_stages,
)

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
MONDAY = datetime(2030, 1, 7, 12, tzinfo=UTC)
WEB = machine_id("0f068dd1-b3bf-4d9d-af3b-567752fe2e84", "prod", "web-1")
BOB = Stage(Approvers(("bob",)))
BOTH, WIDE, NARROW = (True, True), (True, False), (False, False)


def asked(**more: Any) -> Asked:
    usual: dict[str, Any] = {
        "principal_id": "alice",
        "groups": frozenset({"staff"}),
        "machine_id": WEB,
        "tags": {"Env": "Production"},
        "number": 22,
        "sources": (AddressPrefix.parse("10.0.0.0/23"),),
        "starts_at": MONDAY,
        "ends_at": MONDAY + HOUR,
        "span": HOUR,
    }
    return Asked(**{**usual, **more})


def both(conditions: Conditions, one: Asked) -> tuple[bool, bool]:
    """Does it hold for *deny*, and for *allow*?"""
    deny, allow = Rule("r", Effect.DENY, conditions), Rule("r", Effect.ALLOW, conditions)
    stages = replace(deny, effect=Effect.APPROVE)
    assert holds(stages, one) is holds(deny, one)
    return holds(deny, one), holds(allow, one)


def prefixes(*texts: str) -> tuple[AddressPrefix, ...]:
    return tuple(map(AddressPrefix.parse, texts))


@pytest.mark.parametrize(
    ("conditions", "one", "expected"),
    [
        (Conditions(), asked(), BOTH),
        (Conditions(users=("alice",)), asked(), BOTH),
        (Conditions(users=("Alice", "bob")), asked(), NARROW),
        (Conditions(groups=("staff",)), asked(), BOTH),
        (Conditions(groups=("ops",)), asked(), NARROW),
        (Conditions(groups=("ops",), users=("alice",)), asked(groups=None), BOTH),
        (Conditions(groups=("ops",)), asked(groups=None), WIDE),  # cannot be judged
        (Conditions(groups=("ops",)), asked(unsure_groups=frozenset({"ops"})), WIDE),  # nor this
        (Conditions(groups=("ops",)), asked(unsure_groups=frozenset({"dba"})), NARROW),
        (Conditions(groups=("staff", "ops")), asked(unsure_groups=frozenset({"ops"})), BOTH),
        (Conditions(tags=(("env", "Production"),)), asked(), BOTH),
        (Conditions(tags=(("env", "production"),)), asked(), WIDE),  # a value has its case
        (Conditions(tags=(("env", "Production"), ("a", "b"))), asked(), NARROW),
        (Conditions(tags=(("env", "Production"),)), asked(tags=None), WIDE),
        (Conditions(resource_groups=("PROD",)), asked(), BOTH),
        (Conditions(resource_groups=("test",)), asked(), NARROW),
        (Conditions(ports=(22, 80)), asked(), BOTH),
        (Conditions(ports=(2222,)), asked(), NARROW),
        (Conditions(sources_within=prefixes("10.0.0.0/8")), asked(), BOTH),
        (Conditions(sources_within=prefixes("10.0.0.0/24")), asked(), WIDE),
        (Conditions(sources_within=prefixes("10.0.0.0/24", "10.0.1.0/24")), asked(), BOTH),
        (Conditions(sources_within=prefixes("2001:db8::/32")), asked(), NARROW),
        (Conditions(sources_within=prefixes("10.0.0.0/8")), asked(sources=prefixes("*")), WIDE),
        (Conditions(at_most=HOUR), asked(), BOTH),
        (Conditions(at_most=HOUR), asked(span=HOUR + timedelta(seconds=1)), NARROW),
        (Conditions(at_most=HOUR), asked(span=None), WIDE),
        (Conditions(longer_than=HOUR), asked(), NARROW),
        (Conditions(longer_than=HOUR), asked(span=2 * HOUR), BOTH),
        (Conditions(longer_than=HOUR), asked(span=None), WIDE),
        (Conditions(factor_older_than=HOUR), asked(factor_age=HOUR), NARROW),
        (Conditions(factor_older_than=HOUR), asked(factor_age=HOUR + TICK), BOTH),
        (Conditions(factor_older_than=HOUR), asked(), WIDE),  # not known, as of a program
        (Conditions(factor_within=HOUR), asked(factor_age=HOUR), BOTH),
        (Conditions(factor_within=HOUR), asked(factor_age=HOUR + TICK), NARROW),
        (Conditions(factor_within=HOUR), asked(), WIDE),
        (Conditions(times=Window("No/Where")), asked(), WIDE),
        (Conditions(times=Window("UTC", (0,), 12 * 60, 13 * 60)), asked(), BOTH),
        (Conditions(times=Window("UTC", (0,), 12 * 60, 12 * 60 + 59)), asked(), WIDE),
        (Conditions(times=Window("UTC", (0,), 12 * 60 + 1, 20 * 60)), asked(), WIDE),
        (Conditions(times=Window("UTC", (0,), 13 * 60, 20 * 60)), asked(), NARROW),
        (Conditions(times=Window("UTC", (1, 2, 3, 4, 5, 6))), asked(), NARROW),
        (Conditions(users=("alice",), ports=(80,)), asked(), NARROW),  # all must hold
    ],
)
def test_a_condition_beside_what_nearly_holds(
    conditions: Conditions, one: Asked, expected: tuple[bool, bool]
) -> None:
    assert both(conditions, one) == expected


@pytest.mark.parametrize(
    ("conditions", "one", "expected"),
    [
        (Conditions(), asked(), True),
        (Conditions(groups=("staff",)), asked(), True),
        (Conditions(groups=("ops",)), asked(), False),
        (Conditions(groups=("staff",)), asked(groups=None), False),
        (Conditions(tags=(("env", "production"),)), asked(tags=None), False),
        (Conditions(longer_than=HOUR), asked(span=None), False),
        (Conditions(times=Window("No/Where")), asked(), False),
        (Conditions(factor_older_than=HOUR), asked(), False),
        (Conditions(ports=(22,), longer_than=HOUR), asked(span=2 * HOUR), True),
        (Conditions(ports=(22,), longer_than=HOUR), asked(span=None), False),
    ],
)
def test_what_could_not_be_judged_stops_no_emergency(
    conditions: Conditions, one: Asked, expected: bool
) -> None:
    """EDGES J10: what was judged does."""
    assert holds_as_judged(Rule("r", Effect.DENY, conditions), one) is expected


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "begins", "ends", "any_", "all_"),
    [
        # Over midnight: it begins on Friday and ends on Saturday.
        (Window("UTC", (4,), 22 * 60, 6 * 60), "2030-01-12T05:00", "2030-01-12T06:00", True, True),
        (
            Window("UTC", (4,), 22 * 60, 6 * 60),
            "2030-01-12T06:00",
            "2030-01-12T07:00",
            False,
            False,
        ),
        (
            Window("UTC", (5,), 22 * 60, 6 * 60),
            "2030-01-12T05:00",
            "2030-01-12T06:00",
            False,
            False,
        ),
        # Day after day without a gap.
        (Window("UTC"), "2030-01-12T23:00", "2030-01-13T23:00", True, True),
        # Paris, summer time: 08:00 there is 06:00 UTC.
        (
            Window("Europe/Paris", (0,), 480, 1080),
            "2030-07-08T06:00",
            "2030-07-08T07:00",
            True,
            True,
        ),
        (
            Window("Europe/Paris", (0,), 480, 1080),
            "2030-07-08T05:00",
            "2030-07-08T06:00",
            False,
            False,
        ),
        # Clocks go forward on 2030-03-31: 02:30 is not there. *Any* is wider, *all* is narrower.
        (
            Window("Europe/Paris", (6,), 150, 240),
            "2030-03-31T00:40",
            "2030-03-31T00:50",
            True,
            False,
        ),
        (
            Window("Europe/Paris", (6,), 150, 240),
            "2030-03-31T01:30",
            "2030-03-31T02:00",
            True,
            True,
        ),
        # Clocks go back on 2030-10-27: 02:30 is there twice.
        (
            Window("Europe/Paris", (6,), 150, 240),
            "2030-10-27T00:30",
            "2030-10-27T01:00",
            True,
            False,
        ),
        (
            Window("Europe/Paris", (6,), 150, 240),
            "2030-10-27T01:30",
            "2030-10-27T02:00",
            True,
            True,
        ),
        (
            Window("Europe/Paris", (6,), 60, 150),
            "2030-10-27T01:00",
            "2030-10-27T01:20",
            True,
            False,
        ),
        # A lease that is longer than a week is cut for *any*, and no window covers its days off.
        (Window("UTC", (0,)), "2030-01-08T00:00", "2031-01-08T00:00", True, False),
    ],
)
def test_hours_by_the_clocks_of_a_place(
    window: Window, begins: str, ends: str, any_: bool, all_: bool
) -> None:
    assert within(window, at(begins), at(ends), is_wide=True) is any_
    assert within(window, at(begins), at(ends), is_wide=False) is all_


def test_what_was_held_without_a_gap_of_an_hour_counts() -> None:
    """The gap too; an hour is a gap."""
    start, end = MONDAY, MONDAY + HOUR
    minute = timedelta(minutes=1)
    before = (start - 2 * HOUR, start - HOUR + minute)
    earlier = (start - 5 * HOUR, start - 3 * HOUR + minute)
    assert span_with(start, end, []) == HOUR
    assert span_with(start, end, [before]) == 3 * HOUR
    assert span_with(start, end, [earlier, before]) == 6 * HOUR
    assert span_with(start, end, [earlier]) == HOUR
    assert span_with(start, end, [(start - 2 * HOUR, start - HOUR)]) == HOUR
    assert span_with(start, end, [(start - HOUR, start + 5 * HOUR)]) == 2 * HOUR


def test_the_tags_of_a_rule_alone() -> None:
    want = Conditions(tags=(("env", "prod"),), ports=(1,))
    deny, allow = Rule("a", Effect.DENY, want), Rule("b", Effect.ALLOW, want)
    assert has_tags(deny, {"ENV": "PROD"})
    assert has_tags(allow, {"Env": "prod"})
    assert not has_tags(allow, {"env": "PROD"})
    assert not has_tags(deny, {})
    assert has_tags(Rule("c", Effect.DENY), {})


def test_how_far_back_matters() -> None:
    def rule(**more: Any) -> Rule:
        return Rule("r", Effect.ALLOW, Conditions(**more))

    assert longest_span([]) is None
    assert longest_span([rule()]) is None
    assert longest_span([rule(at_most=HOUR), rule(longer_than=2 * HOUR)]) == 2 * HOUR


@pytest.mark.parametrize("name", ["Europe/Paris", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_zone(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "Europe/Pàris", "No/Where", "A" * 65])
def test_no_zone(name: str) -> None:
    assert not is_zone(name)


def codes(problems: Any) -> list[tuple[str, str]]:
    return [(each.code, str(each.target)) for each in problems]


GOOD = Rule("two", Effect.APPROVE, Conditions(), (BOB,))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (GOOD, []),
        (replace(GOOD, name="a" * 64), []),
        (replace(GOOD, name="a" * 65), [("InvalidRuleName", "name")]),
        (replace(GOOD, name="-x"), [("InvalidRuleName", "name")]),
        (replace(GOOD, name="\uff54wo"), [("InvalidRuleName", "name")]),
        (replace(GOOD, stages=()), [("StagesRequired", "stages")]),
        (replace(GOOD, effect=Effect.DENY), [("StagesNotAsked", "stages")]),
        (
            replace(GOOD, conditions=Conditions(ports=tuple(range(1, MOST_VALUES + 2)))),
            [("TooManyValues", "conditions.ports")],
        ),
        (
            replace(GOOD, conditions=Conditions(times=Window("Nowhere", ()))),
            [
                ("InvalidTimeZone", "conditions.times.timeZone"),
                ("DaysRequired", "conditions.times.days"),
            ],
        ),
        (replace(GOOD, conditions=Conditions(times=Window("UTC"))), []),
        (replace(GOOD, conditions=Conditions(at_most=timedelta(minutes=1))), []),
        (
            replace(GOOD, conditions=Conditions(at_most=timedelta(seconds=59))),
            [("InvalidDuration", "conditions.atMost")],
        ),
        (
            replace(GOOD, conditions=Conditions(longer_than=timedelta(days=8))),
            [("InvalidDuration", "conditions.longerThan")],
        ),
        (replace(GOOD, conditions=Conditions(factor_older_than=HOUR)), []),
        (Rule("r", Effect.ALLOW, Conditions(factor_within=HOUR)), []),
        (
            replace(GOOD, conditions=Conditions(factor_within=HOUR)),
            [("ConditionNotOfEffect", "conditions.secondFactorWithin")],
        ),
        (
            Rule("r", Effect.ALLOW, Conditions(factor_older_than=HOUR)),
            [("ConditionNotOfEffect", "conditions.secondFactorOlderThan")],
        ),
        (
            Rule("r", Effect.DENY, Conditions(factor_older_than=timedelta(seconds=59))),
            [("InvalidDuration", "conditions.secondFactorOlderThan")],
        ),
    ],
)
def test_a_rule_is_checked(rule: Rule, expected: list[tuple[str, str]]) -> None:
    assert codes(check_rule(rule, "")) == expected


def test_rules_together_are_checked() -> None:
    assert codes(check_rules([GOOD, replace(GOOD, name="TWO")], "rules")) == [
        ("DuplicateRule", "rules[1].name")
    ]
    many = [replace(GOOD, name=f"r{n}") for n in range(MOST_RULES + 1)]
    assert codes(check_rules(many[:-1], "rules")) == []
    assert codes(check_rules(many, "rules")) == [("TooManyRules", "rules")]
    assert codes(check_rule(replace(GOOD, name=""), "rules[3]")) == [
        ("InvalidRuleName", "rules[3].name")
    ]


OPS = Approvers(groups=("ops",))
LATER = Stage(Approvers(("bob",)), 1, timedelta(minutes=5), OPS)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (BOB, []),
        (LATER, []),
        (Stage(Approvers(by_role=True), 10), []),
        (Stage(Approvers()), ["ApproversRequired"]),
        (Stage(OPS, 0), ["InvalidNeeded"]),
        (Stage(OPS, 11), ["InvalidNeeded"]),
        (Stage(Approvers(("bob", "carol")), 2), []),
        (Stage(Approvers(("bob", "carol")), 3), ["NeededOfTooFew"]),
        (Stage(Approvers(("bob",), ("ops",)), 3), []),
        (Stage(Approvers(groups=tuple(map(str, range(MOST_APPROVERS + 1))))), ["TooManyApprovers"]),
        (replace(BOB, factor_within=timedelta(minutes=1)), []),
        (replace(BOB, factor_within=timedelta(seconds=59)), ["InvalidDuration"]),
        (replace(BOB, factor_within=timedelta(days=7, seconds=1)), ["InvalidDuration"]),
        (replace(LATER, escalate_after=None), ["EscalationIncomplete"]),
        (replace(LATER, escalate_to=Approvers()), ["EscalationIncomplete"]),
        (replace(LATER, escalate_after=timedelta(seconds=59)), ["InvalidEscalation"]),
        (replace(LATER, escalate_after=timedelta(days=7, minutes=1)), ["InvalidEscalation"]),
    ],
)
def test_a_stage_is_checked(stage: Stage, expected: list[str]) -> None:
    assert [each.code for each in check_stages([stage], "stages")] == expected


def test_stages_together_are_checked() -> None:
    assert codes(check_stages([BOB, BOB], "stages")) == [("DuplicateStage", "stages[1]")]
    many = [Stage(Approvers((str(n),))) for n in range(MOST_STAGES + 1)]
    assert codes(check_stages(many, "stages")) == [("TooManyStages", "stages")]


def test_others_are_asked_as_well_from_their_moment_on() -> None:
    early = MONDAY + timedelta(minutes=5) - timedelta(microseconds=1)
    assert asked_at(LATER, MONDAY, early) == (LATER.approvers,)
    assert asked_at(LATER, MONDAY, MONDAY + timedelta(minutes=5)) == (LATER.approvers, OPS)
    assert asked_at(BOB, MONDAY, MONDAY + timedelta(days=9)) == (BOB.approvers,)
