"""The listening thread of an agent's loop: it makes a line, follows it, and makes the next one.

What is not here: the line and how it is made (``link``), and what its end means (``loop``).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import structlog

from bascule.agent.link import KeyRefused, Link, Listener
from bascule.agent.timetable import LONGEST_RETRY, REFUSED_RETRY, SHORTEST_RETRY
from bascule.errors import BasculeError, ServerUnreachable
from bascule.interfaces.clock import Clock

log = structlog.get_logger("bascule.agent")

STEADY_SECONDS = 2.0  # a line that lived for so long is made again without a longer wait
LONGEST_RETRY_IN_HASTE = 1.0  # seconds


def follow(
    link: Link,
    listener: Listener,
    clock: Clock,
    stopping: threading.Event,
    holds_leases: Callable[[], bool],
    on_end: Callable[[BasculeError], None],
) -> None:
    """Until ``stopping``; each line's end is told to ``on_end`` before the next one is made."""
    retry = SHORTEST_RETRY
    while not stopping.is_set():
        started = clock.boottime()
        ended = _listen(link, listener, stopping)
        on_end(ended)
        if isinstance(ended, KeyRefused):
            stopping.wait(random.uniform(REFUSED_RETRY / 2, REFUSED_RETRY))  # noqa: S311  # reason: jitter
            continue
        if clock.boottime() - started > STEADY_SECONDS:
            retry = SHORTEST_RETRY
        # Full jitter: after a server's restart not all its agents come at once. Who holds something
        # open hurries; so does who was told when to come, by which the server spreads its agents.
        told = link.come_back_within(holds_leases=holds_leases())
        longest = LONGEST_RETRY_IN_HASTE if holds_leases() or told else LONGEST_RETRY
        stopping.wait(random.uniform(0, max(told, min(retry, longest))))  # noqa: S311  # reason: jitter
        retry = min(retry * 2, LONGEST_RETRY)


def _listen(link: Link, listener: Listener, stopping: threading.Event) -> BasculeError:
    """Follow one line; why it ended."""
    try:
        link.listen(listener, stopping.is_set)
    except BasculeError as error:
        log.debug("line ended", why=error.message)
        return error
    except Exception as error:  # a fault of ours: made again like any other
        log.exception("line failed")
        return fault_of_ours(error)
    return ServerUnreachable("The connection to the server ended.")


def fault_of_ours(error: Exception) -> ServerUnreachable:
    return ServerUnreachable(f"The server's answer could not be read ({type(error).__name__}).")
