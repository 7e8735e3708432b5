"""An agent on a line: one WebSocket, beats, pushes (``bascule.protocol.line``).

As the agent's ``loop``, ``reporting`` and ``line_link``: a pass every 2 s echoes the newest beat; the
state is asked for where something differs on connecting, and where a hint is newer than what is held;
a report goes out with news alone, counters at most once a minute. Where TLS comes up and no line is to
be had for 30 s, it polls by calls.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import ssl
import time
import uuid
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule import __version__
from bascule.domain.features import KNOWN
from bascule.protocol.frames import VERSION, Frames, Opcode, frame
from bascule.protocol.line import (
    FRESH_SECONDS,
    LARGEST_STATE,
    SILENCE_SECONDS,
    signed_text,
)
from bench.fleet.agent import World, address_of, key_of, uid_of
from bench.fleet.http import GoingOn, read_json, request
from bench.fleet.speech.calls import PATIENCE, Calls
from bench.fleet.speech.host import Host
from bench.fleet.tls import Gone

WATCH_SECONDS = 2.0
COUNTERS_SECONDS = 60.0
FIRST_ASK_SECONDS = 300.0  # within which the state is asked for although nothing is new
CONNECT_SECONDS = 30.0  # TCP and TLS together
ALONE_SECONDS = 30.0
VAIN_LINES = 3  # in a row that ended before a welcome although TLS came up
POLL_SECONDS = 15.0  # with a quarter of jitter, while no line lives
SHORTEST_RETRY, LONGEST_RETRY = 0.2, 20.0
PROMPT_RETRY = 1.0  # at most, for who holds leases or was told when to come back
STEADY_SECONDS = 2.0
MOST_NONCES = 4
_KNOWS = sorted(KNOWN)


class LineAgent:
    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.at = number % len(world.servers)
        self._host = Host()
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._uid = uid_of(number)
        self._calls: Calls | None = None  # made where it has to poll
        self._tasks: list[asyncio.Task[None]] = []
        self._line: GoingOn | None = None
        self._frames = Frames(is_masked=False, largest=LARGEST_STATE, may_fragment=True)
        self._session: ssl.SSLSession | None = None
        self._is_welcome = False
        self._lived_at = self._loop.time()
        self._come_back = 0.0
        self._vain = 0  # lines in a row
        self._nonces: dict[str, float] = {}
        self._asked = ""  # the nonce of a question that is not answered
        self._is_newer = False  # something was announced meanwhile
        self._reported: tuple[str, str, int] | None = None  # id, digest, attempts: not taken yet
        self._beat = 0  # to be echoed by the next pass; 0: none
        self._newest = 0  # number of a beat
        self._told = 0
        self._in_since: float | None = None
        self._acknowledged = ""  # digest of the report that was taken last
        self._taken_at = float("-inf")  # when that was

    @property
    def leases(self) -> dict[str, float]:
        return self._host.leases

    @property
    def in_since(self) -> float | None:
        return self._in_since

    def start(self) -> None:
        self._tasks = [self._loop.create_task(self._listen()), self._loop.create_task(self._poll())]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for each in (self._line, self._calls):
            if each is not None:
                each.close()

    def scan(self) -> None:
        """As if since long: when its minute is over is as chance has it."""
        self._host.scan()
        self._taken_at = self._loop.time() - random.uniform(0, COUNTERS_SECONDS)
        self._tell_counters()

    # -- the line -------------------------------------------------------------------------

    async def _listen(self) -> None:
        retry = SHORTEST_RETRY
        while True:
            began = self._loop.time()
            try:
                await self._follow()
            except OSError as error:  # TimeoutError too
                self._world.failed(error)
            self.at = (self.at + 1) % len(self._world.servers)  # as a balancer may send it
            if self._loop.time() - began > STEADY_SECONDS:
                retry = SHORTEST_RETRY
            told = self._come_back / (10 if self.leases else 1)
            most = PROMPT_RETRY if self.leases or told else LONGEST_RETRY
            await asyncio.sleep(random.uniform(0, max(told, min(retry, most))))
            retry = min(retry * 2, LONGEST_RETRY)

    async def _follow(self) -> None:
        """Until it ends; raises OSError, TimeoutError where it was not to be had."""
        self._frames = Frames(is_masked=False, largest=LARGEST_STATE, may_fragment=True)
        self._line = line = GoingOn(self._take)
        self._world.done["handshakes"] += 1
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": VERSION,
        }
        try:
            status = await line.open(
                self._world.servers[self.at],
                address_of(self.number),
                self._world.context,
                request("GET", f"/bascule/points/{self._uid}/line", headers=upgrade),
                CONNECT_SECONDS,
                PATIENCE,
                self._session,
            )
            if status != 101:
                raise Gone(f"the line was refused: {status}")
            await line.ended(SILENCE_SECONDS)
        finally:
            if self._is_welcome:
                self._lived_at = self._loop.time()
            elif line.came_up:
                self._vain += 1
            self._is_welcome, self._in_since = False, None
            self._asked, self._reported = "", None
            self._nonces.clear()
            self._beat = self._newest = 0
            line.close()

    def _take(self, data: bytes) -> None:
        for opcode, content in self._frames.feed(data):
            if opcode is Opcode.TEXT:
                self._hear(read_json(content))
            elif opcode is Opcode.PING:
                self._write(frame(Opcode.PONG, content, is_masked=True))
            elif opcode is Opcode.CLOSE and self._line is not None:
                self._line.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        text = json.dumps(message, separators=(",", ":")).encode()
        self._write(frame(Opcode.TEXT, text, is_masked=True))

    def _write(self, data: bytes) -> None:
        if self._line is not None:
            try:
                self._line.write(data)
            except Gone as error:
                self._world.failed(error)

    def _hear(self, told: Mapping[str, Any]) -> None:
        match told["kind"]:
            case "beat":
                self._hear_beat(told)
            case "challenge":
                self._prove(told["text"])
            case "welcome":
                self._come_in(told)
            case "hint":
                if told.get("report"):
                    self._acknowledged = ""
                    self._report_news()
                if told.get("generation") not in (None, self._host.generation):
                    self._ask()
            case "state":
                self._hear_state(told)
            case "taken":
                self._hear_taken(told)
            case "refused":
                self._world.failed(Gone(f"refused: {told.get('code')}"))
                self._asked, self._reported = "", None
                self._loop.call_later(random.uniform(SHORTEST_RETRY, WATCH_SECONDS), self._again)
            case "record":
                self._told = told["head"]["position"]

    def _prove(self, challenge: str) -> None:
        text = signed_text(self._world.tenant_id, self._uid, challenge)
        signature = Ed25519PrivateKey.from_private_bytes(key_of(self.number)).sign(text)
        written = base64.urlsafe_b64encode(signature).decode().rstrip("=")
        self._send(
            {"kind": "proof", "signature": written, "agentVersion": __version__, "knows": _KNOWS}
        )

    def _come_in(self, told: Mapping[str, Any]) -> None:
        self._come_back = float(told["comeBackSeconds"])
        if self._line is not None:
            self._session = self._line.session
        if self._is_welcome:
            return  # the same line, proved anew
        self._is_welcome, self._vain = True, 0
        if told["acknowledged"] != self._acknowledged:
            self._acknowledged = ""
        is_same = told.get("generations", {}).get(self._uid) == self._host.generation
        if is_same and self._host.read == self._acknowledged:
            self._in_since = self._loop.time()  # neither side has anything new
            self._loop.call_later(random.uniform(0, FIRST_ASK_SECONDS), self._again)
        else:
            self._ask()
        self._tell_counters()

    def _hear_beat(self, told: Mapping[str, Any]) -> None:
        self._world.done["beats"] += 1
        is_waiting, self._beat, self._newest = bool(self._beat), told["number"], told["number"]
        if not is_waiting:  # for the pass that echoes it
            self._loop.call_later(random.uniform(0, WATCH_SECONDS), self._echo)
        if told["generations"].get(self._uid, self._host.generation) != self._host.generation:
            self._ask()

    def _echo(self) -> None:
        number, self._beat = self._beat, 0
        if not self._is_welcome or not self._host.read:
            return
        self._send(
            {
                "kind": "echo",
                "number": number,
                "nonce": self._nonce(),
                "generations": {self._uid: self._host.generation},
                "read": self._host.read,
                "acknowledged": self._acknowledged,
            }
        )

    def _nonce(self) -> str:
        nonce = base64.urlsafe_b64encode(os.urandom(18)).decode()
        self._nonces[nonce] = self._loop.time()
        while len(self._nonces) > MOST_NONCES:
            del self._nonces[next(iter(self._nonces))]
        return nonce

    # -- states and reports ---------------------------------------------------------------

    def _ask(self) -> None:
        if self._asked:
            self._is_newer = True
            return
        self._world.done["states"] += 1
        self._asked = self._nonce()
        self._send(
            {
                "kind": "ask",
                "nonce": self._asked,
                "machine": "",
                "seen": self._host.seen,
                "told": self._told,
                "knows": _KNOWS,
            }
        )

    def _again(self) -> None:
        if self._is_welcome and not self._asked:
            self._ask()

    def _hear_state(self, told: Mapping[str, Any]) -> None:
        sent_at = self._nonces.get(told["nonce"])
        is_answer = told["nonce"] == self._asked
        if is_answer:
            self._asked = ""
        elif sent_at is None or self._loop.time() - sent_at > FRESH_SECONDS:
            self._world.done["pushes dropped"] += 1
            self._ask()
            return
        else:
            self._world.done["pushes"] += 1
        before = set(self._host.leases)
        self._host.hold(told["state"], sent_at or self._loop.time())
        if self._host.leases.keys() - before:
            self._world.told_at[self.number] = time.perf_counter()
        if is_answer and self._is_newer:
            self._is_newer = False
            self._ask()
        self._report_news()

    def _report_news(self) -> None:
        """Where the server has not taken what is read now."""
        if not self._is_welcome or not self._host.read or self._reported is not None:
            return
        if self._host.read == self._acknowledged:
            self._in_since = self._in_since or self._loop.time()
            return
        self._send_report()

    def _send_report(self) -> None:
        self._world.done["reports"] += 1
        attempts = self._host.attempts()
        key = uuid.uuid4().hex
        self._reported = key, self._host.read, attempts
        report = self._host.report(attempts)
        told = {"kind": "report", "id": key, "machine": "", "number": self._newest}
        self._send({**told, "report": report})

    def _hear_taken(self, told: Mapping[str, Any]) -> None:
        if self._reported is None or told["id"] != self._reported[0]:
            return
        _, self._acknowledged, attempts = self._reported
        self._host.forget_attempts(attempts)
        self._reported = None
        self._taken_at = self._loop.time()
        if told["generation"] != self._host.generation:
            self._ask()
        self._report_news()
        self._tell_counters()

    def _tell_counters(self) -> None:
        """Alone, once the minute is over."""
        if self._host.is_scanned:
            due = self._taken_at + COUNTERS_SECONDS - self._loop.time()
            self._loop.call_later(max(0.0, due), self._counters_due, self._taken_at)

    def _counters_due(self, taken_at: float) -> None:
        if taken_at == self._taken_at and self._is_welcome and self._reported is None:
            self._send_report()

    # -- without a line -------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            since = self._loop.time() - self._lived_at
            if self._is_welcome or self._vain < VAIN_LINES or since < ALONE_SECONDS:
                await asyncio.sleep(max(1.0, ALONE_SECONDS - since))
                continue
            if self._calls is None:
                self._calls = Calls(self._world, self.number)
            base = f"/bascule/points/{self._uid}"
            try:
                self._world.done["polls"] += 1
                asked = self._loop.time()
                query = f"seen={self._host.seen}&told={self._told}&knows={','.join(_KNOWS)}"
                self._host.hold(await self._calls.call("GET", f"{base}/state?{query}"), asked)
                written = json.dumps(
                    self._host.report(self._host.attempts()), separators=(",", ":")
                ).encode()
                await self._calls.call("POST", f"{base}/report", written)
                self._acknowledged = self._host.read
            except OSError as error:
                self._world.failed(error)
            await asyncio.sleep(POLL_SECONDS * random.uniform(0.75, 1.25))
