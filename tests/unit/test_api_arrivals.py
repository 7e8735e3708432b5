"""The pool of messages in arrival (EDGES E1)."""

from __future__ import annotations

import random

from bascule.api.arrivals import OWN, Arrivals


class Line:
    def __init__(self, pool: Arrivals) -> None:
        self.pool = pool
        self.is_lost = False

    def keep(self, size: int) -> None:
        self.pool.keep(self, size)

    def lose(self) -> None:
        self.is_lost = True
        self.keep(0)  # as whoever gives up does


def test_what_a_line_has_of_its_own_takes_nothing_from_the_pool() -> None:
    pool = Arrivals(in_all=0)
    lines = [Line(pool) for _ in range(1_000)]
    for line in lines:
        line.keep(OWN)
    assert pool.total == 0
    assert not any(line.is_lost for line in lines)


def test_who_keeps_most_loses_first() -> None:
    pool = Arrivals(in_all=100)
    lines = [Line(pool) for _ in range(3)]
    for line, size in zip(lines, (30, 60, 10), strict=True):
        line.keep(OWN + size)
    assert not any(line.is_lost for line in lines)
    lines[2].keep(OWN + 11)
    assert [line.is_lost for line in lines] == [False, True, False]
    lines[0].keep(OWN + 101)
    assert [line.is_lost for line in lines] == [True, True, False], "the newcomer, if it has most"
    assert pool.total == 11


def test_the_pool_is_the_sum_of_what_is_kept_and_never_fuller_than_it_may_be() -> None:
    draw = random.Random(7)
    pool = Arrivals(in_all=500)
    lines = [Line(pool) for _ in range(20)]
    kept = dict.fromkeys(lines, 0)
    for _ in range(5_000):
        line = draw.choice(lines)
        line.is_lost = False
        kept[line] = draw.randrange(200)
        line.keep(OWN + kept[line])
        kept.update(dict.fromkeys((each for each in lines if each.is_lost), 0))
        for each in lines:
            each.is_lost = False
        assert pool.total == sum(kept.values()) <= 500
    for line in lines:
        line.keep(0)
    assert pool.total == 0
