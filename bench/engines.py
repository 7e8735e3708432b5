"""``python -m bench.engines``: initiates a second with eight askers, on SQLite and on PostgreSQL,
directly and (where it is on this machine) through PgBouncer.

One server at a time on loopback, with eight machines in one policy. Each asker asks again and
again for port 22 of its own machine, over one kept connection: each request takes the place of the
one before. Beside it: what the bare database does, one row and one durable COMMIT at a time. All
of it is in one folder, so on one disk, with fsync. Askers, server and database share the machine.

A second run of each server is sampled 200 times a second: where each thread of it stands.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from bascule.clocks import SystemClock
from bascule.domain.times import format_utc
from bench import report
from bench.initiate import Server, wait_for
from bench.series import summary
from bench.standing import Broken
from tests.support import pgbouncer
from tests.support.postgresql import Cluster, programs

ASKERS = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_TOLD = 12  # places of a profile

# The server, with a thread that notes where the others are while $BENCH_PROFILE.go is there: the
# innermost function of Bascule. A thread that waits for something to do is left out; so is what the
# event loop itself does, in C.
_SAMPLED = """
import collections, json, os, sys, threading, time
seen, rounds, is_over = collections.Counter(), 0, threading.Event()
WAITING = {"select", "poll", "get", "wait", "_worker", "get_nowait"}
def place(frame):
    innermost, found = frame.f_code, None
    while frame is not None:
        file = frame.f_code.co_filename
        if "/bascule/" in file:
            found = file.rpartition("/bascule/")[2] + " " + frame.f_code.co_name
            break
        frame = frame.f_back
    is_idle = innermost.co_name in WAITING and "psycopg" not in innermost.co_filename
    return is_idle, found
def sample():
    global rounds
    while not is_over.wait(0.005):
        if not os.path.exists(os.environ["BENCH_PROFILE"] + ".go"):
            continue
        rounds += 1
        for ident, frame in sys._current_frames().items():
            if ident == me:
                continue
            name = names.get(ident) or names.setdefault(ident, next(
                (t.name for t in threading.enumerate() if t.ident == ident), "other"))
            is_idle, found = place(frame)
            if found is None or is_idle or found.endswith((" _serve", " run_until_stopped")):
                continue
            seen[name.partition("_")[0] + ": " + found] += 1
names = {}
thread = threading.Thread(target=sample, daemon=True)
thread.start()
me = thread.ident
from bascule.bootstrap import main
try:
    main()
finally:
    is_over.set()
    with open(os.environ["BENCH_PROFILE"], "w") as file:
        json.dump({"rounds": rounds, "seen": seen.most_common(400)}, file)
"""


class Asker:
    def __init__(self, server: Server, machine: str) -> None:
        self._server, self._machine = server, machine
        self.times: list[float] = []
        self.failures: list[str] = []

    def ask(self, until: float) -> None:
        while (began := time.perf_counter()) < until:
            ends = format_utc(SystemClock().now() + timedelta(minutes=10))
            port = {"number": 22, "endTimeUtc": ends, "allowedSourceAddressPrefix": "192.0.2.1"}
            body = {"virtualMachines": [{"id": self._machine, "ports": [port]}]}
            try:
                self._server.call("POST", f"{self._server.policy}/initiate", body)
            except Broken as error:
                self.failures.append(str(error))
                return
            self.times.append((time.perf_counter() - began) * 1000)


@contextmanager
def _running(data: Path, port: int, options: list[str], profile: Path | None) -> Iterator[int]:
    """A server; yields its pid."""
    program = [sys.executable, "-m", "bascule.bootstrap"]
    environment = dict(os.environ)
    if profile is not None:
        program = [sys.executable, "-c", _SAMPLED]
        environment["BENCH_PROFILE"] = str(profile)
    listen = ["serve", "--data", str(data), "--listen", f"127.0.0.1:{port}", *options]
    process = subprocess.Popen(
        [*program, *listen], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, data / "admin.json", process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _cpu(pid: int) -> float:
    """Seconds that a process has used; 0.0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def measure(
    folder: Path, port: int, seconds: float, options: list[str], database: int | None
) -> dict[str, Any]:
    """Two runs of one server: of the first the figures are told, of the second the profile.

    ``database`` is the pid of PostgreSQL's first process.
    """
    folder.mkdir()
    found = _ask(folder / "data", port, seconds, options, None, database)
    profile = folder / "profile.json"
    _ask(folder / "data", port, seconds, options, profile, database)
    sampled = json.loads(profile.read_text())
    found["profile"] = {
        place: round(100 * count / sampled["rounds"], 1) for place, count in sampled["seen"][:_TOLD]
    }
    return found


def _ask(
    data: Path,
    port: int,
    seconds: float,
    options: list[str],
    profile: Path | None,
    database: int | None,
) -> dict[str, Any]:
    with _running(data, port, options, profile) as pid:
        admin = json.loads((data / "admin.json").read_text())
        first = Server("server", port, admin)
        first.prepare([f"web-{number}" for number in range(1, ASKERS + 1)])
        askers = []
        for number in range(1, ASKERS + 1):
            server = Server("server", port, admin)
            server.sign_in()
            askers.append(Asker(server, first.machine(f"web-{number}")))
            askers[-1].ask(time.perf_counter() + 0.2)  # warm
            askers[-1].times.clear()
        if profile is not None:
            profile.with_name(f"{profile.name}.go").touch()
        before, ours = _cpu(pid), time.process_time()
        theirs = sum(_cpu(each) for each in _descendants(database)) if database else 0.0
        began = time.perf_counter()
        threads = [threading.Thread(target=each.ask, args=(began + seconds,)) for each in askers]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        took = time.perf_counter() - began
        used = _cpu(pid) - before
        if profile is not None:
            profile.with_name(f"{profile.name}.go").unlink()
        beside = sum(_cpu(each) for each in _descendants(database)) - theirs if database else 0.0
        own = time.process_time() - ours
    if failed := [text for each in askers for text in each.failures]:
        raise Broken(failed[0])
    times = [each for asker in askers for each in asker.times]
    return {
        **summary(times),
        "a_second": round(len(times) / took, 1),
        "server_cpu_ms": round(1000 * used / len(times), 2),
        "server_cores": round(used / took, 2),
        "database_cpu_ms": round(1000 * beside / len(times), 2),
        "askers_cores": round(own / took, 2),
    }


# -- the bare databases ---------------------------------------------------------------------

_MAKE = "CREATE TABLE IF NOT EXISTS bare (n INTEGER, text TEXT)"
_INSERT = "INSERT INTO bare VALUES (1, 'as long as the text of a short event is, or nearly so')"


def bare_sqlite(path: Path, seconds: float) -> float:
    """Commits a second of the one writer that SQLite has, set as the store sets it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_MAKE)
    try:
        return _rate(lambda: connection.execute(_INSERT), seconds)
    finally:
        connection.close()


def bare_postgresql(address: str, seconds: float, connections: int) -> float:
    """Commits a second over so many connections at once."""
    opened = [psycopg.connect(address, autocommit=True) for _ in range(connections)]
    opened[0].execute(_MAKE)
    rates: list[float] = []

    def one(connection: psycopg.Connection) -> None:
        rates.append(_rate(lambda: connection.execute(_INSERT), seconds))

    threads = [threading.Thread(target=one, args=(each,)) for each in opened]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for connection in opened:
        connection.close()
    return sum(rates)


def _rate(commit: Callable[[], object], seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while (now := time.perf_counter()) < began + seconds:
        commit()
        count += 1
    return count / (now - began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run (20)")
    parser.add_argument("--port", type=int, default=9553, help="of the servers (9553)")
    parser.add_argument("--folder", type=Path, help="where the databases are (the temporary one)")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    if programs() is None:
        parser.error("PostgreSQL's server is missing: make install-dev as root")
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory(prefix="bascule-bench-", dir=arguments.folder) as name:
        folder, seconds = Path(name), arguments.seconds
        folder.chmod(0o755)  # PostgreSQL runs as somebody else
        cluster = Cluster(parent=folder)
        try:
            main_process = int((cluster.data / "postmaster.pid").read_text().split()[0])
            bare = cluster.make()
            commits = {
                "sqlite": bare_sqlite(folder / "bare.db", seconds / 4),
                "postgresql, one connection": bare_postgresql(
                    cluster.address(bare), seconds / 4, 1
                ),
                "postgresql, eight connections": bare_postgresql(
                    cluster.address(bare), seconds / 4, ASKERS
                ),
            }
            address = cluster.address(cluster.make())
            found = {
                "sqlite": measure(folder / "sqlite", arguments.port, seconds, [], None),
                "postgresql": measure(
                    folder / "postgresql",
                    arguments.port,
                    seconds,
                    ["--database", address],
                    main_process,
                ),
            }
            if pgbouncer.program() is not None:
                made = cluster.make()
                bouncer = pgbouncer.PgBouncer(cluster, {"max_prepared_statements": "200"})
                through = ["--database", cluster.address(made)]
                through += ["--database-pooler", bouncer.address(made)]
                found["postgresql, pooler"] = measure(
                    folder / "pooler", arguments.port, seconds, through, main_process
                )
                bouncer.remove()
        finally:
            cluster.remove()
    _tell(commits, found)
    if not arguments.dry:
        bare_rates = {each: round(rate) for each, rate in commits.items()}
        told = {**report.machine(), "load_before": load}
        report.write("engines.json", {"bare_commits": bare_rates, **found, "machine": told})
    return 0


def _tell(commits: dict[str, float], found: dict[str, dict[str, Any]]) -> None:
    rows = [["BARE DATABASE", "DURABLE COMMITS A SECOND"]]
    rows += [[name, f"{rate:.0f}"] for name, rate in commits.items()]
    print(report.render(rows))
    heads = ["SERVER ON", "INITIATES A SECOND", "P50 MS", "P95 MS", "CPU MS", "DATABASE CPU MS"]
    rows = [[*heads, "CORES OF SERVER"]]
    for name, each in found.items():
        keys = ("a_second", "p50", "p95", "server_cpu_ms", "database_cpu_ms", "server_cores")
        rows.append([name, *(str(each[key]) for key in keys)])
    print(report.render(rows))
    for name, each in found.items():
        print(f"\nWhere the threads of the server on {name} stand, percent of the time:")
        print(report.render([[place, f"{share}"] for place, share in each["profile"].items()]))


if __name__ == "__main__":
    sys.exit(main())
