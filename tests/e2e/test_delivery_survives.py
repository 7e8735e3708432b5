"""A server that is killed between sending and noting: every event arrives, for the first time in order.

A real server on loopback, killed with SIGKILL while it delivers, and started again; receivers
that fail in between. What arrived is compared with the record that the last server exports.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.client import record, sinks
from bascule.client.connection import Connection, trust_file
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.errors import BasculeError
from tests.e2e.lab_world import until
from tests.receivers import HookServer, collector, hook, make_certificate, status
from tests.support.own import free_port
from tests.syslog_text import read_cef, read_message

BASCULE = (sys.executable, "-m", "bascule.bootstrap")
ROUNDS = 4
GROUPS = 25  # events a round


class Server:
    """One data directory, and a process that a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.files = folder / "sinks"
        self.files.mkdir()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None

    def start(self) -> Connection:
        self.process = subprocess.Popen(
            [*BASCULE, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}",
             "--allow-sink-network", "127.0.0.0/8", "--sink-directory", str(self.files)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until((self.data / "admin.json").exists, 60)
        admin = json.loads((self.data / "admin.json").read_text())
        connection = self.connection = Connection(
            f"https://localhost:{self.port}",
            admin["subscription_id"],
            Credentials(admin["tenant_id"], admin["client_id"], admin["client_secret"]),
            trust_file(Path(admin["ca_file"])),
            SystemClock(),
        )

        def answers() -> bool:
            with contextlib.suppress(BasculeError):
                list(sinks.list_sinks(connection))
                return True
            return False

        until(answers, 60)
        return connection

    def kill(self) -> None:
        if self.connection is not None:
            self.connection.close()
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.kill()


def make_events(connection: Connection, number: int) -> None:
    for n in range(GROUPS):
        path = f"{connection.subscription}/resourceGroups/g-{number}-{n}"
        connection.call("PUT", path, "2021-04-01", body={"location": "local"})


def first_seen(positions: list[int]) -> list[int]:
    return list(dict.fromkeys(positions))


def webhook_positions(server: HookServer, codes: list[int]) -> list[int]:
    return [
        event["data"]["position"]
        for call, code in zip(list(server.calls), codes, strict=False)
        for event in call.events
        if code == 200
    ]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_between_sending_and_noting(server: Server, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    codes: list[int] = []

    def sometimes(handler: Any) -> None:
        code = 500 if len(codes) % 7 == 3 else 200
        codes.append(code)
        status(code)(handler)

    with hook(certificate) as receiver, collector() as siem:
        receiver.answer = sometimes
        connection = server.start()
        ca = {"caCertificates": certificate.pem, "fromBeginning": True}
        sinks.put_sink(
            connection, "hook", {"target": f"https://localhost:{receiver.port}/", "batch": 3, **ca}
        )
        sinks.put_sink(
            connection,
            "siem",
            {"target": f"syslog+tcp://localhost:{siem.port}", "fromBeginning": True},
        )
        sinks.put_sink(connection, "file", {"target": "file:r.jsonl", "fromBeginning": True})
        for number in range(ROUNDS):
            make_events(connection, number)
            time.sleep(0.3 * number)  # at another moment of the delivery each time
            server.kill()
            connection = server.start()
        exported = [json.loads(line) for line in b"".join(record.export(connection)).splitlines()]
        links = [each for each in exported if "event" in each]
        last = links[-1]["position"]

        def has_all() -> bool:
            found = {each["name"]: each["properties"] for each in sinks.list_sinks(connection)}
            return all(each["position"] >= last for each in found.values())

        until(has_all, 120)
        server.kill()
        every = list(range(1, last + 1))

        hooked = webhook_positions(receiver, codes)
        assert first_seen(hooked)[:last] == every
        assert 500 in codes
        bodies = {
            event["data"]["position"]: event["data"]
            for call in receiver.calls
            for event in call.events
        }
        assert [bodies[n] for n in every] == links, "a copy of the chain, whole"

        told = [
            int(read_cef(read_message(each).body.decode()).fields["externalId"])
            for each in siem.messages
        ]
        assert first_seen(told)[:last] == every

        lines = [json.loads(line) for line in (server.files / "r.jsonl").read_text().splitlines()]
        assert first_seen([each["position"] for each in lines])[:last] == every
