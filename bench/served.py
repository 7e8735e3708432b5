"""The portal's pages from a server on loopback, as a browser without a cache would load them."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

from bench import estate
from bench.standing import Broken

_START_SECONDS = 60.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
# Each page once; a page that is not there yet is named so, and not timed.
PAGES: Mapping[str, str] = {
    "overview": "/portal",
    "just-in-time": "/portal/jit",
    "just-in-time, filtered": "/portal/jit?q=web-0999&sort=lastAccess&desc=1",
    "just-in-time, not configured": "/portal/jit?tab=notConfigured",
    "just-in-time, unsupported": "/portal/jit?tab=unsupported",
    "open now": "/portal/open",
    "activity log": "/portal/activity",
    "exposure": "/portal/exposure",
    "enforcement points": "/portal/points",
    "machines": "/portal/machines",
    "access control": "/portal/access",
    "my account": "/portal/account",
    "a machine": "/portal/machines/rg-001/db-000001",
    "search": "/portal/search?q=web-0999",
}


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
def served(data: Path, port: int) -> Iterator[Served]:
    """A server of this tree over ``data``, which holds a database and nothing else needs to."""
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
        made = Served(data, port)
        made.sign_in()
        yield made
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            http.client.HTTPConnection("localhost", port, timeout=1).connect()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise Broken(f"the server on port {port} did not come up")
