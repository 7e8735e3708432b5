"""What the server does each second with nothing to do, and searches by name: with ten and with
ten thousand machines, each with a live grant, and as many programs. The times stay the same.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.principals import ServicePrincipal
from bascule.interfaces.listing import ListFilter, Place
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.knocks import forget_old_knocks
from bascule.services.seal import is_checkpoint_due, seal
from bascule.services.sweep import end_due, next_due, note_silence
from bascule.store.open import open_store
from bench import estate, report

SIZES = (10, 10_000)
ROUNDS = 200

WORK: Mapping[str, Callable[[Transaction, datetime], object]] = {
    "when something is due": next_due,
    "ending what is due": lambda tx, now: end_due(tx, Act(now)),
    "noting who fell silent": lambda tx, now: note_silence(tx, Act(now), now - SILENCE_BOUND),
    "forgetting knocks": lambda tx, now: forget_old_knocks(tx, Act(now)),
    "sealing": lambda tx, _: seal(tx),
    "a checkpoint": is_checkpoint_due,
    "machines by name": lambda tx, _: tx.listed_machines(ListFilter(), Place("web-", ""), 10),
    "programs by name": lambda tx, _: tx.service_principals_by_name(("robot-1", ""), 10),
}


def measure(path: Path, size: int, rounds: int) -> dict[str, float]:
    """Microseconds of each, as the median of ``rounds``."""
    now = estate.moment()
    estate.build(path, estate.Size(machines=size * 10 // 9 + 1, requests=size, live=size), now)
    store = open_store(path)

    def measured(tx: Transaction) -> dict[str, float]:
        for number in range(size):
            name, uid = f"robot-{number}", f"00000000-0000-4000-d000-{number:012}"
            tx.put_service_principal(ServicePrincipal(uid, name, True, now))
        return {what: _median(lambda w=work: w(tx, now), rounds) for what, work in WORK.items()}  # type: ignore[misc]  # reason: bound now

    try:
        return asyncio.run(store.write(measured))
    finally:
        store.close()


def _median(work: Callable[[], object], rounds: int) -> float:
    times: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1_000_000)
    return round(statistics.median(times[1:]), 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each ({ROUNDS})")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.db"
            found[size] = measure(path, size, arguments.rounds)
    few, many = (found[size] for size in SIZES)
    rows: list[report.Row] = [["EACH SECOND", *(f"µs AT {size}" for size in SIZES), "RATIO"]]
    rows += [[w, f"{few[w]}", f"{many[w]}", f"{many[w] / few[w]:.1f}"] for w in WORK]
    print(report.render(rows))
    if not arguments.dry:
        report.write("idle.json", {"few": few, "many": many, "machine": report.machine()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
