"""The host of a simulated agent on a line: what it holds, who tries its closed port, its report."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bascule import __version__
from bascule.clocks import SystemClock
from bascule.domain.capabilities import HOST
from bascule.domain.times import format_utc
from bascule.protocol.codec import encode
from bascule.protocol.report import Report
from bench.fleet.agent import ATTEMPTS_A_SECOND, SCANNERS, scanner

_CLOCK = SystemClock()
_REPORT: Mapping[str, Any] = encode(
    Report(
        generation=0,
        in_force=frozenset(),
        local_port_range=(32768, 60999),
        facts={"kernel": "6.12.0", "nft": "1.1.3"},
        agent_version=__version__,
        driver="nftables",
        capabilities=HOST,
    )
)


class Host:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.generation = -1
        self.leases: dict[str, float] = {}  # grant id -> its end, by the loop's clock
        self.seen = 0  # the last position of the record that it was told
        self.read = ""  # digest of what it holds; empty: nothing yet
        self._closed: list[Any] = []
        self._scanned_since: float | None = None
        self._attempts_told = 0

    def hold(self, state: Mapping[str, Any], since: float) -> None:
        """Have in force what a state says; what is left of leases counts from ``since``."""
        self.generation, self._closed = state["generation"], state["closed"]
        self.leases = {
            each["grantId"]: since + each["remainingMs"] / 1000 for each in state["leases"]
        }
        if record := state.get("record"):
            self.seen = record["position"]
        settled = json.dumps([self.generation, sorted(self.leases), self._closed])
        self.read = hashlib.sha256(settled.encode()).hexdigest()  # opaque to the server

    @property
    def is_scanned(self) -> bool:
        return self._scanned_since is not None

    def scan(self) -> None:
        self._scanned_since = self._loop.time()

    def attempts(self) -> int:
        """By each source, so far."""
        if self._scanned_since is None:
            return 0
        return round((self._loop.time() - self._scanned_since) * ATTEMPTS_A_SECOND)

    def forget_attempts(self, told: int) -> None:
        """The server has taken so many."""
        self._attempts_told = told

    def report(self, attempts: int) -> dict[str, Any]:
        new = attempts - self._attempts_told
        return {
            **_REPORT,
            "generation": self.generation,
            "inForce": sorted(self.leases),
            "blockedAttempts": attempts * SCANNERS,
            "knocks": [
                {"source": scanner(n), "protocol": "TCP", "number": 22, "attempts": new, "ageMs": 0}
                for n in range(SCANNERS * bool(new))
            ],
            "sessions": dict.fromkeys(self.leases, 0),
            "clock": format_utc(_CLOCK.now()),
            "closed": self._closed,
            "digest": self.read,
        }
