"""``bascule policy rule``: who gets what at once, who needs whose approval, and what never opens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bascule.cli.approvers import principal_id, stage_of
from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.parameters import SPAN
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.rule_words import condition_words, stages_words
from bascule.client.access_rules import (
    AccessRule,
    delete_rule,
    get_rule,
    list_policy_ids,
    list_rules,
    put_rule,
)
from bascule.domain.ids import ResourceId, parse_name
from bascule.domain.times import format_duration
from bascule.errors import Forbidden, InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from bascule.client.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def policy_option(command: F) -> F:
    return click.option(
        "--policy",
        "policy_name",
        default="default",
        show_default=True,
        metavar="NAME|ID",
        help="The policy of the rule.",
    )(command)


@click.group(
    epilog="""\b
Examples:
  bascule policy rule set production-needs-two --effect approve \\
      --tag env=production --approver group:on-call --needed 2
  bascule policy rule set office-hours --effect allow --group operators \\
      --days mon-fri --hours 08:00-18:00 --time-zone Europe/Paris
  bascule policy rule set never-at-night --effect deny \\
      --group contractors --hours 18:00-08:00 --time-zone Europe/Paris
  bascule policy rule list"""
)
def rule() -> None:
    """Rules of a policy: deny, need approval, or allow, by conditions."""


@rule.command(
    "list",
    epilog="\b\nExamples:\n  bascule policy rule list\n  bascule policy rule list --policy default -o json",
)
@click.option("--policy", "policy_name", metavar="NAME|ID", help="Only the rules of this policy.")
@output_option
def list_command(policy_name: str | None, output: str) -> None:
    """List the rules of all policies, or of one."""
    with connect() as connection:
        wanted = (
            list_policy_ids(connection)
            if policy_name is None
            else [find_policy(connection, policy_name)]
        )
        found = [each for policy in wanted for each in list_rules(connection, policy)]
        names = {} if output == "json" else names_of(connection, found)
    if output == "json":
        emit_json([rule_json(each) for each in found])
        return
    if not found:
        note("There are no rules. Add one: bascule policy rule set NAME --effect deny ...")
        return
    print_table(
        ["POLICY", "RULE", "EFFECT", "WHEN", "APPROVAL BY"],
        [
            [
                each.policy.name,
                each.name,
                each.effect,
                condition_words(each.conditions, names) or "always",
                stages_words(each.stages, names),
            ]
            for each in found
        ],
    )


@rule.command(epilog="\b\nExamples:\n  bascule policy rule show office-hours")
@click.argument("name")
@policy_option
@output_option
def show(name: str, policy_name: str, output: str) -> None:
    """Show one rule."""
    with connect() as connection:
        found = get_rule(connection, find_policy(connection, policy_name), _name(name))
        _tell(connection, found, output)


def _conditions(command: F) -> F:
    """The options of all conditions."""
    options = [
        click.option(
            "--user", "users", multiple=True, metavar="NAME|ID", help="Who asks; repeatable."
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="NAME|ID",
            help="Whoever is in it asks; repeatable.",
        ),
        click.option(
            "--tag",
            "tags",
            multiple=True,
            metavar="KEY=VALUE",
            help="The machine has this tag; repeatable.",
        ),
        click.option(
            "--resource-group",
            "resource_groups",
            multiple=True,
            metavar="NAME",
            help="The machine is in this resource group; repeatable.",
        ),
        click.option(
            "-p",
            "--port",
            "ports",
            multiple=True,
            type=click.IntRange(1, 65535),
            metavar="PORT",
            help="It asks for this port; repeatable.",
        ),
        click.option(
            "--within",
            "sources",
            multiple=True,
            metavar="CIDR",
            help="It asks from here; repeatable.",
        ),
        click.option(
            "--days", metavar="DAYS", help="On these days: mon-fri, sat,sun. Default: every day."
        ),
        click.option(
            "--hours",
            metavar="FROM-TO",
            help="In these hours, the end excluded: 08:00-18:00, 22:00-06:00 (over midnight).",
        ),
        click.option(
            "--time-zone", metavar="ZONE", help="Of --days and --hours: Europe/Paris, UTC."
        ),
        click.option(
            "--at-most",
            type=SPAN,
            metavar="DURATION",
            help="What the person has there in a row is at most so long.",
        ),
        click.option(
            "--longer-than",
            type=SPAN,
            metavar="DURATION",
            help="What the person has there in a row is longer than this.",
        ),
        click.option(
            "--ticket",
            type=click.Choice(["confirmed", "unconfirmed"]),
            help="What the policy's ticket system says (bascule policy ticket).",
        ),
        click.option(
            "--second-factor-within",
            "factor_within",
            type=SPAN,
            metavar="DURATION",
            help="Of allow: a second factor was shown in this time (app or passkey).",
        ),
        click.option(
            "--second-factor-older-than",
            "factor_older_than",
            type=SPAN,
            metavar="DURATION",
            help="Of deny and approve: none was, so far as is known.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@rule.command(
    "set",
    epilog="""\b
Examples:
  bascule policy rule set never-at-night --effect deny --group contractors \\
      --hours 18:00-08:00 --time-zone Europe/Paris
  bascule policy rule set long-ones --effect approve \\
      --longer-than 30m --approver role
  bascule policy rule set two-stages --effect approve --file stages.json""",
)
@click.argument("name")
@policy_option
@click.option(
    "--effect",
    type=click.Choice(["deny", "approve", "allow"]),
    required=True,
    help="deny: never; approve: needs the approval of --approver; allow: lifts the approval that a port "
    "of this policy wants by itself.",
)
@_conditions
@click.option(
    "--approver",
    "approvers",
    multiple=True,
    metavar="user:NAME|group:NAME|role",
    help="Who may approve; repeatable. role: whoever holds the right to approve at the machine.",
)
@click.option(
    "--needed", type=click.IntRange(1, 10), metavar="N", help="How many of them. Default: 1."
)
@click.option(
    "--approver-second-factor",
    "approver_factor",
    type=SPAN,
    metavar="DURATION",
    help="Approvers have shown a second factor in this time.",
)
@click.option(
    "--escalate-after", type=SPAN, metavar="DURATION", help="When --escalate-to is asked as well."
)
@click.option(
    "--escalate-to",
    "escalated",
    multiple=True,
    metavar="user:NAME|group:NAME|role",
    help="Who is asked as well then; repeatable.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON with conditions and stages as docs/approval.md describes them, for several stages; "
    "options replace what it says.",
)
@output_option
def set_command(
    name: str,
    policy_name: str,
    effect: str,
    users: tuple[str, ...],
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    resource_groups: tuple[str, ...],
    ports: tuple[int, ...],
    sources: tuple[str, ...],
    days: str | None,
    hours: str | None,
    time_zone: str | None,
    at_most: timedelta | None,
    longer_than: timedelta | None,
    ticket: str | None,
    factor_within: timedelta | None,
    factor_older_than: timedelta | None,
    approvers: tuple[str, ...],
    needed: int | None,
    approver_factor: timedelta | None,
    escalate_after: timedelta | None,
    escalated: tuple[str, ...],
    file: Path | None,
    output: str,
) -> None:
    """Add the rule NAME to a policy, or replace it.

    All conditions that are given must hold. A rule without conditions always holds. Needs the right
    Microsoft.Authorization/accessRules/write at every machine of the policy.
    """
    given = _from_file(file)
    conditions: dict[str, Any] = dict(given.get("conditions") or {})
    stages: list[Any] = list(given.get("stages") or [])
    if not approvers and (needed or escalated or escalate_after or approver_factor):
        raise click.UsageError(
            "--needed, --approver-second-factor and --escalate-... go with --approver."
        )
    if bool(escalated) is not (escalate_after is not None):
        raise click.UsageError("--escalate-after and --escalate-to go together.")
    times = _times(days, hours, time_zone)
    plain = {
        "tags": _tags(tags),
        "resourceGroups": list(resource_groups),
        "ports": list(ports),
        "sourcesWithin": list(sources),
        "times": times,
        "atMost": _duration(at_most),
        "longerThan": _duration(longer_than),
        "secondFactorWithin": _duration(factor_within),
        "secondFactorOlderThan": _duration(factor_older_than),
    }
    conditions |= {key: value for key, value in plain.items() if value}
    if ticket is not None:
        conditions["ticketConfirmed"] = ticket == "confirmed"
    with connect() as connection:
        policy = find_policy(connection, policy_name)
        named = {
            "users": [principal_id(connection, "user", each) for each in users],
            "groups": [principal_id(connection, "group", each) for each in groups],
        }
        conditions |= {key: value for key, value in named.items() if value}
        if approvers:
            stage = stage_of(connection, approvers, needed, escalate_after, escalated)
            if approver_factor is not None:
                stage["secondFactorWithin"] = format_duration(approver_factor)
            stages = [stage]
        properties: dict[str, Any] = {"effect": effect, "conditions": conditions}
        if stages:
            properties["stages"] = stages
        found = put_rule(connection, policy, _name(name), properties)
        _tell(connection, found, output)


@rule.command(epilog="\b\nExamples:\n  bascule policy rule remove office-hours --yes")
@click.argument("name")
@policy_option
@yes_option
def remove(name: str, policy_name: str, is_sure: bool) -> None:
    """Remove the rule NAME. Requests that wait are judged again without it."""
    with connect() as connection:
        policy = find_policy(connection, policy_name)
        confirm(f"Rule {name} of policy {policy.name} is removed.", is_sure=is_sure)
        is_done = delete_rule(connection, policy, _name(name))
    say(f"Rule {name} is removed." if is_done else f"Policy {policy.name} has no rule {name}.")


def find_policy(connection: Connection, wanted: str) -> ResourceId:
    """By name in any resource group, or by its whole id.

    Raises NotFound, and InvalidInput that lists the candidates when a name is ambiguous.
    """
    if wanted.startswith("/"):
        return ResourceId.parse(wanted)
    parse_name(wanted, "Policy", "--policy")
    known = list_policy_ids(connection)
    found = [each for each in known if each.name.lower() == wanted.lower()]
    if not found:
        names = ", ".join(sorted({each.name for each in known})) or "none"
        raise NotFound(
            f"There is no policy {wanted} that you may see.", advice=f"You may see: {names}."
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} policies are called {wanted}. Give the id instead:",
            code="AmbiguousPolicy",
            problems=[Problem("Candidate", str(each)) for each in found],
        )
    return found[0]


def rule_json(found: AccessRule) -> dict[str, Any]:
    return {
        "policyId": str(found.policy),
        "name": found.name,
        "effect": found.effect,
        "conditions": dict(found.conditions),
        **({"stages": list(found.stages)} if found.stages else {}),
    }


def names_of(connection: Connection, rules: Iterable[AccessRule]) -> dict[str, str]:
    """Names of the users and groups that rules name, by id; none where the caller may not read them."""
    wanted: dict[str, set[str]] = {"users": set(), "groups": set()}
    for rule in rules:
        approvers = [stage.get("approvers") or {} for stage in rule.stages]
        approvers += [stage.get("escalateTo") or {} for stage in rule.stages]
        for holder in [rule.conditions, *approvers]:
            for kind, ids in wanted.items():
                ids.update(str(each) for each in holder.get(kind) or ())
    if not any(wanted.values()):
        return {}
    from bascule.client.principals import GROUPS, USERS, list_principals  # noqa: PLC0415  # reason: only rules that name somebody need it

    found: dict[str, str] = {}
    for kind, ids in ((USERS, wanted["users"]), (GROUPS, wanted["groups"])):
        if ids:
            with contextlib.suppress(Forbidden):
                known = list_principals(connection, kind)
                found |= {each.id: each.name for each in known if each.id in ids}
    return found


def _tell(connection: Connection, found: AccessRule, output: str) -> None:
    if output == "json":
        emit_json(rule_json(found))
        return
    names = names_of(connection, [found])
    say(f"Rule       {found.name} of policy {found.policy.name}")
    say(f"Effect     {found.effect}")
    say(f"When       {condition_words(found.conditions, names) or 'always'}")
    if found.stages:
        say(f"Approval   {stages_words(found.stages, names)}")


def _name(name: str) -> str:
    return parse_name(name, "Rule")


def _duration(span: timedelta | None) -> str:
    return "" if span is None else format_duration(span)


def _tags(words: Iterable[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InvalidInput(f"{word!r} is no tag. Give KEY=VALUE.", target="--tag")
        found[key] = value
    return found


def _times(days: str | None, hours: str | None, zone: str | None) -> dict[str, Any]:
    if days is None and hours is None:
        if zone is not None:
            raise click.UsageError("--time-zone goes with --days or --hours.")
        return {}
    if zone is None:
        raise click.UsageError("--days and --hours need --time-zone, such as Europe/Paris.")
    times: dict[str, Any] = {"timeZone": zone}
    if days is not None:
        times["days"] = _days(days)
    if hours is not None:
        start, dash, end = hours.partition("-")
        if not dash or not start or not end:
            raise InvalidInput(f"{hours!r} are no hours. Give 08:00-18:00.", target="--hours")
        times |= {"from": start, "to": end}
    return times


def _days(words: str) -> list[str]:
    """``mon-fri``, ``sat,sun``, in the order of the week."""
    found: set[int] = set()
    for part in words.split(","):
        first, dash, last = part.strip().lower().partition("-")
        start = _day(first, words)
        end = _day(last, words) if dash else start
        found |= {(start + each) % 7 for each in range((end - start) % 7 + 1)}
    return [DAYS[each] for each in sorted(found)]


def _day(word: str, words: str) -> int:
    fitting = [at for at, day in enumerate(DAYS) if len(word) >= 3 and day.startswith(word)]
    if not fitting:
        raise InvalidInput(f"{words!r} are no days. Give mon-fri or sat,sun.", target="--days")
    return fitting[0]


def _from_file(file: Path | None) -> Mapping[str, Any]:
    if file is None:
        return {}
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", target="--file") from None
    except ValueError as error:
        raise InvalidInput(f"{file} is not JSON: {error}.", target="--file") from None
    if not isinstance(read, dict):
        raise InvalidInput(f"{file} holds no JSON object.", target="--file")
    inside = read.get("properties", read)
    return inside if isinstance(inside, dict) else {}
