"""Rules, conditions and stages as JSON: in answers, in what is recorded and in the database.

``read_*`` read what ``*_json`` wrote. What is not here: the check of what a caller sent
(``api.wire.rules``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bascule.domain.net import AddressPrefix
from bascule.domain.policy import Policy
from bascule.domain.rules import Conditions, Effect, Rule, Window
from bascule.domain.stages import Approvers, Stage
from bascule.domain.tickets import TicketCheck
from bascule.domain.times import format_duration, parse_duration

DENY, APPROVE = "deny", "approve"  # where a ticket system is unavailable
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def policy_rules_json(policy: Policy) -> dict[str, Any]:
    """What a policy has beside its machines; nothing where it has none of it."""
    tickets, pending_for = policy.tickets, policy.pending_for
    if not (policy.rules or policy.self_approval or pending_for or tickets):
        return {}
    told: dict[str, Any] = {
        "rules": [rule_of_policy_json(each) for each in policy.rules],
        "selfApproval": policy.self_approval,
        "pendingFor": None if pending_for is None else format_duration(pending_for),
    }
    return told if tickets is None else {**told, "tickets": tickets_json(tickets)}


def tickets_json(check: TicketCheck) -> dict[str, Any]:
    """All but the secret."""
    told: dict[str, Any] = {
        "pattern": check.pattern,
        "url": check.url,
        "unavailable": APPROVE if check.stages else DENY,
        "secretId": check.secret_id,
    }
    if check.stages:
        told["stages"] = stages_json(check.stages)
    if check.ca_certificates:
        told["caCertificates"] = check.ca_certificates
    return told


def read_tickets(held: Mapping[str, Any], sealed_secret: str) -> TicketCheck:
    return TicketCheck(
        held["pattern"],
        held["url"],
        read_stages(held.get("stages", ())),
        held.get("caCertificates", ""),
        held["secretId"],
        sealed_secret,
    )


def rule_of_policy_json(rule: Rule) -> dict[str, Any]:
    return {"name": rule.name, **rule_properties_json(rule)}


def rule_properties_json(rule: Rule) -> dict[str, Any]:
    told: dict[str, Any] = {
        "effect": str(rule.effect),
        "conditions": conditions_json(rule.conditions),
    }
    if rule.stages:
        told["stages"] = stages_json(rule.stages)
    return told


def conditions_json(want: Conditions) -> dict[str, Any]:
    """What is given, and nothing else."""
    told: dict[str, Any] = {
        "users": list(want.users),
        "groups": list(want.groups),
        "tags": dict(want.tags),
        "resourceGroups": list(want.resource_groups),
        "ports": list(want.ports),
        "sourcesWithin": [str(each) for each in want.sources_within],
        "times": None if want.times is None else _window_json(want.times),
        "atMost": _span_text(want.at_most),
        "longerThan": _span_text(want.longer_than),
        "secondFactorOlderThan": _span_text(want.factor_older_than),
        "secondFactorWithin": _span_text(want.factor_within),
    }
    given = {name: value for name, value in told.items() if value}
    if want.ticket_confirmed is not None:
        given["ticketConfirmed"] = want.ticket_confirmed
    return given


def _span_text(span: timedelta | None) -> str | None:
    return None if span is None else format_duration(span)


def _window_json(window: Window) -> dict[str, Any]:
    return {
        "timeZone": window.time_zone,
        "days": [DAYS[day] for day in window.days],
        "from": _clock(window.begins),
        "to": _clock(window.ends),
    }


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def stages_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    return [stage_json(each) for each in stages]


def stage_json(stage: Stage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "approvers": approvers_json(stage.approvers),
        "needed": stage.needed,
    }
    if stage.escalate_after is not None:
        told["escalateAfterMinutes"] = int(stage.escalate_after.total_seconds() // 60)
        told["escalateTo"] = approvers_json(stage.escalate_to)
    if stage.factor_within is not None:
        told["secondFactorWithin"] = format_duration(stage.factor_within)
    return told


def approvers_json(approvers: Approvers) -> dict[str, Any]:
    return {
        "users": list(approvers.users),
        "groups": list(approvers.groups),
        "role": approvers.by_role,
    }


def read_rules(held: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            each["name"],
            Effect(each["effect"]),
            _read_conditions(each["conditions"]),
            read_stages(each.get("stages", ())),
        )
        for each in held
    )


def _read_conditions(held: Mapping[str, Any]) -> Conditions:
    times = held.get("times")
    return Conditions(
        users=tuple(held.get("users", ())),
        groups=tuple(held.get("groups", ())),
        tags=tuple(held.get("tags", {}).items()),
        resource_groups=tuple(held.get("resourceGroups", ())),
        ports=tuple(held.get("ports", ())),
        sources_within=tuple(map(AddressPrefix.parse, held.get("sourcesWithin", ()))),
        times=None if times is None else _read_window(times),
        at_most=_read_span(held.get("atMost")),
        longer_than=_read_span(held.get("longerThan")),
        ticket_confirmed=held.get("ticketConfirmed"),
        factor_older_than=_read_span(held.get("secondFactorOlderThan")),
        factor_within=_read_span(held.get("secondFactorWithin")),
    )


def _read_span(text: str | None) -> timedelta | None:
    return None if text is None else parse_duration(text)


def _read_window(held: Mapping[str, Any]) -> Window:
    return Window(
        held["timeZone"],
        tuple(DAYS.index(each) for each in held["days"]),
        _minutes(held["from"]),
        _minutes(held["to"]),
    )


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


def read_stages(held: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    return tuple(map(read_stage, held))


def read_stage(held: Mapping[str, Any]) -> Stage:
    minutes = held.get("escalateAfterMinutes")
    return Stage(
        _read_approvers(held["approvers"]),
        held["needed"],
        None if minutes is None else timedelta(minutes=minutes),
        Approvers() if minutes is None else _read_approvers(held["escalateTo"]),
        _read_span(held.get("secondFactorWithin")),
    )


def _read_approvers(held: Mapping[str, Any]) -> Approvers:
    return Approvers(tuple(held["users"]), tuple(held["groups"]), held["role"])
