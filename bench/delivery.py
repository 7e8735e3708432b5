"""``python -m bench.delivery``: does sending the record away slow asking for access?

One server on loopback, its store filled with events; initiate is timed with no sink, and while
a webhook in batches, a syslog collector and a file are all catching up with the whole record.
Prints both medians and p99s, their ratio, and how many events a second left the house.
Whatever it starts ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bascule.client import access, sinks
from bascule.client.access import PortRequest
from bascule.client.connection import Connection
from bascule.clocks import SystemClock
from bascule.domain.event import SYSTEM, Event
from bascule.domain.facts.grants import GrantCreated
from bascule.domain.ids import machine_id, policy_id
from bascule.interfaces.store import Transaction
from bascule.services.act import new_id
from bascule.services.seal import BATCH, seal
from bascule.store.open import open_store
from tests.e2e.test_delivery_survives import Server
from tests.receivers import collector, hook, make_certificate

PIECE = 2000  # events written in one transaction


def fill(data: Path, count: int) -> None:
    """Write and seal that many events into a server's store that no server runs on."""
    store = open_store(data / "bascule.db")
    clock = SystemClock()
    fact = GrantCreated("grant", "request", "machine", "22/tcp", ("192.0.2.7",), "")
    event = Event(new_id(), clock.now(), SYSTEM, "/subscriptions/s", replace(fact), "c")

    def piece(tx: Transaction) -> None:
        for _ in range(PIECE):
            tx.record(replace(event, id=new_id()))

    async def work() -> None:
        for _ in range(0, count, PIECE):
            await store.write(piece)
        while await store.write(seal) == BATCH:
            pass

    asyncio.run(work())
    store.close()


def prepared(connection: Connection) -> None:
    """A machine without an agent and a policy on it: initiate is answered at once."""
    machine = machine_id(connection.subscription_id, "default", "web-1")
    policy = policy_id(connection.subscription_id, "default", "local", "default")
    connection.call("PUT", str(machine), "2024-07-01", body={"location": "local"})
    rule = {
        "number": 22,
        "protocol": "TCP",
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": "PT3H",
    }
    body = {
        "kind": "Basic",
        "properties": {"virtualMachines": [{"id": str(machine), "ports": [rule]}]},
    }
    connection.call("PUT", str(policy), "2020-01-01", body=body)


def timed(connection: Connection, count: int, pause: float) -> list[float]:
    """Milliseconds of that many initiates, each revoked again."""
    machine = machine_id(connection.subscription_id, "default", "web-1")
    policy = policy_id(connection.subscription_id, "default", "local", "default")
    found = []
    asked = [PortRequest(22, timedelta(minutes=5), None, "192.0.2.7")]
    for _ in range(count):
        began = time.perf_counter()
        request_id = access.initiate(connection, policy, machine, asked, "")
        found.append((time.perf_counter() - began) * 1000)
        access.revoke(connection, request_id, kill=False)
        time.sleep(pause)
    return found


def describe(name: str, found: list[float]) -> float:
    median, tail = statistics.median(found), statistics.quantiles(found, n=100)[98]
    print(f"{name:28} median {median:6.2f} ms   p99 {tail:6.2f} ms   ({len(found)} times)")
    return median


@contextlib.contextmanager
def served(folder: Path, events: int) -> Iterator[tuple[Server, Connection]]:
    server = Server(folder)
    try:
        prepared(server.start())
        server.kill()
        print(f"filling the record with {events} events", file=sys.stderr)
        fill(server.data, events)
        yield server, server.start()
    finally:
        server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=200)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = make_certificate(folder, "localhost")
        receiver = stack.enter_context(hook(certificate))
        siem = stack.enter_context(collector())
        _, connection = stack.enter_context(served(folder, arguments.events))
        timed(connection, 20, 0.01)
        alone = describe("no sink", timed(connection, arguments.times, 0.01))
        targets: dict[str, dict[str, Any]] = {
            "hook": {"target": f"https://localhost:{receiver.port}/", "batch": 100},
            "siem": {"target": f"syslog+tcp://localhost:{siem.port}"},
            "file": {"target": "file:record.jsonl"},
        }
        ca = {"caCertificates": certificate.pem, "fromBeginning": True}
        began = time.perf_counter()
        for name, said in targets.items():
            sinks.put_sink(connection, name, {**said, **ca})
        busy = describe("three sinks catching up", timed(connection, arguments.times, 0.01))
        seconds = time.perf_counter() - began
        got = {
            "webhook": sum(len(call.events) for call in list(receiver.calls)),
            "syslog": len(siem.messages),
        }
        left = {
            each["name"]: each["properties"]["lagEvents"] for each in sinks.list_sinks(connection)
        }
        print(f"ratio {busy / alone:.2f}; left to send: {json.dumps(left)}")
        for name, count in got.items():
            print(f"{name:28} {count / seconds:8.0f} events a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
