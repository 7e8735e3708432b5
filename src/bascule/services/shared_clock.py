"""The clock of several servers: the database's (EDGES H1).

Ends of grants, ages of tokens, leases and sweeps go by it, so that no server's own clock decides.
While the database is away the time goes on by the clock since boot. What still goes by the host's
own clock: the times in its log, and its certificates.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from bascule.errors import BasculeError
from bascule.services.act import Services

log = structlog.get_logger("bascule.server")

MEASURE_SECONDS = 3.0
MOST_APART = timedelta(seconds=5)  # of a host's own clock from the database's, unremarked


def apart_words(services: Services) -> str:
    """Empty unless this host's clock is wrong by more than is worth a word."""
    shared = services.store.clock
    ahead = timedelta() if shared is None else shared.own_is_ahead()
    if abs(ahead) <= MOST_APART:
        return ""
    way = "ahead of" if ahead > timedelta() else "behind"
    return f"this host's clock is {abs(ahead).total_seconds():.0f} s {way} the database's"


async def follow_clock(services: Services) -> None:
    """Measure until cancelled; a clock that is apart is logged once, and once when it is not."""
    was_apart = False
    while True:
        try:
            await services.store.measure_clock()
        except BasculeError as error:
            log.warning("the database's clock was not read", why=error.message)
        except Exception:  # such as tables that a restore takes away: nobody would start this anew
            log.exception("the database's clock was not read")
        words = apart_words(services)
        if words and not was_apart:
            log.warning(
                "this host's clock is wrong",
                what=words,
                next="set the clock of this host: certificates and this log go by it",
            )
        elif was_apart and not words:
            log.info("this host's clock agrees with the database's again")
        was_apart = bool(words)
        await asyncio.sleep(MEASURE_SECONDS)
