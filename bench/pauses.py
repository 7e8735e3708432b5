"""``python -m bench.pauses``: how long Python's garbage collector stops the server.

It makes the objects that 10,000 connected agents leave in memory, and then those of 20,000 calls,
which are freed again. Each pass is timed by the CPU time of its thread, which other programs do not
change, and by the clock. ``--plain`` measures the interpreter's own setting.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Mapping

from bascule.bootstrap.collector import Collector

OBJECTS = 200  # per agent that the collector tracks; more than one of our connections has
CALLS = 20_000
OF_A_CALL = 300


class Agent:
    """Stands for what the server keeps of one: containers within containers."""

    def __init__(self, number: int) -> None:
        self.held = [{"place": [number + each]} for each in range(OBJECTS // 2 - 1)]


def measure(agents: int, *, is_plain: bool) -> dict[str, float]:
    """The longest passes in milliseconds, while agents connect and while they are there."""
    began = (0.0, 0.0)
    longest = {"connecting_cpu_ms": 0.0, "connected_cpu_ms": 0.0, "connected_ms": 0.0}
    kept: list[Agent] = []

    def note(phase: str, _: Mapping[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = (time.thread_time(), time.perf_counter())
            return
        cpu, wall = (time.thread_time() - began[0]) * 1000, (time.perf_counter() - began[1]) * 1000
        if len(kept) < agents:
            longest["connecting_cpu_ms"] = max(longest["connecting_cpu_ms"], cpu)
        else:
            longest["connected_cpu_ms"] = max(longest["connected_cpu_ms"], cpu)
            longest["connected_ms"] = max(longest["connected_ms"], wall)

    collector = Collector(lambda work: work())
    gc.collect()
    if not is_plain:
        collector.begin()
    gc.callbacks.append(note)  # after ours: what it does is part of the pass
    try:
        for number in range(agents):
            kept.append(Agent(number))  # noqa: PERF401  # reason: ``note`` looks how many there are
        for number in range(CALLS):
            call: list[dict[str, object]] = [{"row": [number]} for _ in range(OF_A_CALL // 2)]
            if number % 100 == 0:  # replace an agent, and leave a reference cycle
                kept[number % agents] = Agent(number)
                call.append({"cycle": call})
    finally:
        gc.callbacks.remove(note)
        if not is_plain:
            collector.end()
    return {name: round(value, 1) for name, value in longest.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pauses", description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument(
        "--plain", action="store_true", help="measure the interpreter's own setting"
    )
    arguments = parser.parse_args()
    found = measure(arguments.agents, is_plain=arguments.plain)
    print(json.dumps({"agents": arguments.agents, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
