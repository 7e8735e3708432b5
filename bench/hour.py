"""``python -m bench.hour``: do memory and CPU of the server grow while a fleet works on it?

It connects simulated agents as ``bench.fleet`` does, lets people request access at an even pace (initiate,
wait until open, revoke), and prints a line a minute: memory of the server, the part of it that is no
file's, CPU, requests. At the end it prints the slope of each over the minutes after ``--settle``, with its
standard error, and which Python objects became more between these two moments. Counting them stops the
server for a moment. Results go to bench/results/hour.json.

Examples:
  python -m bench.hour --agents 2000 --minutes 60 --requests 10
  python -m bench.hour --agents 200 --minutes 6 --settle 2 --dry

"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench import census, report
from bench.fleet.agent import Agent, World
from bench.fleet.askers import Asker, Times
from bench.fleet.server import Program, Server, allow_descriptors, free_port, standing
from bench.fleet.speech import Speech, speech_of
from bench.fleet.tls import trusting_context
from bench.revision import HERE
from bench.series import quantile, slope
from bench.standing import Broken

_ASKERS = 4
_SIGN_IN_SECONDS = 900.0  # below the life of a token
_CONNECT_SECONDS = 300.0
_ROW = (
    "{minute:>6}  {mb:>8.1f}  {anonymous_mb:>9.1f}  {cpu_s:>6.2f}  "
    "{asked:>8}  {failed:>6}  {connected:>9}  {load:>5.1f}"
)
_HEAD = "minute        MB  anonymous   CPU s  requests  failed  connected   load"


class Hour:
    """A run under way."""

    def __init__(self, server: Server, speech: Speech, arguments: argparse.Namespace) -> None:
        self._server, self._arguments = server, arguments
        self._admin = server.admin
        self._world = World(server.addresses, self._admin["tenant_id"], trusting_context())
        self._agents: list[Agent] = [
            speech.speaker(self._world, each) for each in range(arguments.agents)
        ]
        self._askers = [Asker(self._world, self._admin, each) for each in range(_ASKERS)]
        self._times = Times()
        self._rows: list[dict[str, float]] = []
        self._counts: list[Mapping[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        asking: list[asyncio.Task[None]] = []
        try:
            await self._connect()
            asking = [asyncio.create_task(self._ask(each)) for each in range(_ASKERS)]
            await self._watch(asking)
            return self._result()
        finally:
            for task in asking:
                task.cancel()
            for agent in self._agents:
                agent.stop()
            for asker in self._askers:
                asker.stop()

    async def _connect(self) -> None:
        for agent in self._agents:
            agent.start()
        deadline = time.monotonic() + _CONNECT_SECONDS
        while self._connected() < len(self._agents):
            if time.monotonic() > deadline:
                raise Broken(
                    f"{self._connected()} of {len(self._agents)} agents were connected after "
                    f"{_CONNECT_SECONDS:.0f} s."
                )
            await asyncio.sleep(0.5)
        gc.collect()
        gc.freeze()

    def _connected(self) -> int:
        return sum(agent.in_since is not None for agent in self._agents)

    async def _ask(self, number: int) -> None:
        """One asker: every so many seconds a whole cycle, each time on the next machine."""
        asker, pace = self._askers[number], 60 * _ASKERS / self._arguments.requests
        machines = list(range(number, len(self._agents), _ASKERS))
        random.Random(number).shuffle(machines)
        loop = asyncio.get_running_loop()
        due, signed_in = loop.time() + pace * number / _ASKERS, float("-inf")
        for machine in itertools.cycle(machines):
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += pace
            if loop.time() - signed_in > _SIGN_IN_SECONDS:
                await asker.sign_in()
                signed_in = loop.time()
            await asker.cycle(machine, self._times)

    async def _watch(self, asking: list[asyncio.Task[None]]) -> None:
        """A row each minute; objects are counted at ``--settle`` and at the end."""
        tell(_HEAD)
        settle, minutes = self._arguments.settle, self._arguments.minutes
        loop = asyncio.get_running_loop()
        began, cpu = loop.time(), self._server.cpu_seconds()
        for minute in range(1, minutes + 1):
            await asyncio.sleep(began + 60 * minute - loop.time())
            for task in asking:
                if task.done():  # it never ends by itself
                    await task
            used = self._server.cpu_seconds()
            self._rows.append(self._row(minute, used - cpu))
            tell(_ROW.format(**self._rows[-1]))
            cpu = used
            if minute == settle:
                self._counts.append(await census.counted(self._server, signal.SIGUSR1))
            if minute == minutes:
                self._counts.append(await census.counted(self._server, signal.SIGUSR2))

    def _row(self, minute: int, cpu: float) -> dict[str, float]:
        return {
            "minute": minute,
            "mb": round(self._server.memory_mb(), 2),
            "anonymous_mb": round(self._server.anonymous_mb(), 2),
            "cpu_s": round(cpu, 2),
            "asked": len(self._times.cycle),
            "failed": len(self._times.failures),
            "connected": self._connected(),
            "load": os.getloadavg()[0],
        }

    def _result(self) -> dict[str, Any]:
        settled = [row for row in self._rows if row["minute"] >= self._arguments.settle]
        slopes: dict[str, dict[str, float]] = {}
        for name in ("mb", "anonymous_mb", "cpu_s"):
            found, error = slope([(row["minute"] / 60, row[name]) for row in settled])
            middle = sum(row[name] for row in settled) / len(settled)
            slopes[name] = {
                "an_hour": round(found, 3), "error": round(error, 3), "mean": round(middle, 3)
            }  # fmt: skip
        return {
            "agents": self._arguments.agents,
            "requests_a_minute": self._arguments.requests,
            "slopes": slopes,
            "cycle_p50_ms": round(quantile(self._times.cycle, 0.5), 1),
            "cycle_p99_ms": round(quantile(self._times.cycle, 0.99), 1),
            "failures": self._times.failures[:20],
            "failed_calls": self._world.done["failures"],
            "done": dict(self._world.done),
            "objects": census.compared(*self._counts),
            "minutes": self._rows,
        }


async def simulate(server: Server, speech: Speech, arguments: argparse.Namespace) -> dict[str, Any]:
    return await Hour(server, speech, arguments).run()


def tell(text: str) -> None:
    print(text, flush=True)


def show(found: Mapping[str, Any], settle: int) -> None:
    """The table at the end."""
    tell(f"\nfrom minute {settle} on:")
    units = {"mb": "memory, MB", "anonymous_mb": "anonymous memory, MB", "cpu_s": "CPU, s a minute"}
    for name, label in units.items():
        each = found["slopes"][name]
        tell(
            f"  {label:<24} mean {each['mean']:>9.2f}   slope an hour {each['an_hour']:>+8.2f} "
            f"(standard error {each['error']:.2f})"
        )
    tell(f"  {'requests, ms':<24} p50 {found['cycle_p50_ms']}, p99 {found['cycle_p99_ms']}")
    census.show(found["objects"])


def read_arguments() -> argparse.Namespace:
    what, _, examples = (__doc__ or "").partition("\n\nExamples:\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.hour",
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agents", type=int, default=2000, metavar="N", help="(2000)")
    parser.add_argument("--minutes", type=int, default=60, metavar="N", help="(60)")
    parser.add_argument(
        "--requests", type=float, default=10, metavar="N", help="requests a minute, in all (10)"
    )
    parser.add_argument(
        "--settle",
        type=int,
        default=15,
        metavar="N",
        help="minutes before the slopes begin (15); at least three must be left",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (a free one)")
    parser.add_argument("--dry", action="store_true", help="write no results")
    found = parser.parse_args()
    if not 1 <= found.settle <= found.minutes - 3:
        parser.error("--settle: from 1 to three below --minutes")
    if found.agents < _ASKERS or not 0 < found.requests <= 600:
        parser.error(f"at least {_ASKERS} agents, and at most 600 requests a minute")
    return found


def main() -> int:
    arguments = read_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    gc.set_threshold(200_000, 50, 100)  # the simulation's own pauses are not the server's
    machine = report.machine()
    program = Program("this tree", HERE, sys.executable, "bench.census")
    try:
        speech = speech_of(program.source)
        allow_descriptors(arguments.agents, speech.connections)
        with tempfile.TemporaryDirectory(prefix="bascule-hour-") as made:
            folder = Path(made)
            os.environ[census.FILE] = str(folder / "census.json")
            where = arguments.port or free_port()
            with (
                standing(program, folder / "server", where, arguments.agents) as server,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                found = runner.run(simulate(server, speech, arguments))
    except KeyboardInterrupt:
        tell("interrupted; this run's server is stopped and its files are removed")
        return 130
    except (Broken, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    show(found, arguments.settle)
    if not arguments.dry:
        report.write("hour.json", {"machine": machine, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
