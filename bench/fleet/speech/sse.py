"""An agent of revisions that poll the state, post reports and stream generations (SSE).

As the agent's ``link`` and ``loop`` there: one token from a signed assertion, one connection that
streams, one for calls. The state is asked for every 15 s and at each new generation; a pass every
2 s reports what is new at once and else every 10 s. What the server says of its record is told
back as a fact, as the agent's witness does.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

from bascule.clocks import SystemClock
from bascule.domain.times import format_utc
from bench.fleet.agent import (
    ATTEMPTS_A_SECOND,
    SCANNERS,
    World,
    address_of,
    scanner,
    uid_of,
)
from bench.fleet.http import GoingOn, read_json, request
from bench.fleet.speech.calls import CONNECT_SECONDS, Calls
from bench.fleet.tls import Gone

POLL_SECONDS = 15.0  # with a quarter of jitter
WATCH_SECONDS = 2.0
REPORT_SECONDS = 10.0
SILENCE = 25.0
SHORTEST_RETRY, LONGEST_RETRY = 0.2, 20.0
STEADY_SECONDS = 2.0
_REPORT: Mapping[str, Any] = {
    "localPortRange": [32768, 60999],
    "weaknesses": [],
    "flushedBy": "",
    "agentVersion": "0.1.0",
    "drift": [],
    "localOpenings": [],
    "notes": [],
    "disputes": [],
    "driver": "nftables",
    "refused": {},
    "heldLocally": [],
    "ends": {},
}
_FACTS = {"kernel": "6.12.0", "nft": "1.1.3"}
_CLOCK = SystemClock()


class SseAgent:
    def __init__(self, world: World, number: int) -> None:
        self.number, self.at = number, 0
        self.leases: dict[str, float] = {}
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._uid, self._source = uid_of(number), address_of(number)
        self._base = f"/bascule/agents/{self._uid}"
        self._calls = Calls(world, number)
        self._stream: GoingOn | None = None
        self._unread = b""  # of the stream
        self._is_hinted = False  # there may be a newer state
        self._look = asyncio.Event()  # something is new: the stream's hint, or a scan begins
        self._announced = -1
        self._generation = 0
        self._closed: list[Any] = []
        self._seen: Mapping[str, Any] = {}
        self._said: object = None
        self._last_report = float("-inf")
        self._is_connected = False
        self._retry = SHORTEST_RETRY
        self._attempts = self._told = 0  # blocked, by each source
        self._scanned_at: float | None = None  # the last pass of a host that is scanned
        self._streaming_at: float | None = None  # since when; None: it does not
        self._stated_at: float | None = None  # the first state since the stream was lost
        self._reported_at: float | None = None  # the first report since a call failed
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def in_since(self) -> float | None:
        streaming, stated, reported = self._streaming_at, self._stated_at, self._reported_at
        if streaming is None or stated is None or reported is None:
            return None
        return max(streaming, stated, reported)

    def start(self) -> None:
        self._tasks = [self._loop.create_task(self._listen()), self._loop.create_task(self._run())]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._calls.close()
        if self._stream is not None:
            self._stream.close()

    def scan(self) -> None:
        self._scanned_at = self._loop.time() - random.uniform(0, WATCH_SECONDS)
        self._look.set()

    # -- the stream -----------------------------------------------------------------------

    async def _listen(self) -> None:
        retry = SHORTEST_RETRY
        while True:
            began = self._loop.time()
            try:
                await self._hear()
            except OSError as error:  # TimeoutError too
                self._world.failed(error)
            if self._announced >= 0 and self._loop.time() - began > STEADY_SECONDS:
                retry = SHORTEST_RETRY
            await asyncio.sleep(random.uniform(0, retry))
            retry = min(retry * 2, LONGEST_RETRY)
            self._announced = -1
            self._hint()

    async def _hear(self) -> None:
        """Until the stream ends; raises OSError, TimeoutError where it was not to be had."""
        headers = await self._calls.headers()
        self._stream = GoingOn(self._read)
        self._unread = b""
        self._world.done["handshakes"] += 1
        try:
            status = await self._stream.open(
                self._world.server,
                self._source,
                self._world.context,
                request("GET", f"{self._base}/stream", headers=headers),
                CONNECT_SECONDS,
                SILENCE,
            )
            if status in (401, 403):
                self._calls.forget_token()
            if status != 200:
                raise Gone(f"the stream was refused: {status}")
            self._streaming_at = self._loop.time()
            await self._stream.ended(SILENCE)
        finally:
            self._streaming_at = self._stated_at = None
            self._stream.close()

    def _read(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                generation = int(read_json(line[5:])["generation"])
                if generation != self._announced:
                    self._announced = generation
                    self._hint()

    def _hint(self) -> None:
        self._is_hinted = True
        self._look.set()

    # -- the loop -------------------------------------------------------------------------

    async def _run(self) -> None:
        next_poll = 0.0
        while True:
            self._look.clear()
            if self._is_hinted or self._loop.time() >= next_poll:
                self._is_hinted = False
                next_poll = await self._ask()
            for each in [key for key, end in self.leases.items() if end <= self._loop.time()]:
                del self.leases[each]
            await self._report()
            await self._pause(next_poll)

    async def _pause(self, next_poll: float) -> None:
        """Until there is something to do; idle passes of the real agent cost the server nothing."""
        now = self._loop.time()
        due = min(next_poll, *self.leases.values(), now + LONGEST_RETRY)
        if self._scanned_at is not None:
            due = min(due, self._scanned_at + WATCH_SECONDS)
        if self._is_connected:
            passes = -(-REPORT_SECONDS // WATCH_SECONDS) * WATCH_SECONDS
            due = min(due, self._last_report + passes)
        try:
            async with asyncio.timeout(max(0.0, due - now)):
                await self._look.wait()
        except TimeoutError:
            pass

    async def _ask(self) -> float:
        """Ask for the state; when to ask again."""
        self._world.done["states"] += 1
        seen = self._seen.get("position", 0)
        asked = self._loop.time()
        try:
            state = await self._calls.call("GET", f"{self._base}/state?seen={seen}")
            self._generation, self._closed = state["generation"], state["closed"]
            self.leases = {
                each["grantId"]: asked + each["remainingMs"] / 1000 for each in state["leases"]
            }
            self._seen = state.get("record") or self._seen
        except OSError as error:
            return self._lost(error)
        self._retry = SHORTEST_RETRY
        self._stated_at = self._stated_at or self._loop.time()
        if not self._is_connected:
            self._is_connected, self._said = True, None
        return self._loop.time() + POLL_SECONDS * random.uniform(0.75, 1.25)

    def _lost(self, error: OSError) -> float:
        self._world.failed(error)
        self._is_connected, self._stated_at, self._reported_at = False, None, None
        pause = random.uniform(self._retry / 2, self._retry)
        self._retry = min(self._retry * 2, LONGEST_RETRY)
        return self._loop.time() + pause

    async def _report(self) -> None:
        attempts = self._count_attempts()
        said = (self._generation, frozenset(self.leases), attempts)
        is_lately = self._loop.time() - self._last_report < REPORT_SECONDS
        if not self._is_connected or (said == self._said and is_lately):
            return
        self._world.done["reports"] += 1
        written = json.dumps(self._report_body(attempts), separators=(",", ":")).encode()
        try:
            answer = await self._calls.call("POST", f"{self._base}/report", written)
            generation = answer["generation"]
        except OSError as error:
            self._lost(error)
            return
        self._said, self._told = said, attempts
        self._last_report = self._loop.time()
        self._reported_at = self._reported_at or self._last_report
        if generation != self._generation:
            self._hint()

    def _report_body(self, attempts: int) -> dict[str, Any]:
        new = attempts - self._told
        knocks = [
            {
                "source": scanner(each),
                "protocol": "TCP",
                "number": 22,
                "attempts": new,
                "age": 0,  # as ddb962e names it
                "ageMs": 0,
            }
            for each in range(SCANNERS * bool(new))
        ]
        seen = self._seen
        facts = dict(_FACTS)
        if seen:
            facts["record seen"] = f"event {seen['position']}, {seen['hash'][:16]}"
        return {
            **_REPORT,
            "generation": self._generation,
            "inForce": sorted(self.leases),
            "blockedAttempts": attempts * SCANNERS,
            "knocks": knocks,
            "sessions": dict.fromkeys(self.leases, 0),
            "facts": facts,
            "clock": format_utc(_CLOCK.now()),
            "closed": self._closed,
        }

    def _count_attempts(self) -> int:
        """By each source, so far, as the last pass saw it."""
        now = self._loop.time()
        if self._scanned_at is not None and now >= self._scanned_at + WATCH_SECONDS:
            self._attempts += round((now - self._scanned_at) * ATTEMPTS_A_SECOND)
            self._scanned_at = now
        return self._attempts
