"""No decision, on any policy and request, grants more than the policy's rules say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.decide import CLOCK_TOLERANCE, Allowed, Denied, decide
from bascule.domain.grant import Grant
from bascule.domain.net import AddressPrefix, is_within
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from tests.samples import NOW, POLICY_ID, WEB, grant, ids, machine, request
from tests.strategies import prefix_sets, rules_of_a_port

spans = st.one_of(
    st.integers(-10, 90_000).map(lambda count: timedelta(seconds=count)),
    st.sampled_from([timedelta(0), timedelta(minutes=5), timedelta(days=1), timedelta(days=400)]),
)
policies = st.lists(
    rules_of_a_port, max_size=4, unique_by=lambda rule: (rule.number, rule.protocol)
).map(lambda rules: Policy(POLICY_ID, "Basic", (MachineRules(WEB, tuple(rules)),)))


def wanted(number: int, sources: tuple[AddressPrefix, ...], span: timedelta) -> RequestedPort:
    return RequestedPort(number, sources, NOW + span, format_utc(NOW + span))


ports = st.builds(wanted, st.sampled_from([22, 53, 3389, 80]), prefix_sets, spans)
requests = st.builds(
    lambda named, why: replace(request(why=why), machines=(RequestedMachine(WEB, tuple(named)),)),
    st.lists(ports, max_size=3),
    st.sampled_from([None, "", "on call"]),
)
others = st.lists(
    st.builds(
        lambda who, sources, number: grant("old", who, sources, number=number),
        st.sampled_from(["alice", "bob"]),
        prefix_sets,
        st.sampled_from([22, 53]),
    ),
    max_size=3,
)


def rules_of(policy: Policy, number: int) -> list[PortRule]:
    return [rule for rule in policy.machines[0].ports if rule.number == number]


@given(policies, requests, others)
def test_nothing_is_granted_past_its_rule(
    policy: Policy, asked: AccessRequest, live: list[Grant]
) -> None:
    """Each grant: a rule of that port, sources inside it, an end within its maximum."""
    verdict = decide(policy, asked, {WEB: machine()}, live, ids(), NOW)
    if isinstance(verdict, Denied):
        assert verdict.reasons
        return
    assert isinstance(verdict, Allowed)
    assert verdict.grants
    for given_ in verdict.grants:
        (rule,) = [
            each for each in rules_of(policy, given_.number) if each.protocol is given_.protocol
        ]
        assert is_within(given_.sources, rule.sources)
        assert NOW < given_.ends_at <= NOW + rule.max_duration
        assert given_.on_expiry is rule.on_expiry
        assert not rule.justification_required or (asked.justification or "").strip()
        assert (given_.machine_uid, given_.requestor_id) == ("uid-web", "alice")
    assert len({each.id for each in verdict.grants}) == len(verdict.grants)


@given(policies, requests, others)
def test_a_request_is_granted_whole_or_not_at_all(
    policy: Policy, asked: AccessRequest, live: list[Grant]
) -> None:
    """Allowed exactly when every port asked for is allowed by every rule of its number."""
    verdict = decide(policy, asked, {WEB: machine()}, live, ids(), NOW)
    named = asked.machines[0].ports
    fits = bool(named) and all(
        bool(rules_of(policy, port.number))
        and all(
            is_within(port.sources, rule.sources)
            and NOW < port.ends_at <= NOW + rule.max_duration + CLOCK_TOLERANCE
            and (not rule.justification_required or bool(asked.justification))
            for rule in rules_of(policy, port.number)
        )
        for port in named
    )
    assert isinstance(verdict, Allowed) is fits


@given(policies, requests, others)
def test_only_ones_own_grants_give_way(
    policy: Policy, asked: AccessRequest, live: list[Grant]
) -> None:
    """A request by alice ends nothing of bob's."""
    verdict = decide(policy, asked, {WEB: machine()}, live, ids(), NOW)
    if isinstance(verdict, Allowed):
        assert all(old.requestor_id == "alice" for old in verdict.superseded)
        assert all(
            any(frozenset(old.sources) == frozenset(new.sources) for new in verdict.grants)
            for old in verdict.superseded
        )
