"""``python -m bench.fleet``: how many agents one server carries, and how fast it is meanwhile.

Each simulated agent has its own address in 127.0.0.0/8, key, connections, state and reports, and sends
what the real agent sends, as often. Each policy has 100 machines. Server and simulation share this
machine. Each figure is printed when it is known, and all are written to bench/results/fleet.json.

Examples:
  python -m bench.fleet --agents 2000
  python -m bench.fleet --agents 100 1000 --phases idle eight --dry
  python -m bench.fleet --agents 1000 --against ddb962e -o json
  python -m bench.fleet --agents 2000 --replicas 0 3

"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from bench import report
from bench.fleet.figures import Run, line, put
from bench.fleet.phases import Fleet, Plan
from bench.fleet.replicas import Replicas
from bench.fleet.replicas import standing as several
from bench.fleet.server import Program, Server, allow_descriptors, flush_ms, free_port, standing
from bench.fleet.speech import Speech, speech_of
from bench.revision import HERE, checked_out
from bench.standing import Broken

PHASES = ("idle", "asking", "eight", "scan", "kill")


def read_arguments() -> argparse.Namespace:
    what, _, examples = (__doc__ or "").partition("\n\nExamples:\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet",
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--agents",
        type=_count,
        nargs="+",
        default=[1000],
        metavar="N",
        help="one run for each number (1000)",
    )
    parser.add_argument(
        "--against", default="", metavar="REV", help="measure the server of this revision first"
    )
    parser.add_argument(
        "--replicas",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="servers over a PostgreSQL of this run, 0: one over SQLite; a run each (0)",
    )
    parser.add_argument(
        "--phases",
        nargs="*",
        choices=PHASES,
        default=PHASES,
        help="phases to run after connecting (all)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="S",
        help="wait at most S seconds for all agents to connect, or to come back (120)",
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=5.0,
        metavar="S",
        help="wait S seconds before the phases idle and scan are measured (5)",
    )
    parser.add_argument(
        "--idle", type=float, default=20.0, metavar="S", help="seconds of the phase idle (20)"
    )
    parser.add_argument(
        "--asking",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds of each phase in which access is requested (10)",
    )
    parser.add_argument(
        "--flood",
        type=float,
        default=0.0,
        metavar="N",
        help="begin N handshakes a second, and finish none, in the phase kill (0)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        metavar="DIR",
        help="directory for the databases (TMPDIR); /dev/shm if other programs use the disk",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (a free one)")
    parser.add_argument(
        "-o",
        dest="output",
        choices=("text", "json"),
        default="text",
        help="format on standard output",
    )
    parser.add_argument("--dry", action="store_true", help="write no results")
    return parser.parse_args()


def _count(text: str) -> int:
    count = int(text.replace("_", "").replace(",", ""))
    if not 8 <= count <= 100_000:
        raise argparse.ArgumentTypeError("from 8 to 100,000 agents")
    return count


def main() -> int:
    arguments = read_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    gc.set_threshold(200_000, 50, 100)  # the simulation's own pauses are not the server's
    content: dict[str, Any] = {"machine": report.machine(), "runs": []}
    try:
        with ExitStack() as stack:
            measure(arguments, content, stack)
    except KeyboardInterrupt:
        tell("interrupted; this run's server is stopped and its files are removed")
        return 130
    except (Broken, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    if arguments.output == "json":
        print(json.dumps(content, indent=2))
    if not arguments.dry:
        report.write("fleet.json", content)
    return int(any("stopped" in run for run in content["runs"]))


def measure(arguments: argparse.Namespace, content: dict[str, Any], stack: ExitStack) -> None:
    """Fill in the runs, those of another revision under ``against``."""
    folder = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bascule-fleet-", dir=arguments.folder)
        )
    )
    program, other = Program("this tree", HERE, sys.executable), None
    if arguments.against:
        tell(f"checking out {arguments.against} and installing what its lock names")
        source, python = stack.enter_context(checked_out(arguments.against, folder))
        other = Program(arguments.against, source, python)
        content["against"] = {"revision": arguments.against, "runs": []}
    for agents in arguments.agents:
        before: Run | None = None
        if other is not None:
            before = one_run(other, agents, 0, arguments, folder, None, "")
            content["against"]["runs"].append(before)
        name = arguments.against
        for replicas in arguments.replicas:
            run = one_run(program, agents, replicas, arguments, folder, before, name)
            content["runs"].append(run)
            if before is None:
                before, name = run, f"{replicas} over PostgreSQL" if replicas else "SQLite"


def one_run(
    program: Program,
    agents: int,
    replicas: int,
    arguments: argparse.Namespace,
    folder: Path,
    before: Run | None,
    name: str,
) -> Run:
    """One fleet on one server, or on several. If the run cannot continue, ``stopped`` says why."""
    run: Run = {}
    to = sys.stderr if arguments.output == "json" else sys.stdout

    def found(place: str, value: object) -> None:
        put(run, place, value)
        print(line(run, place, before, name), file=to, flush=True)

    print(f"\n{program.name}", file=to, flush=True)
    found("agents", agents)
    try:
        speech = speech_of(program.source)
        allow_descriptors(agents, speech.connections)
        found("replicas", replicas)
        found("speaks", speech.name)
        found("load", os.getloadavg()[0])
        found("flush_ms", flush_ms(folder))
        began = time.perf_counter()
        own = folder / f"{program.name}-{agents}-{replicas}"
        with ExitStack() as stack:
            server: Server | Replicas
            if replicas:
                server = stack.enter_context(several(program, own, agents, replicas))
            else:
                port = arguments.port or free_port()
                server = stack.enter_context(standing(program, own, port, agents))
            found("filled_s", time.perf_counter() - began)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(simulate(server, speech, arguments, agents, found))
    except Broken as problem:
        run["stopped"] = str(problem)
        tell(f"{program.name}: {problem}")
    return run


async def simulate(
    server: Server | Replicas,
    speech: Speech,
    arguments: argparse.Namespace,
    agents: int,
    found: Callable[[str, object], None],
) -> None:
    plan = Plan(
        agents,
        arguments.phases,
        patience=arguments.patience,
        settle=arguments.settle,
        flood=arguments.flood,
        idle=arguments.idle,
        asking=arguments.asking,
    )
    await Fleet(server, speech, plan, found).run()


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
