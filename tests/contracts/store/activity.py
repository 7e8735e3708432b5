"""The activity log: by the events' own time, in the places that are asked for, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.chain import ChainHead, Checkpoint
from bascule.domain.event import Actor, Event
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import AccessDenied, GrantEnded
from bascule.domain.facts.kinds import sort_of
from bascule.domain.roles import Reach
from bascule.interfaces.activity import ActivityFilter, Moment
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    SUBSCRIPTION,
    a_policy_id,
    an_event,
    an_id,
    read,
    write,
)

DAY = timedelta(days=1)
DENIED = AccessDenied("p", ("no",))
EXPIRED = GrantEnded("g", "r", "m", "Expired", "time")
REVOKED = GrantEnded("g", "r", "m", "UserRequested", "somebody")
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/default"
ALL = ActivityFilter()


def _record(store: Store, *added: Event) -> None:
    for event in added:
        write(store, lambda tx: tx.record(event))


def _seal(store: Store) -> int:
    """All that is not sealed yet; the head's position."""

    def seal(tx: Transaction) -> int:
        position = tx.chain_head().position
        found = tx.unsealed()
        seals = [
            (sequence, ChainHead(position + n, f"{position + n:064d}"))
            for n, (sequence, _) in enumerate(found, 1)
        ]
        tx.add_seals(seals)
        return position + len(found)

    return write(store, seal)


def _ids(
    store: Store, wanted: ActivityFilter, after: Moment | None = None, limit: int = 100
) -> list[str]:
    return [event.id for _, event in read(store, lambda r: r.activity(wanted, after, limit))]


def _each(store: Store, wanted: ActivityFilter) -> Sequence[Event]:
    return [event for _, event in read(store, lambda r: r.activity(wanted, None, 10_000))]


def _day_of(at: datetime) -> datetime:
    return datetime(at.year, at.month, at.day, tzinfo=UTC)


def _varied(store: Store) -> None:
    """Forty events over ten days, about five places, by three people and the system."""
    facts: Sequence[Fact] = (DENIED, EXPIRED, REVOKED)
    for n in range(40):
        machine = an_id(f"web-{n % 3}", "default" if n % 2 else "other")
        event = an_event(
            f"e{n:02d}",
            "" if n % 11 == 0 else machine,
            NOW - 6 * n * HOUR,
            f"person-{n % 3}",
            facts[n % len(facts)],
        )
        if n % 7 == 0:
            event = replace(event, actor=Actor())
        _record(store, event)


FILTERS = [
    ALL,
    ActivityFilter(since=NOW - 5 * DAY),
    ActivityFilter(until=NOW - 5 * DAY),
    ActivityFilter(since=NOW - 7 * DAY, until=NOW - 2 * DAY),
    ActivityFilter(since=NOW - 8 * HOUR, until=NOW - HOUR),
    ActivityFilter(since=_day_of(NOW) - 3 * DAY, until=_day_of(NOW)),
    ActivityFilter(sorts=("AccessDenied",)),
    ActivityFilter(sorts=("GrantEnded.Expired", "GrantEnded.UserRequested")),
    ActivityFilter(sorts=("GrantEnded",)),
    ActivityFilter(principal_ids=("person-1",)),
    ActivityFilter(principal_ids=("person-1", "person-2"), since=NOW - 4 * DAY),
    ActivityFilter(principal_ids=("",)),
    ActivityFilter(principal_ids=("person-1",), sorts=("GrantEnded.Expired",)),
    ActivityFilter(resources=(an_id("web-1").key,)),
    ActivityFilter(resources=(an_id("web-1").key, an_id("web-1", "other").key)),
    ActivityFilter(resources=(an_id("web-1").key,), principal_ids=("person-1",)),
    ActivityFilter(resources=(GROUP,), since=NOW - 6 * DAY),
    ActivityFilter(resources=(GROUP, an_id("web-1").key)),
    ActivityFilter(resources=(f"/subscriptions/{SUBSCRIPTION}",)),
    ActivityFilter(within=Reach(frozenset({GROUP}))),
    ActivityFilter(within=Reach(frozenset({GROUP})), sorts=("AccessDenied",)),
    ActivityFilter(within=Reach(frozenset({an_id("web-2").key, an_id("web-0", "other").key}))),
    ActivityFilter(within=Reach(frozenset({GROUP})), principal_ids=("person-1",)),
    ActivityFilter(resources=(GROUP,), within=Reach(frozenset({an_id("web-1").key}))),
    ActivityFilter(resources=(an_id("web-1").key,), within=Reach(frozenset({GROUP}))),
    ActivityFilter(resources=(an_id("web-1", "other").key,), within=Reach(frozenset({GROUP}))),
    ActivityFilter(within=Reach(frozenset())),
]


def _is_below(key: str, place: str) -> bool:
    return key == place or key.startswith(f"{place}/")


def _fits(event: Event, wanted: ActivityFilter) -> bool:
    """The same in plain words."""
    key = event.resource_id.casefold()
    return (
        (not wanted.resources or any(_is_below(key, each) for each in wanted.resources))
        and (wanted.within is None or any(_is_below(key, each) for each in wanted.within.keys))
        and (not wanted.principal_ids or event.actor.principal_id in wanted.principal_ids)
        and (not wanted.sorts or sort_of(event.fact) in wanted.sorts)
        and (wanted.since is None or event.at >= wanted.since)
        and (wanted.until is None or event.at < wanted.until)
    )


class ActivityContract:
    def test_the_newest_is_first_by_its_time_not_by_its_number(self, store: Store) -> None:
        _record(
            store, an_event("new", at=NOW), an_event("old", at=NOW - HOUR), an_event("too", at=NOW)
        )
        assert _ids(store, ALL) == ["too", "new", "old"]

    @pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
    @pytest.mark.parametrize("how", ["unsealed", "half", "sealed"])
    def test_what_is_found_and_counted_is_what_fits(
        self, store: Store, wanted: ActivityFilter, how: str
    ) -> None:
        """Every way of reading against the plain words, and against each other."""
        if how == "half":
            _record(store, *(an_event(f"s{n}", an_id("web-1"), NOW - n * DAY) for n in range(9)))
        if how != "unsealed":
            _varied(store)
            _seal(store)
        if how == "half":
            _record(store, *(an_event(f"u{n}", an_id("web-2"), NOW - n * DAY) for n in range(9)))
        if how == "unsealed":
            _varied(store)
        fitting = [event for event in _each(store, ALL) if _fits(event, wanted)]
        assert [event.id for event in _each(store, wanted)] == [event.id for event in fitting]
        by_day = Counter((_day_of(event.at), sort_of(event.fact)) for event in fitting)
        assert read(store, lambda r: r.activity_by_day(wanted)) == by_day
        by_hour = Counter(
            (event.at.replace(minute=0, second=0, microsecond=0), sort_of(event.fact))
            for event in fitting
        )
        assert read(store, lambda r: r.activity_by_hour(wanted)) == by_hour

    @pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
    def test_pages_of_activity_meet(self, store: Store, wanted: ActivityFilter) -> None:
        _varied(store)
        _record(store, *(an_event(f"same{n}", an_id("web-1"), NOW) for n in range(5)))
        paged: list[Event] = []
        after: Moment | None = None
        for _ in range(60):
            page = read(store, lambda r: r.activity(wanted, after, 2))
            if not page:
                break
            paged += [event for _, event in page]
            after = (page[-1][1].at, page[-1][0])
        assert paged == list(_each(store, wanted))

    def test_a_name_that_begins_alike_is_another_place(self, store: Store) -> None:
        web = an_id("web")
        _record(
            store,
            an_event("web", web),
            an_event("below", f"{web}/extensions/x"),
            an_event("web-1", an_id("web-1")),
            an_event("web0", an_id("web0")),
        )
        assert _ids(store, ActivityFilter(resources=(f"{web}".upper(),))) == ["below", "web"]
        assert _ids(store, ActivityFilter(within=Reach(frozenset({web.key})))) == ["below", "web"]

    def test_what_is_about_no_resource_is_for_who_may_read_all(self, store: Store) -> None:
        _record(store, an_event("none"), an_event("some", an_id("web-1")))
        assert _ids(store, ALL) == ["some", "none"]
        everything = Reach(frozenset({f"/subscriptions/{SUBSCRIPTION}"}))
        assert _ids(store, ActivityFilter(within=everything)) == ["some"]

    def test_a_refusal_is_one_event_at_each_of_its_machines(self, store: Store) -> None:
        """EDGES E10: it is about a policy, and each machine's log has it."""
        web, db = an_id("web-1"), an_id("db-1", "other")
        both = AccessDenied("p", ("no",), (str(web).upper(), str(db)))
        policy = a_policy_id()
        _record(store, an_event("asked", policy, fact=both), an_event("own", web))
        for machine, found in ((web, ["own", "asked"]), (db, ["asked"]), (an_id("web"), [])):
            wanted = ActivityFilter(resources=(machine.key,))
            assert _ids(store, wanted) == found
            assert read(store, lambda r: r.activity_since(wanted, 0, 100)) == len(found)
            for count in ("activity_by_day", "activity_by_hour"):
                assert sum(read(store, lambda r: getattr(r, count)(wanted)).values()) == len(found)
            of_place = EventFilter(resource_id=machine.key)
            assert [e.id for _, e in read(store, lambda r: r.events(of_place))] == found
        two = ActivityFilter(resources=(web.key, db.key))
        assert _ids(store, two) == ["own", "asked"], "once"
        assert _ids(store, ActivityFilter(resources=(web.key, policy.key))) == ["own", "asked"]
        assert _ids(store, ActivityFilter(resources=(db.key,), principal_ids=("eve",))) == []
        _seal(store)
        assert write(store, lambda tx: tx.prune_record(2)) == 2
        assert _ids(store, two) == []

    def test_a_refusal_is_seen_by_who_may_see_all_of_its_machines(self, store: Store) -> None:
        """It names them all; what was left out of it, too, is more than one machine's."""
        web, db = an_id("web-1"), an_id("db-1", "other")
        at = a_policy_id(group="third")
        for name, fact in (
            ("one", AccessDenied("p", ("no",), (str(web),))),
            ("both", AccessDenied("p", ("no",), (str(web), str(db)))),
            ("more", AccessDenied("p", ("no",), (str(web),), 5)),
            ("call", CallerDenied("POST", "/x", "no", (str(web),))),
        ):
            _record(store, an_event(name, at, fact=fact))

        def seen(*keys: str, resources: tuple[str, ...] = ()) -> list[str]:
            return sorted(_ids(store, ActivityFilter(resources, within=Reach(frozenset(keys)))))

        assert seen(web.key) == ["call", "one"]
        assert seen(web.key, db.key) == ["both", "call", "one"]
        assert seen(db.key) == []
        assert seen(GROUP, resources=(web.key,)) == ["call", "one"]
        assert seen(GROUP, db.key, resources=(web.key,)) == ["both", "call", "one"]

    def test_what_was_written_since_is_counted_up_to_a_bound(self, store: Store) -> None:
        _varied(store)
        (newest, _), *_ = read(store, lambda r: r.activity(ALL, None, 1))
        last = max(n for n, _ in read(store, lambda r: r.activity(ALL, None, 100)))
        assert newest
        _record(store, *(an_event(f"n{n}", an_id("web-1"), NOW - n * DAY) for n in range(5)))
        assert read(store, lambda r: r.activity_since(ALL, last, 100)) == 5
        assert read(store, lambda r: r.activity_since(ALL, last, 3)) == 3
        for wanted in FILTERS:
            fitting = [e for e in _each(store, wanted) if e.id.startswith("n")]
            assert read(store, lambda r: r.activity_since(wanted, last, 100)) == len(fitting)

    def test_retention_takes_its_events_out_of_the_counts(self, store: Store) -> None:
        """The day that it cuts keeps what is left of it."""
        _record(
            store, *(an_event(f"e{n}", an_id("m"), NOW - (9 - n) * 6 * HOUR) for n in range(10))
        )
        _seal(store)
        head = ChainHead(6, f"{6:064d}")
        write(store, lambda tx: tx.add_checkpoint(Checkpoint(head, NOW, "key", "signature")))
        assert write(store, lambda tx: tx.prune_record(6)) == 6
        left = Counter((_day_of(event.at), sort_of(event.fact)) for event in _each(store, ALL))
        assert sum(left.values()) == 4
        for wanted in (ALL, ActivityFilter(resources=(GROUP,))):
            assert read(store, lambda r: r.activity_by_day(wanted)) == left
