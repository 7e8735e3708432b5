"""Can the tests fail? ``python tools/mutants [NAME...]`` breaks the code, a line at a time.

``--every 8 --offset 3`` tries every eighth one, from the fourth of the table on; an offset of 8 or
more is taken modulo 8, so that one which grows, as the number of commits does, reaches all of them.

Every mutant of the table is put into a scratch copy of the checkout and the tests that are
named for it are run, as many at once as there are processors. At the end all of the tests must
pass on the copy as it is: a test that fails without a mutant, as on a busy machine, has caught
nothing. The exit code is 1
when a mutant lives, that is when a guarantee could be lost and no named test would say so,
and when a trial is broken. ``--check`` only says whether the table fits the code.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import Queue
from typing import TypeVar

from table import Mutant, load, problems
from trial import SECONDS_A_TRIAL, SECONDS_OF_ALL, Copy, Outcomes, scratch_copy

CAUGHT, LIVES, BROKEN = "caught", "LIVES", "broken"
AT_ONCE = os.cpu_count() or 1
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one mutant."""

    mutant: Mutant
    result: str
    why: str  # the test that caught it; else what it rests on
    output: str = ""
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--every", type=_share, default=1, metavar="K", help="only one in K")
    parser.add_argument(
        "--offset", type=_place, default=0, metavar="I", help="from the Ith on, from 0"
    )
    parser.add_argument("--check", action="store_true", help="only say whether the table fits")
    parser.add_argument("--verbose", action="store_true", help="print the runs of those not caught")
    asked = parser.parse_args(arguments)
    mutants = load()
    unknown = sorted(set(asked.names) - {each.name for each in mutants})
    if unknown:
        parser.error(f"no mutant is called {', '.join(unknown)}")
    chosen = [each for each in mutants if not asked.names or each.name in asked.names]
    if asked.every > 1:
        total, chosen = len(chosen), _every(asked.every, asked.offset, chosen)
        print(f"{len(chosen)} of {total} mutants: --every {asked.every} --offset {asked.offset}")
    return _check(chosen) if asked.check else _try_all(chosen, asked.verbose)


def _every(count: int, offset: int, mutants: Sequence[Mutant]) -> list[Mutant]:
    """One in ``count``; as many offsets in a row have each mutant once."""
    return list(mutants[offset % count :: count])


def _share(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("one in K: K is 1 or more")
    return number


def _place(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("an offset is 0 or more")
    return number


def _check(mutants: Sequence[Mutant]) -> int:
    said = [f"{each.name}: {why}" for each in mutants for why in problems(each)]
    print("\n".join(said) or f"{len(mutants)} mutants fit the code.")
    return 1 if said else 0


def _try_all(mutants: Sequence[Mutant], verbose: bool) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        copies = [stack.enter_context(scratch_copy()) for _ in range(AT_ONCE)]
        width = max((len(each.name) for each in mutants), default=0)
        trials = []
        for trial in _on_copies(copies, mutants, _try):
            trials.append(trial)
            _say(trial, width, verbose)
        unsound = _unsound(copies, mutants, verbose)
    judged = [_judged(each, unsound) for each in trials]
    for before, after in zip(trials, judged, strict=True):
        if after != before:
            _say(after, width, verbose)
    counts = Counter(each.result for each in judged)
    told = ", ".join(f"{counts[each]} {each}" for each in (CAUGHT, LIVES, BROKEN))
    print(told, f"in {time.monotonic() - began:.0f} s")
    return 0 if counts[CAUGHT] == len(mutants) else 1


def _say(trial: Trial, width: int, verbose: bool) -> None:
    name = trial.mutant.name
    print(f"{trial.result:6}  {name:{width}}  {trial.seconds:5.1f} s  {trial.why}", flush=True)
    if verbose and trial.result != CAUGHT:
        print(trial.output)


def _on_copies(
    copies: Sequence[Copy], work: Iterable[T], do: Callable[[Copy, T], R]
) -> Iterator[R]:
    """Do each piece on whichever copy is free; what came of it, as each is done."""
    free: Queue[Copy] = Queue()
    for each in copies:
        free.put(each)

    def on_one(piece: T) -> R:
        copy = free.get()
        try:
            return do(copy, piece)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            for done in as_completed([pool.submit(on_one, piece) for piece in work]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else Ctrl-C would wait for all of them
            raise


def _shares(work: Sequence[T], count: int) -> list[Sequence[T]]:
    """The same in as many parts, none of them empty."""
    return [share for n in range(count) if (share := work[n::count])]


def _unsound(copies: Sequence[Copy], mutants: Sequence[Mutant], verbose: bool) -> dict[str, str]:
    """The named tests that do not pass on the unchanged copies, and why."""
    fit = [each for each in mutants if not problems(each, copies[0].root)]
    files: dict[str, list[str]] = {}  # one file's are run together: they share what they start
    for test in dict.fromkeys(test for mutant in fit for test in mutant.tests):
        files.setdefault(test.partition("::")[0], []).append(test)
    shares = [
        [test for tests in share for test in tests]
        for share in _shares(list(files.values()), len(copies))
    ]
    found: dict[str, str] = {}
    for tests, run in _on_copies(copies, shares, lambda c, s: (s, c.run(s, SECONDS_OF_ALL))):
        if run.exit_code != 0 and verbose:
            print(run.output)
        if run.exit_code not in (0, 1):
            sys.exit(f"The tests cannot be run without a change:\n{run.output}")
        found |= {test: run.why_not_sound(test) for test in tests}
    return _once_more(copies[0], [test for test, why in found.items() if why])


def _once_more(copy: Copy, tests: Sequence[str]) -> dict[str, str]:
    """Of tests that did not pass among all the others those that do not pass alone either, and why."""
    if not tests:
        return {}
    run = copy.run(tests, SECONDS_OF_ALL)
    found = {test: run.why_not_sound(test) for test in tests}
    for test, why in found.items():
        if not why:
            print(f"{test} passed only when it was run once more: it leans on speed or order")
    return {test: why for test, why in found.items() if why}


def _try(copy: Copy, mutant: Mutant) -> Trial:
    unfit = problems(mutant, copy.root)
    if unfit:
        return Trial(mutant, BROKEN, ", ".join(unfit))
    since = time.monotonic()
    with copy.changed(mutant):
        run = copy.run(mutant.tests, SECONDS_A_TRIAL, "-x")
    result, why = _result(run)
    return Trial(mutant, result, why or mutant.what, run.output, time.monotonic() - since)


def _judged(trial: Trial, unsound: dict[str, str]) -> Trial:
    """A trial whose tests do not all pass without the mutant shows nothing."""
    for test in trial.mutant.tests:
        if test in unsound:
            return replace(trial, result=BROKEN, why=f"{test} {unsound[test]}")
    return trial


def _result(run: Outcomes) -> tuple[str, str]:
    if run.failed:
        return CAUGHT, run.failed[0]
    if run.exit_code == 0:
        return LIVES, ""
    return BROKEN, "no test's own body failed: " + run.output.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
