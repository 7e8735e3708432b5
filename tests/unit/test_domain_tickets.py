"""Patterns of tickets, and what counts as an answer (EDGES J4, J12)."""

from __future__ import annotations

import json
import re
import string
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.decide import Allowed, Denied, NeedsApproval, decide
from bascule.domain.due import Approval, reading_tickets
from bascule.domain.pending import asked_json
from bascule.domain.policy import check_policy
from bascule.domain.rules import Conditions, Effect, Rule, depends_on_ticket
from bascule.domain.stages import Approvers, Stage
from bascule.domain.ticket_pattern import (
    LONGEST_PATTERN,
    LONGEST_TICKET,
    BadPattern,
    matches,
    parse,
)
from bascule.domain.tickets import (
    FRESH_FOR,
    LONGEST_CA,
    LONGEST_TEXT,
    TicketAnswer,
    TicketCheck,
    body_of,
    check_ticket_check,
    not_asked,
    question,
    read_answer,
    ticket_of,
)
from tests import samples
from tests.samples import NOW, WEB, machine, policy, request, rule
from tests.unit.test_domain_rules import asked

CHECK = TicketCheck(r"CHG\d{7}", "https://tickets.example/", sealed_secret="x")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("CHG", "CHG", True),
        ("CHG", "CHGX", False),  # whole
        ("CHG", "XCHG", False),
        ("CHG", "chg", False),
        (r"CHG\d{3}", "CHG123", True),
        (r"CHG\d{3}", "CHG12", False),
        (r"CHG\d{3}", "CHG1234", False),
        (r"CHG\d{3,4}", "CHG1234", True),
        (r"CHG\d{3,4}", "CHG12345", False),
        (r"\d+", "", False),
        (r"\d+", "007", True),
        (r"\d+", "٣", False),  # a digit, and not one of ours
        (r"A\d*", "A", True),
        (r"A-?B", "AB", True),
        (r"A-?B", "A-B", True),
        (r"A-?B", "A--B", False),
        ("[A-Z]{2}-[0-9]+", "AB-1", True),
        ("[A-Z]{2}-[0-9]+", "A1-1", False),
        ("[A-]x", "-x", True),
        ("[-A]x", "-x", True),
        ("[-A]x", "Bx", False),
        (r"A\.B", "A.B", True),
        (r"A\.B", "AxB", False),
        ("A|B", "A", True),
        ("A|B", "B", True),
        ("A|B", "AB", False),
        (r"A{0,2}B", "B", True),
        ("#/@A", "#/@A", True),
        ("A+", "A" * LONGEST_TICKET, True),
        ("A+", "A" * (LONGEST_TICKET + 1), False),
    ],
)
def test_a_pattern_matches_whole(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "A" * (LONGEST_PATTERN + 1), "A B", "Ä", "A\n", "(A)", "A.", ".*", "^A", "A$"),
        *("*A", "+A", "A**", "A{", "A{}", "A{x}", "A{2,1}", "A{0}", "A{0,0}", "A{999}", "]", "}"),
        *("[]", "[", "[A", "[^A]", "[Z-A]", r"[\d]", "[[:alpha:]]", "[A-[]", "\\", r"\w", r"\1"),
        *("A*", "A?", "|A", "A|", "A||B", "(?=A)", "A{200}A{100}"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        parse(pattern)


_PARTS = st.sampled_from(["A", "B", "[A-B]", r"\d", "[0-9B]", r"\."])
_COUNTS = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,3}", "{0,2}"])
_PATTERNS = st.lists(st.tuples(_PARTS, _COUNTS).map("".join), min_size=1, max_size=5).map("".join)


@given(st.lists(_PATTERNS, min_size=1, max_size=3).map("|".join), st.text("AB1.", max_size=8))
def test_it_means_what_pythons_means(pattern: str, text: str) -> None:
    try:
        found = matches(pattern, text)
    except BadPattern:  # it matches the empty text
        return
    assert found is bool(re.fullmatch(pattern, text, re.ASCII))


@given(st.text(string.printable, max_size=40))
def test_whatever_is_written_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        parse(pattern)
    except BadPattern as error:
        assert str(error)  # noqa: PT017  # reason: both ends are right


def test_no_pattern_takes_long() -> None:
    """What takes a backtracking engine ages: a* many times over, and then no match."""
    began = time.perf_counter()  # reason: it is the time that is measured
    for pattern in ("A*" * 99 + "B", "[A-Z]*" * 30 + "0", "A{0,200}B{0,50}C"):
        assert not matches(pattern, "A" * LONGEST_TICKET)
    assert time.perf_counter() - began < 2  # reason: as above


@pytest.mark.parametrize(
    ("why", "ticket"),
    [
        ("CHG0000001", "CHG0000001"),
        ("CHG0000001: disk", "CHG0000001"),
        ("CHG0000001;,:", "CHG0000001"),
        ("\tCHG0000001\ndisk", "CHG0000001"),
        ("disk CHG0000001", None),
        ("CHG000000", None),
        (":", None),
        ("", None),
        (None, None),
    ],
)
def test_the_ticket_is_the_first_word(why: str | None, ticket: str | None) -> None:
    assert ticket_of(CHECK, why) == ticket


def test_an_answer_is_read_once_and_for_its_question() -> None:
    one, other = (question(CHECK, "/p", ticket, "{}") for ticket in ("CHG1", "CHG2"))
    good = {"nonce": "n", "digest": one.digest, "answer": "yes", "text": "a\x1b" + "x" * 999}
    answered = read_answer(one, "n", good, NOW)
    assert (answered.answer, len(answered.text)) == (TicketAnswer.YES, LONGEST_TEXT)
    assert read_answer(one, "n", {**good, "answer": "no", "text": None}, NOW).answer == "no"
    for asked_of, nonce, told in (
        (other, "n", good),
        (one, "m", good),
        (one, "n", {**good, "answer": "maybe"}),
        (one, "n", {**good, "answer": ["yes"]}),
        (one, "n", {**good, "text": 1}),
        (one, "n", "yes"),
        (one, "n", None),
    ):
        assert read_answer(asked_of, nonce, told, NOW).answer is TicketAnswer.UNAVAILABLE


@pytest.mark.parametrize("other", ["url", "pattern", "secret_id", "policy", "ticket", "asked"])
def test_a_question_is_bound_to_all_of_it(other: str) -> None:
    changed: dict[str, Any] = {"url": "https://x.example/", "pattern": "C", "secret_id": "2"}
    check = CHECK
    if other in changed:
        check = replace(CHECK, **{other: changed[other]})
    policy = "/q" if other == "policy" else "/p"
    ticket = "CHG2" if other == "ticket" else "CHG1"
    again = question(check, policy, ticket, "[]" if other == "asked" else "{}")
    assert again.digest != question(CHECK, "/p", "CHG1", "{}").digest


@pytest.mark.parametrize(
    ("after", "fresh"),
    [
        (timedelta(), True),
        (FRESH_FOR, True),
        (FRESH_FOR + timedelta(microseconds=1), False),
        (-timedelta(microseconds=1), False),  # the clock was set back
    ],
)
def test_an_answer_is_good_for_five_minutes(after: timedelta, fresh: bool) -> None:
    answered = not_asked(question(CHECK, "/p", "CHG1", "{}"), "why", NOW)
    assert answered.is_fresh(NOW + after) is fresh


@pytest.mark.parametrize(
    ("check", "codes"),
    [
        (CHECK, []),
        (TicketCheck("(", CHECK.url, sealed_secret="x"), ["InvalidPattern"]),
        (TicketCheck("A", "https://", sealed_secret="x"), ["InvalidTicketUrl"]),
        (TicketCheck("A", "syslog+tls://h:6514", sealed_secret="x"), ["InvalidTicketUrl"]),
        (TicketCheck("A", CHECK.url), ["SecretRequired"]),
        (
            TicketCheck("A", CHECK.url, ca_certificates="x" * (LONGEST_CA + 1), sealed_secret="x"),
            ["InvalidCertificates"],
        ),
        (
            TicketCheck("A", CHECK.url, (Stage(Approvers()),), sealed_secret="x"),
            ["ApproversRequired"],
        ),
    ],
)
def test_what_is_wrong_with_a_check(check: TicketCheck, codes: list[str]) -> None:
    assert [each.code for each in check_ticket_check(check, "here")] == codes


def test_it_matters_only_where_the_rest_of_a_rule_holds() -> None:
    here = asked()
    for conditions, expected in (
        (Conditions(ticket_confirmed=False), True),
        (Conditions(ticket_confirmed=True), True),
        (Conditions(ticket_confirmed=False, ports=(here.number + 1,)), False),
        (Conditions(), False),
    ):
        assert depends_on_ticket(Rule("r", Effect.DENY, conditions), here) is expected


# -- what a decision makes of it (EDGES J4, J12) ---------------------------------------------------

BOB = Stage(Approvers(("bob",)))
DENY = Rule("changes", Effect.DENY, Conditions(ticket_confirmed=False))
ASK = Rule("people", Effect.APPROVE, Conditions(ticket_confirmed=False), (BOB,))
FREE = Rule("free", Effect.ALLOW, Conditions(ticket_confirmed=True))
WHY = "CHG0000001: disk"


def decided(
    *rules: Rule, why: str | None = WHY, said: str | None = None, stages: tuple[Stage, ...] = ()
) -> Any:
    """``said`` is what the policy's ticket system answered; None: it was not asked."""
    check = replace(CHECK, stages=stages)
    port = replace(rule(), approval=(BOB,) if FREE in rules else ())
    known = replace(policy(port), rules=rules, tickets=check)
    tickets = {}
    if said is not None:
        asked_of = question(check, str(known.id), "CHG0000001", "{}")
        answered = not_asked(asked_of, "why", NOW)
        tickets[known.id.key] = replace(answered, answer=TicketAnswer(said), text="")
    one = request(samples.asked(), why=why)
    return decide(
        known,
        one,
        {WEB: machine()},
        [],
        lambda: "g",
        NOW,
        approval=Approval([known], tickets=tickets),
    )


def codes_of(decision: Any) -> list[str]:
    return [each.code for each in decision.reasons] if isinstance(decision, Denied) else []


@pytest.mark.parametrize(
    ("why", "said", "code"),
    [
        (WHY, "yes", ""),
        (WHY, "no", "TicketNotConfirmed"),
        (WHY, "unavailable", "TicketSystemUnavailable"),
        (WHY, None, "TicketSystemUnavailable"),
        ("disk", None, "TicketRequired"),
        (None, None, "TicketRequired"),
    ],
)
def test_a_deny_rule_holds_unless_a_ticket_was_confirmed(
    why: str | None, said: str | None, code: str
) -> None:
    decision = decided(DENY, why=why, said=said)
    assert codes_of(decision) == (["DeniedByRule", code] if code else [])
    assert isinstance(decision, Denied if code else Allowed)


def test_where_it_is_unavailable_people_may_be_asked_instead_and_of_nothing_else() -> None:
    for said in ("unavailable", None):
        assert isinstance(decided(DENY, said=said, stages=(BOB,)), NeedsApproval)
    assert isinstance(decided(DENY, said="yes", stages=(BOB,)), Allowed)
    assert isinstance(decided(DENY, said="no", stages=(BOB,)), Denied)
    assert isinstance(decided(DENY, why="disk", stages=(BOB,)), Denied)
    confirmed = Rule("odd", Effect.DENY, Conditions(ticket_confirmed=True))
    assert codes_of(decided(confirmed, stages=(BOB,))) == ["DeniedByRule"]


def test_an_approve_rule_asks_and_an_allow_rule_lifts() -> None:
    for said, asks, lifts in (
        ("yes", False, True),
        ("no", True, False),
        ("unavailable", True, False),
        (None, True, False),
    ):
        assert isinstance(decided(ASK, said=said), NeedsApproval) is asks
        assert isinstance(decided(FREE, said=said), Allowed) is lifts
    assert isinstance(decided(FREE, why="disk", said="yes"), NeedsApproval)


def test_a_rule_without_a_ticket_check_finds_none_confirmed() -> None:
    """It cannot be written so; what the store held all the same denies."""
    known = replace(policy(), rules=(DENY,))
    one = request(samples.asked(), why=WHY)
    decision = decide(
        known, one, {WEB: machine()}, [], lambda: "g", NOW, approval=Approval([known])
    )
    assert codes_of(decision) == ["DeniedByRule", "TicketRequired"]
    assert [each.code for each in check_policy(known)] == ["TicketsRequired"]
    assert check_policy(replace(known, tickets=CHECK)) == ()
    assert check_policy(replace(known, rules=())) == ()


def test_whose_systems_matter() -> None:
    one = request(samples.asked(), why=WHY)
    known = replace(policy(), rules=(DENY,), tickets=CHECK)
    for here, machines, expected in (
        (known, [machine()], 1),
        (known, [], 0),
        (replace(known, rules=()), [machine()], 0),
        (replace(known, tickets=None), [machine()], 0),
        (replace(policy(rule(23)), rules=(DENY,), tickets=CHECK), [machine()], 0),
    ):
        assert len(list(reading_tickets(Approval([here]), one, machines, NOW))) == expected


def test_what_a_system_is_told_names_all_that_is_asked_for() -> None:
    one = request(samples.asked(), why=WHY)
    told = asked_json(one, [machine()])
    body = json.loads(body_of(question(CHECK, "/p", "CHG0000001", told), "n"))
    assert (body["nonce"], body["ticket"], body["reason"]) == ("n", "CHG0000001", WHY)
    assert body["machines"][0]["ports"][0]["number"] == 22
    assert json.loads(asked_json(one, []))["machines"] == []
    for other in (
        asked_json(request(samples.asked(), why="CHG0000001"), [machine()]),
        asked_json(request(replace(samples.asked(), number=23), why=WHY), [machine()]),
        asked_json(one, [replace(machine(), uid="another")]),
    ):
        assert other != told
