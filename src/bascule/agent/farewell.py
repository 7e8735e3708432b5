"""The last report of an agent that root uninstalls, so that the record shows it.

It is a report of generation 0: a report settles only what its own number covers, and this
one has nothing to say of any grant. What it leaves is a note and a weakness, that
nothing is enforced there, which stands in the inventory until another agent is enrolled.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import structlog

from bascule import __version__
from bascule.agent.link import Link
from bascule.domain.net import PortKey
from bascule.domain.weaknesses import UNINSTALLED
from bascule.protocol.report import Report

log = structlog.get_logger("bascule.agent")

PATIENCE = 2.0  # seconds that root waits for the server's sake


def last_report(closed: Sequence[PortKey], facts: Mapping[str, str]) -> Report:
    """What the server is told once the rules are gone."""
    ports = ", ".join(str(port) for port in closed)
    opened = f"; Bascule no longer closes {ports}" if ports else "; no port was closed"
    return Report(
        generation=0,
        in_force=frozenset(),
        agent_version=__version__,
        facts=facts,
        weaknesses=(UNINSTALLED(),),
        notes=(f"uninstalled by root on the host{opened}",),
    )


def tell_server(link: Link, report: Report, patience: float = PATIENCE) -> bool:
    """Send it when the server can be reached in that time; has it been taken?"""
    taken = threading.Event()

    def send() -> None:
        try:
            link.send_report(report)
            taken.set()
        except Exception as error:  # noqa: BLE001  # reason: whatever it is, root goes on
            log.warning("the server was not told of the uninstall", why=str(error))

    thread = threading.Thread(target=send, name="farewell", daemon=True)
    thread.start()
    thread.join(patience)
    return taken.is_set()
