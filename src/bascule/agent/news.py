"""Is there anything in a report that the server would do something with?

What a report settles by is compared by its digest (``protocol.line.digest_of``). What is told once
(repairs, notes, openings by root, disputes) is news until it was taken. Counters go along with news,
alone at most once in COUNTERS_SECONDS. Where the record ends, and what the clock says while it is
about right, is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bascule.agent.witness import RECORD_SEEN
from bascule.protocol.line import digest_of
from bascule.protocol.report import MAXIMUM_SKEW, Report

COUNTERS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class News:
    """What a report says, as far as it may be news."""

    digest: str
    ends: frozenset[tuple[str, float]]  # grant id, and when (CLOCK_BOOTTIME seconds) it ends here
    facts: frozenset[tuple[str, str]]
    is_clock_off: bool  # by more than the server lets pass
    has_untold: bool  # something that is told once
    counters: tuple[object, ...]
    has_knocks: bool  # that were not told yet


def news_of(report: Report, ends: Mapping[str, float], skew: timedelta | None) -> News:
    """``ends`` are those of the report as times that stand still; ``skew`` None: not known."""
    untold = (report.drift, report.notes, report.local_openings, report.disputes)
    return News(
        digest=digest_of(report),
        ends=frozenset(ends.items()),
        facts=frozenset(each for each in report.facts.items() if each[0] != RECORD_SEEN),
        is_clock_off=skew is not None and abs(skew) > MAXIMUM_SKEW,
        has_untold=any(untold),
        counters=(
            report.blocked_attempts,
            tuple(sorted((report.sessions or {}).items())),
        ),
        has_knocks=bool(report.knocks),
    )


def is_news(now: News, known: News | None, since: float) -> bool:
    """``known`` is what the server has taken, None: nothing; ``since``: seconds ago counters were
    reported alone.
    """
    return (
        known is None
        or now.has_untold
        or (now.digest, now.ends, now.facts, now.is_clock_off)
        != (known.digest, known.ends, known.facts, known.is_clock_off)
        or ((now.has_knocks or now.counters != known.counters) and since >= COUNTERS_SECONDS)
    )
