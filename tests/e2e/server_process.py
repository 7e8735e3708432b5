"""A real server, as a process of its own, with its record in PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from bascule.client.connection import trust_file
from bascule.client.https import Https, HttpsFailure
from tests.e2e.lab_world import until
from tests.support.own import free_port

BASCULE = (sys.executable, "-m", "bascule.bootstrap")


class Server:
    def __init__(self, data: Path, ca: Path) -> None:
        self.data, self.ca = data, ca
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    def start(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [*BASCULE, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}",
             *options],
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def serves(self, *options: str) -> None:
        self.start(*options)
        until(lambda: self.has_ended() or (self.ca.exists() and self.status("/readyz") == 200), 90)
        assert not self.has_ended(), self.process.communicate()[1] if self.process else ""

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def refuses(self, *options: str) -> str:
        self.start(*options)
        assert self.process is not None
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode != 0
        return said

    def call(self, method: str, path: str, token: str = "", form: dict[str, str] | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN201  # reason: a response of ours
        https = Https(self.endpoint, trust_file(self.ca))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return https.request(method, path, headers=headers, form=form)
        finally:
            https.close()

    def status(self, path: str, token: str = "") -> int:
        with contextlib.suppress(HttpsFailure, OSError):
            return int(self.call("GET", path, token).status)
        return 0

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        if self.process is not None and self.process.stderr is not None:
            self.process.stderr.close()
