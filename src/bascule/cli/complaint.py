"""How an error is said: what is wrong, every reason on a line of its own, what to do next."""

from __future__ import annotations

import click

from bascule.cli.clean import clean
from bascule.cli.plain_ids import with_names
from bascule.cli.spans import show_dated
from bascule.domain.times import with_instants
from bascule.errors import BasculeError, Problem, RequestDenied

CANDIDATE = "Candidate"  # the code of one that an ambiguous name may mean
SAY_WHY = 'Give a reason: --why "TEXT", or BASCULE_WHY="TEXT" in the environment.'


def complain(error: BasculeError) -> None:
    """Say it on stderr."""
    for line in complaint(error):
        click.echo(line, err=True)


def complaint(error: BasculeError) -> list[str]:
    """The lines of it; a single problem is the message itself and not said twice."""
    problems = [each for each in error.problems if each.message]
    message = _said(error.message)
    is_denial = isinstance(error, RequestDenied)
    if is_denial and len(problems) > 1:
        message = f"This is not allowed, for {len(problems)} reasons:"  # each is told below
    lines = [f"bascule: {message}"]
    if len(problems) > 1 or (problems and _said(problems[0].message) not in message):
        lines += [f"  - {_words(each, with_target=not is_denial)}" for each in problems]
    advice = _said(error.advice) or _advice_for(problems)
    if advice:
        lines.append(f"  {advice}")
    return lines


def _words(problem: Problem, *, with_target: bool) -> str:
    """A denial's sentence says all; a malformed field needs its place."""
    where = f" ({clean(problem.target)})" if problem.target and with_target else ""
    # A candidate is to be typed: its id stays whole.
    said = clean(problem.message) if problem.code == CANDIDATE else _said(problem.message)
    return f"{said}{where}"


def _said(sentence: str) -> str:
    """For people: machines by name, instants in local time."""
    return with_instants(with_names(clean(sentence)), show_dated)


def _advice_for(problems: list[Problem]) -> str:
    """What the server cannot know: how this tool spells the remedy."""
    if any(each.code == "JustificationRequired" for each in problems):
        return SAY_WHY
    return ""
