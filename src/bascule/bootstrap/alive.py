"""The server's event loop tells the service manager that it still goes round."""

from __future__ import annotations

import asyncio
import time

from bascule.agent.service_manager import ServiceManager, Watchdog


async def tell_alive() -> None:
    """Until cancelled; at once over where no watchdog is set. A database that is away is no reason to be
    started again: only a loop that serves nobody is.
    """
    watchdog = Watchdog(ServiceManager.from_environment(), time.monotonic)
    while watchdog.every:
        watchdog.alive()
        await asyncio.sleep(watchdog.every)
