"""An HTTPS server process with our edge and a small application, for tests of the edge.

    python -m tests.e2e.edge DATA_DIR LIFE_SECONDS PATIENCE ADDRESS:PORT [NAME ...]

LIFE is the certificate's; PATIENCE is ``real``, ``long`` (60 s for handshake and headers) or
``short`` (1 s for handshake and headers, 1.5 s for a body, 2 s between requests, 1 s to take
of an answer). It prints ``listening PORT``
and serves /hello (who calls, by which name), /wait (answers after ?seconds=), /stream (for
ever), /flood (likewise, as fast as it is read), /echo (POST; how many bytes came).
What is not here: the real application; what it does is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from bascule.api.connections import Bounds
from bascule.api.listening import bind_to
from bascule.api.origin import Names, OriginGate, Proxies, base_url, caller_address
from bascule.api.server import raise_descriptor_limit, run_server
from bascule.clocks import SystemClock
from bascule.config import parse_listen
from bascule.domain.net import parse_address
from bascule.identity.tls import CertificateKeeper

PROXY = parse_address("127.0.0.9")
BALANCER = parse_address("127.0.0.10")


def build(names: tuple[str, ...]) -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello(request: Request) -> dict[str, str]:
        return {"base": base_url(request), "caller": caller_address(request)}

    @app.get("/wait")
    async def wait(seconds: float) -> dict[str, float]:
        await asyncio.sleep(seconds)
        return {"waited": seconds}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(_heartbeat())

    @app.get("/flood")
    async def flood() -> StreamingResponse:
        return StreamingResponse(_flood())

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    app.add_middleware(OriginGate, names=Names(names), proxies=Proxies.at(PROXY))
    return app


async def _heartbeat() -> AsyncIterator[bytes]:
    while True:
        yield b": alive\n\n"
        await asyncio.sleep(0.2)


async def _flood() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536
        await asyncio.sleep(0)  # else nobody hears that the reader has gone


def main(data: str, life: str, patience: str, listen: str, *names: str) -> int:
    clock = SystemClock()
    keeper = CertificateKeeper(Path(data), names, timedelta(seconds=float(life)))
    keeper.ensure(clock.now())
    bounds = Bounds.for_descriptors(raise_descriptor_limit())
    if patience == "short":
        bounds = replace(
            bounds, headers_seconds=1.0, body_seconds=1.5, idle_seconds=2.0, taking_seconds=1.0
        )
    if patience == "long":
        bounds = replace(bounds, headers_seconds=60.0)
    return run_server(
        build(keeper.names),
        bind_to([parse_listen(listen)]),
        keeper,
        lambda addresses: print("listening", addresses[0][1], flush=True),  # noqa: T201  # reason: how the test learns the port
        clock=clock,
        proxies=[PROXY],
        balancers=[BALANCER],
        bounds=bounds,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
