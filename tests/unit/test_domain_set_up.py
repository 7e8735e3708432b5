"""The set-up link: how long it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bascule.domain.set_up import SET_UP_LIFE, SetUpLink

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_a_set_up_link_holds_for_its_quarter_of_an_hour_alone() -> None:
    """Before it too nothing: a clock that is set back must not bring an old link to life."""
    link = SetUpLink("h", NOW)
    assert link.ends_at == NOW + timedelta(minutes=15)
    moments = (NOW - TICK, NOW, NOW + SET_UP_LIFE - TICK, NOW + SET_UP_LIFE)
    assert [link.holds_at(each) for each in moments] == [False, True, True, False]
