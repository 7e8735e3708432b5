"""A call leaves no reference cycle, which only the garbage collector would free.

The whole process waits while the collector searches, so there must be little to free. These tests call
the application as ASGI, because test clients leave cycles of their own.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from bascule.domain.ids import ResourceId
from tests.wire.house import BASE, CALLER, JIT, House, port_rule
from tests.wire.test_initiate import asked

TIMES = 5


class Place(House):
    """A machine with an agent and a policy; calls go straight to the application."""

    def build(self) -> None:
        self.uid = self.add_machine("web-1")
        self.enrol("web-1")
        rules = {"virtualMachines": [{"id": self.machine("web-1"), "ports": [port_rule()]}]}
        assert self.call("PUT", self.policy(), {"properties": rules}, JIT).status_code == 200

    async def send(self, token: str, method: str, path: str, body: Any = None) -> int:
        """Call; returns the status."""
        is_written = isinstance(body, bytes)
        content = body if is_written else b"" if body is None else json.dumps(body).encode()
        headers = {
            "host": BASE.removeprefix("https://"),
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "content-length": str(len(content)),
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": f"api-version={JIT}".encode(),
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": (CALLER, 40000),
            "server": ("localhost", 443),
            "state": {},
        }
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self.app(scope, receive, answer)
        return statuses[0]


Call = Callable[[Place, int], tuple[str, str, str, Any, int]]


def _initiate(place: Place, turn: int) -> tuple[str, str, str, Any, int]:
    port = asked(allowedSourceAddressPrefix=f"203.0.113.{turn % 3}")
    body = {"virtualMachines": [{"id": place.machine("web-1"), "ports": [port]}]}
    return place.service_token(), "POST", f"{place.policy()}/initiate", body, 202


def _refused(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    body = {"virtualMachines": [{"id": place.machine("web-1"), "ports": [asked(number=23)]}]}
    return place.service_token(), "POST", f"{place.policy()}/initiate", body, 400


def _no_body(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    return place.service_token(), "POST", f"{place.policy()}/initiate", {"virtualMachines": 5}, 400


def _state(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    return place.agent_token(place.uid), "GET", f"/bascule/points/{place.uid}/state", None, 200


def _report(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    """What is in force where a request waits, then nothing."""
    machine = ResourceId.parse(place.machine("web-1"))
    live = place.see(lambda reader: reader.asked([machine], place.clock.now())).live
    body = {
        "generation": place.see(lambda reader: reader.generation(place.uid)),
        "inForce": [grant.id for grant in live],
        "closed": [{"port": "22/TCP", "onExpiry": "keep"}],
    }
    return place.agent_token(place.uid), "POST", f"/bascule/points/{place.uid}/report", body, 200


def _stranger(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    return "no token", "GET", place.policy(), None, 401


def _no_json(_: Place, turn: int) -> tuple[str, str, str, Any, int]:
    return "no token", "POST", "/bascule/enrol", b'{"nonce": ' + b"[" * turn, 400


def _no_text(_: Place, __: int) -> tuple[str, str, str, Any, int]:
    return "no token", "POST", "/bascule/enrol", b"\xff\xff", 400


def _no_fields(_: Place, turn: int) -> tuple[str, str, str, Any, int]:
    return "no token", "POST", "/bascule/enrol", {"nonce": turn}, 400


def _nowhere(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    return place.service_token(), "GET", "/nowhere", None, 404


def _no_right(place: Place, _: int) -> tuple[str, str, str, Any, int]:
    return place.agent_token(place.uid), "GET", place.policy(), None, 403


@pytest.fixture
def place(data_dir: Path) -> Iterator[Place]:
    made = Place(data_dir)
    made.build()
    yield made
    made.close()


@pytest.mark.parametrize(
    "call",
    [
        _initiate,
        _refused,
        _no_body,
        _state,
        _report,
        _stranger,
        _no_json,
        _no_text,
        _no_fields,
        _nowhere,
        _no_right,
    ],
)
def test_a_call_leaves_no_cycle(place: Place, call: Call) -> None:
    async def run(turns: range) -> None:
        for turn in turns:
            token, method, path, body, status = await asyncio.to_thread(call, place, turn)
            assert await place.send(token, method, path, body) == status

    async def left() -> list[Any]:
        await run(range(TIMES))  # what is made once
        gc.collect()
        gc.disable()
        try:
            wanted = [await asyncio.to_thread(call, place, TIMES + turn) for turn in range(TIMES)]
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            for token, method, path, body, status in wanted:
                assert await place.send(token, method, path, body) == status
            gc.collect()
            return list(gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    found = Counter(type(each).__qualname__ for each in asyncio.run(left()))
    assert not found
