"""What a decision depends on, read at once, is what the parts say that are read one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.bindings import Binding
from bascule.domain.grant import Grant, end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.policy import MachineRules
from bascule.interfaces.asked import Asked
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_policy,
    a_policy_id,
    a_request,
    an_id,
    read,
    write,
)

SSH, DNS = PortKey(TransportProtocol.TCP, 22), PortKey(TransportProtocol.UDP, 53)


def _asked(store: Store, *names: str) -> Asked:
    return read(store, lambda r: r.asked([an_id(name) for name in names], NOW))


def _cut(tx: Transaction, grant: Grant, ago: timedelta) -> None:
    """Ended, and cut so long before NOW."""
    tx.add_grant(grant)
    tx.update_grant(end(grant, StatusReason.USER_REQUESTED, NOW), GrantState.OPENING)
    tx.mark_cut(grant.id, NOW - ago)


class AskedContract:
    def test_rules_are_those_of_the_machines_asked_for(self, store: Store) -> None:
        stored = a_policy("default", "web-1", "DB-1", "far-1")
        bare = MachineRules(an_id("bare-1"), ())
        whole = replace(stored.policy, machines=(bare, *stored.policy.machines))
        write(store, lambda tx: tx.put_policy(replace(stored, policy=whole)))
        write(store, lambda tx: tx.put_policy(a_policy("other", "web-1", "new-1")))
        for names in (["db-1"], ["bare-1"], ["FAR-1", "web-1"], ["new-1"], []):
            ids = [an_id(name) for name in names]
            found = read(store, lambda r: r.asked_rules(a_policy_id(), ids))
            wanted = tuple(each for each in whole.machines if each.machine_id in ids)
            assert found == replace(whole, machines=wanted), names
        assert read(store, lambda r: r.asked_rules(a_policy_id("none"), [an_id("web-1")])) is None

    def test_a_machine_comes_with_all_that_its_agent_is_told(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            for name in ("web-1", "db-1", "far-1"):
                tx.put_machine(a_machine(name))
                tx.add_request(a_request(f"r-{name}"))
            tx.put_enforcement_point(a_point("uid-web-1"))
            tx.put_closed_port("uid-web-1", ClosedPort(SSH))
            tx.release_port("uid-web-1", DNS, 1)
            for name, ends_at in (("web-1", NOW + 2 * HOUR), ("db-1", NOW + HOUR)):
                tx.add_grant(a_grant(f"live-{name}", f"r-{name}", name, ends_at))
            tx.add_grant(a_grant("elsewhere", "r-far-1", "far-1"))
            tx.add_grant(a_grant("soon", "r-web-1", "web-1", NOW + timedelta(minutes=1)))
            _cut(tx, replace(a_grant("lately", "r-web-1"), generation=1), timedelta())
            _cut(tx, replace(a_grant("heard", "r-web-1"), generation=4), timedelta(microseconds=1))
            _cut(tx, replace(a_grant("no-agent", "r-db-1", "db-1")), timedelta())

        write(store, plant)
        found = _asked(store, "WEB-1", "db-1", "none")
        assert set(found.machines) == {an_id("web-1"), an_id("db-1")}
        web, db = (found.machines[an_id(name)] for name in ("web-1", "db-1"))
        assert (web.machine, web.point, web.ports) == (a_machine("web-1"), a_point("uid-web-1"), 2)
        assert (db.machine, db.point, db.ports, list(db.cuts)) == (a_machine("db-1"), None, 0, [])
        assert [each.id for each in web.cuts] == ["lately"]
        assert [each.id for each in found.live] == ["soon", "live-db-1", "live-web-1"]
        uids = ["uid-web-1", "uid-db-1"]
        assert list(found.live) == list(read(store, lambda r: r.live_grants(uids)))

    def test_cuts_of_which_a_point_has_not_heard_are_told_however_old(self, store: Store) -> None:
        """Of a point that was away; not of an agent that came later."""
        enrolled = NOW - HOUR

        def plant(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            tx.add_request(a_request())
            tx.put_enforcement_point(
                replace(a_point(), enrolled_at=enrolled, observed_generation=4)
            )
            tx.add_grant(a_grant("live"))
            _cut(tx, replace(a_grant("unheard"), generation=5), HOUR)
            _cut(tx, replace(a_grant("heard"), generation=4), HOUR)
            _cut(tx, replace(a_grant("before"), generation=5), HOUR + timedelta(microseconds=1))

        write(store, plant)
        (web,) = _asked(store, "web-1").machines.values()
        assert [each.id for each in web.cuts] == ["unheard"]

    def test_a_point_is_told_of_ports_and_grants_as_they_are_read_one_by_one(
        self, store: Store
    ) -> None:
        """Whatever it has heard; and of no other machine."""

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "db-1"):
                tx.put_machine(a_machine(name))
                tx.put_closed_port(f"uid-{name}", ClosedPort(SSH))
                tx.add_request(a_request(f"r-{name}"))
                for number in range(3):
                    ends_at = NOW + (3 - number) * HOUR
                    tx.add_grant(a_grant(f"live-{name}-{number}", f"r-{name}", name, ends_at))
                for number in range(4):
                    grant = a_grant(f"cut-{name}-{number}", f"r-{name}", name)
                    _cut(tx, replace(grant, generation=number % 2), (3 - number) * HOUR)
            tx.release_port("uid-web-1", DNS, 5)

        write(store, plant)
        closed, released = read(store, lambda r: r.told_ports("uid-web-1"))
        assert closed == read(store, lambda r: r.closed_ports("uid-web-1"))
        assert released == read(store, lambda r: r.released_ports("uid-web-1")) == {DNS: 5}
        for lately, since, beyond in (
            *((NOW, NOW - 3 * HOUR, 0), (NOW - HOUR, NOW - 2 * HOUR, -1)),
            *((NOW - HOUR, NOW, 0), (NOW + HOUR, NOW - 9 * HOUR, 1), (NOW - 9 * HOUR, NOW, 9)),
        ):
            live, cuts, draining = read(
                store, lambda r: r.told_grants("uid-web-1", NOW, lately, since, beyond)
            )
            assert draining == []
            assert list(live) == list(read(store, lambda r: r.live_grants(["uid-web-1"])))
            both = [
                *read(store, lambda r: r.cut_grants("uid-web-1", lately)),
                *read(store, lambda r: r.cut_grants("uid-web-1", since, beyond)),
            ]
            assert list(cuts) == list({grant.id: grant for grant in both}.values())

    def test_several_points_count_as_one(self, store: Store) -> None:
        """Whichever has heard least: what one of them does not know of is told."""

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "gate-1"):
                tx.put_machine(a_machine(name))
                tx.put_enforcement_point(a_point(f"uid-{name}"))
            for point in ("uid-web-1", "uid-gate-1"):
                tx.put_binding(Binding("uid-web-1", point, NOW - 2 * HOUR, generation=4))
            tx.put_binding(Binding("uid-web-1", "uid-gate-1", NOW - 2 * HOUR, generation=2))
            tx.add_request(a_request())
            _cut(tx, replace(a_grant("unheard"), generation=3), timedelta())

        write(store, plant)
        later = read(store, lambda r: r.asked([an_id("web-1")], NOW + HOUR))
        (web,) = later.machines.values()
        assert web.point == read(store, lambda r: r.enforcement_point("uid-web-1"))
        assert web.point is not None
        assert web.point.observed_generation == 2
        assert [each.id for each in web.cuts] == ["unheard"]
