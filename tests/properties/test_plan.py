"""``plan(desired, observed)`` carried out on what was observed gives what is desired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.desired import RuleSet
from bascule.domain.machine import ClosedPort
from bascule.domain.plan import (
    TOLERANCE,
    ClosePort,
    DropDrain,
    DropOpening,
    Observed,
    Operation,
    PutCut,
    PutDrain,
    PutOpening,
    Rebuild,
    ReleasePort,
    plan,
)
from tests.strategies import near_rule_sets, rule_sets


def carry_out(rules: RuleSet, operations: Iterable[Operation]) -> Iterable[RuleSet]:
    """The rule set after each operation: what a firewall would hold at that moment."""
    for operation in operations:
        rules = _step(rules, operation)
        yield rules


def _step(rules: RuleSet, operation: Operation) -> RuleSet:
    match operation:
        case Rebuild(whole):
            return whole
        case ClosePort(closed):
            return replace(rules, closed=_without(rules, closed) | {closed})
        case DropOpening(key):
            return replace(rules, openings={k: v for k, v in rules.openings.items() if k != key})
        case PutOpening(opening):
            return replace(rules, openings={**rules.openings, opening.key: opening})
        case PutCut(key, remaining):
            return replace(rules, cuts={**rules.cuts, key: remaining})
        case PutDrain(key, remaining):
            return replace(rules, drains={**rules.drains, key: remaining})
        case DropDrain(key):
            return replace(rules, drains={k: v for k, v in rules.drains.items() if k != key})
        case ReleasePort(port):
            return replace(rules, closed=frozenset(c for c in rules.closed if c.port != port))


def _without(rules: RuleSet, closed: ClosedPort) -> frozenset[ClosedPort]:
    return frozenset(each for each in rules.closed if each.port != closed.port)


pairs = rule_sets().flatmap(lambda d: st.tuples(st.just(d), near_rule_sets(d)))


@given(pairs, st.booleans())
def test_the_plan_carried_out_is_the_desired_state(
    pair: tuple[RuleSet, RuleSet], is_intact: bool
) -> None:
    """Level, not edge: whatever somebody did to the rules, one pass puts them right."""
    desired, found = pair
    operations = plan(desired, Observed(found, is_intact))
    after = [found, *carry_out(found, operations)][-1]
    assert after.closed == desired.closed
    assert after.openings.keys() == desired.openings.keys()
    for key, opening in desired.openings.items():
        assert abs(after.openings[key].remaining - opening.remaining) <= TOLERANCE
    assert after.cuts.keys() >= desired.cuts.keys()
    assert after.drains.keys() == desired.drains.keys()
    for key, remaining in desired.drains.items():
        assert abs(after.drains[key] - remaining) <= TOLERANCE


@given(pairs)
def test_a_second_pass_finds_nothing_to_do(pair: tuple[RuleSet, RuleSet]) -> None:
    """A loop that never comes to rest would rewrite a kernel's rules all day."""
    desired, found = pair
    after = [found, *carry_out(found, plan(desired, Observed(found, is_intact=True)))][-1]
    assert plan(desired, Observed(after, is_intact=True)) == ()


@given(pairs)
def test_no_half_carried_out_plan_opens_early(pair: tuple[RuleSet, RuleSet]) -> None:
    """At each step: an opening is one that was there or one that is wanted, and what is to
    stay shut is shut from the moment when it first was."""
    desired, found = pair
    wanted_shut = {each.port for each in desired.closed}
    shut_before = {each.port for each in found.closed}
    for step in carry_out(found, plan(desired, Observed(found, is_intact=True))):
        assert step.openings.keys() <= found.openings.keys() | desired.openings.keys()
        shut = {each.port for each in step.closed}
        assert shut >= shut_before & wanted_shut
        shut_before = shut
