"""The phases of a run, in order: each tells its figures as it has them."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.fleet.agent import Agent, World
from bench.fleet.askers import Asker, Crowd, Times
from bench.fleet.figures import all_after, count_after, share_of_core
from bench.fleet.flood import Flood
from bench.fleet.replicas import Replicas
from bench.fleet.server import Server
from bench.fleet.speech import Speech
from bench.fleet.tls import trusting_context
from bench.series import quantile
from bench.standing import Broken

EIGHT = 8
MOST_LEASED = 60  # below the live grants that one requestor may have
_LOOK_SECONDS = 0.2
_LAG_SECONDS = 0.05
_PROGRESS_SECONDS = 10.0
_ENOUGH = 0.9  # of the agents: with fewer, nothing further is worth its time


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each phase lasts, in seconds."""

    agents: int
    phases: Sequence[str]
    patience: float = 120.0  # for all to be connected, and back
    settle: float = 5.0
    idle: float = 20.0
    asking: float = 10.0
    flood: float = 0.0  # handshakes a second, while the server is killed and back


class Fleet:
    """A run under way."""

    def __init__(
        self,
        server: Server | Replicas,
        speech: Speech,
        plan: Plan,
        tell: Callable[[str, object], None],
    ) -> None:
        self._server, self._plan, self._tell = server, plan, tell
        self._admin = server.admin
        self._world = World(server.addresses, self._admin["tenant_id"], trusting_context())
        self._agents: list[Agent] = [
            speech.speaker(self._world, each) for each in range(plan.agents)
        ]
        self._failures: list[str] = []
        self._askers: list[Asker] = []
        self._lags: list[float] = []

    async def run(self) -> None:
        """All phases of the plan; raises Broken when too few agents get connected."""
        every: Mapping[str, Callable[[], Awaitable[None]]] = {
            "idle": self._idle,
            "asking": self._asking,
            "eight": self._eight,
            "scan": self._scan,
            "kill": self._kill,
        }
        lagging = asyncio.create_task(self._watch_lag())
        try:
            await self._connect()
            for name, phase in every.items():
                if name in self._plan.phases:
                    await phase()
            if self._askers:
                self._tell("failed_askings", len(self._failures))
            self._tell("failed_calls", self._world.done["failures"])
            self._tell("failed_why", self._why_failed())
            self._tell("client_lag_p99_ms", quantile(self._lags, 0.99) if self._lags else 0.0)
        finally:
            lagging.cancel()
            for agent in self._agents:
                agent.stop()
            for asker in self._askers:
                asker.stop()

    # -- phases ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        empty, cpu = self._server.memory_mb(), self._server.cpu_seconds()
        began = asyncio.get_running_loop().time()
        for agent in self._agents:
            agent.start()
        took = await self._until_in(self._agents, began)
        is_in = count_after(self._moments(self._agents), began)
        self._tell("connected", is_in)
        self._tell("connected_s", took)
        self._tell("connected_cpu_ms", (self._server.cpu_seconds() - cpu) * 1000 / max(1, is_in))
        if is_in < self._plan.agents * _ENOUGH:
            self._tell("failed_calls", self._world.done["failures"])
            self._tell("failed_why", self._why_failed())
            raise Broken(
                f"{is_in} of {self._plan.agents} agents were connected after "
                f"{self._plan.patience:.0f} s: nothing further is measured."
            )
        gc.collect()
        gc.freeze()  # what ten thousand agents are is not gone through again and again
        await asyncio.sleep(self._plan.settle)
        held = self._server.memory_mb()
        self._tell("mb", held)
        self._tell("mb_per_agent", (held - empty) / is_in)

    async def _idle(self) -> None:
        before = self._world.done.copy()
        began = time.perf_counter()
        database = self._server.database_cpu_seconds()
        cpu, own = await self._cpu_of(lambda: asyncio.sleep(self._plan.idle))
        took = time.perf_counter() - began
        seconds = took * self._plan.agents
        self._tell("idle_cpu_pct", cpu)
        self._tell_database("idle_database_cpu_pct", database, took / 100)
        for name in ("reports", "states", "beats"):
            if self._world.done[name]:
                each = (self._world.done[name] - before[name]) / seconds
                self._tell(f"idle_{name}_s", each)
        self._tell("idle_client_cpu_pct", own)

    async def _asking(self) -> None:
        times, crowd = await self._crowd(1)
        await crowd.ask_for(self._plan.asking)
        self._tell_times("", "initiate", times.initiate)
        self._tell_times("", "open_seen", times.open_seen)
        self._tell_times("", "at_agent", times.at_agent)

    async def _eight(self) -> None:
        times, crowd = await self._crowd(EIGHT)
        took: list[float] = []

        async def ask() -> None:
            took.append(await crowd.ask_for(self._plan.asking))

        database = self._server.database_cpu_seconds()
        cpu, _ = await self._cpu_of(ask)
        self._tell("eight_askers.per_s", len(times.cycle) / took[0])
        self._tell_times("eight_askers.", "", times.cycle)
        self._tell("eight_askers.cpu_pct", cpu)
        count = max(1, len(times.cycle))
        self._tell("eight_askers.cpu_ms", cpu / 100 * took[0] * 1000 / count)
        self._tell_database("eight_askers.database_cpu_ms", database, count / 1000)
        self._tell_times("eight_askers.", "at_agent", times.at_agent)

    async def _scan(self) -> None:
        for agent in self._agents:
            agent.scan()
        await asyncio.sleep(self._plan.settle)
        cpu, own = await self._cpu_of(lambda: asyncio.sleep(self._plan.asking))
        self._tell("scanned.cpu_pct", cpu)
        self._tell("scanned.client_cpu_pct", own)
        times, crowd = await self._crowd(EIGHT)
        took = await crowd.ask_for(self._plan.asking)
        self._tell("scanned.per_s", len(times.cycle) / took)
        self._tell_times("scanned.", "", times.cycle)

    async def _kill(self) -> None:
        _, crowd = await self._crowd(EIGHT, MOST_LEASED)
        await crowd.open_each(self._plan.asking)
        loop = asyncio.get_running_loop()
        lost = [agent for agent in self._agents if agent.at == 0]  # their server is the one
        flood = Flood(self._server.one.port, self._plan.flood) if self._plan.flood else None
        try:
            await self._come_back(lost, loop.time())
        finally:
            if flood is not None:
                flood.stop()
                self._tell("flood_begun", flood.begun)

    async def _come_back(self, lost: Sequence[Agent], killed_at: float) -> None:
        loop = asyncio.get_running_loop()
        leased = [agent for agent in lost if agent.leases]
        others = self._server.cpu_seconds() - self._server.one.cpu_seconds()
        self._server.one.kill()
        self._server.one.start()
        await asyncio.to_thread(self._server.one.wait)
        self._tell("listening_s", loop.time() - killed_at)
        started = self._server.one.cpu_seconds()
        self._tell("started_cpu_s", started)
        self._tell("leased", len(leased))
        self._tell("leased_back_s", await self._until_in(leased, killed_at))
        took = await self._until_in(lost, killed_at)
        self._tell("back", count_after(self._moments(lost), killed_at))
        self._tell("back_s", took)
        used = self._server.cpu_seconds() - others - started
        self._tell("back_cpu_ms", used * 1000 / max(1, len(lost)))

    def _why_failed(self) -> str:
        """The most frequent reasons; empty when nothing failed."""
        told = [each for each in self._world.done.most_common() if each[0].startswith("failed: ")]
        return "; ".join(f"{count:,} {name.removeprefix('failed: ')}" for name, count in told[:4])

    # -- parts of them ----------------------------------------------------------------------

    def _moments(self, agents: Sequence[Agent]) -> list[float | None]:
        return [agent.in_since for agent in agents]

    async def _until_in(self, agents: Sequence[Agent], since: float) -> float | None:
        """Seconds from ``since`` until all are whole, None when some are not in time."""
        loop = asyncio.get_running_loop()
        next_told = loop.time() + _PROGRESS_SECONDS
        while loop.time() - since < self._plan.patience:
            took = all_after(self._moments(agents), since)
            if took is not None:
                return took
            if loop.time() >= next_told:
                next_told += _PROGRESS_SECONDS
                self._tell_progress(agents, since)
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    def _tell_progress(self, agents: Sequence[Agent], since: float) -> None:
        is_in = count_after(self._moments(agents), since)
        after = asyncio.get_running_loop().time() - since
        failed = self._world.done["failures"]
        print(
            f"after {after:.0f} s: {is_in:,} of {len(agents):,} agents are connected; {failed:,} "
            "calls and connections have failed",
            file=sys.stderr,
            flush=True,
        )

    async def _cpu_of(self, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
        """Percent of a core that the server uses meanwhile, and that this process does."""
        began, cpu, own = time.perf_counter(), self._server.cpu_seconds(), time.process_time()
        await work()
        seconds = time.perf_counter() - began
        return (
            share_of_core(self._server.cpu_seconds() - cpu, seconds),
            share_of_core(time.process_time() - own, seconds),
        )

    async def _crowd(self, count: int, most: int | None = None) -> tuple[Times, Crowd]:
        """So many askers, for all machines or at most so many, and where their times are put."""
        while len(self._askers) < count:
            asker = Asker(self._world, self._admin, len(self._askers))
            self._askers.append(asker)
            try:
                await asker.sign_in()
            except OSError as error:  # TimeoutError too
                why = str(error) or "it did not answer in time"
                raise Broken(f"An asker could not sign in: {why}.") from error
        times = Times(failures=self._failures)
        machines = list(range(self._plan.agents))
        random.Random(count).shuffle(machines)
        return times, Crowd(self._askers[:count], machines[:most], times)

    def _tell_times(self, outer: str, name: str, milliseconds: Sequence[float]) -> None:
        for share in (50, 99):
            value = quantile(milliseconds, share / 100) if milliseconds else None
            self._tell(f"{outer}{name}{'_' * bool(name)}p{share}_ms", value)

    def _tell_database(self, place: str, before: float, divisor: float) -> None:
        """CPU seconds of PostgreSQL since then, divided; nothing where there is none."""
        if used := self._server.database_cpu_seconds():
            self._tell(place, (used - before) / divisor)

    async def _watch_lag(self) -> None:
        """How late this process does what is due: what it measures is not finer than that."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            self._lags.append((loop.time() - due) * 1000)
