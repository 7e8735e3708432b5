"""Conditions and stages of a rule in words, from their JSON (docs/approval.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from bascule.cli.spans import show_span
from bascule.domain.times import parse_duration

Names = Mapping[str, str]  # of users and groups, by id; an id without a name is shown itself


def condition_words(conditions: Mapping[str, Any], names: Names = MappingProxyType({})) -> str:
    """All that must hold, joined by "and"; empty: always."""
    parts = []
    who = [f"user {names.get(each, each)}" for each in conditions.get("users") or ()]
    who += [f"somebody in group {names.get(each, each)}" for each in conditions.get("groups") or ()]
    if who:
        parts.append(f"{' or '.join(who)} asks")
    parts += [f"tag {key}={value}" for key, value in (conditions.get("tags") or {}).items()]
    for key, name in (
        ("resourceGroups", "resource group"),
        ("ports", "port"),
        ("sourcesWithin", "from within"),
    ):
        if conditions.get(key):
            parts.append(f"{name} {' or '.join(map(str, conditions[key]))}")
    if conditions.get("times"):
        parts.append(_times_words(conditions["times"]))
    if conditions.get("atMost"):
        parts.append(f"at most {_span(conditions['atMost'])} in a row")
    if conditions.get("longerThan"):
        parts.append(f"longer than {_span(conditions['longerThan'])} in a row")
    if "ticketConfirmed" in conditions:
        parts.append(f"its ticket is {'' if conditions['ticketConfirmed'] else 'not '}confirmed")
    if conditions.get("secondFactorOlderThan"):
        parts.append(f"second factor older than {_span(conditions['secondFactorOlderThan'])}")
    if conditions.get("secondFactorWithin"):
        parts.append(f"second factor within {_span(conditions['secondFactorWithin'])}")
    return " and ".join(parts)


def _times_words(times: Mapping[str, Any]) -> str:
    days = ", ".join(str(each) for each in times.get("days") or ()) or "every day"
    hours = ""
    if times.get("from") or times.get("to"):
        hours = f" {times.get('from') or '00:00'}-{times.get('to') or '24:00'}"
    return f"{days}{hours} ({times.get('timeZone', 'UTC')})"


def stages_words(stages: Sequence[Mapping[str, Any]], names: Names = MappingProxyType({})) -> str:
    """One after the other."""
    return ", then ".join(
        f"{stage.get('needed', 1)} of {_approvers_words(stage.get('approvers') or {}, names)}"
        + _factor_words(stage)
        + _escalation_words(stage, names)
        for stage in stages
    )


def _factor_words(stage: Mapping[str, Any]) -> str:
    within = stage.get("secondFactorWithin")
    return f" (second factor within {_span(within)})" if within else ""


def _escalation_words(stage: Mapping[str, Any], names: Names) -> str:
    """Who is asked as well if nobody answers."""
    others = stage.get("escalateTo")
    if not others:
        return ""
    minutes = stage.get("escalateAfterMinutes")
    after = "later" if minutes is None else f"after {show_span(timedelta(minutes=minutes))}"
    return f" ({after} also {_approvers_words(others, names)})"


def _approvers_words(approvers: Mapping[str, Any], names: Names) -> str:
    named = [f"user {_named(each, names)}" for each in approvers.get("users") or ()]
    named += [f"group {_named(each, names)}" for each in approvers.get("groups") or ()]
    if approvers.get("role"):
        named.append("whoever may approve there")
    return " or ".join(named) or "nobody"


def _named(principal: object, names: Names) -> str:
    """An id as it is written, or an object with a name as it is shown."""
    if isinstance(principal, Mapping):
        return str(principal.get("displayName") or principal.get("id") or "")
    return names.get(str(principal), str(principal))


def _span(written: object) -> str:
    return show_span(parse_duration(str(written)))
