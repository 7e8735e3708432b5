"""People who ask for a port over one kept connection each, as a long-lived client does.

A whole cycle: initiate, wait until the server says *open*, revoke.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

from bascule.client.tokens import Credentials
from bench.fleet.agent import World, url_of
from bench.fleet.http import Http, read_json
from bench.fleet.server import PER_POLICY
from bench.fleet.tls import Gone

_WAIT_SECONDS = 30  # until it is open; what is not by then is told as not opened
_PATIENCE = 60.0


@dataclass(slots=True)
class Times:
    """Milliseconds, a number an asking."""

    initiate: list[float] = field(default_factory=list)
    open_seen: list[float] = field(default_factory=list)  # from the answer to initiate on
    cycle: list[float] = field(default_factory=list)
    at_agent: list[float] = field(default_factory=list)  # from the question until the agent has it
    failures: list[str] = field(default_factory=list)


class Asker:
    def __init__(self, world: World, admin: Mapping[str, str], number: int) -> None:
        self._world, self._admin = world, admin
        self._server = world.servers[number % len(world.servers)]
        self._http = Http(self._server, f"127.0.1.{number + 1}", world.context)
        self._token = ""

    async def sign_in(self) -> None:
        admin = self._admin
        known = Credentials(admin["tenant_id"], admin["client_id"], admin["client_secret"])
        form = urlencode(known.form(url_of(self._server))).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, content = await self._send("POST", known.token_path, form, headers)
        if status != 200:
            raise Gone(f"no token for an asker: {status} {content[:300]!r}")
        self._token = read_json(content)["access_token"]

    def stop(self) -> None:
        self._http.close()

    async def cycle(self, machine: int, times: Times, *, keeps: bool = False) -> None:
        """Ask for one machine's port, and put the times down; ``keeps``: it stays open."""
        began = time.perf_counter()
        try:
            request_id = await self._initiate(machine)
            answered = time.perf_counter()
            await self._wait_open(request_id)
            seen = time.perf_counter()
            if not keeps:
                await self._call("POST", f"{self._requests}/{request_id}/revoke", {})
        except OSError as error:
            times.failures.append(str(error) or type(error).__name__)
            return
        told = self._world.told_at.get(machine, began)
        if told > began:  # agents of older revisions do not say it
            times.at_agent.append((told - began) * 1000)
        times.initiate.append((answered - began) * 1000)
        times.open_seen.append((seen - answered) * 1000)
        times.cycle.append((time.perf_counter() - began) * 1000)

    @property
    def _subscription(self) -> str:
        return f"/subscriptions/{self._admin['subscription_id']}"

    @property
    def _requests(self) -> str:
        return f"{self._subscription}/providers/Bascule.Access/accessRequests"

    async def _initiate(self, machine: int) -> str:
        group = f"{self._subscription}/resourceGroups/default/providers"
        policy = f"policy-{machine // PER_POLICY * PER_POLICY:05}"
        port = {
            "number": 22,
            "duration": "PT30M",
            "allowedSourceAddressPrefix": "192.0.2.1",
        }
        where = f"{group}/Microsoft.Compute/virtualMachines/vm-{machine:05}"
        path = f"{group}/Microsoft.Security/locations/local/jitNetworkAccessPolicies/{policy}"
        made = await self._call(
            "POST", f"{path}/initiate", {"virtualMachines": [{"id": where, "ports": [port]}]}
        )
        request_id: str = made["bascule"]["requestId"]
        return request_id

    async def _wait_open(self, request_id: str) -> None:
        found = await self._call("GET", f"{self._requests}/{request_id}", wait=_WAIT_SECONDS)
        state = found["properties"]["state"]
        if state != "open":
            raise Gone(f"not open after {_WAIT_SECONDS} s, but {state}")

    async def _call(
        self, method: str, path: str, body: object = None, wait: int = 0
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        query = f"?api-version=2020-01-01{f'&waitSeconds={wait}' if wait else ''}"
        written = b"" if body is None else json.dumps(body).encode()
        status, content = await self._send(method, path + query, written, headers, wait)
        if status >= 300:
            raise Gone(f"{method} {path.rpartition('/')[2]}: {status} {content[:300]!r}")
        answer: dict[str, Any] = read_json(content)
        return answer

    async def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], wait: int = 0
    ) -> tuple[int, bytes]:
        """More patient than people are: how long a server takes is what is measured."""
        return await self._http.call(
            method, path, body, headers, connect_within=_PATIENCE, within=_PATIENCE + wait
        )


class Crowd:
    """So many askers, each on machines of its own, in turn."""

    def __init__(self, askers: Sequence[Asker], machines: Sequence[int], times: Times) -> None:
        self._askers, self._times = askers, times
        self._machines = [machines[place :: len(askers)] for place in range(len(askers))]

    async def ask_for(self, seconds: float) -> float:
        """Whole cycles, one after another each, for so long; how long it took in all."""
        return await self._ask(map(cycle, self._machines), seconds, keeps=False)

    async def open_each(self, seconds: float) -> None:
        """Open each machine's port once and keep it so; what is not reached in time stays closed."""
        await self._ask(map(iter, self._machines), seconds, keeps=True)

    async def _ask(
        self, machines: Iterable[Iterator[int]], seconds: float, *, keeps: bool
    ) -> float:
        began = time.perf_counter()

        async def work(asker: Asker, own: Iterator[int]) -> None:
            for machine in own:
                if time.perf_counter() - began >= seconds:
                    return
                await asker.cycle(machine, self._times, keeps=keeps)

        await asyncio.gather(*map(work, self._askers, machines))
        return time.perf_counter() - began
