"""The history of what was kept shut and who was let in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.exposure import HourStep, KeptSpan, Opening, SpanKind
from bascule.domain.facts.agents import DriftHealed, NotesWithheld
from bascule.domain.machine import ClosedPort, EnforcementPoint
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.interfaces.exposure import ExposureFilter, KnownMachine
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    SOURCES,
    SUBSCRIPTION,
    a_machine,
    an_event,
    an_id,
    read,
    write,
)

SSH = PortKey(TransportProtocol.TCP, 22)
DNS = PortKey(TransportProtocol.UDP, 53)
WEB = KnownMachine(an_id("web-1"), "uid-web-1")
DB = KnownMachine(an_id("db-1", "other"), "uid-db-1")
SHUT, OPEN, BARE = SpanKind.CLOSED, SpanKind.OPEN, SpanKind.BARE
DAY = timedelta(days=1)
NEXT = timedelta(microseconds=1)


def an_opening(name: str = "grant-1", **changes: object) -> Opening:
    made = Opening(name, (SSH, DNS), SOURCES, "ada", "Ada Lovelace", "request-1", NOW, NOW + HOUR)
    return replace(made, **changes)  # type: ignore[arg-type]  # reason: passed through


class ExposureContract:
    def test_what_is_so_now_begins_is_bounded_and_ends(self, store: Store) -> None:
        shut = KeptSpan(SHUT, SSH, NOW)
        opened = KeptSpan(OPEN, SSH, NOW, ends_by=NOW + HOUR)
        bare = KeptSpan(BARE, None, NOW)
        for machine, span in ((WEB, shut), (WEB, opened), (DB, bare)):
            write(store, lambda tx: tx.begin(machine, span))
        assert read(store, lambda r: r.current_spans(WEB.uid)) == [shut, opened]
        write(store, lambda tx: tx.bound_span(WEB.uid, opened.place, NOW + 2 * HOUR))
        assert read(store, lambda r: r.next_overdue()) == NOW + 2 * HOUR
        assert read(store, lambda r: r.overdue_spans(NOW + 2 * HOUR - NEXT)) == []
        later = replace(opened, ends_by=NOW + 2 * HOUR)
        assert read(store, lambda r: r.overdue_spans(NOW + 2 * HOUR)) == [(WEB, later)]
        write(store, lambda tx: tx.end_span(WEB.uid, opened.place, NOW + HOUR))
        assert read(store, lambda r: r.next_overdue()) is None
        assert read(store, lambda r: r.current_spans(WEB.uid)) == [shut]
        assert read(store, lambda r: r.current_spans(DB.uid)) == [bare]

    def test_what_an_agent_told_of_a_machine_is_counted_up_to_a_bound(self, store: Store) -> None:
        early, late = NOW - HOUR, NOW + HOUR
        for at in (early, NOW, late):
            for kind, port in ((SHUT, SSH), (BARE, None), (OPEN, SSH)):
                span = KeptSpan(kind, port, at)
                write(store, lambda tx: tx.begin(WEB, span))
                write(store, lambda tx: tx.end_span(WEB.uid, span.place, late + HOUR))
            by_root = an_opening(f"local-{at}", opened_at=at, request_id="", requestor_id="")
            granted = an_opening(f"grant-{at}", opened_at=at)
            write(store, lambda tx: tx.begin(WEB, by_root))
            write(store, lambda tx: tx.begin(WEB, granted))
        counted = [
            read(store, lambda r: r.count_told(WEB, since, most))
            for since, most in (
                (early, 100),
                (NOW, 100),
                (late + NEXT, 100),
                (early, 5),
                (early, 1),
            )
        ]
        assert counted == [9, 6, 0, 5, 1]
        assert read(store, lambda r: r.count_told(DB, early, 100)) == 0
        healed, withheld = DriftHealed("web-1", "x"), NotesWithheld("web-1", 1)
        write(store, lambda tx: tx.record(an_event("e-1", WEB.id, fact=healed)))
        write(store, lambda tx: tx.record(an_event("e-2", WEB.id, fact=withheld)))
        for machine, since, count in ((WEB, NOW, 7), (WEB, NOW + NEXT, 3), (DB, NOW, 0)):
            assert (
                read(store, lambda r: r.count_told(machine, since, 100, ["DriftHealed"])) == count
            )
        teller = an_event("e-1", WEB.id, fact=healed).actor.principal_id
        for by, count in ((teller, 1), ("somebody-else", 0)):
            assert read(store, lambda r: r.count_told(WEB, NOW, 100, ["DriftHealed"], by)) == count

    def test_an_opening_is_one_until_it_is_shut(self, store: Store) -> None:
        first, second = an_opening(), an_opening("local-1", ends_by=None, request_id="")
        for each in (first, second):
            write(store, lambda tx: tx.begin(WEB, each))
        assert read(store, lambda r: r.current_openings(WEB.uid)) == [first, second]
        longer = replace(first, ends_by=NOW + 3 * HOUR)
        write(store, lambda tx: tx.move_opening_end(WEB.uid, first.id, NOW + 3 * HOUR))
        assert read(store, lambda r: r.current_openings(WEB.uid))[0] == longer
        assert write(store, lambda tx: tx.end_opening(WEB.uid, first.id, NOW + HOUR))
        assert not write(store, lambda tx: tx.end_opening(WEB.uid, first.id, NOW + 2 * HOUR))
        assert not write(store, lambda tx: tx.end_opening(DB.uid, second.id, NOW + HOUR))
        assert read(store, lambda r: r.current_openings(WEB.uid)) == [second]
        shut = replace(longer, closed_at=NOW + HOUR)
        for at, wanted in (
            (NOW - NEXT, []),
            (NOW, [shut, second]),
            (NOW + HOUR - NEXT, [shut, second]),
            (NOW + HOUR, [second]),
        ):
            found = read(store, lambda r: r.openings_at([WEB.uid, DB.uid], at))
            assert list(found.get(WEB.uid, [])) == wanted
            assert DB.uid not in found

    def test_one_that_lasted_for_days_is_found_in_the_middle(self, store: Store) -> None:
        write(store, lambda tx: tx.begin(WEB, an_opening()))
        write(store, lambda tx: tx.end_opening(WEB.uid, "grant-1", NOW + 5 * DAY))
        for days, wanted in ((0.5, 1), (2.5, 1), (4.9, 1), (5, 0)):
            at = NOW + days * DAY
            assert len(read(store, lambda r: r.openings_at([WEB.uid], at))) == wanted
            found = read(store, lambda r: r.exposed_machines(ExposureFilter(at, only=OPEN)))
            assert found == [WEB] * wanted

    def test_of_now_nothing_that_was_shut_is_looked_for(self, store: Store) -> None:
        for name in ("shut", "open"):
            write(store, lambda tx: tx.begin(WEB, an_opening(name)))
        write(store, lambda tx: tx.end_opening(WEB.uid, "shut", NOW + HOUR))
        for is_now, wanted in ((True, ["open"]), (False, ["shut", "open"])):
            found = read(store, lambda r: r.openings_at([WEB.uid], NOW, is_now=is_now))
            assert [each.id for each in found[WEB.uid]] == wanted
            moment = ExposureFilter(NOW, is_now, OPEN)
            assert read(store, lambda r: r.exposed_machines(moment)) == [WEB]

    def test_a_page_of_several_scopes_is_in_order(self, store: Store) -> None:
        names = [("c-1", "one"), ("a-1", "two"), ("b-1", "three"), ("d-1", "one")]
        machines = [KnownMachine(an_id(name, group), name) for name, group in names]
        for machine in machines:
            write(store, lambda tx: tx.begin(machine, KeptSpan(BARE, None, NOW)))
        one, two = (group_scope(SUBSCRIPTION, name).key for name in ("one", "two"))
        within = Reach(frozenset({one, two, machines[2].id.key}))
        wanted = ExposureFilter(NOW, within=within)
        whole = [each.uid for each in read(store, lambda r: r.exposed_machines(wanted))]
        assert whole == ["c-1", "d-1", "b-1", "a-1"]
        for limit in (1, 2, 3):
            page = read(store, lambda r: r.exposed_machines(wanted, limit=limit))
            assert [each.uid for each in page] == whole[:limit]

    def test_machines_are_those_of_the_moment_deleted_ones_too(self, store: Store) -> None:
        old = KnownMachine(WEB.id, "uid-old")

        def plant(tx: Transaction) -> None:
            tx.begin(old, KeptSpan(BARE, None, NOW, NOW + HOUR))
            tx.begin(WEB, KeptSpan(BARE, None, NOW + HOUR, NOW + 2 * HOUR))
            for port in (SSH, DNS):
                tx.begin(WEB, KeptSpan(SHUT, port, NOW + 2 * HOUR))
            tx.begin(DB, KeptSpan(BARE, None, NOW))
            tx.begin(WEB, an_opening(opened_at=NOW + 3 * HOUR))

        write(store, plant)

        def names(hours: float, only: SpanKind | None = None, *keys: str) -> list[str]:
            within = Reach(frozenset(keys)) if keys else None
            wanted = ExposureFilter(NOW + hours * HOUR, only=only, within=within)
            whole = read(store, lambda r: r.exposed_machines(wanted))
            pages = read(store, lambda r: r.exposed_machines(wanted, limit=1))
            while pages and (
                more := read(store, lambda r: r.exposed_machines(wanted, pages[-1].id.key, 1))
            ):
                pages = [*pages, *more]
            assert pages == whole
            return [each.uid for each in whole]

        assert names(-1) == []
        assert names(0.5) == [old.uid, DB.uid]
        assert names(1) == [WEB.uid, DB.uid]
        assert names(1, BARE) == [WEB.uid, DB.uid]
        assert names(2.5) == [WEB.uid, DB.uid]
        assert names(2.5, BARE) == [DB.uid]
        assert names(2.5, OPEN) == []
        assert names(3, OPEN) == [WEB.uid]
        assert names(3, None, group_scope(SUBSCRIPTION, "OTHER").key) == [DB.uid]
        assert names(3, None, WEB.id.key) == [WEB.uid]
        assert names(3, OPEN, DB.id.key) == []
        assert names(3, OPEN, subscription_scope(SUBSCRIPTION).key) == [WEB.uid]
        assert names(3, OPEN, group_scope(SUBSCRIPTION, "oth").key) == []

    def test_who_is_let_in_and_which_points_are_silent_is_counted(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            for name, group in (("web-1", "default"), ("db-1", "other"), ("old-1", "other")):
                tx.put_machine(a_machine(name, group=group))
                if name != "old-1":
                    tx.put_enforcement_point(
                        EnforcementPoint(f"uid-{name}", "key", NOW, last_contact_at=NOW)
                    )
            tx.mark_silent([DB.uid])
            tx.begin(WEB, an_opening("one"))
            tx.begin(WEB, an_opening("two"))
            tx.begin(DB, an_opening("three"))
            tx.end_opening(DB.uid, "three", NOW)

        write(store, plant)
        other = Reach(frozenset({group_scope(SUBSCRIPTION, "other").key}))
        for within, let_in, points in (
            (None, (2, 1), (2, 1)),
            (other, (0, 0), (1, 1)),
            (Reach(frozenset({WEB.id.key})), (2, 1), (1, 0)),
            (Reach(frozenset()), (0, 0), (0, 0)),
        ):
            assert read(store, lambda r: r.count_let_in(within, NOW)) == let_in
            assert read(store, lambda r: r.count_points(within)) == points
        late = an_opening("late", ends_by=NOW)
        write(store, lambda tx: tx.begin(DB, late))
        for seconds, count in ((59, 1), (60, 0)):  # EDGES E9: its point is silent
            later = NOW + timedelta(seconds=seconds)
            assert read(store, lambda r: r.count_let_in(other, later)) == (
                count,
                count,
            )  # reason: read at once
        never_heard = EnforcementPoint("uid-old-1", "key", NOW)
        write(store, lambda tx: tx.put_enforcement_point(never_heard))
        assert read(store, lambda r: r.count_points(None)) == (3, 2), "silent, once"

    def test_spans_are_told_up_to_a_moment_and_within_a_time(self, store: Store) -> None:
        ended = KeptSpan(SHUT, SSH, NOW, NOW + HOUR)
        again = KeptSpan(SHUT, SSH, NOW + 2 * HOUR)
        opened = KeptSpan(OPEN, SSH, NOW + 2 * HOUR, NOW + 3 * HOUR)
        for span in (ended, again, opened, KeptSpan(BARE, None, NOW + HOUR, NOW + 2 * HOUR)):
            write(store, lambda tx: tx.begin(WEB, span))
        uids = [WEB.uid, DB.uid]
        assert read(store, lambda r: r.closed_spans(uids, NOW - NEXT)) == {}
        assert read(store, lambda r: r.closed_spans(uids, NOW + HOUR)) == {WEB.uid: [ended]}
        assert read(store, lambda r: r.closed_spans(uids, NOW + DAY)) == {WEB.uid: [ended, again]}

        def between(begin: float, end: float) -> set[KeptSpan]:
            since, until = NOW + begin * HOUR, NOW + end * HOUR
            found = read(store, lambda r: r.spans_between([WEB.id.key], since, until))
            return set(found.get(WEB.uid, []))

        assert between(0, 1) == {ended}
        assert between(1, 2) == set(), "over at its end, begun at its beginning"
        assert between(2.5, 9) == {again, opened}
        assert between(3, 9) == {again}
        assert between(0, 9) == {ended, again, opened}
        found = read(store, lambda r: r.spans_between([DB.id.key], NOW, NOW + DAY))
        assert found == {}

    def test_what_is_to_be_shut_is_told_beside_what_is(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        for port in (SSH, DNS):
            write(store, lambda tx: tx.put_closed_port(WEB.uid, ClosedPort(port)))
        write(store, lambda tx: tx.release_port(WEB.uid, DNS, 1))
        found = read(store, lambda r: r.wanted_ports([WEB.uid, DB.uid]))
        assert found == {WEB.uid: frozenset({SSH})}

    def test_steps_add_up_by_scope_kind_and_hour(self, store: Store) -> None:
        scope, other = group_scope(SUBSCRIPTION, "one").key, group_scope(SUBSCRIPTION, "two").key
        one, two = HourStep(NOW, 2, HOUR / 2), HourStep(NOW + HOUR, -1, -HOUR / 4)
        write(store, lambda tx: tx.add_steps([scope], {SHUT: [one, two]}))
        write(store, lambda tx: tx.add_steps([scope], {SHUT: [replace(one, change=-1)]}))
        write(store, lambda tx: tx.add_steps([scope], {OPEN: [two]}))
        write(store, lambda tx: tx.add_steps([other], {SHUT: [one]}))
        write(store, lambda tx: tx.add_steps([scope, other], {}))
        assert read(store, lambda r: r.exposure_counts([scope])) == {SHUT: 0, OPEN: -1}
        assert read(store, lambda r: r.exposure_counts([scope, other])) == {SHUT: 2, OPEN: -1}
        assert read(store, lambda r: r.exposure_counts([""])) == {}
        assert read(store, lambda r: r.exposure_counts([])) == {}
        late = NOW + 2 * HOUR
        steps = read(store, lambda r: r.exposure_steps([scope], NOW, late))
        assert steps == {SHUT: [HourStep(NOW, 1, HOUR), two], OPEN: [two]}
        assert {type(each.change) for each in steps[SHUT]} == {int}, "times are multiplied by it"
        later = read(store, lambda r: r.exposure_steps([scope], NOW + HOUR, late))
        assert later[SHUT] == [two]
        earlier = read(store, lambda r: r.exposure_steps([scope], NOW, NOW + HOUR))
        assert earlier == {SHUT: [HourStep(NOW, 1, HOUR)], OPEN: []}
        both = read(store, lambda r: r.exposure_steps([scope, other], NOW, late))[SHUT]
        assert both == [HourStep(NOW, 3, 1.5 * HOUR), two]
        changes = read(store, lambda r: r.exposure_changes([scope, other], NOW + HOUR))
        assert changes == {SHUT: -1, OPEN: -1}
        assert {type(each) for each in changes.values()} == {int}
        assert read(store, lambda r: r.exposure_changes([other], NOW)) == {SHUT: 2}

    def test_what_is_so_of_single_machines_is_counted(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        for machine, span in (
            (WEB, KeptSpan(SHUT, SSH, NOW)),
            (WEB, KeptSpan(SHUT, DNS, NOW)),
            (WEB, KeptSpan(BARE, None, NOW, NOW)),
            (DB, KeptSpan(BARE, None, NOW)),
        ):
            write(store, lambda tx: tx.begin(machine, span))
        counted = read(store, lambda r: r.count_current([WEB.id.key]))
        assert {kind: n for kind, n in counted.items() if n} == {SHUT: 2, SpanKind.KNOWN: 1}
        both = read(store, lambda r: r.count_current([WEB.id.key, DB.id.key]))
        assert both[BARE] == 1
        assert read(store, lambda r: r.count_current([])) == {}

    def test_what_ended_before_an_hour_is_forgotten(self, store: Store) -> None:
        begun = NOW - 2 * DAY
        assert read(store, lambda r: r.exposure_since()) is None
        write(store, lambda tx: tx.create_installation(Installation("t", SUBSCRIPTION, "l", begun)))
        assert read(store, lambda r: r.exposure_since()) == begun
        whole = NOW.replace(minute=0, second=0, microsecond=0)
        scope = subscription_scope(SUBSCRIPTION).key

        def plant(tx: Transaction) -> None:
            tx.begin(WEB, KeptSpan(BARE, None, begun, whole - NEXT))
            tx.begin(WEB, KeptSpan(SHUT, SSH, begun, whole))
            tx.begin(WEB, an_opening("old", opened_at=begun))
            tx.end_opening(WEB.uid, "old", whole - NEXT)
            tx.begin(WEB, an_opening("open", opened_at=begun))
            steps = [HourStep(whole - HOUR, 3, HOUR), HourStep(whole, 1, HOUR)]
            tx.add_steps([scope], {SHUT: steps})

        write(store, plant)
        write(store, lambda tx: tx.prune_exposure(NOW))
        assert read(store, lambda r: r.exposure_since()) == whole
        before = ExposureFilter(whole - HOUR)
        assert read(store, lambda r: r.exposed_machines(before)) == [WEB], (
            "by the span that is kept"
        )
        assert read(store, lambda r: r.exposed_machines(replace(before, only=BARE))) == []
        left = read(store, lambda r: r.openings_at([WEB.uid], whole - HOUR))[WEB.uid]
        assert [each.id for each in left] == ["open"]
        assert read(store, lambda r: r.exposure_counts([scope])) == {SHUT: 4}
        kept = read(store, lambda r: r.exposure_steps([scope], begun, NOW))
        assert kept == {SHUT: [HourStep(whole, 1, HOUR)], OPEN: []}
        write(store, lambda tx: tx.prune_exposure(begun))
        assert read(store, lambda r: r.exposure_since()) == whole, "it never goes back"
