"""``bascule policy ticket``: the ticket system that a policy's rules ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bascule.cli.approval_words import TICKET_WORDS
from bascule.cli.approvers import stage_of
from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.policy_rule import find_policy, policy_option
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.rule_words import stages_words
from bascule.client.ticket_checks import (
    delete_ticket_check,
    get_ticket_check,
    put_ticket_check,
    try_ticket,
)
from bascule.domain.ids import ResourceId
from bascule.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from bascule.client.connection import Connection


@click.group(
    epilog="""\b
Examples:
  bascule policy ticket set --url https://tickets.example/bascule \\
      --pattern 'CHG[0-9]{7}'
  bascule policy rule set changes-only --effect deny --ticket unconfirmed
  bascule policy ticket test CHG0012345"""
)
def ticket() -> None:
    """The ticket system that a policy's rules ask."""


@ticket.command("show", epilog="\b\nExamples:\n  bascule policy ticket show")
@policy_option
@output_option
def show_command(policy_name: str, output: str) -> None:
    """Show where the policy's tickets are asked for."""
    with connect() as connection:
        policy = find_policy(connection, policy_name)
        found = get_ticket_check(connection, policy)
    if output == "json":
        emit_json({"policyId": str(policy), **found})
        return
    _tell(policy.name, found)


@ticket.command(
    "set",
    epilog="""\b
Examples:
  bascule policy ticket set --url https://tickets.example/bascule \\
      --pattern 'CHG[0-9]{7}|INC[0-9]{7}'
  bascule policy ticket set --approver group:on-call
  bascule policy ticket set --new-secret""",
)
@policy_option
@click.option("--url", metavar="URL", help="https://HOST/PATH of the ticket system.")
@click.option(
    "--pattern",
    metavar="PATTERN",
    help="What a ticket looks like: characters, [A-Z], \\d, counts, and |.",
)
@click.option(
    "--approver",
    "approvers",
    multiple=True,
    metavar="user:NAME|group:NAME|role",
    help="Who is asked where the ticket system is unavailable; repeatable.",
)
@click.option(
    "--needed", type=click.IntRange(1, 10), metavar="N", help="How many of them. Default: 1."
)
@click.option(
    "--deny-unavailable",
    is_flag=True,
    help="Where the ticket system is unavailable, deny. This is the default.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM of the CA that signed its certificate. Default: the public CAs.",
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A secret of your own, whsec_ and base64. Default: the server makes one.",
)
@click.option("--new-secret", is_flag=True, help="Make another secret; the old one ends.")
@output_option
def set_command(
    policy_name: str,
    url: str | None,
    pattern: str | None,
    approvers: tuple[str, ...],
    needed: int | None,
    deny_unavailable: bool,
    ca_file: Path | None,
    secret_file: Path | None,
    new_secret: bool,
    output: str,
) -> None:
    """Set the ticket system of a policy, or change what is given of it.

    Rules ask it with the condition --ticket. A new secret is shown once. Needs the right
    Microsoft.Authorization/accessRules/write at every machine of the policy.
    """
    if deny_unavailable and (approvers or needed):
        raise click.UsageError("--deny-unavailable does not go with --approver.")
    if needed and not approvers:
        raise click.UsageError("--needed goes with --approver.")
    with connect() as connection:
        policy = find_policy(connection, policy_name)
        properties = _before(connection, policy, is_whole=bool(url and pattern))
        given = {
            "url": url,
            "pattern": pattern,
            "caCertificates": _read(ca_file, "--ca-file"),
            "secret": _read(secret_file, "--secret-file").strip(),
            "newSecret": new_secret,
        }
        properties |= {key: value for key, value in given.items() if value}
        if approvers:
            stage = stage_of(connection, approvers, needed, None, ())
            properties |= {"unavailable": "approve", "stages": [stage]}
        elif deny_unavailable:
            properties["unavailable"] = "deny"
            properties.pop("stages", None)
        found = put_ticket_check(connection, policy, properties)
    if output == "json":
        emit_json({"policyId": str(policy), **found})
        return
    _tell(policy.name, found)
    if found.get("secret"):
        say(f"Secret       {found['secret']}")
        note("Put the secret into the ticket system now. It is not shown again.")


@ticket.command("remove", epilog="\b\nExamples:\n  bascule policy ticket remove --yes")
@policy_option
@yes_option
def remove_command(policy_name: str, is_sure: bool) -> None:
    """Remove the ticket system of a policy. Rules that ask it are removed first."""
    with connect() as connection:
        policy = find_policy(connection, policy_name)
        confirm(f"The ticket check of policy {policy.name} is removed.", is_sure=is_sure)
        is_done = delete_ticket_check(connection, policy)
    name = policy.name
    say(f"Policy {name} asks for no tickets now." if is_done else f"Policy {name} asked for none.")


@ticket.command(
    "test", epilog="\b\nExamples:\n  bascule policy ticket test CHG0012345 --policy default"
)
@click.argument("number", metavar="TICKET")
@policy_option
@output_option
def test_command(number: str, policy_name: str, output: str) -> None:
    """Ask the ticket system about TICKET. Nothing opens by it.

    The exit code is 0 if it was confirmed, 4 if not, 1 if the system could not be asked.
    """
    with connect() as connection:
        found = try_ticket(connection, find_policy(connection, policy_name), number)
    if output == "json":
        emit_json(found._asdict())
    else:
        say(f"{found.ticket}: {TICKET_WORDS.get(found.answer, found.answer)}")
        if found.text:
            say(f"  {found.text}")
    if found.answer != "yes":
        raise click.exceptions.Exit(4 if found.answer == "no" else 1)


def _tell(policy: str, found: Any) -> None:  # noqa: ANN401  # reason: JSON as the server wrote it
    say(f"Policy       {policy}")
    say(f"Pattern      {found.get('pattern', '')}")
    say(f"Asks         {found.get('url', '')}")
    by = stages_words(found.get("stages") or ())
    say(f"Unavailable  {f'approval by {by}' if by else 'denied'}")
    say(f"Secret       number {found.get('secretId', '')}")


def _before(connection: Connection, policy: ResourceId, *, is_whole: bool) -> dict[str, Any]:
    """What there is of it; nothing where there is none."""
    try:
        return dict(get_ticket_check(connection, policy))
    except NotFound as error:
        if error.specific_code != "TicketCheckNotFound":
            raise
        if not is_whole:
            raise click.UsageError("A new ticket check needs --url and --pattern.") from None
        return {}


def _read(file: Path | None, option: str) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", target=option) from None
    except ValueError:
        raise InvalidInput(f"{file} is not ASCII text.", target=option) from None
