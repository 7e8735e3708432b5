"""Is there anything in a report that the server would do something with?

What a report settles by is compared by its digest (``protocol.line.digest_of``). What is told once
(repairs, notes, openings by root, disputes) is news until it was taken. Counters go along with news,
alone at most once in COUNTERS_SECONDS. Where the record ends, and what the clock says while it is
about right, is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from bascule.agent.witness import RECORD_SEEN
from bascule.protocol.line import digest_of
from bascule.protocol.report import MAXIMUM_SKEW, Report

COUNTERS_SECONDS = 60.0
POLL_SECONDS = 15.0  # with a quarter of jitter


@dataclass(frozen=True, slots=True)
class Way:
    """How a report would reach the server now."""

    is_open: bool
    is_polled: bool  # the server hears that this agent lives by its reports alone
    skew: timedelta | None = None  # of this host's clock against the server's; None: not known


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


class Telling:
    """Which of one machine's reports the server has taken, and so which is due."""

    def __init__(self) -> None:
        self.news: News | None = None  # of the report made last
        self._known: News | None = None  # of what the server has taken; None: report all of it
        self._taken_at = float("-inf")
        self._is_alone = False  # the report made last had counters to tell, and nothing else
        self._alone_at = float("-inf")  # when the last one of those was taken

    def is_due(self, news: News, way: Way, now: float) -> bool:
        """Keep the news of a report that was made, and say whether it is to be sent."""
        self.news = news
        self._is_alone = not is_news(news, self._known, 0.0)
        is_poll_due = way.is_polled and now - self._taken_at >= POLL_SECONDS / 1.5
        has_news = is_news(news, self._known, now - self._alone_at)
        return way.is_open and (is_poll_due or has_news)

    def take(self, now: float) -> None:
        """The server has the report that was made last."""
        self._known, self._taken_at = self.news, now
        if self._is_alone:
            self._alone_at = now

    def forget_known(self) -> None:
        """Report all of it next time."""
        self._known = None


def covering(news: News, behind: str) -> News:
    """With a digest that covers what was reported of other machines too; empty: nothing was."""
    if not behind:
        return news
    return replace(news, digest=hashlib.sha256(f"{news.digest} {behind}".encode()).hexdigest())


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
