"""The agent's metrics, as a file that node_exporter's textfile collector reads (EDGES I8).

An agent holds no port that anybody could connect to. The text is Prometheus' format 0.0.4. Labels
hold the agent's own version, and nothing that names a person, a machine or an address. The file is
replaced whole. A loop that does not answer is told as not enforcing: nothing is then known.
What is not here: the loop, which is asked as the control socket asks it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from bascule import __version__
from bascule.errors import BasculeError
from bascule.files import PUBLIC, write_atomically

log = structlog.get_logger("bascule.agent")

EVERY_SECONDS = 15.0
SUFFIX = ".prom"  # node_exporter reads no others


@dataclass(frozen=True, slots=True)
class Told:
    """What the loop answered, and how its firewall is."""

    status: Mapping[str, Any]  # as ``AgentLoop.status``
    is_owned: bool


class Textfile:
    """Writes the file in a thread of its own, until it is stopped."""

    def __init__(self, path: Path, ask: Callable[[], Told], now: Callable[[], datetime]) -> None:
        """``ask`` raises BasculeError where the loop does not answer; ``now`` is the time of day."""
        self._path, self._ask, self._now = path, ask, now
        self._connected_at: datetime | None = None
        self._why_not = ""  # the file could not be written last time
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """The file stays, and its age tells that nobody writes it."""
        self._stopping.set()

    def _run(self) -> None:
        while True:
            self.write()
            if self._stopping.wait(EVERY_SECONDS):
                return

    def write(self) -> None:
        """Once. A file that cannot be written is logged when that begins, and ends nothing."""
        try:
            told: Told | None = self._ask()
        except BasculeError as error:
            log.warning("metrics: the agent did not answer", why=error.message)
            told = None
        if told is not None and told.status["connected"]:
            self._connected_at = self._now()
        try:
            write_atomically(self._path, text_of(told, self._connected_at), PUBLIC)
        except BasculeError as error:
            if error.message != self._why_not:
                log.error("metrics are not written", why=error.message, advice=error.advice)
            self._why_not = error.message
        else:
            self._why_not = ""


def text_of(told: Told | None, connected_at: datetime | None) -> str:
    """The whole text; ``told`` None: the loop did not answer."""
    lines = [
        f"# HELP {name} {words}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
        for name, kind, words, labels, value in _metrics(told, connected_at)
    ]
    return "".join(lines)


def _metrics(
    told: Told | None, connected_at: datetime | None
) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, type, help, labels, value."""

    def gauge(name: str, words: str, value: object) -> tuple[str, str, str, str, str]:
        return f"bascule_agent_{name}", "gauge", words, "", str(value)

    yield (
        "bascule_agent_build_info",
        "gauge",
        "1, with the version of the agent.",
        f'{{version="{__version__}"}}',
        "1",
    )
    seen = 0 if connected_at is None else int(connected_at.timestamp())
    yield gauge(
        "last_contact_timestamp_seconds",
        "When the agent last saw itself connected to its server, 0: not since it started.",
        seen,
    )
    yield gauge(
        "enforcing",
        "1 if the firewall was read back in the last pass, 0 if not or if the agent hangs.",
        int(told is not None and bool(told.status["enforcing"])),
    )
    if told is None:
        return
    status = told.status
    places = [status, *status["behind"]]
    yield gauge("connected", "1 if the server answers.", int(bool(status["connected"])))
    yield gauge(
        "table_owned",
        "1 if no other program can change or flush the rules.",
        int(told.is_owned),
    )
    yield gauge("generation", "The generation of the state that is held.", status["generation"])
    yield gauge(
        "closed_ports",
        "Ports that are kept closed, with those of machines behind this host.",
        sum(len(each["closed"]) for each in places),
    )
    yield gauge(
        "open_leases",
        "Leases that are held and not over, with those of machines behind this host.",
        len(status["open"])
        + len(status["waiting"])
        + sum(len(each["open"]) for each in status["behind"]),
    )
    yield gauge(
        "refused_by_guard",
        "Leases that this host's guard file refuses.",
        len(status["refusedByGuard"]),
    )
    yield gauge("weaknesses", "Weaknesses of this host's set-up.", len(status["weaknesses"]))
    yield (
        "bascule_agent_failed_passes_total",
        "counter",
        "Passes in which the firewall could not be read or written.",
        "",
        str(status["failedPasses"]),
    )
