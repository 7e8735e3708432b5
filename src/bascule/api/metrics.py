"""The server's metrics in Prometheus' text format, version 0.0.4.

Source: Prometheus' documentation, "Exposition formats" and "Metric and label naming". Labels hold
codes of ours, a sink's id, and nothing that names a person, a machine or an address (EDGES I8).
Counts of this process begin at its start. What is counted in the database is the same at all
replicas: take the greatest over them, not the sum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from bascule import __version__
from bascule.api.context import AppState
from bascule.api.lately import Lately
from bascule.domain.delivery import SinkState
from bascule.domain.endings import Ending, Ends
from bascule.domain.facts.kinds import SORTS
from bascule.domain.lifecycle import UNSETTLED, StatusReason
from bascule.errors import BasculeError
from bascule.identity.x509 import ends_of
from bascule.services.counts import Counts, counts
from bascule.services.hub import CHANGES
from bascule.services.meters import BOUNDS, Histogram, Meters, Span

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 2.0  # how long a text stands, however many ask
COUNT_WITHIN = 8.0  # seconds; Prometheus gives up after ten
_SECOND = timedelta(seconds=1)
_REQUESTS = {"accepted": "AccessRequested", "refused": "AccessDenied"}
_GRANTS = {
    "opened": "GrantOpened",
    "failed": "GrantFailed",
    "extended": "GrantExtended",
    "expired": f"GrantEnded.{StatusReason.EXPIRED}",
    "revoked": f"GrantEnded.{StatusReason.USER_REQUESTED}",
    "superseded": f"GrantEnded.{StatusReason.NEWER_REQUEST_INITIATED}",
    "closed": "GrantClosed",
}
_SIGN_INS = {
    "succeeded": "SignInSucceeded",
    "secondFactorOwed": "SecondFactorOwed",
    "refused": "SignInRefused",
}
_SPANS = {
    Span.OPENING: (
        "bascule_grant_opening_seconds",
        "From the decision until a grant was read back open, at this server.",
    ),
    Span.CLOSING: (
        "bascule_grant_closing_seconds",
        "From the end of a grant until it was read back closed, at this server.",
    ),
}


@dataclass(frozen=True, slots=True)
class Process:
    """What this process holds at one moment."""

    meters: Meters
    agent_lines: int
    portal_streams: int
    retries: int
    certificates: Sequence[Ending]
    is_own_refused: bool  # are there files of an operator that cannot be used?


class Metrics:
    """Made once a server; many may ask at once, and share what was made for one of them."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._lately = Lately(self._make, FRESH_SECONDS)
        self._counting: asyncio.Future[Counts | None] | None = None

    async def text(self) -> bytes:
        """All metrics. Where the database does not answer, those that need it are left out, and
        ``bascule_database_up`` is 0.
        """
        return await self._lately.get()

    async def _make(self) -> bytes:
        found = await self._counts()
        services, own = self._state.services, self._state.own_certificate
        process = Process(
            services.meters,
            len(self._state.lines),
            services.hub.listeners(CHANGES),
            services.store.retries,
            self._state.certificates(),
            own is not None and bool(own.problem),
        )
        return await asyncio.to_thread(_text, process, found, services.clock.now())

    async def _counts(self) -> Counts | None:
        """A read that takes too long goes on; no other begins before it has ended."""
        if self._counting is None or self._counting.done():
            self._counting = asyncio.ensure_future(self._count())
        await asyncio.wait({self._counting}, timeout=COUNT_WITHIN)
        return self._counting.result() if self._counting.done() else None

    async def _count(self) -> Counts | None:
        services = self._state.services
        now = services.clock.now()
        try:
            services.fitness.require_current()
            return await services.read(lambda reader: counts(reader, now, ends_of))
        except BasculeError:
            return None


def _text(process: Process, found: Counts | None, now: datetime) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_All(process, found, now))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)  # a registry tells collectors apart by identity
class _All(Collector):
    process: Process
    found: Counts | None
    now: datetime

    def collect(self) -> Iterator[Metric]:
        yield from _of_process(self.process, self.now)
        yield from _of_database(self.found, self.now)


def _of_process(process: Process, now: datetime) -> Iterator[Metric]:
    meters = process.meters
    yield _gauge("bascule_build_info", "1; its label is the version.", 1, version=__version__)
    counted = _counted(meters.events)
    yield _counter(
        "bascule_requests", "Requests for access, as recorded.", "outcome", counted(_REQUESTS)
    )
    yield _counter("bascule_grants", "What became of grants.", "move", counted(_GRANTS))
    yield _counter("bascule_sign_ins", "Sign-ins, as recorded.", "outcome", counted(_SIGN_INS))
    yield _counter(
        "bascule_events",
        "Events that this server recorded, by kind.",
        "kind",
        {kind: meters.events.get(kind, 0) for kind in SORTS},
    )
    for span, (name, words) in _SPANS.items():
        one: Histogram = meters.spans[span]
        reached = accumulate(one.counts)
        marks = [*map(str, BOUNDS), "+Inf"]
        yield HistogramMetricFamily(
            name, words, buckets=list(zip(marks, reached, strict=True)), sum_value=one.seconds
        )
    yield _gauge("bascule_agent_lines", "Agents connected to this server.", process.agent_lines)
    yield _gauge("bascule_portal_streams", "Open streams of portal pages.", process.portal_streams)
    yield _counter(
        "bascule_database_retries",
        "Groups of changes that were done again, because other transactions were in the way.",
        "",
        {"": process.retries},
    )
    left = _family(
        "bascule_certificate_left_seconds", "Seconds until a certificate ends.", "certificate"
    )
    for each in process.certificates:
        left.add_metric([each.what], (each.ends_at - now) / _SECOND)
    yield left
    yield _gauge(
        "bascule_certificate_refused",
        "1 if the files of --certificate and --key cannot be used, else 0.",
        int(process.is_own_refused),
    )


def _of_database(found: Counts | None, now: datetime) -> Iterator[Metric]:
    up = int(found is not None)
    yield _gauge("bascule_database_up", "1 if the database answered, else 0.", up)
    if found is None:
        return
    yield _gauge("bascule_machines", "Machines.", found.machines)
    guarded = _family(
        "bascule_guarded_machines", "Machines with an agent or a gateway, by what it does.", "state"
    )
    for state_of, is_silent in (("reporting", False), ("silent", True)):
        guarded.add_metric([state_of], found.guarded.get(is_silent, 0))
    yield guarded
    grants = _family("bascule_grants_current", "Grants that are not settled.", "state")
    for state in sorted(UNSETTLED):
        grants.add_metric([str(state)], found.grants.get(state, 0))
    yield grants
    yield _gauge(
        "bascule_states_behind",
        "States of machines that an agent or gateway has not reported as taken.",
        found.behind.states,
    )
    yield _gauge(
        "bascule_generations_behind_max",
        "Generations that the agent furthest behind has to take.",
        found.behind.generations,
    )
    ends = _family(
        "bascule_ending_left_seconds",
        "Seconds until the first secret or certificate of its kind ends, of those within 60 days.",
        "kind",
    )
    endings = found.endings or ()
    for what in Ends:
        first = min((each.ends_at for each in endings if each.what is what), default=None)
        if first is not None:
            ends.add_metric([what], (first - now) / _SECOND)
    yield ends
    backlog = found.backlog
    age = timedelta() if backlog.oldest is None else max(timedelta(), now - backlog.oldest)
    yield _gauge(
        "bascule_record_unsealed_events", "Events that are not in the chain yet.", backlog.events
    )
    yield _gauge(
        "bascule_record_unsealed_seconds", "Age of the oldest of them; 0: none.", age / _SECOND
    )
    behind = _family("bascule_sink_lag_events", "Events that a sink has not got.", "sink")
    late = _family("bascule_sink_lag_seconds", "Age of the oldest of them; 0: none.", "sink")
    delivers = _family("bascule_sink_active", "1 if the sink is sent to, else 0.", "sink")
    for each in found.sinks or ():
        behind.add_metric([each.sink.id], each.lag_events)
        late.add_metric([each.sink.id], each.lag / _SECOND)
        delivers.add_metric([each.sink.id], int(each.progress.state is SinkState.ACTIVE))
    yield from (behind, late, delivers)
    damaged = _family(
        "bascule_rows_damaged",
        "1 if a row of these cannot be read, so that their metrics are missing, else 0.",
        "rows",
    )
    for rows, counted in (("sinks", found.sinks), ("endings", found.endings)):
        damaged.add_metric([rows], int(counted is None))
    yield damaged


def _counted(events: Mapping[str, int]) -> Callable[[Mapping[str, str]], Mapping[str, int]]:
    return lambda sorts: {name: events.get(sort, 0) for name, sort in sorts.items()}


def _family(name: str, words: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=[label])


def _gauge(name: str, words: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label] if label else [])
    for name_of, value in values.items():
        family.add_metric([name_of] if label else [], value)
    return family
