"""Enforcement points and the tokens that enrol them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.bindings import Binding, together
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.classify import ALL_TRAITS
from bascule.domain.machine import ClosedPort, EnforcementPoint, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import Conflict
from bascule.interfaces.listing import ListFilter
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Store
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    a_machine,
    a_point,
    an_enrolment,
    read,
    write,
)
from tests.samples import SSH


class FleetContract:
    def test_a_point_comes_back_as_it_was_put(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        silent = EnforcementPoint("uid-web-1", "key", NOW)
        for point in (silent, a_point(), silent):
            write(store, lambda tx: tx.put_enforcement_point(point))
            assert read(store, lambda r: r.enforcement_point("uid-web-1")) == point
        assert read(store, lambda r: r.enforcement_point("uid-web")) is None

    def test_a_guard_comes_back_as_it_was_told(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        networks = (AddressPrefix.parse("10.1.0.0/16"), AddressPrefix.parse("fd01::/16"))
        public = ip_address("198.51.100.7"), ip_address("2001:db8::7")
        gateway = Guard(forwarding=Forwarding(networks, public, 20_000, 20_999))
        whole = replace(
            gateway,
            ports=(SSH,),
            sources=networks,
            max_duration=timedelta(hours=2),
            may_release=False,
            problem="no TOML",
        )
        for guard in (gateway, whole, Guard(forwarding=Forwarding()), Guard(), None):
            point = replace(a_point(), guard=guard)
            write(store, lambda tx: tx.put_enforcement_point(point))
            assert read(store, lambda r: r.enforcement_point("uid-web-1")) == point

    def test_points_are_listed_by_machine_uid(self, store: Store) -> None:
        for name in ("b", "c", "a"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            write(store, lambda tx: tx.put_enforcement_point(a_point(f"uid-{name}")))
        write(store, lambda tx: tx.delete_enforcement_point("uid-b"))
        write(store, lambda tx: tx.delete_enforcement_point("uid-none"))
        points = read(store, lambda r: r.enforcement_points())
        assert [point.machine_uid for point in points] == ["uid-a", "uid-c"]
        assert list(read(store, lambda r: r.enforcement_points("uid-a", 5))) == [points[1]]
        assert list(read(store, lambda r: r.enforcement_points(limit=1))) == [points[0]]
        assert read(store, lambda r: r.machine_by_uid("uid-b")) is not None, "the machine stays"

    def test_points_last_heard_in_a_time(self, store: Store) -> None:
        for name, heard in (("a", NOW), ("b", NOW - HOUR), ("c", None)):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            point = EnforcementPoint(f"uid-{name}", "key", NOW, last_contact_at=heard)
            write(store, lambda tx: tx.put_enforcement_point(point))
        for since, until, wanted in (
            (None, NOW - HOUR, []),
            (None, NOW, ["uid-b"]),
            (None, NOW + HOUR, ["uid-a", "uid-b"]),
            (NOW - HOUR, NOW, ["uid-b"]),
            (NOW, NOW + HOUR, ["uid-a"]),
            (NOW + HOUR, NOW, []),
        ):
            found = read(store, lambda r: r.points_last_heard(since, until))
            assert [point.machine_uid for point in found] == wanted

    def test_a_contact_counts_for_bound_machines_that_it_names(self, store: Store) -> None:
        for name in ("gate", "a", "b"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        gate = EnforcementPoint("uid-gate", "key", NOW, last_contact_at=NOW)
        write(store, lambda tx: tx.put_enforcement_point(gate))
        for name in ("a", "b"):
            bound = Binding(f"uid-{name}", "uid-gate", NOW - HOUR, reported_at=NOW)
            write(store, lambda tx: tx.put_binding(bound))
        later = NOW + timedelta(seconds=9)
        for key, heard in (("stolen", NOW), ("key", later)):
            contact = Contact("uid-gate", key, later, frozenset({"uid-a", "uid-gate"}))
            write(store, lambda tx: tx.put_contacts([contact], later, timedelta(seconds=30)))
            bound_to = read(store, lambda r: r.bound_to("uid-gate"))
            assert [each.reported_at for each in bound_to] == [heard, NOW]

    @pytest.mark.parametrize("is_silent", [False, True])
    def test_the_first_contact_counts_if_it_is_later_than_the_binding(
        self, store: Store, is_silent: bool
    ) -> None:
        for name in ("gate", "a"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        gate = EnforcementPoint("uid-gate", "key", NOW, last_contact_at=NOW)
        write(store, lambda tx: tx.put_enforcement_point(gate))
        write(store, lambda tx: tx.put_binding(Binding("uid-a", "uid-gate", NOW)))
        if is_silent:
            write(store, lambda tx: tx.mark_silent({"uid-gate"}))
        earlier, later = NOW - timedelta(seconds=1), NOW + timedelta(seconds=9)
        for at, heard in ((earlier, None), (later, None if is_silent else later)):
            contact = Contact("uid-gate", "key", at, frozenset({"uid-a"}))
            write(store, lambda tx: tx.put_contacts([contact], later, timedelta(seconds=30)))
            (bound,) = read(store, lambda r: r.bound_to("uid-gate"))
            assert bound.reported_at == heard

    def test_the_network_of_a_contact_that_counts_is_kept(self, store: Store) -> None:
        for name, heard in (("a", NOW), ("b", NOW - HOUR)):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            point = EnforcementPoint(f"uid-{name}", "key", NOW, last_contact_at=heard)
            write(store, lambda tx: tx.put_enforcement_point(point))
        write(store, lambda tx: tx.mark_silent({"uid-b"}))
        later = NOW + timedelta(seconds=9)
        told = [Contact(f"uid-{name}", "key", later, network="192.0.2.1") for name in ("a", "b")]
        write(store, lambda tx: tx.put_contacts(told, later, timedelta(seconds=30)))
        write(store, lambda tx: tx.put_enforcement_point(replace(point, machine_uid="uid-a")))
        networks = read(store, lambda r: r.networks_of_points(NOW - HOUR))
        assert networks == {"uid-a": ("192.0.2.1", NOW - HOUR)}, "of a report it is not known"

    def test_points_are_counted(self, store: Store) -> None:
        assert read(store, lambda r: r.count_enforcement_points()) == 0
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.put_enforcement_point(a_point()))
        assert read(store, lambda r: r.count_enforcement_points()) == 1

    def test_a_binding_comes_back_as_it_was_put(self, store: Store) -> None:
        for name in ("web-1", "db-1", "app-1"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        for name in ("web-1", "db-1"):
            write(store, lambda tx: tx.put_enforcement_point(a_point(f"uid-{name}")))
        assert read(store, lambda r: r.bindings_of("uid-db-1")) == []
        closed = frozenset(
            {ClosedPort(PortKey(TransportProtocol.UDP, 53), OnExpiry.KILL), ClosedPort(SSH)}
        )
        told = Binding("uid-db-1", "uid-web-1", NOW, NOW, 3, NOW, frozenset({"h", "g"}), closed)
        here, former = ip_address("10.1.0.10"), frozenset(map(ip_address, ("10.1.0.9", "fd01::9")))
        told = replace(told, addresses=(here, ip_address("fd01::10")), former=former)
        told = replace(told, answered_by=frozenset(map(ip_address, ("10.1.0.1", "fe80::1"))))
        told = replace(told, trusts_route=True)
        own = Binding("uid-db-1", "uid-db-1", NOW)
        for binding in (replace(told, generation=2), own, told):
            write(store, lambda tx: tx.put_binding(binding))
        write(store, lambda tx: tx.put_binding(Binding("uid-app-1", "uid-web-1", NOW)))
        assert read(store, lambda r: r.bindings_of("uid-db-1")) == [own, told], "its own first"
        found = read(store, lambda r: r.bound_to("uid-web-1"))
        assert [each.machine_uid for each in found] == ["uid-app-1", "uid-db-1"]
        assert read(store, lambda r: r.bound_to("uid-db-1")) == [], "its own is no other"
        write(store, lambda tx: tx.delete_binding("uid-db-1", "uid-web-1"))
        assert read(store, lambda r: r.bindings_of("uid-db-1")) == [own]

    def test_what_guards_a_machine_is_told_as_one(self, store: Store) -> None:
        """By itself, among several, and in what lists tell."""
        for name in ("web-1", "db-1", "app-1"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        for name in ("web-1", "db-1"):
            write(store, lambda tx: tx.put_enforcement_point(a_point(f"uid-{name}")))
        both = [Binding("uid-db-1", "uid-db-1", NOW), Binding("uid-db-1", "uid-web-1", NOW)]
        for binding in (*both, Binding("uid-app-1", "uid-web-1", NOW)):
            write(store, lambda tx: tx.put_binding(binding))
        found = read(store, lambda r: r.enforcement_point("uid-db-1"))
        assert found == together([each.at(a_point(each.point_uid)) for each in both])
        assert found.last_contact_at is None
        several = read(store, lambda r: r.points_of(["uid-app-1", "uid-db-1", "uid-web-1"]))
        assert several["uid-db-1"] == found
        assert several["uid-web-1"] == a_point()
        assert several["uid-app-1"].machine_uid == "uid-app-1"
        assert read(store, lambda r: r.agent_of("uid-app-1")) is None
        assert read(store, lambda r: r.agent_of("uid-db-1")) == a_point("uid-db-1")

        def with_point() -> list[str]:
            traits = frozenset(each.code for each in ALL_TRAITS if each.has_point)
            wanted = ListFilter(traits=traits)
            listed = read(store, lambda r: r.listed_machines(wanted, None, 9))
            return [each.machine.id.name for each in listed]

        assert with_point() == ["app-1", "db-1", "web-1"]
        write(store, lambda tx: tx.delete_enforcement_point("uid-web-1"))
        assert with_point() == ["db-1"]
        assert read(store, lambda r: r.bindings_of("uid-app-1")) == []
        assert read(store, lambda r: r.enforcement_point("uid-app-1")) is None

    def test_points_of_several_machines_are_read_at_once(self, store: Store) -> None:
        for name in ("a", "b", "c"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        for name in ("a", "b"):
            write(store, lambda tx: tx.put_enforcement_point(a_point(f"uid-{name}")))
        wanted = ["uid-b", "uid-c", "uid-none", *(f"uid-{number}" for number in range(600))]
        found = read(store, lambda r: r.points_of(wanted))
        assert dict(found) == {"uid-b": a_point("uid-b")}
        assert not read(store, lambda r: r.points_of([]))

    def test_a_point_belongs_to_a_machine_that_exists(self, store: Store) -> None:
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_enforcement_point(a_point("nobody")))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.add_enrolment(an_enrolment("e", "nobody")))

    def test_an_enrolment_is_found_by_its_tokens_hash_alone(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        one, two = an_enrolment("one"), replace(an_enrolment("two"), replaces=False)
        for enrolment in (one, two):
            write(store, lambda tx: tx.add_enrolment(enrolment))
            found = read(store, lambda r: r.enrolment_by_hash(enrolment.token_hash))
            assert found == enrolment
        assert read(store, lambda r: r.enrolment_by_hash("HASH of one")) is None
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.add_enrolment(replace(one, id="three")))

    def test_an_enrolment_is_consumed_once(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.add_enrolment(an_enrolment("one")))
        write(store, lambda tx: tx.add_enrolment(an_enrolment("two")))
        assert write(store, lambda tx: tx.consume_enrolment("one", NOW))
        assert not write(store, lambda tx: tx.consume_enrolment("one", NOW + HOUR))
        assert not write(store, lambda tx: tx.consume_enrolment("none", NOW))
        used = read(store, lambda r: r.enrolment_by_hash("hash of one"))
        assert used == replace(an_enrolment("one"), used_at=NOW), "the first use is remembered"
        assert read(store, lambda r: r.enrolment_by_hash("hash of two")) == an_enrolment("two")

    def test_a_machines_enrolments_are_forgotten_without_the_others(self, store: Store) -> None:
        for name in ("web-1", "db-1"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            write(store, lambda tx: tx.add_enrolment(an_enrolment(name, f"uid-{name}")))
        write(store, lambda tx: tx.delete_enrolments("uid-web-1"))
        assert read(store, lambda r: r.enrolment_by_hash("hash of web-1")) is None
        assert read(store, lambda r: r.enrolment_by_hash("hash of db-1")) is not None

    def test_of_many_who_consume_at_once_one_succeeds(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.add_enrolment(an_enrolment()))

        async def race() -> list[bool]:
            tries = (
                store.write(lambda tx: tx.consume_enrolment("enrolment-1", NOW)) for _ in range(20)
            )
            return list(await asyncio.gather(*tries))

        assert sum(asyncio.run(race())) == 1
