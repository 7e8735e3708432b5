"""``bascule agent warn``: what the service for warnings runs."""

from __future__ import annotations

import click


@click.command("warn")
def warn_command() -> None:
    """Tell people in sessions that their access ends.

    A service of its own runs this, and writes to terminals. It needs CAP_SYS_PTRACE
    and the group tty.
    """
    from bascule.agent.terminals import serve

    serve()
