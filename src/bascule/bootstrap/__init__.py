"""The one place that names concrete classes, and the console script ``bascule``.

Each command is imported when it is asked for, so that ``bascule --help`` stays quick and
a host's agent never loads a web framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.interfaces.owned_driver import OwnedDriver

_COMMANDS = {
    "serve": "bascule.bootstrap.serve:serve",
    "agent": "bascule.agent.commands:agent",
    "lab": "bascule.lab.commands:lab",
    "admin": "bascule.bootstrap.admin:admin",
}


def main() -> None:
    """Run the command line; the exit code says how it went (``bascule --help``)."""
    from bascule.cli.main import build, run

    run(build(_COMMANDS), HostParts())


class HostParts:
    """What commands on a host may ask for without knowing which class it is."""

    def open_host_driver(self) -> OwnedDriver:
        """Give the firewall of this host; raises ConfigurationError when it cannot be had."""
        from bascule.drivers.nftables import open_driver

        return open_driver()

    def local_port_range(self) -> tuple[int, int] | None:
        from bascule.drivers.linux.facts import local_port_range

        return local_port_range()
