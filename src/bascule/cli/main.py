"""The top of the command line: the table of commands, and how every run ends.

``bootstrap`` calls ``build`` with the commands that it brings and ``run`` with what they
may ask for. No traceback reaches the user: every error is words on stderr and an exit
code that means something.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from bascule import __version__
from bascule.cli.complaint import complain
from bascule.cli.lazy import Lazy, LazyGroup
from bascule.errors import BasculeError

INTERRUPTED = 130  # 128 + SIGINT, as shells count it

_ACCESS, _OWNER, _PEOPLE = "Access", "Machines, policies and record", "People and rights"
_HOSTS, _SHELL = "Running Bascule", "Sign-in and this tool"

COMMANDS: Mapping[str, Lazy] = {
    "ssh": Lazy("bascule.cli.ssh:ssh", "Request access if needed, then run ssh.", _ACCESS),
    "request": Lazy("bascule.cli.request:request", "Open a port of a machine for you.", _ACCESS),
    "extend": Lazy("bascule.cli.extend:extend", "Extend access that is open.", _ACCESS),
    "revoke": Lazy("bascule.cli.revoke:revoke", "Close access before its end.", _ACCESS),
    "approvals": Lazy(
        "bascule.cli.approvals:approvals", "Show which requests wait for approval.", _ACCESS
    ),
    "approve": Lazy("bascule.cli.approve:approve", "Approve a request that waits.", _ACCESS),
    "deny": Lazy("bascule.cli.approve:deny", "Deny a request that waits.", _ACCESS),
    "review": Lazy("bascule.cli.review:review", "Review emergency access.", _ACCESS),
    "withdraw": Lazy("bascule.cli.approve:withdraw", "Take back your waiting request.", _ACCESS),
    "status": Lazy(
        "bascule.cli.status:status", "Show what is open, for whom, until when.", _ACCESS
    ),
    "exposure": Lazy(
        "bascule.cli.exposure:exposure", "Show who can reach what, now or earlier.", _ACCESS
    ),
    "ssh-config": Lazy(
        "bascule.cli.ssh_config:ssh_config", "Let plain ssh request access by itself.", _ACCESS
    ),
    "ssh-prepare": Lazy(
        "bascule.cli.ssh_prepare:ssh_prepare", "Used by the lines of ssh-config.", is_hidden=True
    ),
    "machine": Lazy("bascule.cli.machine:machine", "Machines and their agents.", _OWNER),
    "policy": Lazy("bascule.cli.policy:policy", "Which ports, from where, for how long.", _OWNER),
    "plan": Lazy("bascule.cli.plan:plan", "Just-in-time access on or off, and where.", _OWNER),
    "activity": Lazy(
        "bascule.cli.activity:activity", "The audit record: who did what, when.", _OWNER
    ),
    "audit": Lazy("bascule.cli.audit:audit", "Export, verify and send the record.", _OWNER),
    "user": Lazy("bascule.cli.user:user", "People who sign in.", _PEOPLE),
    "group": Lazy("bascule.cli.group:group", "Groups of people and programs.", _PEOPLE),
    "sp": Lazy("bascule.cli.sp:sp", "Service principals: programs that sign in.", _PEOPLE),
    "role": Lazy("bascule.cli.role:role", "Roles and role assignments.", _PEOPLE),
    "provider": Lazy(
        "bascule.cli.provider:provider", "Sign-in by Entra ID, Keycloak and others.", _PEOPLE
    ),
    "doctor": Lazy(
        "bascule.cli.doctor:doctor", "Find what reaches closed ports past Bascule here.", _HOSTS
    ),
    "login": Lazy("bascule.cli.login:login", "Sign in to a server.", _SHELL),
    "session": Lazy("bascule.cli.session:session", "Signed-in browsers and programs.", _SHELL),
    "logout": Lazy("bascule.cli.person:logout", "Sign out.", _SHELL),
    "mail": Lazy("bascule.cli.mail:mail", "Where you want mail, and of what.", _SHELL),
    "whoami": Lazy("bascule.cli.whoami:whoami", "Show who you are signed in as.", _SHELL),
    "completion": Lazy(
        "bascule.cli.completion:completion", "Print a shell completion script.", _SHELL
    ),
    "version": Lazy("bascule.cli.version:version", "Versions of this tool and its server.", _SHELL),
}

_BROUGHT = {
    "serve": "Run the server.",
    "agent": "The agent on a protected host.",
    "lab": "A small real network to try Bascule in.",
    "admin": "Maintenance on the server's own host.",
}

_EPILOG = """\
\b
Examples:
  bascule login --admin-file /var/lib/bascule/admin.json
  bascule ssh web-1                       request, wait, connect
  bascule request web-1 -p 5432 --for 30m --why "ticket 4711"
  bascule status --watch
  bascule policy set web-1 -p 22 --max 3h

\b
Exit codes:
  0  done                           5  not signed in
  1  failed                         6  server unreachable or unavailable
  2  wrong usage or bad input       7  the firewall did not apply it
  3  not found                      8  denied by an approver
  4  not allowed                    9  nobody approved in time
  130  interrupted (Ctrl-C)
  bascule ssh returns the exit code of ssh.
"""


def build(extra: Mapping[str, str]) -> click.Group:
    """The whole command line; ``extra`` maps further names to their "module:attribute"."""
    brought = {name: Lazy(target, _BROUGHT.get(name, ""), _HOSTS) for name, target in extra.items()}
    return LazyGroup(
        {**COMMANDS, **brought},
        name="bascule",
        callback=_top,
        help="Keep ports closed; open one for one source, for a limited time.",
        epilog=_EPILOG,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version and exit.",
            )
        ],
    )


def run(group: click.Group, obj: object = None, args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code; ``obj`` is handed to the commands."""
    sys.exit(invoke(group, obj, args))


def invoke(group: click.Group, obj: object = None, args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; whatever went wrong was said on stderr."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 is no reason to fail
    try:
        result = group.main(
            list(args) if args is not None else None,
            prog_name="bascule",
            standalone_mode=False,
            obj=obj,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("bascule: interrupted", err=True)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _last_guard(error)
        # What could not be written is written again at exit, and would fail there once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(_unwritten(error))
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BasculeError as error:
        complain(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # reason: the last guard, nobody shall see a traceback
        return _last_guard(error)
    return result if isinstance(result, int) else 0


def _last_guard(error: Exception) -> int:
    if os.environ.get("BASCULE_DEBUG"):
        raise error
    complain(_unforeseen(error))
    return 1


def _open_missing_streams() -> None:
    """A caller may have closed them (``>&-``), and Python then has None in their place.

    The numbers of closed ones are free: what is opened here takes them, so that no socket does.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _top() -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _print_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"bascule {__version__}")
        ctx.exit()


def _unwritten(error: OSError) -> BasculeError:
    return BasculeError(
        f"Could not write everything: {error.strerror}.",
        advice="What the command had done by then remains done.",
    )


def _unforeseen(error: Exception) -> BasculeError:
    return BasculeError(
        f"Unexpected error: {type(error).__name__}: {error}",
        advice="This is a bug in Bascule. Please report it; BASCULE_DEBUG=1 shows where it "
        "happened.",
    )
