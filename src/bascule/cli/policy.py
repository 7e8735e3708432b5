"""``bascule policy``: which ports of a machine may be opened, from where, for how long."""

from __future__ import annotations

from datetime import timedelta

import click

from bascule.cli.approvers import stage_of
from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.find import find_machine, port_words
from bascule.cli.lockout import keep_my_way_in
from bascule.cli.machine_behind import several_words
from bascule.cli.parameters import (
    MACHINE,
    Port,
    PublicPortType,
    SourceType,
    SpanType,
    ports_option,
)
from bascule.cli.policy_rule import rule
from bascule.cli.policy_test import test_command
from bascule.cli.policy_ticket import ticket
from bascule.cli.preview import dry_run_option, removal_words, tell_preview
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.released import tell_released
from bascule.cli.rules_table import rule_rows, rules_json
from bascule.client import policies
from bascule.client.machines import get_machine
from bascule.client.policies import (
    get_machine_rules,
    preview_machine_rules,
    preview_removal,
    put_machine_rules,
)
from bascule.domain.durations import (
    MAXIMUM_DRAIN,
    MAXIMUM_DURATION,
    MINIMUM_DRAIN,
    MINIMUM_DURATION,
)
from bascule.domain.ids import parse_name
from bascule.domain.machine import OnExpiry
from bascule.domain.net import Address, AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.protocol.rules import read_stages

DEFAULT_POLICY = "default"
RECOMMENDED = {"windows": Port(3389, "TCP")}  # any other system: ssh
SSH = Port(22, "TCP")


@click.group(
    epilog="""\b
Examples:
  bascule policy set web-1 -p 22 --max 3h
  bascule policy show"""
)
def policy() -> None:
    """Which ports may be opened, from where, for how long."""


policy.add_command(rule)
policy.add_command(ticket)
policy.add_command(test_command)


@policy.command(epilog="\b\nExamples:\n  bascule policy show\n  bascule policy show web-1 -o json")
@click.argument("machine", type=MACHINE, required=False)
@output_option
def show(machine: str | None, output: str) -> None:
    """Show the port rules of all machines, or of MACHINE."""
    with connect() as connection:
        if machine is None:
            found = policies.list_policies(connection)
        else:
            known = find_machine(connection, machine)
            found = [get_machine_rules(connection, known.id)]
    if output == "json":
        emit_json([rules_json(each) for each in found])
        return
    heads, rows = rule_rows(found)
    if not rows:
        note(
            "No policy names "
            + (machine or "a machine")
            + ". Set one: bascule policy set MACHINE -p 22"
        )
        return
    print_table(heads, rows)


@policy.command(
    "set",
    epilog="""\b
Examples:
  bascule policy set web-1                        port 22, at most 3 hours
  bascule policy set web-1 -p 22 -p 5432 --max 1h --from 198.51.100.0/24
  bascule policy set web-1 -p 22 --on-expiry kill --require-why
  bascule policy set web-1 -p 22 --on-expiry drain --drain-for 10m
  bascule policy set app-1 -p 22 --public-port 2222
  bascule policy set db-1 -p 5432 --approver group:on-call""",
)
@click.argument("machine", type=MACHINE)
@ports_option("22, on Windows 3389")
@click.option(
    "--max",
    "longest",
    type=SpanType(MINIMUM_DURATION, MAXIMUM_DURATION),
    default=timedelta(hours=3),
    metavar="DURATION",
    help="Maximum duration of a request, 5m to 1d. Default: 3h.",
)
@click.option(
    "--from",
    "sources",
    type=SourceType(takes_me=False),
    multiple=True,
    metavar="ADDRESS|CIDR|*",
    help="Allowed sources; repeatable. Default: anywhere.",
)
@click.option(
    "--on-expiry",
    type=click.Choice(["keep", "kill", "drain"]),
    default="keep",
    show_default=True,
    help="When a grant ends: keep lets its TCP connections continue, kill ends them, drain lets "
    "them stay for the time of --drain-for and then ends them. UDP always ends.",
)
@click.option(
    "--drain-for",
    type=SpanType(MINIMUM_DRAIN, MAXIMUM_DRAIN),
    metavar="TIME",
    help="With --on-expiry drain: how long connections may stay, such as 10m.",
)
@click.option("--require-why", is_flag=True, help="Requests must give a reason.")
@click.option(
    "--approver",
    "approvers",
    multiple=True,
    metavar="user:NAME|group:NAME|role",
    help="Requests wait for the approval of one of these; repeatable. role: whoever holds the right to "
    "approve at the machine. Default: what the policy says already.",
)
@click.option(
    "--approvals",
    type=click.IntRange(1, 10),
    metavar="N",
    help="How many must approve. Default: 1.",
)
@click.option("--no-approval", is_flag=True, help="Requests wait for no approval of these ports.")
@click.option(
    "--public-port",
    "public",
    type=PublicPortType(),
    metavar="[ADDRESS:]PORT",
    help="Public port of the machine's gateway that stands for the port, for one -p. Default: the "
    "lowest free one.",
)
@click.option(
    "--policy",
    "policy_name",
    default=DEFAULT_POLICY,
    show_default=True,
    metavar="NAME",
    help="The policy to change; it is created if it does not exist.",
)
@dry_run_option
@output_option
def set_command(
    machine: str,
    ports: tuple[Port, ...],
    longest: timedelta,
    sources: tuple[str, ...],
    on_expiry: str,
    drain_for: timedelta | None,
    require_why: bool,
    approvers: tuple[str, ...],
    approvals: int | None,
    no_approval: bool,
    public: tuple[Address | None, int] | None,
    policy_name: str,
    dry_run: bool,
    output: str,
) -> None:
    """Set which ports of MACHINE are closed, and how each may be opened.

    This replaces the policy's rules for this machine and changes no other machine. A port that
    it no longer names stays closed; bascule machine release opens it.
    """
    parse_name(policy_name, "Policy", "--policy")
    if public is not None and len(set(ports)) > 1:
        raise click.UsageError("--public-port is for one port: give -p once.")
    if (on_expiry == OnExpiry.DRAIN) is not (drain_for is not None):
        raise click.UsageError(
            "--on-expiry drain and --drain-for go together: --on-expiry drain --drain-for 10m."
        )
    if (approvals is not None and not approvers) or (no_approval and approvers):
        raise click.UsageError("--approvals goes with --approver, and --no-approval without it.")
    address, number = public or (None, None)
    with connect() as connection:
        found = find_machine(connection, machine)
        stages = (
            read_stages([stage_of(connection, approvers, approvals, None, ())]) if approvers else ()
        )
        wanted = ports or (RECOMMENDED.get(found.os_type.lower(), SSH),)
        rules = [
            PortRule(
                port.number,
                RuleProtocol(port.protocol),
                tuple(map(AddressPrefix.parse, dict.fromkeys(sources or ("*",)))),
                longest,
                OnExpiry(on_expiry),
                require_why,
                public_port=number,
                public_address=address,
                drain_for=drain_for,
                approval=stages,
            )
            for port in dict.fromkeys(wanted)
        ]
        if dry_run:
            preview = preview_machine_rules(
                connection, found.id, rules, policy_name, drops_approval=no_approval
            )
            tell_preview(preview, output)
            if found.point is None and output != "json":
                note(
                    f"{found.name} has no agent yet, so no port would be closed until it has one: "
                    f"bascule machine enrol {found.name}"
                )
            return
        keep_my_way_in(found, wanted)
        answer = put_machine_rules(
            connection, found.id, rules, policy_name, drops_approval=no_approval
        )
        after = get_machine(connection, found.id)
        both = several_words(connection, after) if output != "json" else ""
    if output == "json":
        emit_json(rules_json(answer))
        return
    print_table(*rule_rows([answer]))
    left = [port for port in after.closed_ports if not port.is_in_policy]
    if left:
        words = ", ".join(port_words(port.number, port.protocol) for port in left)
        note(f"Still closed, in no policy: {words}. To open: bascule machine release {found.name}")
    if both:
        note(both)
    if after.point is None:
        note(
            f"{found.name} has no agent yet, so no port is closed. Next: bascule machine enrol "
            f"{found.name}"
        )


@policy.command(
    epilog="""\b
Examples:
  bascule policy remove web-1
  bascule policy remove web-1 --dry-run
  bascule policy remove web-1 --yes"""
)
@click.argument("machine", type=MACHINE)
@dry_run_option
@yes_option
def remove(machine: str, dry_run: bool, is_sure: bool) -> None:
    """Remove MACHINE from all policies and open the ports that they named.

    Says which ports open and whose access ends, and asks for confirmation.
    """
    with connect() as connection:
        found = find_machine(connection, machine)
        if dry_run:
            tell_preview(preview_removal(connection, found.id))
            return
        if not is_sure and get_machine_rules(connection, found.id).policies:
            confirm(removal_words(found, preview_removal(connection, found.id)), is_sure=False)
        if not policies.delete_machine_rules(connection, found.id):
            note(f"No policy covers {found.name}.")
            return
        say(f"{found.name} is no longer in any policy")
        named = [(p.number, p.protocol) for p in found.closed_ports if p.is_in_policy]
        tell_released(connection, found, named)
