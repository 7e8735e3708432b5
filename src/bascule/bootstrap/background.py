"""What runs beside the API as long as a server serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from bascule.bootstrap.alive import tell_alive
from bascule.bootstrap.certificates import follow_certificates
from bascule.bootstrap.collector import Collector
from bascule.bootstrap.networks import remember_networks
from bascule.bootstrap.replica import LEAVE_WITHIN, among_replicas
from bascule.errors import BasculeError
from bascule.interfaces.driver import HostParts
from bascule.services.act import Services

if TYPE_CHECKING:
    from bascule.api.context import AppState
    from bascule.bootstrap.this_host import ThisHost


@contextlib.asynccontextmanager
async def background(
    state: AppState,
    host: ThisHost | None,
    parts: HostParts,
    metrics: Sequence[socket.socket],
) -> AsyncIterator[None]:
    """What runs beside the API as long as it serves."""
    from bascule.api.metrics_listener import metrics_listener
    from bascule.api.routes.metrics import metrics_of
    from bascule.services.asking_again import ask_again
    from bascule.services.delivery import deliver
    from bascule.services.mail_codes import send_codes
    from bascule.services.seal import keep_record
    from bascule.services.shared_clock import follow_clock
    from bascule.services.watch import watch

    services = state.services
    await remember_networks(state)
    watching = [
        asyncio.create_task(state.lines.run()),
        asyncio.create_task(tell_alive()),
        asyncio.create_task(watch(services)),
        asyncio.create_task(keep_record(services, state.record_key)),
        asyncio.create_task(deliver(services, state.way_out)),
        asyncio.create_task(send_codes(services, state.way_out)),
        asyncio.create_task(follow_certificates(state)),
    ]
    if services.desk is not None:
        watching.append(asyncio.create_task(ask_again(services, services.desk)))
    if services.store.clock is not None:
        watching.append(asyncio.create_task(follow_clock(services)))
    if state.replica_keys is not None:
        watching.append(asyncio.create_task(state.replica_keys.watch()))
    if host is not None:
        await host.start(state.installation)
    collector = Collector(asyncio.get_running_loop().call_soon_threadsafe)
    collector.begin()

    def rest() -> None:
        """Too old for the database: all that is left is to say so."""
        for task in watching:
            task.cancel()

    try:
        among = among_replicas(
            services, state.told, lambda: _stop(services), rest, parts.own_addresses
        )
        async with among, metrics_listener(metrics, metrics_of(state)):
            yield
    finally:
        collector.end()
        if host is not None:
            await host.stop()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await _give_back(services)


def _stop(services: Services) -> None:
    """As SIGTERM does; a stop that is under way needs no second one, which would cut it short."""
    if not services.hub.is_closing:
        os.kill(os.getpid(), signal.SIGTERM)


async def _give_back(services: Services) -> None:
    """Another server need not wait until this one's duties are over."""
    if services.duties.is_shared:
        giving = services.perform(lambda tx, act: services.duties.give_back(tx, act.now))
        with contextlib.suppress(BasculeError, TimeoutError):
            await asyncio.wait_for(giving, LEAVE_WITHIN)
