"""An assertion of an agent works once, whatever becomes of the server and its clock (EDGES B5)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bascule.identity.assertions import LONGEST_LIFE
from bascule.services import assertions
from tests.unit.services_world import World

MINUTE = timedelta(minutes=1)


def use(world: World, token_id: str, holder: str = "m-1") -> str:
    now = world.clock.now()
    return world.do(lambda tx, _: assertions.use(tx, holder, token_id, now + 5 * MINUTE, now))


@pytest.fixture
def world() -> World:
    return World()


def test_once_and_no_more(world: World) -> None:
    assert use(world, "a") == ""
    assert use(world, "a") == "it was used before"
    assert use(world, "b") == ""
    assert use(world, "a", "m-2") == ""


def test_a_clock_that_is_set_back_a_little_brings_none_back(world: World) -> None:
    use(world, "a")
    world.clock.pass_time(18 * 60)
    use(world, "b")  # what is over may be forgotten now
    world.clock.wall -= 16 * MINUTE
    assert use(world, "a") == "it was used before"


def test_what_is_long_over_is_forgotten(world: World) -> None:
    for number in range(20):
        use(world, str(number))
    world.clock.pass_time(20 * 60)
    use(world, "last")
    latest = world.clock.now() + LONGEST_LIFE
    assert world.do(lambda tx, _: tx.assertions_used("m-1", latest)) == 1


def test_one_holder_cannot_fill_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assertions, "MOST_OF_ONE", 10)
    said = [use(world, str(number)) for number in range(12)]
    assert said[:10] == [""] * 10
    assert "more than 10" in said[10]
    assert use(world, "a", "m-2") == ""
    # What was used while the clock was ahead keeps nobody out once it is right again.
    world.clock.wall -= timedelta(days=10)
    assert use(world, "b") == ""
    assert use(world, "0") == "it was used before"
    assert assertions.LONGEST_LIFE == LONGEST_LIFE


@pytest.mark.parametrize("token_id", ["x\0y", "\ud800", "x" * 128])
def test_whatever_text_its_id_is(world: World, token_id: str) -> None:
    assert use(world, token_id) == ""
    assert use(world, token_id) == "it was used before"
