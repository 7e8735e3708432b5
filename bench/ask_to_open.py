"""From the question to the first SYN that passes: interleaved rounds, one line a candidate.

In each round every candidate's port is shut (verified by a knock), asked for, found open, and
waited for until it is shut again by itself. Which candidate comes first changes with the round,
so that none always finds the machine as another left it. All share one lease length.

What is not here: how a knock is timed (``probe``), how a candidate is asked (``asking``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.peers import Ready
from bench.series import quantile, summary
from bench.standing import Broken, Lines, program

PORT = 9022
COMMAND_PORT = 9023  # for who asks by our command
LEASE_SECONDS = 2
_SHUT_SECONDS = 10.0

Tell = Callable[[str], None]


@dataclass(slots=True)
class Candidate:
    """One candidate's worker and what it measured."""

    name: str
    worker: Lines
    version: str
    opened_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def wait_until_shut(self) -> None:
        """Warm the client up and verify that its port is shut; raises Broken when it stays open."""
        deadline = time.monotonic() + _SHUT_SECONDS
        while self.worker.turn("warm")["is_open"]:
            if time.monotonic() > deadline:
                raise Broken(f"{self.name}: the port is open before anybody asked")
            time.sleep(0.1)

    def open(self) -> bool:
        """Ask once; False when the port did not open."""
        found = self.worker.turn("open")
        if found["latency_ms"] is None:
            self.failures.append("did not open")
            return False
        self.opened_ms.append(found["latency_ms"])
        self.answered_ms.append(found["answered_ms"])
        return True

    def note_closing(self) -> None:
        late = self.worker.outcome()["late_ms"]
        if late is None:
            self.failures.append("did not close")
        else:
            self.late_ms.append(late)

    def result(self) -> dict[str, Any]:
        """What ask_to_open.json says of it."""
        found: dict[str, Any] = {"n": len(self.opened_ms), "version": self.version}
        if self.opened_ms:
            found["p50_ms"] = round(quantile(self.opened_ms, 0.5), 2)
            found["p95_ms"] = round(quantile(self.opened_ms, 0.95), 2)
            found["min_ms"], found["max_ms"] = min_max(self.opened_ms)
            found["answered_p50_ms"] = round(quantile(self.answered_ms, 0.5), 2)
        if self.late_ms:
            found["close_late_ms"] = summary(self.late_ms)
        if self.failures:
            found["failures"] = self.failures
        return found


def min_max(values: Sequence[float]) -> tuple[float, float]:
    return round(min(values), 2), round(max(values), 2)


@contextlib.contextmanager
def candidate(name: str, ready: Ready, interval: float) -> Iterator[Candidate]:
    """Start a candidate's worker in its client namespace."""
    with program(name, ready.at_client, "bench.worker") as worker:
        first: Mapping[str, Any] = {
            "kind": ready.kind,
            "address": ready.address,
            "target_port": ready.port,
            "interval": interval,
            **ready.question,
        }
        worker.tell(first)
        yield Candidate(name, worker, ready.version)


def measure(candidates: Sequence[Candidate], rounds: int, tell: Tell) -> None:
    """Run the rounds; one more comes first that does not count."""
    for number in range(rounds + 1):
        shift = number % len(candidates)
        _round([*candidates[shift:], *candidates[:shift]])
        if number == 0:
            for each in candidates:
                each.opened_ms.clear()
                each.answered_ms.clear()
                each.late_ms.clear()
        elif number % 5 == 0 or number == rounds:
            tell(f"round {number} of {rounds}")


def _round(order: Sequence[Candidate]) -> None:
    for each in order:
        each.wait_until_shut()
    opened = [each for each in order if each.open()]
    for each in opened:  # their ends come together: all watch at the same time
        each.worker.tell({"do": "close"})
    for each in opened:
        each.note_closing()
