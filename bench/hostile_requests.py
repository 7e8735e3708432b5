"""Requests that a server has to refuse, as many and as fast as it answers: ``bench.hostile --requests``."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench import census, report
from bench.broken_requests import KINDS, Kind, Target
from bench.fleet.http import answer_in
from bench.fleet.server import Program, Server, allow_descriptors, free_port, standing
from bench.fleet.tls import Tls, trusting_context
from bench.revision import HERE
from bench.series import slope
from bench.standing import Broken

AT_ONCE = 48
ADDRESSES = 20_000  # of strangers, each in turn
_PER_CONNECTION = 100  # requests, at most; then another address goes on
_MACHINES = 8  # that the server has; nobody is connected
_PATIENCE = 30.0
_HALF_SECONDS = 0.05  # that the end of half a message is waited for
_ROW = (
    "{requests:>9,}  {per_s:>6.0f}  {mb:>7.1f}  {anonymous_mb:>9.1f}  "
    "{cpu_ms:>7.2f}  {open_files:>5}  {load:>5.1f}"
)
_HEAD = " requests   per s       MB  anonymous  CPU, ms  files   load"
_FREE = 0.2  # of the requests come before the slope begins


class Strangers:
    """Send until so many requests were answered, cut or left half; ``answers`` counts how."""

    def __init__(self, port: int, target: Target, count: int) -> None:
        self.done = 0
        self.answers: Counter[str] = Counter()
        self._to, self._target, self._left = ("127.0.0.1", port), target, count
        self._context = trusting_context()
        self._addresses = 0
        self._chance = random.Random(1)
        self._names = list(KINDS)
        self._shares = [each.share for each in KINDS.values()]

    async def send_all(self, seconds: float) -> None:
        """Until all are sent, or the time is over."""
        asyncio.get_running_loop().call_later(seconds, self._stop)
        await asyncio.gather(*(self._one() for _ in range(AT_ONCE)))

    def _stop(self) -> None:
        self._left = 0

    async def _one(self) -> None:
        while self._left > 0:
            tls = Tls()
            try:
                await tls.open(self._to, self._address(), self._context, _PATIENCE)
                await self._send_on(tls)
            except OSError as error:  # TimeoutError too
                self.answers[f"no connection: {type(error).__name__}"] += 1
                await asyncio.sleep(0.2)
            finally:
                tls.close()

    def _address(self) -> str:
        number = self._addresses % ADDRESSES
        self._addresses += 1
        return f"127.{224 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"

    async def _send_on(self, tls: Tls) -> None:
        """Requests on one connection, until one ends it."""
        heard = Heard(tls)
        for _ in range(_PER_CONNECTION):
            if self._left <= 0:
                return
            self._left -= 1
            name = self._chance.choices(self._names, self._shares)[0]
            kind = KINDS[name]
            answer = await self._ask(tls, heard, kind)
            self.done += 1
            self.answers[f"{name}: {answer}"] += 1
            if kind.ends or heard.is_over:
                return

    async def _ask(self, tls: Tls, heard: Heard, kind: Kind) -> str:
        answer = ""
        for place, piece in enumerate(kind.make(self._chance, self._target)):
            try:
                tls.write(piece)
                if place:
                    return f"{answer}, then {await heard.end(_HALF_SECONDS)}"
                answer = await heard.answer(_PATIENCE)
            except TimeoutError:
                raise Broken(f"no answer within {_PATIENCE:.0f} s: {piece[:200]!r}") from None
            except OSError:  # it was ended before everything was sent
                return "cut"
            if heard.is_over:
                break
        return answer


class Heard:
    """What came over one connection."""

    def __init__(self, tls: Tls) -> None:
        self.is_over = False
        self._bytes = b""
        self._news = asyncio.Event()
        tls.on_bytes, tls.on_end = self._take, self._end

    def _take(self, data: bytes) -> None:
        self._bytes += data
        self._news.set()

    def _end(self) -> None:
        self.is_over = True
        self._news.set()

    async def answer(self, within: float) -> str:
        """The status of the next answer; ``cut`` when there is none. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                self._news.clear()
                found = answer_in(self._bytes) if self._bytes else None
                if found is not None:
                    status, _, self._bytes = found
                    return str(status)
                if self.is_over:
                    return "cut"
                await self._news.wait()

    async def end(self, within: float) -> str:
        try:
            async with asyncio.timeout(within):
                while not self.is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return "left"
        return "cut"


class Run:
    """Memory of the server each so many requests."""

    def __init__(self, server: Server, count: int, every: int, seconds: float) -> None:
        self._server, self._count, self._every = server, count, every
        self._seconds = seconds
        admin = server.admin
        target = Target(admin["tenant_id"], admin["subscription_id"], admin["client_id"], _MACHINES)
        self._strangers = Strangers(server.port, target, count)
        self._rows: list[dict[str, float]] = []
        self._counts: list[Mapping[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        tell(_HEAD)
        began, cpu = time.perf_counter(), self._server.cpu_seconds()
        self._rows.append(self._row(0, 0.0, 0.0))
        tell(_ROW.format(**self._rows[-1]))
        sending = asyncio.create_task(self._strangers.send_all(self._seconds))
        try:
            for due in range(self._every, self._count + 1, self._every):
                while self._strangers.done < due and not sending.done():
                    await asyncio.wait([sending], timeout=0.05)
                if sending.done():
                    await sending  # raises what went wrong
                    if self._strangers.done < due:
                        break
                done = self._strangers.done - int(self._rows[-1]["requests"])
                now, used = time.perf_counter(), self._server.cpu_seconds()
                per_s, cpu_ms = done / (now - began), (used - cpu) * 1000 / max(1, done)
                self._rows.append(self._row(self._strangers.done, per_s, cpu_ms))
                tell(_ROW.format(**self._rows[-1]))
                began, cpu = now, used
                if not self._counts and self._strangers.done >= _FREE * self._count:
                    self._counts.append(await census.counted(self._server, signal.SIGUSR1))
            await sending
        finally:
            sending.cancel()
        await asyncio.sleep(5)
        if len(self._rows) < 5 or not self._counts:
            raise Broken(f"Only {self._strangers.done:,} requests were answered: no slope.")
        self._counts.append(await census.counted(self._server, signal.SIGUSR2))
        return self._result()

    def _row(self, requests: int, per_s: float, cpu_ms: float) -> dict[str, float]:
        return {
            "requests": requests,
            "per_s": round(per_s, 1),
            "mb": round(self._server.memory_mb(), 2),
            "anonymous_mb": round(self._server.anonymous_mb(), 2),
            "cpu_ms": round(cpu_ms, 3),
            "open_files": self._server.open_files(),
            "load": round(os.getloadavg()[0], 1),
        }

    def _result(self) -> dict[str, Any]:
        settled = [row for row in self._rows if row["requests"] >= _FREE * self._count]
        slopes = {}
        for name in ("mb", "anonymous_mb", "cpu_ms"):
            found, error = slope([(row["requests"] / 1e6, row[name]) for row in settled])
            slopes[name] = {"a_million": round(found, 3), "error": round(error, 3)}
        return {
            "requests": self._strangers.done,
            "slopes": slopes,
            "objects": census.compared(*self._counts),
            "answers": dict(sorted(self._strangers.answers.items())),
            "rows": self._rows,
        }


async def send(server: Server, count: int, every: int, seconds: float) -> dict[str, Any]:
    return await Run(server, count, every, seconds).run()


def tell(text: str) -> None:
    print(text, flush=True)


def show(found: Mapping[str, Any]) -> None:
    tell("\nanswers:")
    for name, count in found["answers"].items():
        tell(f"  {count:>9,}  {name}")
    tell("\nslopes over the last four fifths, for a million requests:")
    for name, label in {
        "mb": "MB",
        "anonymous_mb": "MB, anonymous",
        "cpu_ms": "ms CPU each",
    }.items():
        each = found["slopes"][name]
        tell(f"  {label:<14} {each['a_million']:>+8.2f} (standard error {each['error']:.2f})")
    census.show(found["objects"])


def main(count: int, every: int, seconds: float, *, is_dry: bool) -> int:
    machine = report.machine()
    program = Program("this tree", HERE, sys.executable, "bench.census")
    allow_descriptors(AT_ONCE, 2)
    try:
        with tempfile.TemporaryDirectory(prefix="bascule-hostile-") as made:
            folder = Path(made)
            os.environ[census.FILE] = str(folder / "census.json")
            with (
                standing(program, folder / "server", free_port(), _MACHINES) as server,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                found = runner.run(send(server, count, every, seconds))
    except KeyboardInterrupt:
        tell("interrupted; this run's server is stopped and its files are removed")
        return 130
    except (Broken, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    show(found)
    if not is_dry:
        report.write("hostile.json", {"machine": machine, **found})
    return 0
