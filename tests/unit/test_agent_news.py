"""What of a report is news: everything that the server would do something with, and nothing else.

Dropped as no news, a grant would stay *opening*, a weakness unsaid, a repair off the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from bascule.agent.news import COUNTERS_SECONDS, News, is_news, news_of
from bascule.agent.witness import RECORD_SEEN
from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import HOST
from bascule.domain.features import KNOWN
from bascule.domain.knocks import Knock
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.weaknesses import OWNER_UNKEPT
from bascule.protocol.report import MAXIMUM_SKEW, LocalOpening, Report

SSH = PortKey(TransportProtocol.TCP, 22)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BEFORE = Report(7, frozenset({"g"}), sessions={"g": 1, "h": 0}, ends={"g": timedelta(seconds=50)})
ROOTS = LocalOpening("22/tcp", ("192.0.2.1/32",), 900, "local-1")

# The same report but for one field.
AT_ONCE: dict[str, Any] = {
    "generation": 8,
    "in_force": frozenset({"g", "h"}),
    "local_port_range": (32768, 60999),
    "weaknesses": (OWNER_UNKEPT(),),
    "flushed_by": "another.service",
    "facts": {"nftables": "1.0.6"},
    "agent_version": "9.9",
    "drift": ("put back",),
    "local_openings": (ROOTS,),
    "notes": ("a note",),
    "disputes": ("it ends at event 9",),
    "closed": frozenset({ClosedPort(SSH)}),
    "guard": Guard(problem="unreadable"),
    "driver": "another",
    "capabilities": replace(HOST, ends_leases=False),
    "knows": KNOWN - {min(KNOWN)},
    "refused": {"g": Objection.PORT},
    "held_locally": (ROOTS,),
    "ends": {"g": timedelta(seconds=50), "h": timedelta(seconds=50)},
    "sessions": {"g": 1, "h": 1},
    "answered_by": frozenset({ip_address("10.1.0.1")}),
    "past": {"g": ("uid-gw",)},
}
SELDOM: dict[str, Any] = {
    "blocked_attempts": 5,
    "knocks": (Knock("192.0.2.1", SSH, 5, timedelta(seconds=1)),),
}
NEVER = {"clock": NOW, "digest": "d" * 64}  # of the clock by how far it is off


def of(report: Report, skew: timedelta | None = None, **ends: float) -> News:
    return news_of(report, ends or {"g": 100.0}, skew)


def test_each_field_of_a_report_is_news_or_said_not_to_be() -> None:
    """A field that is added later has to be put in one of the tables."""
    names = {each.name for each in fields(Report)}
    assert names == AT_ONCE.keys() | SELDOM.keys() | NEVER.keys()


def test_nothing_new_is_no_news_however_long_ago() -> None:
    assert is_news(of(BEFORE), None, 0), "the server knows nothing yet"
    for since in (0.0, COUNTERS_SECONDS, 10**6):
        assert not is_news(of(BEFORE), of(BEFORE), since)


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_settles_something_is_news_at_once(name: str) -> None:
    changed = replace(BEFORE, **{name: AT_ONCE[name]})
    assert is_news(of(changed), of(BEFORE), 0)


@pytest.mark.parametrize("name", ["generation", "in_force", "closed", "weaknesses", "refused"])
def test_and_so_is_its_end(name: str) -> None:
    changed = replace(BEFORE, **{name: AT_ONCE[name]})
    assert is_news(of(BEFORE), of(changed), 0)


def test_sessions_that_cannot_be_counted_are_news() -> None:
    assert is_news(of(replace(BEFORE, sessions=None)), of(BEFORE), 0)
    assert is_news(of(replace(BEFORE, sessions={"g": 0, "h": 0})), of(BEFORE), 0), "the last one"


@pytest.mark.parametrize("name", SELDOM)
def test_counters_alone_are_told_once_a_minute(name: str) -> None:
    """A machine that is scanned would report every two seconds."""
    changed = replace(BEFORE, **{name: SELDOM[name]})
    assert not is_news(of(changed), of(BEFORE), COUNTERS_SECONDS - 1)
    assert is_news(of(changed), of(BEFORE), COUNTERS_SECONDS)


def test_how_many_live_on_is_a_counter() -> None:
    changed = replace(BEFORE, sessions={"g": 2, "h": 0})
    assert not is_news(of(changed), of(BEFORE), COUNTERS_SECONDS - 1)
    assert is_news(of(changed), of(BEFORE), COUNTERS_SECONDS)


def test_knocks_that_did_not_fit_are_told_next() -> None:
    left = replace(BEFORE, knocks=SELDOM["knocks"])
    assert is_news(of(left), of(left), COUNTERS_SECONDS)


def test_what_was_told_once_is_not_compared() -> None:
    """The same repair twice is two."""
    repaired = replace(BEFORE, drift=("put back",))
    assert is_news(of(repaired), of(repaired), 0)


def test_what_moves_by_itself_is_no_news() -> None:
    """The time goes on, what is left gets less, and the record grows with anything anywhere."""
    facts: Mapping[str, str] = {RECORD_SEEN: "event 7"}
    later = replace(
        BEFORE, clock=NOW, digest="d" * 64, ends={"g": timedelta(seconds=3)}, facts=facts
    )
    assert not is_news(of(later), of(BEFORE), 10**6)


def test_an_end_that_is_moved_is_news() -> None:
    assert is_news(of(BEFORE, g=99.0), of(BEFORE, g=100.0), 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_crosses_the_bound_is_news(sign: int) -> None:
    right, off = MAXIMUM_SKEW * sign, (MAXIMUM_SKEW + timedelta(seconds=1)) * sign
    assert is_news(of(BEFORE, off), of(BEFORE, right), 0)
    assert is_news(of(BEFORE, right), of(BEFORE, off), 0)
    assert not is_news(of(BEFORE, off * 2), of(BEFORE, off), 0)
    assert not is_news(of(BEFORE, right), of(BEFORE, None), 0)
