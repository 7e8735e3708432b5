"""``tools/mutants``: what counts as caught. The runs themselves are played here."""

from __future__ import annotations

import contextlib
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tools" / "mutants"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / "__main__.py"), run_name="mutants")


class _Copy:
    """A copy in which one test fails: with the mutant, and without it or not."""

    root = ROOT

    def __init__(self, outcomes: Any, is_steady: bool) -> None:
        self._outcomes = outcomes
        self._is_steady = is_steady
        self._is_changed = False

    @contextlib.contextmanager
    def changed(self, _: object) -> Iterator[None]:
        self._is_changed = True
        yield
        self._is_changed = False

    def run(self, tests: Any, *_: object) -> Any:
        if self._is_changed or not self._is_steady:
            return self._outcomes(tuple(tests), frozenset(), frozenset(), 1, "")
        return self._outcomes((), frozenset(tests), frozenset(), 0, "")


@pytest.mark.parametrize(("is_steady", "result"), [(True, "caught"), (False, "broken")])
def test_a_mutant_is_caught_by_a_test_that_passes_without_it(
    tool: dict[str, Any], is_steady: bool, result: str
) -> None:
    """One that fails on a busy machine, with or without it, catches nothing."""
    mutant = tool["load"]()[0]
    copy = _Copy(tool["Outcomes"], is_steady)
    trial = tool["_try"](copy, mutant)
    after = tool["_judged"](trial, tool["_unsound"]([copy], [mutant], verbose=False))
    assert (trial.result, after.result) == ("caught", result), after.why
    assert mutant.tests[0] in after.why


def test_what_passes_alone_is_sound(
    tool: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Among hundreds of others, on a busy machine, a test that minds the time may fail; it is said."""

    class Busy(_Copy):
        runs = 0

        def run(self, tests: Any, *more: object) -> Any:
            self.runs += 1
            self._is_steady = self.runs > 1
            return super().run(tests, *more)

    mutant = tool["load"]()[0]
    assert tool["_unsound"]([Busy(tool["Outcomes"], False)], [mutant], verbose=False) == {}
    assert f"{mutant.tests[0]} passed only" in capsys.readouterr().out


def test_no_two_trials_share_a_copy(tool: dict[str, Any]) -> None:
    """A mutant of one would be tested by the other."""
    copies, held = [object(), object()], list[object]()

    def use(copy: object, piece: int) -> int:
        assert copy not in held
        held.append(copy)
        time.sleep(0.01)
        held.remove(copy)
        return piece

    assert sorted(tool["_on_copies"](copies, range(20), use)) == list(range(20))


def test_a_piece_that_breaks_is_told(tool: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        list(tool["_on_copies"]([object()], [0], lambda _, piece: 1 / piece))


def test_an_interrupt_waits_for_no_further_trial(tool: dict[str, Any]) -> None:
    done = list[int]()

    def interrupted(_: object, piece: int) -> None:
        done.append(piece)
        time.sleep(0.05)  # else the worker may be through before anybody hears of the first
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(tool["_on_copies"]([object()], range(20), interrupted))
    assert len(done) < 20


def test_every_mutant_is_in_one_of_as_many_shares_in_a_row(tool: dict[str, Any]) -> None:
    """``make test-all`` tries a share that grows by one with each commit."""
    mutants = tool["load"]()
    shares = [tool["_every"](8, offset, mutants) for offset in range(1566, 1574)]
    tried = [each.name for share in shares for each in share]
    assert sorted(tried) == sorted(each.name for each in mutants)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_share_is_named(tool: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    total = len(tool["load"]())
    assert tool["main"](["--check", "--every", "8", "--offset", "11"]) == 0
    share = len(range(3, total, 8))
    told = capsys.readouterr().out
    assert f"{share} of {total} mutants: --every 8 --offset 11\n{share} mutants fit" in told


@pytest.mark.parametrize("words", [("--every", "0"), ("--offset", "-1"), ("--every", "x")])
def test_no_share_is_empty_by_mistake(tool: dict[str, Any], words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tool["main"](["--check", *words])
    assert ended.value.code == 2
