"""What is kept of a request that was refused: all that says why, of a size that no caller moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.lifecycle import RequestState
from bascule.domain.net import AddressPrefix
from bascule.domain.request import (
    LONGEST_REASON,
    LONGEST_WARNING,
    MAXIMUM_JUSTIFICATION,
    MOST_KEPT,
    MOST_REASONS,
    RequestedMachine,
    refused,
)
from bascule.errors import Part, Place, Problem
from tests.samples import DB, WEB, asked, request

NO = Problem("PortNotInPolicy", "No.", Place(Part.NUMBER, 0, 0))


def test_a_small_one_is_kept_whole() -> None:
    whole = replace(
        request(asked(22), why="deploy"),
        machines=(RequestedMachine(WEB, (asked(22),)), RequestedMachine(DB, ())),
    )
    kept = refused(whole, [NO], "another")
    assert (kept.id, kept.state, kept.left_out) == ("another", RequestState.REFUSED, 0)
    assert kept.machines == whole.machines
    assert kept.justification == "deploy"
    assert kept.reasons == (Problem("PortNotInPolicy", "No."),), "without where: it may be left out"
    assert refused(replace(whole, justification=None), [NO], "x").justification is None


def test_a_large_one_is_cut() -> None:
    sources = tuple(AddressPrefix.parse(f"192.0.2.{n}") for n in range(MOST_KEPT + 5))
    ports = tuple(replace(asked(n), sources=sources) for n in range(1, MOST_KEPT))
    machines = tuple(RequestedMachine(WEB, ports) for _ in range(MOST_KEPT + 3))
    whole = replace(
        request(why="x" * (MAXIMUM_JUSTIFICATION + 1)),
        machines=machines,
    )
    reasons = [Problem("C", "m" * (LONGEST_REASON + 1))] * (MOST_REASONS + 1)
    kept = refused(whole, reasons, "another")
    assert [len(each.ports) for each in kept.machines[:3]] == [MOST_KEPT - 1, 1, 0]
    assert (len(kept.machines), kept.left_out) == (MOST_KEPT, 3)
    assert {len(p.sources) for m in kept.machines for p in m.ports} == {MOST_KEPT}
    assert len(kept.justification or "") == MAXIMUM_JUSTIFICATION
    assert [len(each.message) for each in kept.reasons] == [LONGEST_REASON] * MOST_REASONS


@pytest.mark.parametrize(
    ("ahead", "before"),
    [(timedelta(hours=9), LONGEST_WARNING), (timedelta(minutes=20), timedelta(minutes=2))],
)
def test_a_start_is_near_five_minutes_or_a_tenth_before_it_and_not_at_it(
    ahead: timedelta, before: timedelta
) -> None:
    waits = request(asked(22))
    at = waits.started_at + ahead
    waits = replace(waits, state=RequestState.SCHEDULED, starts_at=at)
    moment = timedelta(microseconds=1)
    near = [at - before - moment, at - before, at - moment, at]
    assert [waits.is_starting_soon(each) for each in near] == [False, True, True, False]
    for other in set(RequestState) - {RequestState.SCHEDULED}:
        assert not replace(waits, state=other).is_starting_soon(at - moment)
    assert not replace(waits, starts_at=None).is_starting_soon(at - moment)
