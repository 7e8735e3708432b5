"""Errors: every kind has its code, status and exit code, and says all problems at once."""

from __future__ import annotations

import inspect

import pytest

from bascule import errors
from bascule.errors import BasculeError, InvalidInput, Problem

KINDS = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, BasculeError) and each is not BasculeError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.__name__)
def test_every_error_has_a_code_and_an_exit_code(kind: type[BasculeError]) -> None:
    """Scripts branch on exit codes; 0 would call a failure a success."""
    error = kind("words", advice="do this", target="field")
    assert "code" in vars(kind)
    assert error.specific_code == kind.code
    assert 400 <= kind.http_status <= 599
    assert 1 <= kind.exit_code <= 9
    assert (str(error), error.advice, error.target) == ("words", "do this", "field")
    assert kind.__name__ in (errors.__doc__ or ""), "the tree at the top names every error"


def test_codes_are_told_apart() -> None:
    """Two errors of one code could not be told apart by a client."""
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_several_problems_are_one_error() -> None:
    """The first speaks, the others are counted and carried."""
    one, two = Problem("A", "first wrong", "x"), Problem("B", "second wrong", "y")
    error = InvalidInput.of([one, two])
    assert str(error) == "first wrong (and 1 more, see details)"
    assert (error.specific_code, error.target, error.problems) == ("A", "x", (one, two))
    assert str(InvalidInput.of([two])) == "second wrong"
