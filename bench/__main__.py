"""``python -m bench``: measure, print the tables, write ``bench/results``.

It brings a lab up, and each peer in network namespaces of its own, and asks all of them in turn in each
round; a port is open when a TCP connect to it succeeds. It never fails because something was slow.
Whatever it starts ends with it, on Ctrl-C as well.

Examples:
  python -m bench
  python -m bench --peers fwknop --rounds 60 --no-footprint --dry

"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import ask_to_open, footprint, lab, packages, report
from bench.peers import firewalld, fwknop
from bench.standing import Broken

NOT_COMPILED = (
    "PYTHONDONTWRITEBYTECODE"  # with it, each start of a command compiles its modules anew
)
PEERS: Mapping[str, ModuleType] = {"fwknop": fwknop, "firewalld": firewalld}


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read_arguments() -> argparse.Namespace:
    what, _, examples = (__doc__ or "").partition("\n\nExamples:\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=30, help="questions a candidate (30)")
    parser.add_argument("--interval-ms", type=float, default=2.0, help="between two SYNs (2)")
    parser.add_argument("--port", type=int, default=9443, help="the lab's port on 127.0.0.1 (9443)")
    parser.add_argument(
        "--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="peers (all)"
    )
    parser.add_argument("--no-install", action="store_true", help="install no peer")
    parser.add_argument("--no-bascule", action="store_true", help="measure the peers alone")
    parser.add_argument("--no-footprint", action="store_true", help="leave the weights out")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    return parser.parse_args()


def main() -> int:
    arguments = read_arguments()
    os.environ.pop(NOT_COMPILED, None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # ignored ones too
        signal.signal(number, signal.default_int_handler)
    if not arguments.no_install:
        needed = [each for name in arguments.peers for each in PEERS[name].PROGRAMS]
        packages.install(packages.missing(needed), tell)
    try:
        with ExitStack() as stack:
            run(arguments, stack)
    except KeyboardInterrupt:
        tell("interrupted; everything of this run is taken down")
        return 130
    except (Broken, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    return 0


def run(arguments: argparse.Namespace, stack: ExitStack) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bascule-bench-")))
    machine = report.machine()
    stood = None
    if not arguments.no_bascule:
        tell("bringing a lab up")
        stood = stack.enter_context(lab.lab(arguments.port))
    results, skipped = ask(arguments, folder, stood)
    print(report.render(report.ask_to_open_table(results, skipped)), flush=True)
    if stood is not None and not arguments.dry:
        content: dict[str, Any] = {**results, "machine": machine}
        content["settings"] = {
            "interval_ms": arguments.interval_ms,
            "lease_seconds": ask_to_open.LEASE_SECONDS,
        }
        if skipped:
            content["skipped"] = skipped
        report.write("ask_to_open.json", content)
    if stood is not None and not arguments.no_footprint:
        found = footprint.measure(stood, tell)
        print("\n" + report.render(report.footprint_table(found)), flush=True)
        if not arguments.dry:
            report.write("footprint.json", {**found, "machine": machine})


def ask(
    arguments: argparse.Namespace, folder: Path, stood: lab.Lab | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Let every candidate stand that can, measure, take them down; results and what is missing."""
    skipped: dict[str, str] = {}
    candidates: list[ask_to_open.Candidate] = []
    interval = arguments.interval_ms / 1000
    with ExitStack() as stack:
        if stood is not None:
            ready = stack.enter_context(
                lab.standing(stood, ask_to_open.PORT, ask_to_open.LEASE_SECONDS)
            )
            ours = ask_to_open.candidate(report.OURS, ready, interval)
            candidates.append(stack.enter_context(ours))
            ready = stack.enter_context(
                lab.standing(stood, ask_to_open.COMMAND_PORT, ask_to_open.LEASE_SECONDS, "command")
            )
            by_command = ask_to_open.candidate(report.BY_COMMAND, ready, interval)
            candidates.append(stack.enter_context(by_command))
            ready = stack.enter_context(
                lab.standing(stood, ask_to_open.PORT, ask_to_open.LEASE_SECONDS, machine=lab.BEHIND)
            )
            through = ask_to_open.candidate(report.THROUGH_GATEWAY, ready, interval)
            candidates.append(stack.enter_context(through))
        for name in arguments.peers:
            peer = PEERS[name]
            reason = why_not(peer)
            if not reason:
                try:
                    own = folder / name
                    own.mkdir(mode=0o700)
                    seconds = ask_to_open.LEASE_SECONDS
                    ready = stack.enter_context(peer.standing(own, ask_to_open.PORT, seconds))
                    theirs = ask_to_open.candidate(name, ready, interval)
                    candidates.append(stack.enter_context(theirs))
                except (OSError, Broken) as problem:
                    reason = str(problem)
            if reason:
                tell(f"{name} is left out: {reason}")
                skipped[name] = reason
        if candidates:
            tell(f"asking {', '.join(each.name for each in candidates)}")
            ask_to_open.measure(candidates, arguments.rounds, tell)
        return {each.name: each.result() for each in candidates}, skipped


def why_not(peer: ModuleType) -> str:
    """The reason why a peer cannot stand here; empty when it can."""
    if os.geteuid() != 0:
        return "its namespaces and rules need root"
    absent = packages.missing(peer.PROGRAMS)
    return f"not installed: {', '.join(absent)}" if absent else ""


if __name__ == "__main__":
    sys.exit(main())
