"""``python -m bench.hostile``: the server's memory while strangers send it what it has to refuse.

By default each connection announces a body of a mebibyte to a route that needs no token and sends all of
it but the last byte, all from one address. VmRSS is read from proc_pid_status(5). What bounds it:
EDGES E1. SECURITY.md has the numbers; ``tests/e2e/test_hostile_bodies.py`` runs it as a test.

With ``--requests`` 48 connections at once, from 20,000 addresses in turn, send so many broken requests as
fast as they are answered: bad tokens, broken JSON, unknown routes, broken WebSocket upgrades, half proofs,
oversized bodies (bench/broken_requests.py). Memory and CPU are printed as it goes on, and at the end their
slopes, and which Python objects became more. Results go to bench/results/hostile.json.

Examples:
  python -m bench.hostile
  python -m bench.hostile --requests 1000000
  python -m bench.hostile --requests 20000 --every 2000 --dry

"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import hostile_requests
from bench.served import running
from bench.standing import Broken

ATTACKER = "127.0.0.2"
MEBIBYTE = 1_048_576
ROUTE = "/bascule/enrol"
_WATCH_SECONDS = 12.0
_AT_ONCE = 64  # handshakes


@dataclass(frozen=True, slots=True)
class Seen:
    """Memory in MB, the slowest answer of /healthz in seconds."""

    before: int
    most: int
    after: int  # 5 s after all connections were closed
    slowest_health: float
    answered: int  # connections that were answered, or cut, before their last byte


@contextlib.contextmanager
def stood(data: Path) -> Iterator[tuple[int, int]]:
    """A server of this tree on loopback: its port and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with running(data, port) as process:
        yield port, process.pid


def resident_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise Broken(f"process {pid} is gone")


async def attack(port: int, pid: int, trust: ssl.SSLContext, count: int, size: int) -> Seen:
    before, most, slowest = resident_mb(pid), 0, 0.0
    shaking = asyncio.Semaphore(_AT_ONCE)
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()
    body = b" " * (size - 1)

    async def one() -> bool:
        """Is it answered or cut?"""
        async with shaking:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trust, server_hostname="localhost",
                local_addr=(ATTACKER, 0), ssl_handshake_timeout=60,
            )  # fmt: skip
        try:
            writer.write(head)
            for start in range(0, len(body), 65_536):
                writer.write(body[start : start + 65_536])
                await writer.drain()
            await reader.read(1)
        except asyncio.CancelledError:
            return False
        finally:
            writer.transport.abort()
        return True

    crowd = [asyncio.create_task(one()) for _ in range(count)]
    began = time.monotonic()
    while time.monotonic() - began < _WATCH_SECONDS:
        asked = time.monotonic()
        await _health(port, trust)
        slowest = max(slowest, time.monotonic() - asked)
        most = max(most, resident_mb(pid))
        await asyncio.sleep(0.1)
    for each in crowd:
        each.cancel()
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    await asyncio.sleep(5)
    answered = sum(1 for each in ends if each is True or isinstance(each, OSError))
    return Seen(before, most, resident_mb(pid), round(slowest, 2), answered)


async def _health(port: int, trust: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trust, server_hostname="localhost"
    )
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.readline()
        if b" 200 " not in answer:
            raise Broken(f"/healthz answered {answer!r}")
    finally:
        writer.transport.abort()


def measure(count: int, size: int) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with stood(data) as (port, pid):
            trust = ssl.create_default_context(cafile=data / "ca.pem")
            return asyncio.run(attack(port, pid, trust, count, size))


def main() -> int:
    what, _, examples = (__doc__ or "").partition("\n\nExamples:\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.hostile",
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connections", type=int, default=1000, metavar="N", help="(1000)")
    parser.add_argument(
        "--bytes", type=int, default=MEBIBYTE, metavar="N", help="announced by each (1 MiB)"
    )
    parser.add_argument(
        "--requests", type=int, default=0, metavar="N", help="send so many broken requests instead"
    )
    parser.add_argument(
        "--every", type=int, default=0, metavar="N", help="requests between two lines (a twentieth)"
    )
    parser.add_argument(
        "--minutes", type=float, default=60, metavar="N", help="end then in any case (60)"
    )
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    if arguments.requests:
        every = arguments.every or max(1, arguments.requests // 20)
        if not 10 * every <= arguments.requests <= 100_000_000:
            parser.error("--requests: ten times --every at least, 100,000,000 at most")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        return hostile_requests.main(
            arguments.requests, every, arguments.minutes * 60, is_dry=arguments.dry
        )
    print(json.dumps(asdict(measure(arguments.connections, arguments.bytes)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
