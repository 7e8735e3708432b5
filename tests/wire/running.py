"""A server in a process of its own, for clients that are real; the administrator's way in.

What is not here: any agent. Nothing opens, unless a test reports that it did.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from azure.identity import ClientSecretCredential

from tests.support.own import free_port

START_SECONDS = 120.0  # a first start compiles all of it, on a machine that may be busy


@dataclass(frozen=True)
class Server:
    admin: dict[str, str]

    @property
    def endpoint(self) -> str:
        return self.admin["endpoint"]

    @property
    def group(self) -> str:
        return f"/subscriptions/{self.admin['subscription_id']}/resourceGroups/default"

    def credential(self, secret: str | None = None) -> ClientSecretCredential:
        return ClientSecretCredential(
            self.admin["tenant_id"],
            self.admin["client_id"],
            secret or self.admin["client_secret"],
            authority=self.endpoint,
            disable_instance_discovery=True,
            connection_verify=self.admin["ca_file"],
        )

    def pointing(self) -> dict[str, Any]:
        """What a management client is told, beside its credential and subscription."""
        return {
            "base_url": self.endpoint,
            "credential_scopes": [f"{self.endpoint}/.default"],
            "connection_verify": self.admin["ca_file"],
        }

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call by hand; returns the answer's JSON."""
        token = self.credential().get_token(f"{self.endpoint}/.default").token
        answer = httpx2.request(
            method,
            f"{self.endpoint}{path}",
            params={"api-version": "2026-11-01"},
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=START_SECONDS,
            verify=ssl.create_default_context(cafile=self.admin["ca_file"]),
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Server]:
    """Serve from ``folder`` until the end of the block."""
    port = free_port()
    command = [sys.executable, "-m", "bascule.bootstrap", "serve", *options]
    command += ["--data", str(folder / "data"), "--listen", f"127.0.0.1:{port}"]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield Server(_wait_for(folder, port, process))
    finally:
        process.terminate()
        assert process.wait(15) == 0, (folder / "log").read_text()


def _wait_for(folder: Path, port: int, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    admin_file = folder / "data" / "admin.json"
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "log").read_text()
        if admin_file.exists():
            admin: dict[str, str] = json.loads(admin_file.read_text())
            try:
                context = ssl.create_default_context(cafile=admin["ca_file"])
                httpx2.get(f"https://localhost:{port}/readyz", verify=context).raise_for_status()
            except (httpx2.HTTPError, OSError):
                pass
            else:
                return admin
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())
