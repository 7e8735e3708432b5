"""Audit events: every kind comes back as its type, in order, filtered, paged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts.agents import AgentCameBack
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import AccessDenied, GrantClosed, GrantEnded
from bascule.domain.facts.machines import MachineDeleted
from bascule.errors import Conflict
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    FACTS,
    HOUR,
    NOW,
    a_fact,
    an_event,
    an_id,
    read,
    write,
)


def _record(store: Store, *added: Event) -> None:
    for event in added:
        write(store, lambda tx: tx.record(event))


def _ids(store: Store, wanted: EventFilter, **how: Any) -> list[str]:  # reason: passed on
    return [event.id for _, event in read(store, lambda r: r.events(wanted, **how))]


class RecordContract:
    @pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
    def test_every_kind_of_fact_comes_back_as_its_type(
        self, store: Store, kind: type[Fact]
    ) -> None:
        event = an_event(fact=a_fact(kind), resource=an_id("Web-1"))
        _record(store, event)
        ((_, found),) = read(store, lambda r: r.events(EventFilter()))
        assert found == event
        assert type(found.fact) is kind
        assert found.record() == event.record(), "the chain covers these very values"

    def test_the_systems_own_events_have_no_principal_and_may_have_no_resource(
        self, store: Store
    ) -> None:
        event = replace(an_event(), actor=SYSTEM, resource_id="", correlation_id="")
        _record(store, event)
        assert [found for _, found in read(store, lambda r: r.events(EventFilter()))] == [event]

    def test_a_unit_of_work_reads_what_it_recorded(self, store: Store) -> None:
        """In the order in which it recorded it, a refusal with its machines too; and of what was
        undone nothing is kept.
        """
        refusal = AccessDenied("p", ("NotAllowed",), machines=(str(an_id("web-1")),))
        facts = (AgentCameBack("m"), refusal, MachineDeleted("m", "u"), AgentCameBack("m"))
        made = [replace(an_event(f"e{n}"), fact=each) for n, each in enumerate(facts)]

        def work(tx: Transaction) -> list[str]:
            for event in made:
                tx.record(event)
            return [event.id for _, event in tx.events(EventFilter())]

        def fails(tx: Transaction) -> None:
            work(tx)
            raise Conflict("no")

        with pytest.raises(Conflict):
            write(store, fails)
        assert write(store, work) == ["e3", "e2", "e1", "e0"]
        assert _ids(store, EventFilter()) == ["e3", "e2", "e1", "e0"]
        assert _ids(store, EventFilter(resource_id=str(an_id("web-1")), kinds=("AccessDenied",)))

    def test_numbers_grow_and_order_is_as_asked(self, store: Store) -> None:
        _record(store, *(an_event(f"e{n}", at=NOW - n * HOUR) for n in range(4)))
        newest = read(store, lambda r: r.events(EventFilter()))
        assert [event.id for _, event in newest] == ["e3", "e2", "e1", "e0"]
        numbers = [number for number, _ in newest]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == 4
        assert min(numbers) > 0, "0 means: from the beginning"
        assert _ids(store, EventFilter(), newest_first=False) == ["e0", "e1", "e2", "e3"]

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_pages_meet(self, store: Store, newest_first: bool) -> None:
        _record(store, *(an_event(f"e{n}") for n in range(5)))
        paged: list[tuple[int, Event]] = []
        while page := read(
            store,
            lambda r: r.events(EventFilter(), paged[-1][0] if paged else 0, 2, newest_first),
        ):
            paged.extend(page)
        ids = [event.id for _, event in paged]
        assert ids == [f"e{n}" for n in (range(4, -1, -1) if newest_first else range(5))]

    def test_a_resource_and_what_lies_below_it(self, store: Store) -> None:
        web, group = an_id("web"), "/subscriptions/s/resourceGroups/g"
        _record(
            store,
            an_event("web", web),
            an_event("below", f"{web}/extensions/x"),
            an_event("web-1", an_id("web-1")),
            an_event("web.1", an_id("web.1")),
            an_event("web0", an_id("web0")),
            an_event("none"),
        )
        assert _ids(store, EventFilter(resource_id=web.key)) == ["below", "web"]
        assert _ids(store, EventFilter(resource_id=f"{web}/".upper())) == ["below", "web"]
        assert _ids(store, EventFilter(resource_id=group)) == []
        scope = str(web).partition("/resourceGroups")[0].casefold()
        found = _ids(store, EventFilter(resource_id=scope))
        assert found == ["web0", "web.1", "web-1", "below", "web"]

    def test_a_resource_alone(self, store: Store) -> None:
        web = an_id("web")
        refusal = AccessDenied("p", ("NotAllowed",), machines=(str(web),))
        _record(
            store,
            an_event("web", web),
            an_event("below", f"{web}/extensions/x"),
            an_event("refused", an_id("p"), fact=refusal),
            an_event("later", web, NOW + HOUR),
        )
        alone = EventFilter(f"{web}/".upper(), is_exact=True)
        assert _ids(store, EventFilter(web.key)) == ["later", "refused", "below", "web"]
        assert _ids(store, alone) == ["later", "web"]
        assert _ids(store, replace(alone, since=NOW + HOUR)) == ["later"]
        paged, more = read(store, lambda r: r.events_page(replace(alone, caller="nobody"), 0, 9, 9))
        assert (paged, more) == ([], 0)

    def test_filters_are_joined(self, store: Store) -> None:
        denied = AccessDenied("p", ("no", "never"))
        ended = GrantEnded("g", "r", "m", "Expired", "time")
        _record(
            store,
            an_event("a", an_id("m"), NOW, "ada", denied),
            an_event("b", an_id("m"), NOW + HOUR, "bob", ended),
            an_event("c", an_id("n"), NOW + 2 * HOUR, "ada", GrantClosed("g", "r", "m", 0)),
        )
        assert _ids(store, EventFilter(kinds=("AccessDenied", "GrantClosed"))) == ["c", "a"]
        assert _ids(store, EventFilter(kinds=("Grant",))) == []
        assert _ids(store, EventFilter(since=NOW + HOUR)) == ["c", "b"], "inclusive"
        assert _ids(store, EventFilter(until=NOW + HOUR)) == ["a"], "exclusive"
        moment = timedelta(microseconds=1)
        assert _ids(store, EventFilter(since=NOW + moment, until=NOW + HOUR + moment)) == ["b"]
        assert _ids(store, EventFilter(principal_id="ada")) == ["c", "a"]
        assert _ids(store, EventFilter(an_id("m").key, principal_id="ada")) == ["a"]
        assert _ids(store, EventFilter(an_id("m").key, ("GrantEnded",), NOW, None, "ada")) == []

    def test_callers_and_correlations_are_found_without_regard_to_case(self, store: Store) -> None:
        _record(
            store,
            an_event("a"),
            replace(an_event("b"), actor=Actor("x-1", "Grace", "User"), correlation_id="C-9"),
        )
        assert _ids(store, EventFilter(caller="GRACE")) == ["b"]
        assert _ids(store, EventFilter(caller="X-1")) == ["b"]
        assert _ids(store, EventFilter(caller="Ada Lovelace")) == ["a"]
        assert _ids(store, EventFilter(caller="ace")) == []
        assert _ids(store, EventFilter(correlation_id="c-9")) == ["b"]
        assert _ids(store, EventFilter(caller="grace", correlation_id="correlation")) == []

    @pytest.mark.parametrize("most", [1, 2, 3, 4, 8, 9])
    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_a_search_looks_through_so_many_and_goes_on(
        self, store: Store, most: int, limit: int
    ) -> None:
        """Whoever asks for what is not there reads a bounded part of the record at a time."""
        grace = Actor("x-1", "Grace", "User")
        _record(
            store,
            *(
                replace(an_event(f"e{n}"), actor=grace) if n in (0, 4, 5) else an_event(f"e{n}")
                for n in range(8)
            ),
        )
        for wanted, there in (
            (EventFilter(caller="grace"), ["e5", "e4", "e0"]),
            (EventFilter(caller="x-1", kinds=("GrantCreated",)), ["e5", "e4", "e0"]),
            (EventFilter(caller="nobody"), []),
            (EventFilter(correlation_id="other"), []),
        ):
            ids: list[str] = []
            after, pages = 0, 0
            while pages == 0 or after:
                found, after = read(store, lambda r: r.events_page(wanted, after, limit, most))
                ids += [event.id for _, event in found]
                pages += 1
            assert ids == there
            if not there:
                assert pages == 8 // most + 1, "the last may be found to be empty"

    def test_what_an_index_finds_is_one_page(self, store: Store) -> None:
        _record(store, *(an_event(f"e{n}") for n in range(5)))
        found, beyond = read(store, lambda r: r.events_page(EventFilter(), 0, 3, 1))
        assert ([event.id for _, event in found], beyond) == (["e4", "e3", "e2"], found[-1][0])
        found, beyond = read(store, lambda r: r.events_page(EventFilter(), beyond, 3, 1))
        assert ([event.id for _, event in found], beyond) == (["e1", "e0"], 0)

    def test_events_outlive_what_they_are_about(self, store: Store) -> None:
        _record(store, an_event("gone", an_id("web-1"), fact=MachineDeleted("web-1", "uid-web-1")))
        write(store, lambda tx: tx.delete_machine("uid-web-1"))
        _record(store, an_event("back", fact=AgentCameBack("web-1")))
        assert _ids(store, EventFilter()) == ["back", "gone"]
