"""``python -m bench.empty_reads``: what beginning and ending a read on PostgreSQL costs, in microseconds.

A cluster of its own on this machine. Each candidate reads nothing, in turn with the others: as the store does
it; without the look at what a newer program may have marked (ADR 31); as the store would by a cursor of
psycopg, with and without the look; and, where PgBouncer is on this machine, through it, with all that is looked
at then (ADR 38), and with the look of a direct connection.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import psycopg

from bascule.store.engine import Engine
from bascule.store.pooler import Pooler
from bascule.store.postgresql import POSTGRESQL, Database
from bascule.store.readers import Readers
from bench import report
from bench.series import quantile
from tests.support import pgbouncer, postgresql

AT_ONCE = 200  # reads of one candidate before the next one's turn


def _by_cursor(driver: psycopg.Connection, text: str) -> psycopg.Cursor:
    return driver.execute(text.encode())


def _read_look(begun: psycopg.Cursor) -> None:
    while begun.nextset():
        pass
    begun.fetchone()


def candidates() -> dict[str, Engine]:
    begin, _, _ = POSTGRESQL.begin_read.partition(";")
    without = replace(POSTGRESQL, begin_read=begin, check_read=lambda _: None)
    return {
        "as it is": POSTGRESQL,
        "without the look": without,
        "by a cursor": replace(POSTGRESQL, control=_by_cursor, check_read=_read_look),
        "by a cursor, without the look": replace(without, control=_by_cursor),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.empty_reads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help=f"of {AT_ONCE} reads each (20)")
    rounds = parser.parse_args().rounds
    database = Database(postgresql.cluster().place(postgresql.blank()))
    readers = {name: Readers(each, database.connect) for name, each in candidates().items()}
    if pgbouncer.program() is not None:
        database.connect().close()
        bouncer = pgbouncer.PgBouncer(postgresql.cluster())
        pooler = Pooler(bouncer.place(postgresql.blank()), database)
        readers["through a pooler"] = Readers(pooler.engine, pooler.connect)
        readers["through a pooler, unchecked"] = Readers(POSTGRESQL, pooler.connect)
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, each in readers.items():
            for _ in range(AT_ONCE):
                began = time.perf_counter()
                each.use(lambda _: None)
                times[name].append((time.perf_counter() - began) * 1e6)
    first = quantile(times["as it is"], 0.5)
    rows = [["CANDIDATE", "P10", "P50", "RATIO OF P50"]]
    for name, found in times.items():
        low, middle = quantile(found, 0.1), quantile(found, 0.5)
        rows.append([name, f"{low:.0f}", f"{middle:.0f}", f"{middle / first:.2f}x"])
    print(report.render(rows))


if __name__ == "__main__":
    main()
