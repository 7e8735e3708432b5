"""Asking for one port of one machine, as its policies offer it, and waiting until it is open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bascule.cli.choose import choose
from bascule.cli.reason import reason_for, span_for, tell_emergency
from bascule.cli.show import SSH_PORT, unopened
from bascule.cli.starts import own_source, tell_reach
from bascule.cli.waiting import (
    OPEN_SECONDS,
    Working,
    may_still_open,
    unknown_if_lost,
    wait_until_open,
)
from bascule.client import access
from bascule.client.access import AccessRequest, PortRequest
from bascule.client.policies import MachineRules, PolicyRules
from bascule.errors import RequestDenied

if TYPE_CHECKING:
    from bascule.cli.reach import Wish
    from bascule.client.connection import Connection


def ask(connection: Connection, rules: MachineRules, number: int, wish: Wish) -> AccessRequest:
    """The request, when it is open, however long it waits for approval.

    Raises RequestDenied, ApprovalDenied, ApprovalLapsed, EnforcementFailed.
    """
    name = rules.machine_id.name
    choice = choose(rules, [number], wish.policy_name)
    default = span_for(choice, is_emergency=wish.is_emergency)
    span = wish.span or min(default, wish.up_to or default)
    source = None if wish.starts_at is None else own_source(connection)
    asked = PortRequest(number, span, None, source, wish.up_to)
    why = reason_for(choice, name, wish.why, must=wish.is_emergency)
    with unknown_if_lost("requested"):
        request_id, is_pending = access.ask(
            *(connection, choice.policy_id, rules.machine_id, [asked], why, wish.starts_at),
            run_id=wish.run_id,
            is_emergency=wish.is_emergency,
        )
    tell_emergency(is_emergency=wish.is_emergency)
    if is_pending:
        from bascule.cli.until_decided import until_decided  # noqa: PLC0415  # reason: most requests wait for nobody

        until_decided(connection, request_id)
    words = f"waiting until {name} has opened port {number}"
    with may_still_open(request_id), Working(words):
        answer = wait_until_open(connection, request_id)
    failure = unopened(answer, timedelta(seconds=OPEN_SECONDS))
    if failure is not None:
        raise failure
    tell_reach(answer, span, wish.up_to)
    return answer


def ssh_port(rules: MachineRules) -> int:
    """22 where a policy offers it, else the only TCP port; raises when that says nothing."""
    by_tcp = replace(rules, policies=tuple(map(_tcp_of, rules.policies)))
    numbers = {rule.number for policy in by_tcp.policies for rule in policy.ports}
    if not numbers and any(policy.ports for policy in rules.policies):
        raise RequestDenied(
            f"{rules.machine_id.name} has no TCP port to connect to: its policies offer only UDP.",
            code="PortNotInPolicy",
            advice=f"To see its ports: bascule policy show {rules.machine_id.name}",
        )
    return SSH_PORT if SSH_PORT in numbers else choose(by_tcp, ()).ports[0]


def _tcp_of(policy: PolicyRules) -> PolicyRules:
    return replace(policy, ports=tuple(rule for rule in policy.ports if rule.protocol != "UDP"))


def require_tcp(rules: MachineRules, number: int) -> None:
    """Raise where policies offer the port by UDP alone; what none offers is the server's to deny."""
    offered = {rule.protocol for policy in rules.policies for rule in policy.rules_for(number)}
    if offered == {"UDP"}:
        name = rules.machine_id.name
        raise RequestDenied(
            f"{name} offers port {number} only for UDP: there is no TCP port to connect to.",
            code="PortNotInPolicy",
            advice=f"To open it all the same: bascule request {name} -p {number}",
        )
