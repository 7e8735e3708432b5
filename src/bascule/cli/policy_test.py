"""``bascule policy test``: what somebody would get, now or at another time, and by which rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from bascule.cli.approvers import principal_id
from bascule.cli.choose import choose
from bascule.cli.connect import connect
from bascule.cli.find import find_machine
from bascule.cli.parameters import MACHINE, MY_ADDRESS, PORT_NUMBER, SPAN, SourceType
from bascule.cli.policy_rule import find_policy
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.rule_words import stages_words
from bascule.cli.spans import parse_until
from bascule.client.access_rules import Answer, try_rules
from bascule.client.policies import get_machine_rules
from bascule.domain.times import format_duration, format_utc
from bascule.errors import RequestDenied

WORDS = {
    "allowed": "It would open at once.",
    "needsApproval": "It would wait for approval.",
    "denied": "It would be refused.",
}


@click.command(
    "test",
    epilog="""\b
Examples:
  bascule policy test db-1 --as anna@example.com
  bascule policy test db-1 -p 22 --as anna@example.com --at 23:00 --for 2h""",
)
@click.argument("machine", type=MACHINE)
@click.option("--as", "who", metavar="NAME|ID", required=True, help="The user who would ask.")
@click.option(
    "-p",
    "--port",
    "ports",
    type=PORT_NUMBER,
    multiple=True,
    metavar="PORT",
    help="Port; repeatable. Default: the only one offered.",
)
@click.option(
    "--for", "span", type=SPAN, metavar="DURATION", help="How long. Default: as a request's."
)
@click.option(
    "--from",
    "source",
    type=SourceType(takes_me=True),
    default=MY_ADDRESS,
    show_default=True,
    metavar="me|ADDRESS|CIDR",
    help="Source.",
)
@click.option("--why", default="", metavar="TEXT", help="The reason that would be given.")
@click.option(
    "--ticket",
    type=click.Choice(["yes", "no", "unavailable"]),
    default="yes",
    show_default=True,
    help="What a ticket system is taken to say of the ticket in --why; none is asked.",
)
@click.option(
    "--at", metavar="TIME", default=None, help="When: 23:00, 2030-01-31T23:00. Default: now."
)
@click.option(
    "--second-factor-age",
    "factor_age",
    type=SPAN,
    metavar="DURATION",
    help="How old their second factor would be. Default: not known.",
)
@click.option(
    "--policy", "policy_name", default="", metavar="NAME", help="The policy that would be used."
)
@output_option
def test_command(
    machine: str,
    who: str,
    ports: tuple[int, ...],
    span: timedelta | None,
    source: str,
    why: str,
    ticket: str,
    at: str | None,
    factor_age: timedelta | None,
    policy_name: str,
    output: str,
) -> None:
    """Say what a person would get for MACHINE, and which rules say so.

    Nothing is requested and nothing is recorded. The exit code is 0 if it would open at once, 8 if it would
    wait for approval, 4 if it would be refused.
    """
    with connect() as connection:
        found = find_machine(connection, machine)
        choice = choose(get_machine_rules(connection, found.id), ports, policy_name)
        asked: dict[str, Any] = {"duration": format_duration(span or choice.default_span)}
        if source != MY_ADDRESS:
            asked["allowedSourceAddressPrefix"] = source
        question: dict[str, Any] = {
            "principalId": principal_id(connection, "user", who),
            "virtualMachines": [
                {"id": str(found.id), "ports": [{"number": each, **asked} for each in choice.ports]}
            ],
            "justification": why or None,
            "ticket": ticket,
        }
        if at is not None:
            question["at"] = format_utc(parse_until(at, connection.now(), "--at"))
        if factor_age is not None:
            question["secondFactorAge"] = format_duration(factor_age)
        policy = find_policy(connection, str(choice.policy_id))
        answer = try_rules(connection, policy, question)
    _tell(answer, output)
    if answer.outcome == "denied":
        raise click.exceptions.Exit(RequestDenied.exit_code)
    if answer.outcome == "needsApproval":
        raise click.exceptions.Exit(8)


def _tell(answer: Answer, output: str) -> None:
    if output == "json":
        emit_json(
            {
                "outcome": answer.outcome,
                "reasons": list(answer.reasons),
                "stages": list(answer.stages),
                "rules": [
                    {"policy": policy, "name": name, "effect": effect, "holds": holds}
                    for policy, name, effect, holds in answer.rules
                ],
            }
        )
        return
    say(WORDS.get(answer.outcome, answer.outcome))
    for reason in answer.reasons:
        say(f"  - {reason}")
    if answer.stages:
        say(f"  approval by {stages_words(answer.stages)}")
    holding = [each for each in answer.rules if each[3]]
    for policy, name, effect, _ in holding:
        say(f"  rule {name} of policy {policy} ({effect}) holds")
    if not holding:
        note("No rule holds for it.")
