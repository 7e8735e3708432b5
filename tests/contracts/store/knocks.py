"""Blocked attempts by scope and hour: bounded by name, whole in number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bascule.domain.knocks import HOUR, MOST_ATTEMPTS, OTHERS, Knocker, Knocks, hour_of
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.store import Store
from tests.contracts.store.samples import NOW, a_machine, read, write

SSH = PortKey(TransportProtocol.TCP, 22)
DNS = PortKey(TransportProtocol.UDP, 53)
NOON = hour_of(NOW)
MOMENT = timedelta(seconds=1)


def knocks(source: str, attempts: int = 1, port: PortKey = SSH, at: datetime = NOW) -> Knocks:
    return Knocks(source, port, attempts, at)


def others(attempts: int, at: datetime = NOW) -> Knocks:
    return Knocks(OTHERS, None, attempts, at)


def add(
    store: Store, *told: Knocks, scope: str = "uid-1", hour: datetime = NOON, most: int = 10
) -> Sequence[Knocks]:
    return write(store, lambda tx: tx.add_knocks(scope, hour, told, most))


class KnockContract:
    def test_attempts_are_counted_by_hour_and_by_source(self, store: Store) -> None:
        add(store, knocks("192.0.2.7", 2), knocks("2001:db8::7", 3, DNS), others(4))
        add(store, knocks("192.0.2.7", 5, at=NOW + MOMENT), knocks("192.0.2.7", 1, DNS))
        add(store, knocks("192.0.2.7", 7, at=NOW - HOUR), hour=NOON - HOUR)
        add(store, knocks("192.0.2.7", 100), scope="uid-2")
        counted = read(store, lambda r: r.knock_hours(["uid-1"], NOON - HOUR))
        assert counted == [(NOON - HOUR, 7), (NOON, 15)]
        assert read(store, lambda r: r.knockers(["uid-1"], NOON - HOUR, 9)) == [
            Knocker("192.0.2.7", 15, NOW + MOMENT, (SSH, DNS)),
            Knocker("2001:db8::7", 3, NOW, (DNS,)),
        ]

    def test_only_what_is_asked_for_is_counted(self, store: Store) -> None:
        for back in range(3):
            at = NOW - back * HOUR
            add(store, knocks("192.0.2.7", 1, at=at), others(1, at), hour=NOON - back * HOUR)
        add(store, knocks("192.0.2.8", 9), knocks("192.0.2.9", 9))
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON)) == [(NOON, 20)]
        one = read(store, lambda r: r.knock_hours(["uid-1"], NOON - HOUR, "192.0.2.7"))
        assert one == [(NOON - HOUR, 1), (NOON, 1)]
        first = read(store, lambda r: r.knockers(["uid-1"], NOON, 2))
        assert [each.source for each in first] == ["192.0.2.8", "192.0.2.9"]
        (alone,) = read(store, lambda r: r.knockers(["uid-1"], NOON - 2 * HOUR, 2, "192.0.2.7"))
        assert alone == Knocker("192.0.2.7", 3, NOW, (SSH,))
        assert read(store, lambda r: r.knockers(["uid"], NOON, 9)) == []
        assert read(store, lambda r: r.knockers([], NOON, 9)) == []
        assert read(store, lambda r: r.knock_hours([], NOON)) == []

    def test_several_scopes_are_added_up(self, store: Store) -> None:
        """So many that they do not fit into one statement, too."""
        scopes = [f"uid-{number}" for number in range(600)]
        for scope in (scopes[0], scopes[1], scopes[-1]):
            add(store, knocks("192.0.2.7", 2), knocks("192.0.2.8", 1, DNS), scope=scope)
        for asked, times in ((scopes, 3), (scopes[:2], 2)):
            assert read(store, lambda r: r.knock_hours(asked, NOON)) == [(NOON, 3 * times)]
            assert read(store, lambda r: r.knockers(asked, NOON, 5)) == [
                Knocker("192.0.2.7", 2 * times, NOW, (SSH,)),
                Knocker("192.0.2.8", times, NOW, (DNS,)),
            ]

    def test_beyond_so_many_by_name_the_rest_is_others(self, store: Store) -> None:
        """Nobody who makes addresses up fills a disk, and no attempt is lost."""
        told = [knocks(f"192.0.2.{each}", 2) for each in range(4)]
        assert add(store, *told, most=3) == [*told[:3], others(2)]
        assert add(store, *reversed(told), others(1), most=3) == [
            *reversed(told[:3]),
            others(3),
        ]
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON)) == [(NOON, 17)]
        named = read(store, lambda r: r.knockers(["uid-1"], NOON, 9))
        assert [(each.source, each.attempts) for each in named] == [
            (f"192.0.2.{each}", 4) for each in range(3)
        ]
        next_hour = knocks("192.0.2.99", 1, at=NOW + HOUR)
        assert add(store, next_hour, hour=NOON + HOUR, most=3) == [next_hour], "a new hour"

    def test_what_has_its_rows_is_added_in_several_scopes_or_in_none(self, store: Store) -> None:
        told = (knocks("192.0.2.7", 2), knocks("192.0.2.8", 1, DNS), others(3))
        again = (knocks("192.0.2.7", 4, at=NOW + MOMENT), *told[1:])
        add(store, *told)
        add(store, *told[:2], scope="group")
        for scopes, counts in (
            (("uid-1",), True),
            (("uid-1", "group"), False),
            (("uid-2",), False),
            ((), False),
        ):
            found = write(store, lambda tx: tx.add_known_knocks(scopes, NOON, again))
            assert found is counts
        assert not write(store, lambda tx: tx.add_known_knocks(("uid-1",), NOON + HOUR, again))
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON)) == [(NOON, 14)]
        assert read(store, lambda r: r.knock_hours(["group", "uid-2"], NOON)) == [(NOON, 3)]
        add(store, others(3), scope="group")
        both = ("uid-1", "group")
        assert write(store, lambda tx: tx.add_known_knocks(both, NOON, again))
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON)) == [(NOON, 22)]
        assert read(store, lambda r: r.knock_hours(["group"], NOON)) == [(NOON, 14)]
        assert read(store, lambda r: r.knockers(["group"], NOON, 9)) == [
            Knocker("192.0.2.7", 6, NOW + MOMENT, (SSH,)),
            Knocker("192.0.2.8", 2, NOW, (DNS,)),
        ]

    def test_a_count_ends_at_its_largest(self, store: Store) -> None:
        huge = knocks("192.0.2.7", MOST_ATTEMPTS)
        for _ in range(2):
            add(store, huge, others(MOST_ATTEMPTS), others(MOST_ATTEMPTS))
        (named,) = read(store, lambda r: r.knockers(["uid-1"], NOON, 9))
        assert named.attempts == MOST_ATTEMPTS
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON)) == [(NOON, 6 * MOST_ATTEMPTS)]

    def test_the_sum_of_an_hour_has_an_end_too(self, store: Store) -> None:
        """However many agents lie about however many attempts."""
        most = 10**15
        for _ in range(2):
            add(store, knocks("192.0.2.7", MOST_ATTEMPTS), others(most))
        add(store, hour=NOON - HOUR)
        assert read(store, lambda r: r.knock_hours(["uid-1"], NOON - HOUR)) == [(NOON, most)]

    def test_when_a_source_was_last_seen(self, store: Store) -> None:
        earlier, later = NOW - HOUR, NOW
        add(store, knocks("192.0.2.7", at=earlier), hour=NOON - HOUR)
        add(store, knocks("192.0.2.7", at=later), knocks("192.0.2.7", port=DNS, at=NOON))
        add(store, knocks("192.0.2.8", at=later), others(3))

        def last(source: str, since: datetime, scope: str = "uid-1") -> datetime | None:
            return read(store, lambda r: r.last_knock(scope, source, since))

        assert last("192.0.2.7", earlier) == later
        assert last("192.0.2.7", later) == later
        assert last("192.0.2.7", later + MOMENT) is None
        assert last("192.0.2.9", earlier) is None
        assert last("192.0.2.7", earlier, "uid-2") is None

    def test_a_port_that_is_open_by_now_is_no_reason(self, store: Store) -> None:
        add(store, knocks("192.0.2.7", at=NOW), knocks("192.0.2.7", port=DNS, at=NOON))

        def last(*beside: PortKey) -> datetime | None:
            return read(store, lambda r: r.last_knock("uid-1", "192.0.2.7", NOON - HOUR, beside))

        assert last() == NOW
        assert last(SSH) == NOON
        assert last(DNS) == NOW
        assert last(SSH, DNS) is None

    def test_a_later_report_of_something_earlier_does_not_set_the_time_back(
        self, store: Store
    ) -> None:
        add(store, knocks("192.0.2.7", at=NOW))
        add(store, knocks("192.0.2.7", at=NOON))
        (found,) = read(store, lambda r: r.knockers(["uid-1"], NOON, 1))
        assert found.last_at == NOW

    def test_a_machines_attempts_go_with_it(self, store: Store) -> None:
        for name in ("web-1", "db-1"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            add(store, knocks("192.0.2.7"), scope=f"uid-{name}")
        write(store, lambda tx: tx.delete_machine("uid-web-1"))
        assert read(store, lambda r: r.knock_hours(["uid-web-1"], NOON)) == []
        assert read(store, lambda r: r.knock_hours(["uid-db-1"], NOON)) == [(NOON, 1)]

    def test_what_is_old_is_forgotten_an_hour_at_a_time(self, store: Store) -> None:
        for scope in ("a", "b", "c"):
            add(store, knocks("192.0.2.7"), knocks("192.0.2.8"), scope=scope)
        add(store, knocks("192.0.2.7"), scope="a", hour=NOON + HOUR)

        def forget(before: datetime) -> int:
            return write(store, lambda tx: tx.forget_knocks(before, 2))

        assert forget(NOON) == 0, "an hour that begins then is kept"
        assert [forget(NOON + HOUR) for _ in range(3)] == [4, 2, 0]
        assert read(store, lambda r: r.knock_hours(["a", "b", "c"], NOON)) == [(NOON + HOUR, 1)]
        assert forget(NOON + 2 * HOUR) == 1
