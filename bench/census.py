"""The server's program, which counts its objects when it is asked: ``python -m bench.census serve ...``.

SIGUSR1: count. SIGUSR2: count, then search all memory for reference cycles once. What was counted is
written to the file that the environment names in ``BASCULE_CENSUS``, as JSON. The process does nothing
else meanwhile, for about a second at a million objects. Text, bytes and numbers are in no count of types
(the garbage collector does not know them), but in ``blocks``: all that Python has allocated.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.fleet.server import Server
from bench.standing import Broken

FILE = "BASCULE_CENSUS"
_COUNT_SECONDS = 120.0
_MOST_TYPES = 12


async def counted(server: Server, number: int) -> Mapping[str, Any]:
    """Let a server that runs this module count; raises Broken."""
    file = Path(os.environ[FILE])
    await asyncio.to_thread(file.unlink, missing_ok=True)
    server.send(number)
    deadline = time.monotonic() + _COUNT_SECONDS
    while not await asyncio.to_thread(file.exists):
        if time.monotonic() > deadline:
            raise Broken(f"The server did not count its objects: {server.said()}")
        await asyncio.sleep(0.1)
    found: Mapping[str, Any] = json.loads(await asyncio.to_thread(file.read_text))
    return found


def compared(first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """Two counts, and of which types there are more in the last."""
    grown = {
        name: count - first["types"].get(name, 0)
        for name, count in last["types"].items()
        if count > first["types"].get(name, 0)
    }
    return {
        "first": sum(first["types"].values()),
        "last": sum(last["types"].values()),
        "first_blocks": first["blocks"],
        "last_blocks": last["blocks"],
        "in_cycles": last["in_cycles"],
        "more": dict(sorted(grown.items(), key=lambda item: -item[1])[:_MOST_TYPES]),
    }


def show(found: Mapping[str, Any]) -> None:
    print(f"  objects              {found['first']:,} then {found['last']:,}")
    print(f"  blocks               {found['first_blocks']:,} then {found['last_blocks']:,}")
    print(f"  in reference cycles  {found['in_cycles']:,}")
    for name, more in found["more"].items():
        print(f"    {more:>+8,}  {name}", flush=True)


def count(number: int, _: object) -> None:
    gc.unfreeze()  # objects that the server's collector set aside are in no list (bootstrap/collector.py)
    types = Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )
    told = {"blocks": sys.getallocatedblocks(), "types": types, "in_cycles": None}
    if number == signal.SIGUSR2:
        told["in_cycles"] = gc.collect()
    gc.freeze()
    path = Path(os.environ[FILE])
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(told))
    draft.replace(path)


if __name__ == "__main__":
    for each in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, count)
    runpy.run_module("bascule.bootstrap", run_name="__main__", alter_sys=True)
