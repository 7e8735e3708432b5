"""Which policy and ports a request means, when people name a machine and little else.

Of the policies that offer every port asked for, the one with the longest maximum: only
their limits differ, and the server decides anyway. When none offers them all, the nearest
is asked, so that the refusal has every reason and stands in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bascule.cli.find import port_words
from bascule.client.policies import MachineRules, PolicyRules
from bascule.domain.ids import ResourceId
from bascule.errors import InvalidInput, NotFound, Problem, RequestDenied

DEFAULT_SPAN = timedelta(hours=1)  # or the rule's maximum, when that is shorter


@dataclass(frozen=True, slots=True)
class Choice:
    policy_id: ResourceId
    ports: tuple[int, ...]
    # The least of the ports' maxima and the host's own; None: the policy offers none of them.
    longest: timedelta | None
    needs_reason: bool = False  # one of the ports is opened for a reason alone

    @property
    def default_span(self) -> timedelta:
        return DEFAULT_SPAN if self.longest is None else min(DEFAULT_SPAN, self.longest)


def choose(rules: MachineRules, ports: Sequence[int], policy_name: str = "") -> Choice:
    """Pick policy and ports; raises what is wrong with what can be done about it."""
    name = rules.machine_id.name
    candidates = _named(rules, policy_name)
    wanted = tuple(dict.fromkeys(ports)) or (_only_port(name, candidates),)
    best = max(candidates, key=lambda policy: _merit(policy, wanted))
    needs_reason = any(
        rule.justification_required for number in wanted for rule in best.rules_for(number)
    )
    longest = _longest(best, wanted)
    if longest is not None and rules.guard is not None and rules.guard.max_duration is not None:
        longest = min(longest, rules.guard.max_duration)
    return Choice(best.policy_id, wanted, longest, needs_reason)


def _named(rules: MachineRules, policy_name: str) -> list[PolicyRules]:
    name = rules.machine_id.name
    if not rules.policies:
        raise RequestDenied(
            f"No policy covers {name}, so no port of it can be requested.",
            code="MachineNotInPolicy",
            advice=f"Its owner can set one: bascule policy set {name} -p 22",
        )
    if not policy_name:
        return list(rules.policies)
    found = [p for p in rules.policies if p.policy_id.name.casefold() == policy_name.casefold()]
    if not found:
        names = ", ".join(p.policy_id.name for p in rules.policies)
        raise NotFound(
            f"The policy {policy_name!r} does not cover {name}. These policies do: {names}."
        )
    return found


def _only_port(name: str, policies: Sequence[PolicyRules]) -> int:
    offered = {rule.number: rule for policy in policies for rule in policy.ports}
    if len(offered) == 1:
        return next(iter(offered))
    if not offered:
        raise RequestDenied(f"The policy of {name} offers no port.", code="PortNotInPolicy")
    raise InvalidInput(
        f"{name} has {len(offered)} ports. Choose with -p:",
        code="AmbiguousPort",
        problems=[
            Problem("Candidate", port_words(rule.number, rule.protocol))
            for _, rule in sorted(offered.items())
        ],
    )


def _merit(policy: PolicyRules, ports: Sequence[int]) -> tuple[int, timedelta]:
    offered = sum(bool(policy.rules_for(number)) for number in ports)
    return offered, _longest(policy, ports) or timedelta()


def _longest(policy: PolicyRules, ports: Sequence[int]) -> timedelta | None:
    return min(
        (rule.max_duration for number in ports for rule in policy.rules_for(number)), default=None
    )
