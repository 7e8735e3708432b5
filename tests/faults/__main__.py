"""``python -m tests.faults --runs N [--seed S]``: seeds S, S+1, ...; the exit code says."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bascule.lab.topology import Shape
from tests.e2e.small_world import rule
from tests.faults.approvals import drawn
from tests.faults.planted import PLANTED, is_seen
from tests.faults.schedule import (
    Schedule,
    on_replicas,
    paused_for_a_minute,
)
from tests.faults.series import broken_record, fault_lab, run
from tests.faults.settle import WITHIN
from tests.faults.steps import PointsWorld, all_cases, arrange, try_case
from tests.faults.world import World

THREE = Shape(3, has_database=True)
WITHIN_ON_REPLICAS = 60.0  # seconds to settle
ALL_STEPS = 100  # runs from which on every step is tried; a quarter of an hour
SOME_STEPS = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--postgresql",
        choices=("none", "half", "all"),
        default="none",
        help="seeds that run on three replicas over PostgreSQL; half: the even ones",
    )
    parser.add_argument("--no-planted", action="store_true", help="leave the planted bugs out")
    parser.add_argument("--no-steps", action="store_true", help="leave the steps of a request out")
    parser.add_argument("--show", action="store_true", help="print the schedules and go")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.runs)
    if given.show:
        for seed in seeds:
            say(f"seed {seed}\n{drawn(seed).describe()}")
            say(f"on replicas\n{on_replicas(drawn(seed)).describe()}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):  # the lab is taken down in either case
        signal.signal(number, signal.default_int_handler)
    on_sqlite, on_postgresql = _shared_out(seeds, given.postgresql)
    blind, failed = _on_sqlite(
        _planted(given, is_on_replicas=False), [drawn(seed) for seed in on_sqlite]
    )
    if on_postgresql:
        blind += _blind_on_replicas(_planted(given, is_on_replicas=True))
        failed += _on_postgresql([on_replicas(drawn(seed)) for seed in on_postgresql])
    wrong = [] if given.no_steps else _try_steps(given.seed, given.runs)
    say(f"{given.runs} runs, seeds {seeds.start} to {seeds.stop - 1}: {len(failed)} with findings")
    if failed:
        say(f"seeds with findings: {', '.join(map(str, failed))}")
    if blind:
        say(f"planted bugs that were not seen: {', '.join(blind)}")
    return int(bool(failed or blind or wrong))


def _planted(given: argparse.Namespace, *, is_on_replicas: bool) -> Sequence[str]:
    if given.no_planted:
        return ()
    return [name for name, bug in PLANTED.items() if bug.is_on_replicas == is_on_replicas]


def _shared_out(seeds: range, word: str) -> tuple[list[int], list[int]]:
    """Which run on SQLite, and which on replicas."""
    wanted = {"none": (), "half": (0,), "all": (0, 1)}[word]
    shared = [seed for seed in seeds if seed % 2 in wanted]
    return [seed for seed in seeds if seed not in shared], shared


def _on_sqlite(
    planted: Sequence[str], schedules: Sequence[Schedule]
) -> tuple[list[str], list[int]]:
    """Which planted bugs were not seen, and the seeds with findings."""
    if not planted and not schedules:
        return [], []
    with fault_lab() as world:
        # Planted bugs come first: a source that a run has cut stays looked up for two minutes.
        return _not_seen(world, planted), _run_all(world, schedules, WITHIN)


def _not_seen(world: World, planted: Sequence[str]) -> list[str]:
    blind: list[str] = []
    for name in planted:
        verdict = is_seen(world, name)
        words = verdict.findings[0] if verdict.findings else "NOT SEEN"
        say(f"planted {name}: {words}")
        if not verdict.findings:
            blind.append(name)
    return blind


def _blind_on_replicas(planted: Sequence[str]) -> list[str]:
    """In a lab of their own: one of them writes what is of another day."""
    if not planted:
        return []
    with fault_lab(shape=THREE) as world:
        return _not_seen(world, planted)


def _on_postgresql(schedules: Sequence[Schedule]) -> list[int]:
    """The seeds with findings; at the end a replica is paused for a minute."""
    with fault_lab(shape=THREE) as world:
        failed = _run_all(world, schedules, WITHIN_ON_REPLICAS, "replicas, ")
        long = [paused_for_a_minute(schedules[0].seed)]
        return failed + _run_all(world, long, WITHIN_ON_REPLICAS, "replicas, one paused for long, ")


def _run_all(
    world: World, schedules: Sequence[Schedule], within: float, word: str = ""
) -> list[int]:
    """The seeds with findings."""
    failed = []
    for schedule in schedules:
        verdict = run(world, schedule, within)
        say(f"{word}{verdict}")
        if verdict.findings:
            failed.append(schedule.seed)
    if why := broken_record(world):
        say(f"{word}{why}")
        failed += [schedule.seed for schedule in schedules if schedule.seed not in failed]
    return failed


def _try_steps(seed: int, runs: int) -> list[str]:
    """Agents killed and stopped at the steps of a request: at each of them from ALL_STEPS runs on,
    else at some, others by each seed.
    """
    found: list[str] = []
    cases = list(all_cases())
    if runs < ALL_STEPS:
        some = set(random.Random(seed).sample(range(len(cases)), SOME_STEPS))
        cases = [case for number, case in enumerate(cases) if number in some]
    with (
        tempfile.TemporaryDirectory(prefix="bascule-steps-") as folder,
        PointsWorld(Path(folder)) as world,
    ):
        world.begin(rule(22))
        for number, case in enumerate(cases):
            if number == 0 or case.is_parallel != cases[number - 1].is_parallel:
                arrange(world, is_parallel=case.is_parallel)
            wrong = try_case(world, case)
            say("\n".join(wrong) or f"{case}: nothing found")
            found += wrong
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
