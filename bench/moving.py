"""``python -m bench.moving``: a record of so many events moves to PostgreSQL and back, and how long it takes.

A cluster of PostgreSQL on this machine, on a socket of its own, as tests make it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from bascule.bootstrap.moving import copy
from bascule.clocks import SystemClock
from bascule.config import DatabaseSettings
from bascule.domain.facts.installation import ClockConfirmed
from bascule.identity.record_key import RecordKey
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation
from bascule.services.seal import seal_all
from bascule.store.open import open_store
from tests.support import postgresql

AT_ONCE = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        asyncio.run(_fill(data, events))
        name = postgresql.cluster().make()
        for to in (DatabaseSettings(postgresql.cluster().address(name)), None):
            began, spent = time.monotonic(), time.process_time()
            moved = copy(data, to, is_silent=True)
            taken, own = time.monotonic() - began, time.process_time() - spent
            if moved is None:
                raise SystemExit("nothing was moved")
            print(
                f"{moved.events} sealed events to {'SQLite' if to is None else 'PostgreSQL'}: "
                f"{taken:.1f} s ({own:.1f} s of this process's own time), intact"
            )
        postgresql.cluster().drop(name)


async def _fill(data: Path, count: int) -> None:
    store = open_store(data / "bascule.db")
    services = Services(store, SystemClock(), Hub())
    await services.perform(ensure_installation)
    left = count
    while left > 0:
        now = min(left, AT_ONCE)

        def add(tx: Transaction, act: Act, now: int = now) -> None:
            for number in range(now):
                act.record(tx, ClockConfirmed(f"{number}"))

        await services.perform(add)
        left -= now
    await seal_all(services, RecordKey(data))
    store.close()


if __name__ == "__main__":
    main()
