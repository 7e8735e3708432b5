"""The one place that names concrete classes, and the console script ``bascule``.

Each command is imported when it is asked for, so that ``bascule --help`` stays quick and
a host's agent never loads a web framework.
"""

from __future__ import annotations

import gc

_COMMANDS = {
    "serve": "bascule.bootstrap.serve:serve",
    "agent": "bascule.agent.commands:agent",
    "lab": "bascule.lab.commands:lab",
    "admin": "bascule.bootstrap.admin:admin",
}


def main() -> None:
    """Run the command line; the exit code says how it went (``bascule --help``)."""
    gc.disable()  # until a command is loaded (cli.lazy): modules are kept, searching them frees nothing
    from bascule.bootstrap.drivers import HostParts
    from bascule.cli.main import build, run

    run(build(_COMMANDS), HostParts())
