"""Spans of ports kept shut and open, and the same time by the hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.exposure import (
    END_BELIEVED_AFTER,
    Admitted,
    HourStep,
    KeptSpan,
    Opening,
    PortTime,
    SpanKind,
    days_between,
    hour_of,
    kept_now,
    port_time,
    steps_of,
    time_by_steps,
    time_covered,
)
from tests.samples import ALICE_HOST, DNS, HOUR, NOW, SSH

SHUT, OPEN, BARE = SpanKind.CLOSED, SpanKind.OPEN, SpanKind.BARE
NONE = timedelta(0)


def at(hours: float) -> datetime:
    return NOW + hours * HOUR


def span(
    begin: float, end: float | None = None, kind: SpanKind = SHUT, port: object = SSH
) -> KeptSpan:
    return KeptSpan(kind, port, at(begin), None if end is None else at(end))  # type: ignore[arg-type]  # reason: a port


def opening(name: str = "g", ends: float | None = 1, *ports: object) -> Opening:
    ends_by = None if ends is None else at(ends)
    return Opening(name, ports or (SSH,), ALICE_HOST, "a", "alice", "r", NOW, ends_by)  # type: ignore[arg-type]  # reason: ports


def test_a_span_begins_at_its_beginning_and_is_over_at_its_end() -> None:
    some = span(0, 2)
    assert some.covers(at(0))
    assert some.covers(at(2) - timedelta(microseconds=1))
    assert not some.covers(at(2))
    assert not some.covers(at(0) - timedelta(microseconds=1))
    assert span(0).covers(at(10_000))


def test_a_lease_is_over_at_its_end() -> None:
    assert not opening().is_over(at(1) - timedelta(microseconds=1))
    assert opening().is_over(at(1))
    assert not opening(ends=None).is_over(at(10_000)), "root's, of which no end is known"


# -- what is so now -----------------------------------------------------------------------


def test_a_machine_that_keeps_nothing_shut_is_bare_whatever_is_open() -> None:
    assert kept_now([], [opening()], NOW) == {(BARE, None): None}


def test_a_port_is_open_until_the_last_lease_ends() -> None:
    found = kept_now([SSH, DNS], [opening("a", 1), opening("b", 3), opening("c", 2)], NOW)
    assert found == {(SHUT, SSH): None, (SHUT, DNS): None, (OPEN, SSH): at(3)}


def test_who_is_let_in_after_some_were_opened_closed_and_shortened() -> None:
    one, two, three, new = (opening(name, 2) for name in ("one", "two", "three", "new"))
    before = Admitted([one, two, three], [span(0, None, OPEN)])
    assert before.after([], (), {}) == before
    after = before.after([new], ["two", "unknown"], {"three": at(1), "two": at(1)})
    assert list(after.openings) == [one, opening("three", 1), new]
    assert after.spans == before.spans


def test_with_one_whose_end_is_not_known_none_is() -> None:
    found = kept_now([SSH], [opening("a", 1), opening("root", None)], NOW)
    assert found[OPEN, SSH] is None
    assert (OPEN, SSH) in found


def test_a_lease_that_is_over_opens_nothing_though_nobody_read_it_back() -> None:
    assert kept_now([SSH], [opening("a", 1)], at(1)) == {(SHUT, SSH): None}


def test_an_opening_of_a_port_that_is_not_kept_shut_counts_for_nothing() -> None:
    assert kept_now([DNS], [opening("a", 1, SSH)], NOW) == {(SHUT, DNS): None}


# -- time of spans ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "hours"),
    [
        ([], 0),
        ([span(0, 2)], 2),
        ([span(0, 2), span(1, 3)], 3),  # overlapping: once
        ([span(0, 4), span(1, 2)], 4),  # one within another
        ([span(0, 1), span(1, 2)], 2),  # end to end
        ([span(0, 1), span(3, 4)], 2),
        ([span(3, 4), span(0, 1)], 2),  # in whatever order
        ([span(-5, 1)], 1),  # cut at the beginning
        ([span(9, 20)], 1),  # and at the end
        ([span(9)], 1),  # it goes on
        ([span(-5, -1)], 0),
        ([span(-5, 0)], 0),  # over when the time begins
        ([span(10, 12)], 0),  # begins when the time is over
        ([span(2, 2)], 0),
    ],
)
def test_time_is_covered_once(spans: list[KeptSpan], hours: int) -> None:
    assert time_covered(spans, at(0), at(10)) == hours * HOUR


def test_port_hours_add_up_over_ports_and_not_over_leases() -> None:
    spans = [
        span(0, 10),
        span(0, 10, port=DNS),
        span(1, 3, OPEN),
        span(2, 4, OPEN),
        span(0, 10, BARE, None),
    ]
    found = port_time(spans, at(0), at(10))
    assert found == PortTime(20 * HOUR, 3 * HOUR)
    assert found.closed == 17 * HOUR
    assert found + PortTime(HOUR, HOUR) == PortTime(21 * HOUR, 4 * HOUR)
    assert port_time([], at(0), at(10)) == PortTime()


# -- by the hour --------------------------------------------------------------------------


def test_an_hour_begins_on_the_clock() -> None:
    assert hour_of(NOW + timedelta(minutes=59, seconds=59)) == NOW
    assert hour_of(at(1)) == at(1)


def test_steps_are_put_together_by_the_hour() -> None:
    half = HOUR / 2
    steps = steps_of([(at(1), 1), (at(1) + half, 1), (at(1.75), -1), (at(5) + half, -1)])
    assert steps == [
        HourStep(at(1), 1, half - 0.75 * HOUR),
        HourStep(at(5), -1, -half),
    ]
    assert steps_of([]) == []


@pytest.mark.parametrize(("since", "until"), [(0, 10), (2, 4), (3, 10), (9, 9.5), (-3, -1), (5, 5)])
def test_by_the_hour_the_time_is_what_adding_up_spans_gives(since: float, until: float) -> None:
    """Three ports that begin and end within hours; one goes on."""
    spans = [span(0.25, 3.75), span(2.5, 2.75), span(1.5, None)]
    changes = [(each.began_at, 1) for each in spans]
    changes += [(each.ended_at, -1) for each in spans if each.ended_at is not None]
    wanted = sum((time_covered([each], at(since), at(until)) for each in spans), NONE)
    assert time_by_steps(1, steps_of(changes), at(since), at(until)) == wanted


def test_steps_of_before_the_time_are_in_the_number_already() -> None:
    steps = [HourStep(at(-2), 7, NONE), HourStep(at(1), -1, NONE)]
    assert time_by_steps(2, steps, at(0), at(3)) == 3 * HOUR + 2 * 2 * HOUR


def test_days_are_cut_at_midnight_utc() -> None:
    """NOW is noon."""
    assert list(days_between(NOW, NOW)) == []
    assert list(days_between(NOW, at(1))) == [(NOW, at(1))]
    assert list(days_between(NOW, at(40))) == [
        (NOW, at(12)),
        (at(12), at(36)),
        (at(36), at(40)),
    ]


def test_an_end_is_believed_a_minute_after_it() -> None:
    """EDGES E9; the minute's end is inclusive."""
    some = opening(ends=1)
    assert some.is_believed_over(at(1) + END_BELIEVED_AFTER)
    assert not some.is_believed_over(at(1) + END_BELIEVED_AFTER - timedelta(microseconds=1))
    assert not opening(ends=None).is_believed_over(at(10_000))


def test_who_opened_at_a_gateway_without_the_server_is_its_root() -> None:
    by_grant = Opening("g", (SSH,), ALICE_HOST, "a", "alice", "r", NOW, None)
    on_host = replace(by_grant, requestor_id="", requestor="root on the host", request_id="")
    at_gateway = replace(by_grant, requestor_id="uid-gw", requestor="gw-1", request_id="")
    assert [each.gateway for each in (by_grant, on_host, at_gateway)] == ["", "", "gw-1"]
