"""What the tests of the pages on Azure's SDKs need: the pages' own code, and a machine that opens.

The code is taken from the page when the test runs, so that the two cannot differ. The machine's
agent is here a thread that reports as in force whatever it is told: that a firewall really
opens is shown in the lab (tests/e2e).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bascule.agent.enrolment import enrol, parse_token, trust_of
from bascule.agent.http_link import HttpLink
from bascule.clocks import SystemClock
from bascule.protocol.report import Report
from tests.wire.running import Server

DOCS = Path(__file__).parents[2] / "docs"
BETWEEN_REPORTS = 0.2  # seconds


def code_of(page: str, language: str) -> str:
    """The code blocks of a page in one language, as one program."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no {language}"
    return "\n".join(blocks)


def shown_by(page: str) -> str:
    """What the page says that its program prints."""
    return code_of(page, "text")


@contextmanager
def guarded(server: Server, folder: Path, name: str) -> Iterator[str]:
    """A machine whose agent is heard until the end of the block; its id."""
    machine = f"{server.group}/providers/Microsoft.Compute/virtualMachines/{name}"
    server.call("PUT", machine, {"properties": {"bascule": {"addresses": ["10.0.0.4"]}}})
    made = server.call("POST", f"{machine}/providers/Bascule.Fleet/enrolments", {})
    folder.mkdir()
    token = parse_token(made["properties"]["token"])
    identity = enrol(folder, server.endpoint, token, SystemClock())
    link = HttpLink(identity, trust_of(folder), SystemClock())
    over = threading.Event()
    failed: list[Exception] = []

    def report_until_over() -> None:
        try:
            while not over.wait(BETWEEN_REPORTS):
                state = link.fetch_state(lambda: None)
                in_force = frozenset(lease.grant_id for lease in state.leases)
                link.send_report(Report(state.generation, in_force, closed=state.closed))
        except Exception as problem:  # noqa: BLE001  # reason: told by the test that waits below
            failed.append(problem)

    reporter = threading.Thread(target=report_until_over)
    reporter.start()
    try:
        yield machine
    finally:
        over.set()
        reporter.join()
        link.close()
    assert failed == []
