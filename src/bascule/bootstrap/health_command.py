"""``bascule admin check``: what needs doing, as a table, JSON and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bascule.bootstrap.data_directory import check_own, require_installation
from bascule.bootstrap.options import DATA
from bascule.cli.printing import emit_json, note, output_option, say

_MARKS = {0: "ok", 1: "warning", 2: "problem"}


@click.command(
    short_help="Say what the server needs done.",
    epilog="Examples:\n\n\b\n  bascule admin check --data /var/lib/bascule\n"
    "  bascule admin check --data /var/lib/bascule -o json",
)
@DATA
@output_option
def check(data: Path, output: str) -> None:
    """Check database, record, keys, disk, clock, backups, agents, certificates and the service.

    The database is read whole. Nothing is changed, and the server may be running. The exit code is
    0 if all is well, 1 if there is a warning, 2 if there is a problem. Run this command as the
    server's own account, on its host.
    """
    from bascule.bootstrap.health import find
    from bascule.clocks import SystemClock

    require_installation(data)
    check_own(data)
    findings = find(data, SystemClock().now(), is_silent=output == "json")
    worst = max(each.state for each in findings)
    if output == "json":
        told = [each.as_json() for each in findings]
        emit_json({"findings": told, "state": worst.name.lower()})
        sys.exit(int(worst))
    width = max(len(each.area) for each in findings)
    for each in findings:
        say(f"{_MARKS[each.state]:7}  {each.area:{width}}  {each.what}")
        if each.advice:
            say(f"{'':9}{'':{width}}  -> {each.advice}")
    counted = sum(1 for each in findings if each.state)
    note("All is well." if not counted else f"{counted} of {len(findings)} need something done.")
    sys.exit(int(worst))


@click.command(
    "support-bundle",
    short_help="Make a file for whoever helps.",
    epilog="Example:\n\n\b\n  bascule admin support-bundle bundle.tar.gz --data /var/lib/bascule",
)
@click.argument("file", type=click.Path(path_type=Path))
@DATA
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="The server's log. Default: systemd's journal of bascule.service.",
)
def support_bundle(file: Path, data: Path, log: Path | None) -> None:
    """Make a file for whoever helps with the server, without secrets.

    It has versions, the findings of bascule admin check, names and modes of files, numbers of rows,
    and the log without addresses, principals and paths of calls. Look at it before you send it.
    """
    from bascule.bootstrap.support import make_bundle
    from bascule.clocks import SystemClock

    require_installation(data)
    check_own(data)
    size = make_bundle(data, file, SystemClock().now(), log, is_silent=False)
    say(f"Made {file}: {size} bytes, readable by its owner alone.")
    note("Look at it before you send it: tar xzf FILE")
