"""``python -m bench.pages``: what the portal's lists cost at 100,000 machines and 1,000,000 events.

The database is made by ``bench.estate``. First what lists read is timed by itself, as a server
reads it; then whole pages, from a server of its own on loopback, to one who has signed in. Each
some rounds, warm. ``--keep FOLDER`` keeps the database there and uses it again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bascule.domain.classify import MachineState
from bascule.domain.machine import OsType
from bascule.domain.machine_access import AccessState
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope
from bascule.interfaces.listing import ListFilter, ListOrder
from bascule.interfaces.store import Reader
from bascule.services.listing import count_tabs, list_machines
from bascule.store.open import open_store
from bench import estate, report
from bench.series import summary
from bench.served import pages, served

BOUND_MS = 100.0  # of each page's p95
PAGE = 51
View = Callable[[Reader, datetime], object]


def views() -> Mapping[str, View]:
    configured, everywhere = MachineState.CONFIGURED, ListFilter()
    one = Reach(frozenset({group_scope(estate.SUBSCRIPTION, "rg-042").key}))
    few = Reach(
        frozenset(group_scope(estate.SUBSCRIPTION, f"rg-{n:03}").key for n in range(0, 100, 5))
    )
    found: dict[str, View] = {
        "tabs counted": lambda reader, _: count_tabs(reader, None),
        "tabs counted, one group": lambda reader, _: count_tabs(reader, one),
        "tabs counted, 20 groups": lambda reader, _: count_tabs(reader, few),
        "not configured": _listed(everywhere, MachineState.NOT_CONFIGURED),
        "unsupported": _listed(everywhere, MachineState.UNSUPPORTED),
        "name contains web": _listed(replace(everywhere, name_part="web"), configured),
        "name of one": _listed(replace(everywhere, name_part="web-099995"), None),
        "name of none": _listed(replace(everywhere, name_part="nobody"), configured),
        "one group": _listed(replace(everywhere, resource_group="rg-042"), configured),
        "Windows": _listed(replace(everywhere, os_type=OsType.WINDOWS), configured),
        "may see one group": _listed(replace(everywhere, within=one), configured),
        "may see 20 groups": _listed(replace(everywhere, within=few), configured),
    }
    for order in ListOrder:
        for descending in (False, True):
            wanted = replace(everywhere, order=order, is_descending=descending)
            name = f"by {order}{' desc' if descending else ''}"
            found[name] = _listed(wanted, configured)
            found[f"{name}, page 900"] = _deep(wanted, configured)
    for state in AccessState:
        found[f"state {state}"] = _listed(replace(everywhere, state=state), configured)
    latest = replace(everywhere, order=ListOrder.LAST_ACCESS, is_descending=True)
    found["name of one by last access"] = _listed(
        replace(latest, name_part="web-099995"), configured
    )
    found["one group by last access"] = _listed(replace(latest, within=one), configured)
    found["20 groups by last access"] = _listed(replace(latest, within=few), configured)
    return found


def _listed(wanted: ListFilter, tab: MachineState | None) -> View:
    return lambda reader, now: list_machines(reader, wanted, tab, now, limit=PAGE)


def _deep(wanted: ListFilter, tab: MachineState | None) -> View:
    """A page far behind the first; its place is looked up once, which is not timed."""
    places: list[Any] = []

    def view(reader: Reader, now: datetime) -> object:
        if not places:
            places.append(reader.listed_machines(wanted, None, 45_000)[-1].place)
        return list_machines(reader, wanted, tab, now, places[0], PAGE)

    return view


async def measure(path: Path, now: datetime, rounds: int) -> dict[str, dict[str, Any]]:
    store = open_store(path)
    try:
        found: dict[str, dict[str, Any]] = {}
        for name, view in views().items():
            times: list[float] = []
            for number in range(rounds + 2):
                began = time.perf_counter()
                await store.read(lambda reader, view=view: view(reader, now))  # type: ignore[misc]  # reason: bound now
                if number >= 2:  # the first ones read the file
                    times.append((time.perf_counter() - began) * 1000)
            found[name] = summary(times)
        return found
    finally:
        store.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="readings a view (20)")
    parser.add_argument("--machines", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=250_000, help="four events each")
    parser.add_argument("--port", type=int, default=9643, help="of the server (9643)")
    parser.add_argument("--keep", default="", metavar="FOLDER", help="where the database stays")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    size, now = estate.Size(arguments.machines, arguments.requests), estate.moment()
    with ExitStack() as stack:
        folder = Path(
            arguments.keep
            or stack.enter_context(tempfile.TemporaryDirectory(prefix="bascule-bench-"))
        )
        path = folder / "bascule.db"
        if not path.exists():
            print(f"filling a database with {size.machines} machines, {size.events} events")
            estate.build(path, size, now)
        estate.wake(path, now)
        read = asyncio.run(measure(path, now, arguments.rounds))
        print(report.render(table("READ", read)))
        whole = load(folder, arguments, now)
        print("\n" + report.render(table("PAGE", whole)))
    if not arguments.dry:
        sizes = {"machines": size.machines, "events": size.events}
        found = {"read": read, "pages": whole, **sizes, "machine": report.machine()}
        report.write("pages.json", found)
    return 0


def load(data: Path, arguments: argparse.Namespace, now: datetime) -> dict[str, dict[str, Any]]:
    """Whole pages, from key press to last byte, one after the other."""
    found: dict[str, dict[str, Any]] = {}
    data.chmod(0o700)
    with served(data, arguments.port) as server:
        for name, path in pages(now).items():
            status, _ = server.get(path)
            if status != 200:
                print(f"{name} is left out: it is answered by {status}")
                continue
            server.get(path)
            found[name] = summary([server.timed(path) for _ in range(arguments.rounds)])
    return found


def table(head: str, found: Mapping[str, Mapping[str, Any]]) -> list[report.Row]:
    rows: list[report.Row] = [[head, "P50 MS", "P95 MS", ""]]
    for name, figures in found.items():
        slow = "" if figures["p95"] <= BOUND_MS else f"over {BOUND_MS:.0f}"
        rows.append([name, f"{figures['p50']}", f"{figures['p95']}", slow])
    return rows


if __name__ == "__main__":
    sys.exit(main())
