"""What a machine's pages are made of: charts as numbers, weaknesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.weaknesses import KINDS, PORT_IN_OWN_RANGE, Weakness
from bascule.portal.charts import WIDTH, bars_of, lanes_of, round_up
from bascule.words import Words

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_bars_fill_the_width_and_never_leave_the_frame() -> None:
    made = bars_of([0, 1, 1000, 40], height=100)
    assert made.most == 1000
    assert [bar.height for bar in made.bars] == [0, 2, 100, 4], "what is there is seen"
    assert all(bar.top + bar.height == 100 for bar in made.bars)
    assert made.bars[0].left >= 0
    assert made.bars[-1].left + made.bars[-1].width <= WIDTH
    assert bars_of([]).bars == ()
    assert bars_of([0, 0]).most == 1


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 5), (5, 5), (6, 10), (11, 20), (10**9, 10**9)]
)
def test_the_top_of_a_chart_is_a_round_number(value: int, top: int) -> None:
    assert round_up(value) == top


def test_lanes_stand_where_their_time_is() -> None:
    made = lanes_of([(NOON, NOON + HOUR), (NOON + 3 * HOUR, NOON + 4 * HOUR)], NOON + 2 * HOUR)
    assert (made.since, made.until, made.now) == (NOON, NOON + 4 * HOUR, 500)
    assert [(lane.left, lane.width) for lane in made.lanes] == [(0, 250), (750, 250)]
    assert made.middle == NOON + 2 * HOUR


def test_a_short_span_is_still_seen_within_the_frame() -> None:
    month = timedelta(days=30)
    made = lanes_of([(NOON, NOON + HOUR), (NOON + month, NOON + month)], NOON + month)
    assert all(lane.width >= 4 and lane.left + lane.width <= WIDTH for lane in made.lanes)
    assert lanes_of([], NOON).lanes == ()


@pytest.mark.parametrize("code", KINDS)
def test_each_weakness_has_its_words_in_each_language(code: str) -> None:
    assert Words("fr").has(KINDS[code].text)


def test_what_a_weakness_tells_stands_in_its_sentence() -> None:
    found = PORT_IN_OWN_RANGE(port="40000/tcp", low=32768, high=60999)
    assert "40000/tcp" in Words("fr").say(found.text)
    unknown = Weakness("NewerThanThis", {"what": "<b>"})
    assert "NewerThanThis" in Words("fr").say(unknown.text)
