"""What the history of exposure is read by: never all that ever was, where only what is now is asked for.

Openings and other spans lie in one table, and each index holds some of its rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.exposure import SpanKind
from bascule.domain.roles import Reach
from bascule.interfaces.exposure import ExposureFilter, KnownMachine
from bascule.interfaces.store import Reader
from bascule.store.open import open_store
from tests.contracts.store.samples import NOW, an_id
from tests.support.statements import OnSqlite, statements

WEB = KnownMachine(an_id("web-1"), "uid-web-1")
KEY = WEB.id.key
THERE = Reach(frozenset({KEY}))

READS: dict[str, tuple[Callable[[Reader], Any], list[str]]] = {
    "what is so now": (lambda r: r.current_spans(WEB.uid), ["spans_current"]),
    "who is let in": (lambda r: r.current_openings(WEB.uid), ["openings_current"]),
    "what is settled": (lambda r: r.settling(WEB.uid), ["openings_current", "spans_current"]),
    "what is overdue": (lambda r: r.overdue_spans(NOW), ["spans_due"]),
    "what is due next": (lambda r: r.next_overdue(), ["spans_due"]),
    "machines": (lambda r: r.exposed_machines(ExposureFilter(NOW)), ["spans_machines"]),
    "bare machines": (
        lambda r: r.exposed_machines(ExposureFilter(NOW, only=SpanKind.BARE)),
        ["spans_bare"],
    ),
    "machines that were open": (
        lambda r: r.exposed_machines(ExposureFilter(NOW, only=SpanKind.OPEN)),
        ["openings_keys", "openings_began", "openings_long"],
    ),
    "machines that are open": (
        lambda r: r.exposed_machines(ExposureFilter(NOW, is_now=True, only=SpanKind.OPEN)),
        ["openings_keys"],
    ),
    "closed ports": (lambda r: r.closed_spans([WEB.uid], NOW), ["spans_closed"]),
    "who was let in": (
        lambda r: r.openings_at([WEB.uid], NOW),
        ["openings_current", "openings_machines", "openings_long"],
    ),
    "the time between": (
        lambda r: r.spans_between([KEY], NOW - timedelta(hours=1), NOW),
        ["spans_keys", "spans_keys"],
    ),
    "how many are let in": (lambda r: r.count_let_in(None, NOW), ["openings_current"]),
    "how many are let in there": (lambda r: r.count_let_in(THERE, NOW), ["openings_keys"]),
    "how many are so now": (lambda r: r.count_current([KEY]), ["spans_keys"]),
    "how much was told": (
        lambda r: r.count_told(WEB, NOW, 10),
        ["spans_machines", "openings_machines"],
    ),
}


@pytest.mark.parametrize("name", READS)
def test_each_is_read_by_an_index_of_its_own(name: str, tmp_path: Path) -> None:
    read, indexes = READS[name]
    database = tmp_path / "bascule.db"
    store = open_store(database)

    async def run() -> None:
        await store.read(read)

    try:
        with statements() as seen:
            asyncio.run(run())
    finally:
        store.close()
    plan = seen.plan(OnSqlite(database), "exposure_spans").splitlines()
    used = [line for line in plan if " exposure_spans" in line]
    assert [line.partition("ix_exposure_")[2].split(" ")[0] for line in used] == indexes, plan
