"""Installation, groups, locations, machines, closed ports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.ids import ResourceId
from bascule.domain.machine import ClosedPort, OnExpiry, OsType
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import Conflict
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Store
from tests.contracts.store.samples import (
    NOW,
    SUBSCRIPTION,
    a_machine,
    a_point,
    a_policy,
    a_request,
    an_enrolment,
    an_id,
    read,
    write,
)

INSTALLATION = Installation("tenant", SUBSCRIPTION, "local", NOW)
SSH = PortKey(TransportProtocol.TCP, 22)
DNS = PortKey(TransportProtocol.UDP, 53)


class InventoryContract:
    def test_a_group_that_is_deleted_may_come_again_in_another_spelling(self, store: Store) -> None:
        for name in ("Team-A", "team-b"):
            write(store, lambda tx: tx.add_resource_group(name))
        write(store, lambda tx: tx.delete_resource_group("TEAM-A"))
        write(store, lambda tx: tx.delete_resource_group("nobody"))
        assert read(store, lambda r: r.resource_groups()) == ["team-b"]
        write(store, lambda tx: tx.add_resource_group("TEAM-a"))
        assert read(store, lambda r: r.resource_groups()) == ["TEAM-a", "team-b"]

    def test_an_installation_is_made_once(self, store: Store) -> None:
        assert read(store, lambda r: r.installation()) is None
        write(store, lambda tx: tx.create_installation(INSTALLATION))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.create_installation(replace(INSTALLATION, tenant_id="x")))
        assert read(store, lambda r: r.installation()) == INSTALLATION

    def test_groups_keep_their_first_spelling_and_are_ordered_without_case(
        self, store: Store
    ) -> None:
        for name in ("Zoo", "alpha", "Beta", "ALPHA"):
            write(store, lambda tx: tx.add_resource_group(name))
        assert list(read(store, lambda r: r.resource_groups())) == ["alpha", "Beta", "Zoo"]

    def test_locations_are_those_of_installation_machines_and_policies(self, store: Store) -> None:
        assert list(read(store, lambda r: r.locations())) == []
        write(store, lambda tx: tx.create_installation(replace(INSTALLATION, location="Paris")))
        write(store, lambda tx: tx.put_machine(replace(a_machine("a"), location="berlin")))
        write(store, lambda tx: tx.put_machine(replace(a_machine("b"), location="PARIS")))
        write(store, lambda tx: tx.put_policy(a_policy()))
        assert list(read(store, lambda r: r.locations())) == ["berlin", "local", "Paris"]

    def test_a_machine_comes_back_as_it_was_put(self, store: Store) -> None:
        machine = a_machine("Web-1")
        write(store, lambda tx: tx.put_machine(machine))
        found = read(store, lambda r: r.machine(an_id("wEB-1", "DEFAULT")))
        assert found == machine
        assert found is not None
        assert str(found.id) == str(machine.id), "printed as it was written"
        assert read(store, lambda r: r.machine_by_uid(machine.uid)) == machine
        assert read(store, lambda r: r.machine(an_id("web-2"))) is None
        assert read(store, lambda r: r.machine_by_uid("web-1")) is None

    def test_a_machine_is_changed_under_its_uid(self, store: Store) -> None:
        changed = replace(a_machine(), os_type=OsType.WINDOWS, addresses=(), tags={})
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.put_machine(changed))
        assert list(read(store, lambda r: r.machines())) == [changed]

    def test_another_uid_does_not_take_a_machines_name(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_machine(a_machine("WEB-1", uid="other")))
        assert read(store, lambda r: r.machine_by_uid("other")) is None

    def test_machines_are_paged_in_the_order_of_their_keys(self, store: Store) -> None:
        for name in ("b", "A", "c", "a-1", "a.1"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
        write(store, lambda tx: tx.put_machine(a_machine("z", group="Other")))
        everything = list(read(store, lambda r: r.machines()))
        assert [m.id.key for m in everything] == sorted(m.id.key for m in everything)
        assert len(everything) == 6
        paged: list[ResourceId] = []
        while page := read(
            store, lambda r: r.machines(after=paged[-1].key if paged else "", limit=2)
        ):
            paged.extend(machine.id for machine in page)
        assert paged == [machine.id for machine in everything]
        assert [m.id.name for m in read(store, lambda r: r.machines("OTHER"))] == ["z"]
        assert len(read(store, lambda r: r.machines("default"))) == 5
        assert not read(store, lambda r: r.machines("def"))

    def test_several_machines_are_read_at_once(self, store: Store) -> None:
        for name in ("a", "b"):
            write(store, lambda tx: tx.put_machine(a_machine(name)))
            write(store, lambda tx: tx.advance_generation(f"uid-{name}", beyond=6))
        found = read(store, lambda r: r.machines_of(["uid-b", "uid-none"]))
        assert dict(found) == {"uid-b": a_machine("b")}
        keys = [a_machine("b").id.key, a_machine("none").id.key]
        assert list(read(store, lambda r: r.machine_uids(keys))) == ["uid-b"]
        generations = read(store, lambda r: r.generations(["uid-a", "uid-none"]))
        assert dict(generations) == {"uid-a": 7}

    def test_what_moved_is_found_by_its_number(self, store: Store) -> None:
        assert not read(store, lambda r: r.moves_after(0, 9))
        for uid in ("a", "b", "a", "c"):
            write(store, lambda tx: tx.advance_generation(uid))
        moves = read(store, lambda r: r.moves_after(1, 9))
        assert [(each.machine_uid, each.generation) for each in moves] == [
            ("b", 1),
            ("a", 2),
            ("c", 1),
        ]
        assert list(read(store, lambda r: r.moves_after(moves[0].number, 1))) == [moves[1]]
        assert not read(store, lambda r: r.moves_after(moves[-1].number, 9))

    def test_a_generation_only_grows(self, store: Store) -> None:
        assert read(store, lambda r: r.generation("u")) == 0
        assert write(store, lambda tx: tx.advance_generation("u")) == 1
        assert write(store, lambda tx: tx.advance_generation("u", beyond=41)) == 42
        assert write(store, lambda tx: tx.advance_generation("u", beyond=3)) == 43
        assert read(store, lambda r: (r.generation("u"), r.generation("v"))) == (43, 0)

    def test_a_port_is_closed_until_it_is_released_by_name(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        uid = a_machine().uid
        keep, kill = ClosedPort(SSH), ClosedPort(SSH, OnExpiry.KILL)
        dns = ClosedPort(DNS, OnExpiry.KILL)
        for closed in (keep, kill, dns):  # the last word on a port counts
            write(store, lambda tx: tx.put_closed_port(uid, closed))
        assert read(store, lambda r: r.closed_ports(uid)) == {kill, dns}
        assert read(store, lambda r: r.released_ports(uid)) == {}
        write(store, lambda tx: tx.release_port(uid, SSH, 7))
        assert read(store, lambda r: r.closed_ports(uid)) == {dns}
        assert read(store, lambda r: r.released_ports(uid)) == {SSH: 7}
        write(store, lambda tx: tx.put_closed_port(uid, keep))
        assert read(store, lambda r: r.closed_ports(uid)) == {keep, dns}
        assert read(store, lambda r: r.released_ports(uid)) == {}

    def test_a_port_that_was_never_closed_here_can_be_released(self, store: Store) -> None:
        """Its enforcement point may hold it from an earlier life."""
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.release_port("uid-web-1", DNS, 1))
        assert read(store, lambda r: r.released_ports("uid-web-1")) == {DNS: 1}
        assert read(store, lambda r: r.closed_ports("uid-web-1")) == frozenset()

    def test_releases_can_be_forgotten(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.put_machine(a_machine("db-1")))
        for uid in ("uid-web-1", "uid-db-1"):
            write(store, lambda tx: tx.release_port(uid, SSH, 1))
        write(store, lambda tx: tx.put_closed_port("uid-web-1", ClosedPort(DNS)))
        write(store, lambda tx: tx.forget_releases("uid-web-1"))
        assert read(store, lambda r: r.released_ports("uid-web-1")) == {}
        assert read(store, lambda r: r.closed_ports("uid-web-1")) == {ClosedPort(DNS)}
        assert read(store, lambda r: r.released_ports("uid-db-1")) == {SSH: 1}

    def test_a_port_belongs_to_a_machine_that_exists(self, store: Store) -> None:
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_closed_port("nobody", ClosedPort(SSH)))

    def test_a_new_machine_of_an_old_name_inherits_nothing(self, store: Store) -> None:
        old, new = a_machine(), a_machine(uid="another")
        write(store, lambda tx: tx.put_machine(old))
        write(store, lambda tx: tx.put_machine(a_machine("bystander")))
        for uid in (old.uid, "uid-bystander"):
            write(store, lambda tx: tx.put_closed_port(uid, ClosedPort(SSH)))
            write(store, lambda tx: tx.put_enforcement_point(a_point(uid)))
            write(store, lambda tx: tx.add_enrolment(an_enrolment(uid, uid)))
        write(store, lambda tx: tx.advance_generation(old.uid))
        write(store, lambda tx: tx.add_request(a_request()))
        write(store, lambda tx: tx.delete_machine(old.uid))
        write(store, lambda tx: tx.put_machine(new))
        assert read(store, lambda r: r.machine(old.id)) == new
        assert read(store, lambda r: r.machine_by_uid(old.uid)) is None
        for uid in (old.uid, new.uid):
            assert read(store, lambda r: r.closed_ports(uid)) == frozenset()
            assert read(store, lambda r: r.enforcement_point(uid)) is None
        assert read(store, lambda r: r.enrolment_by_hash(f"hash of {old.uid}")) is None
        assert read(store, lambda r: r.generation(new.uid)) == 0
        assert read(store, lambda r: r.request("request-1")) == a_request(), "requests stay"
        assert read(store, lambda r: r.closed_ports("uid-bystander")) == {ClosedPort(SSH)}
        assert read(store, lambda r: r.enforcement_point("uid-bystander")) is not None
        assert read(store, lambda r: r.enrolment_by_hash("hash of uid-bystander")) is not None
