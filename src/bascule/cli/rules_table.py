"""Port rules as rows of a table, and as the object that ``-o json`` prints."""

from __future__ import annotations

from collections.abc import Iterable

from bascule.cli.find import port_words
from bascule.cli.rule_words import stages_words
from bascule.cli.spans import show_span
from bascule.client.policies import MachineRules
from bascule.domain.machine import OnExpiry
from bascule.domain.net import PublicPort, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.protocol.port_rules import flat_rule_json
from bascule.protocol.rules import stages_json


def rule_rows(
    machines: Iterable[MachineRules], *, with_machine: bool = True
) -> tuple[list[str], list[list[object]]]:
    """Heads and rows, one row a rule."""
    heads = ["MACHINE", "PORT", "AT MOST", "FROM", "AT THE END", "REASON", "POLICY"]
    seldom = ["APPROVAL", "PUBLIC PORT"]  # without a column where no rule has any
    rows: list[list[object]] = [
        [
            rules.machine_id.name,
            port_words(rule.number, rule.protocol),
            show_span(rule.max_duration),
            ", ".join(map(str, rule.sources)),
            _at_end(rule),
            "required" if rule.justification_required else "",
            policy.policy_id.name,
            stages_words(stages_json(rule.approval)),
            _public(rule),
        ]
        for rules in machines
        for policy in rules.policies
        for rule in policy.ports
    ]
    known = len(heads)
    shown = [at for at in range(len(seldom)) if any(row[known + at] for row in rows)]
    heads += [seldom[at] for at in shown]
    rows = [row[:known] + [row[known + at] for at in shown] for row in rows]
    if with_machine:
        return heads, rows
    return heads[1:], [row[1:] for row in rows]


def _public(rule: PortRule) -> str:
    """At its gateway, where the policy names it."""
    if rule.public_port is None:
        return ""
    if rule.public_address is None:
        return str(rule.public_port)
    return str(PublicPort(rule.public_address, rule.public_port))


def _at_end(rule: PortRule) -> str:
    """What becomes of connections; UDP's always end (EDGES A4)."""
    if rule.on_expiry is OnExpiry.KILL or rule.protocol is RuleProtocol.UDP:
        return "cut"
    if rule.drain_for is not None:
        return f"stay {show_span(rule.drain_for)}, then cut"
    return "kept, UDP ended" if rule.protocol is RuleProtocol.ALL else "kept"


def rules_json(rules: MachineRules) -> dict[str, object]:
    return {
        "machine": str(rules.machine_id),
        "name": rules.machine_id.name,
        "policies": [
            {
                "policyId": str(policy.policy_id),
                "name": policy.policy_id.name,
                "ports": list(map(flat_rule_json, policy.ports)),
            }
            for policy in rules.policies
        ],
    }
