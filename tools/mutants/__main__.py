"""Can the tests fail? ``python tools/mutants [NAME...]`` breaks the code, a line at a time.

Every mutant of the table is put into a scratch copy of the checkout and the tests that are
named for it are run. First all of them must pass on the copy as it is, and the one that fails
must pass again when the mutant is out: a busy machine catches nothing. The exit code is 1
when a mutant lives, that is when a guarantee could be lost and no named test would say so,
and when a trial is broken. ``--check`` only says whether the table fits the code.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from table import Mutant, load, problems
from trial import SECONDS_A_TRIAL, SECONDS_OF_ALL, Copy, Outcomes, scratch_copy

CAUGHT, LIVES, BROKEN = "caught", "LIVES", "broken"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--check", action="store_true", help="only say whether the table fits")
    parser.add_argument("--verbose", action="store_true", help="print the runs of those not caught")
    asked = parser.parse_args(arguments)
    mutants = load()
    unknown = sorted(set(asked.names) - {each.name for each in mutants})
    if unknown:
        parser.error(f"no mutant is called {', '.join(unknown)}")
    chosen = [each for each in mutants if not asked.names or each.name in asked.names]
    return _check(chosen) if asked.check else _try_all(chosen, asked.verbose)


def _check(mutants: Sequence[Mutant]) -> int:
    said = [f"{each.name}: {why}" for each in mutants for why in problems(each)]
    print("\n".join(said) or f"{len(mutants)} mutants fit the code.")
    return 1 if said else 0


def _try_all(mutants: Sequence[Mutant], verbose: bool) -> int:
    began = time.monotonic()
    counts = dict.fromkeys((CAUGHT, LIVES, BROKEN), 0)
    with scratch_copy() as copy:
        unsound = _unsound(copy, mutants, verbose)
        width = max(len(each.name) for each in mutants)
        for mutant in mutants:
            since = time.monotonic()
            result, why, output = _try(copy, mutant, unsound)
            counts[result] += 1
            seconds = time.monotonic() - since
            print(f"{result:6}  {mutant.name:{width}}  {seconds:5.1f} s  {why}", flush=True)
            if verbose and result != CAUGHT:
                print(output)
    seconds = time.monotonic() - began
    print(", ".join(f"{count} {result}" for result, count in counts.items()), f"in {seconds:.0f} s")
    return 0 if counts[CAUGHT] == len(mutants) else 1


def _unsound(copy: Copy, mutants: Sequence[Mutant], verbose: bool) -> dict[str, str]:
    """The named tests that do not pass on the unchanged copy, and why."""
    fit = [each for each in mutants if not problems(each, copy.root)]
    tests = list(dict.fromkeys(test for mutant in fit for test in mutant.tests))
    if not tests:
        return {}
    run = copy.run(tests, SECONDS_OF_ALL)
    if run.exit_code != 0 and verbose:
        print(run.output)
    if run.exit_code not in (0, 1):
        sys.exit(f"The tests cannot be run without a change:\n{run.output}")
    found = {test: run.why_not_sound(test) for test in tests}
    return {test: why for test, why in found.items() if why}


def _try(copy: Copy, mutant: Mutant, unsound: dict[str, str]) -> tuple[str, str, str]:
    """Result, what it rests on, and the output of the run."""
    unfit = problems(mutant, copy.root)
    if unfit:
        return BROKEN, ", ".join(unfit), ""
    for test in mutant.tests:
        if test in unsound:
            return BROKEN, f"{test} {unsound[test]}", ""
    with copy.changed(mutant):
        run = copy.run(mutant.tests, SECONDS_A_TRIAL, "-x")
    result, why = _judge(run)
    if result == CAUGHT:
        again = copy.run(run.failed[:1], SECONDS_A_TRIAL)
        if unsteady := again.why_not_sound(run.failed[0]):
            return BROKEN, f"{why} {unsteady}, now", again.output
    return result, why or mutant.what, run.output


def _judge(run: Outcomes) -> tuple[str, str]:
    if run.failed:
        return CAUGHT, run.failed[0]
    if run.exit_code == 0:
        return LIVES, ""
    return BROKEN, "no test's own body failed: " + run.output.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
