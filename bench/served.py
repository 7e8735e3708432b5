"""The portal's pages from a server on loopback, as a browser without a cache would load them."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

from bench import estate
from bench.standing import Broken

_START_SECONDS = 60.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
# Each page, and what is dearest of it that people ask for; a page that is not there yet is named
# so, and not timed. ``{day}`` and ``{season}`` are moments of the past.
PAGES: Mapping[str, str] = {
    "overview": "/portal",
    "just-in-time": "/portal/jit",
    "just-in-time, filtered": "/portal/jit?q=web-0999&sort=lastAccess&desc=1",
    "just-in-time, by last access": "/portal/jit?sort=lastAccess&desc=1",
    "just-in-time, nobody's name": "/portal/jit?q=nobody",
    "just-in-time, not configured": "/portal/jit?tab=notConfigured",
    "just-in-time, unsupported": "/portal/jit?tab=unsupported",
    "open now": "/portal/open",
    "open now, by machine": "/portal/open?by=machine",
    "activity log": "/portal/activity",
    "activity log, all of it": "/portal/activity?span=all",
    "activity log, a machine": "/portal/activity?machine=db-000001&span=all",
    "activity log, a person": "/portal/activity?span=90d"
    "&person=00000000-0000-4000-a000-000000000042",
    "activity log, a span": "/portal/activity?since={season}&until={day}",
    "exposure": "/portal/exposure",
    "exposure, unprotected": "/portal/exposure?tab=bare",
    "exposure, a day ago": "/portal/exposure?at={day}",
    "exposure, a season ago": "/portal/exposure?at={season}",
    "enforcement points": "/portal/points",
    "enforcement points, filtered": "/portal/points?q=web-0999",
    "machines": "/portal/machines",
    "access control": "/portal/access",
    "my account": "/portal/account",
    "a machine": "/portal/machines/rg-001/db-000001",
    "a machine's configuration": "/portal/machines/rg-001/db-000001/configuration",
    "a machine's log": "/portal/machines/rg-001/db-000001/activity",
    "search": "/portal/search?q=web-0999",
    "search, a common word": "/portal/search?q=web",
}


def pages(now: datetime) -> dict[str, str]:
    moments = {"day": now - timedelta(days=1), "season": now - timedelta(days=90)}
    written = {name: f"{moment:%Y-%m-%dT%H:%M}" for name, moment in moments.items()}
    return {name: path.format(**written) for name, path in PAGES.items()}


class Served:
    """A server over a data directory, and somebody who has signed in to it."""

    def __init__(self, data: Path, port: int) -> None:
        context = ssl.create_default_context(cafile=data / "ca.pem")
        self._connection = http.client.HTTPSConnection("localhost", port, context=context)
        self._cookies: dict[str, str] = {}

    def sign_in(self) -> None:
        _, page = self.get("/signin?next=/portal")
        fields = {name: unescape(value) for name, value in _INPUT.findall(page)}
        fields |= {"name": estate.OWNER_NAME, "password": estate.PASSWORD}
        status, text = self._send("POST", "/signin", urlencode(fields), _FORM)
        if status != 303:
            raise Broken(f"signing in was answered by {status}: {text[:200]}")

    def get(self, path: str) -> tuple[int, str]:
        return self._send("GET", path, "", {})

    def timed(self, path: str) -> float:
        """Milliseconds until the whole page is here."""
        began = time.perf_counter()
        status, _ = self.get(path)
        spent = (time.perf_counter() - began) * 1000
        if status != 200:
            raise Broken(f"{path} was answered by {status}")
        return spent

    def _send(self, method: str, path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._connection.request(method, path, body or None, {**headers, "Cookie": cookie})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, text


@contextmanager
def running(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server of this tree on loopback, over ``data``."""
    source = Path(__file__).resolve().parents[1] / "src"
    command = [sys.executable, "-m", "bascule.bootstrap", "serve", "--data", str(data)]
    process = subprocess.Popen(
        [*command, "--listen", f"127.0.0.1:{port}"],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield process
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def served(data: Path, port: int) -> Iterator[Served]:
    """Its pages; ``data`` holds a database, and nothing else needs to."""
    with running(data, port):
        made = Served(data, port)
        made.sign_in()
        yield made


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Broken(f"the server on port {port} did not come up")
