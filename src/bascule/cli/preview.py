"""``--dry-run``: what a change of rules would do, said and not done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from bascule.cli.find import port_words
from bascule.cli.printing import emit_json, say
from bascule.cli.spans import show_span
from bascule.client.machines import Machine
from bascule.client.policies import GrantChange, PortChange, Preview, RuleChange
from bascule.domain.times import parse_duration

F = TypeVar("F", bound=Callable[..., Any])


def dry_run_option(command: F) -> F:
    """``--dry-run``, handed over as ``dry_run``."""
    return click.option(
        "--dry-run", is_flag=True, help="Show what would change, without changing it."
    )(command)


def tell_preview(preview: Preview, output: str = "table") -> None:
    if output == "json":
        emit_json(asdict(preview))
        return
    lines = list(_lines(preview))
    for line in lines or ["Nothing would change: no port, no rule, no live access."]:
        say(line)


def _lines(preview: Preview) -> Iterable[str]:
    for words, ports in (
        ("would be closed", preview.closes),
        ("stays closed; what happens to connections at the end would change", preview.alters),
        ("would stay closed, in no policy", preview.leaves),
        ("would open for everybody", preview.opens),
    ):
        for port in ports:
            yield f"port {_port(port)} {words}"
    for rule in preview.rules:
        yield f"port {port_words(rule.number, rule.protocol)} {_rule(rule)}"
    for grant in preview.ends:
        yield f"{_access(grant)} would end at once"
    for grant in preview.shortens:
        yield f"{_access(grant)} would end earlier, at {grant.ends_at}"


def removal_words(machine: Machine, preview: Preview) -> str:
    """What taking a machine out of its policies does, before it is asked for."""
    opens = ", ".join(map(_port, preview.opens))
    words = [f"{machine.name} is removed from all its policies."]
    if opens and machine.point is None:
        words.append("No port of it is closed, because it has no agent.")
    elif opens:
        words.append(f"Its firewall opens {opens} for everybody.")
    if preview.ends:
        whose = dict.fromkeys(grant.requestor or "somebody" for grant in preview.ends)
        words.append(f"Live access ends at once: {', '.join(whose)}.")
    return " ".join(words)


def _rule(rule: RuleChange) -> str:
    if rule.is_new:
        return "could be requested"
    told = []
    if rule.longest:
        told.append(f"for at most {show_span(parse_duration(rule.longest))}")
    if rule.sources:
        told.append(f"from {', '.join(rule.sources)}")
    if rule.justified is not None:
        told.append("only with a reason" if rule.justified else "without a reason")
    if rule.public is not None:
        named = f"public port {rule.public}" if rule.public else "a public port that is chosen"
        told.append(f"by {named} at its gateway")
    return f"could be requested {', '.join(told)}"


def _port(port: PortChange) -> str:
    return port_words(port.number, port.protocol)


def _access(grant: GrantChange) -> str:
    if not grant.requestor:
        return "somebody's live access"
    return f"the live access of {grant.requestor} to port {grant.number}"
