"""``bascule ssh``: ask if needed, wait until it is really open, become ssh."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import CompletionItem

from bascule.cli.connect import connect
from bascule.cli.find import SHORT_ID, find_located
from bascule.cli.printing import note
from bascule.cli.reach import Way, Wish, reach
from bascule.cli.show import SSH_PORT
from bascule.cli.spans import parse_span
from bascule.cli.ssh_line import OUR_OPTIONS, SshLine, parse_ssh_line
from bascule.client.located import Located
from bascule.domain.ids import parse_name
from bascule.domain.ways_in import Door
from bascule.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from datetime import datetime


class SshCommand(click.Command):
    """Its words are ssh's, which click does not take apart; so it completes them itself."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        del ctx  # options begin with a dash: click asks the command for them
        return [CompletionItem(each) for each in sorted(OUR_OPTIONS) if each.startswith(incomplete)]


def complete_destination(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
) -> list[CompletionItem]:
    """The machine, alone or behind ``user@``; nothing where the command begins.

    bash breaks words at ``@`` (COMP_WORDBREAKS), other shells do not.
    """
    words = list(ctx.params.get(param.name or "") or ())
    if words[-1:] == ["@"]:
        words = words[:-2]
    elif incomplete.startswith("@"):
        words = words[:-1]
    try:
        line = parse_ssh_line(words)
    except InvalidInput:  # an option that still wants its value
        return []
    if line.machine:
        return []
    from bascule.cli.parameters import machines_beginning  # noqa: PLC0415  # reason: completion alone needs it

    user, at, start = incomplete.rpartition("@")
    return [CompletionItem(f"{user}{at}{name}") for name in machines_beginning(start)]


@click.command(
    cls=SshCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
    options_metavar="",
    epilog="""\b
Own options (all others are ssh's):
  --for DURATION   duration of the request, if one is needed: 30m, 2h;
                   default 1h, or the policy's maximum if that is shorter
  --why TEXT       the reason; it is recorded; default BASCULE_WHY; otherwise
                   you are asked if a policy requires one
  --policy NAME    policy to use
  --at TIME        open and connect then: 23:00, 2030-01-31T23:00;
                   the command waits, or run it again
  --up-to DURATION where approval is needed: extensions up to this are
                   approved with it
  --close          close the access when ssh ends, if it was opened for this;
                   default if BASCULE_SSH_CLOSE is 1 (not: --no-close)
  -p PORT          port; default 22, or the only one offered
  --emergency      without approval, for at most an hour, if one is needed;
                   needs --why and a second factor shown in the last 15
                   minutes; owners are told at once
  --help           this text

\b
Examples:
  bascule ssh web-1
  bascule ssh admin@web-1 -- systemctl status nginx
  bascule ssh web-1 -L 8080:localhost:80 -N
  bascule ssh --why "ticket 4711" web-1
  bascule ssh --emergency --why "the database is down" db-1
  bascule ssh --close web-1""",
)
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="MACHINE [SSH OPTIONS] [-- COMMAND]",
    shell_complete=complete_destination,
)
@click.pass_context
def ssh(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Connect to MACHINE with ssh. Requests access first if you have none.

    Known hosts are stored under the machine's name, whatever its address. Nothing is printed
    unless something is wrong, or the request waits for somebody's approval: then it says for whom, and goes
    on by itself when it is approved. Ctrl-C ends only the waiting; the same command takes it up again. At a
    terminal it also says five minutes before the access ends that it does.
    """
    line = parse_ssh_line(arguments)
    if line.is_help:
        click.echo(ctx.get_help())
        return 0
    if not line.machine:
        raise click.UsageError("Give a machine: bascule ssh MACHINE", ctx)
    starts_at = None
    if "at" in line.ours:
        from bascule.cli.starts import parse_start  # noqa: PLC0415  # reason: most connect now
        from bascule.clocks import SystemClock  # noqa: PLC0415  # reason: as above

        starts_at = parse_start(line.ours["at"], SystemClock().now())
    wish = Wish(
        port=line.port,
        span=parse_span(line.ours["for"], "--for") if "for" in line.ours else None,
        why=line.ours.get("why", ""),
        policy_name=line.ours.get("policy", ""),
        family=line.family,
        is_emergency="emergency" in line.ours,
        starts_at=starts_at,
        up_to=parse_span(line.ours["up-to"], "--up-to") if "up-to" in line.ours else None,
        run_id=_run_of(line),
    )
    with connect() as connection:
        machine = find_located(connection, line.machine)
        way = reach(connection, machine, wish)
        now = connection.now()
    command = ssh_command(line, way.door, machine.name)
    try:
        return _connect(command, way, wish, machine, now)
    except ConfigurationError:
        if not way.is_closed_by_run:
            note(
                f"{machine.name} port {way.port.number} stays open until its time is over. To close it: "
                f"bascule revoke {way.request_id[:SHORT_ID]}"
            )
        raise


def _connect(command: Sequence[str], way: Way, wish: Wish, machine: Located, now: datetime) -> int:
    """Become ssh, or run it; raises ConfigurationError when it cannot be started."""
    if wish.run_id:
        _close_after(way, wish, machine)
    if sys.stderr.isatty():
        from bascule.cli.ssh_warning import warn_before_end  # noqa: PLC0415  # reason: at a terminal alone

        warn_before_end(machine, way.port, now)
    if not way.port.gateways:
        become(command)
    from bascule.cli.ssh_behind import run_and_tell  # noqa: PLC0415  # reason: most machines are behind no gateway

    return run_and_tell(command, machine, way.port)


def _run_of(line: SshLine) -> str:
    """The new run's id; empty: its end closes nothing."""
    if not (line.ours.keys() & {"close", "no-close"} or os.environ.get("BASCULE_SSH_CLOSE")):
        return ""
    from bascule.cli.ssh_close import is_wanted, new_run  # noqa: PLC0415  # reason: for --close alone

    return new_run() if is_wanted(line.ours) else ""


def _close_after(way: Way, wish: Wish, machine: Located) -> None:
    if not way.is_closed_by_run:
        note(
            f"--close: {machine.name} port {way.port.number} was open before, and stays open until its "
            f"time is over. To close it: bascule revoke {way.request_id[:SHORT_ID]}"
        )
        return
    from bascule.cli.ssh_close import close_after  # noqa: PLC0415  # reason: for --close alone

    close_after(way.request_id, wish.run_id)


def ssh_command(line: SshLine, way: Door, name: str) -> list[str]:
    """The words of ssh's command line; ours come last, because ssh takes the first it is told."""
    words = ["ssh", *line.options]
    if line.user is not None:
        words += ["-l", line.user]
    if line.port is not None or way.number != SSH_PORT:
        words += ["-p", str(way.number)]
    words += ["-o", f"HostKeyAlias={parse_name(name, 'Machine')}"]
    return [*words, "--", str(way.address), *line.command]


def become(command: Sequence[str]) -> NoReturn:
    """Turn this process into that program; its exit code is then ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], list(command))  # noqa: S606  # reason: becoming ssh is the purpose
    except OSError as error:
        raise ConfigurationError(
            f"{command[0]} cannot be started: {error.strerror}.",
            advice="Install the OpenSSH client (Debian: apt install openssh-client).",
        ) from None
