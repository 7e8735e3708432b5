"""Machines as lists show them: each row follows what it is about, and is found by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from bascule.domain.classify import MANAGED_TAG
from bascule.domain.exposure import Opening
from bascule.domain.grant import Grant, confirm_closed, confirm_open, end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort, OsType
from bascule.domain.machine_access import AccessState, Doors, access_state
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope
from bascule.domain.weaknesses import RULES_UNREAD, SECOND_PORT, Shadow
from bascule.errors import Conflict
from bascule.interfaces.exposure import KnownMachine
from bascule.interfaces.listing import Access, ListedMachine, ListFilter, ListOrder, Place
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    SUBSCRIPTION,
    a_grant,
    a_machine,
    a_point,
    a_policy,
    a_request,
    an_id,
    read,
    write,
)

SSH = PortKey(TransportProtocol.TCP, 22)
MANAGED, POINT, FLUSHED, NAMED = 16, 8, 4, 1  # bits of Traits.code


def listed(store: Store, wanted: ListFilter = ListFilter()) -> list[ListedMachine]:  # noqa: B008  # reason: frozen
    return list(read(store, lambda r: r.listed_machines(wanted)))


def row_of(store: Store, uid: str = "uid-web-1") -> ListedMachine:
    return next(each for each in listed(store) if each.machine.uid == uid)


def names(store: Store, wanted: ListFilter) -> list[str]:
    return [each.machine.id.name for each in listed(store, wanted)]


def ended(grant: Grant) -> Grant:
    return end(grant, StatusReason.EXPIRED, NOW + HOUR)


_SHADOWS = {
    Shadow.ADMITS: SECOND_PORT(port="22/tcp", other="2222/tcp", program="sshd", rule="listener"),
    Shadow.UNREAD: RULES_UNREAD(unread="the tables of iptables-legacy"),
}


class ListingContract:
    def test_a_row_follows_machine_policies_and_point(self, store: Store) -> None:
        """Each of the four answers, switched on and off by each thing that can."""

        def bits_after(work: object) -> int:
            write(store, work)  # type: ignore[arg-type]  # reason: one of the lambdas below
            return row_of(store).traits

        machine, policy = a_machine(), a_policy()
        bare = replace(policy.policy.machines[0], ports=())
        without = replace(policy, policy=replace(policy.policy, machines=(bare,)))
        flushed = replace(a_point(), flushed_by="x")
        unmanaged = replace(machine, tags={MANAGED_TAG: "false"})
        other = a_policy("other")
        assert bits_after(lambda tx: tx.put_machine(machine)) == MANAGED
        assert bits_after(lambda tx: tx.put_policy(without)) == MANAGED  # names no port
        assert bits_after(lambda tx: tx.put_policy(policy)) == MANAGED | NAMED
        assert bits_after(lambda tx: tx.put_policy(other)) == MANAGED | NAMED
        assert bits_after(lambda tx: tx.delete_policy(policy.policy.id)) == MANAGED | NAMED
        assert bits_after(lambda tx: tx.put_enforcement_point(flushed)) == 29
        assert bits_after(lambda tx: tx.put_enforcement_point(a_point())) == MANAGED | POINT | NAMED
        assert bits_after(lambda tx: tx.put_machine(unmanaged)) == POINT | NAMED
        assert bits_after(lambda tx: tx.delete_policy(other.policy.id)) == POINT
        assert bits_after(lambda tx: tx.put_policy(a_policy("o", "elsewhere"))) == POINT
        assert bits_after(lambda tx: tx.put_policy(a_policy("o", "web-1"))) == POINT | NAMED
        assert bits_after(lambda tx: tx.put_policy(a_policy("o", "elsewhere"))) == POINT
        assert bits_after(lambda tx: tx.delete_enforcement_point("uid-web-1")) == 0
        assert bits_after(lambda tx: tx.put_machine(machine)) == MANAGED

    def test_a_point_that_is_alone_is_written_as_any_other_with_who_was_let_in(
        self, store: Store
    ) -> None:
        behind, access = replace(a_point(), observed_generation=2), Access(NOW, "id of ada", "Ada")

        def plant(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            tx.advance_generation("uid-web-1", beyond=6)
            tx.put_point_alone(behind)

        write(store, plant)
        row = row_of(store)
        assert (row.traits, row.is_behind, row.last_access_at) == (MANAGED | POINT, True, None)
        flushed = replace(a_point(), observed_generation=7, flushed_by="x")
        write(store, lambda tx: tx.put_point_alone(flushed, access))
        assert read(store, lambda r: r.agent_of("uid-web-1")) == flushed
        row = row_of(store)
        assert (row.is_behind, row.last_access_at, row.last_user) == (False, NOW, "Ada")
        alone = row
        write(store, lambda tx: tx.put_enforcement_point(flushed))
        assert row_of(store) == alone, "the same row, whichever way it was written"
        write(store, lambda tx: tx.put_point_alone(behind))
        assert (row_of(store).is_behind, row_of(store).last_user) == (True, "Ada")

    def test_a_new_machine_of_a_named_id_is_named(self, store: Store) -> None:
        write(store, lambda tx: tx.put_policy(a_policy()))
        write(store, lambda tx: tx.put_machine(a_machine()))
        assert row_of(store).traits == MANAGED | NAMED

    def test_a_row_goes_with_its_machine_and_a_new_one_inherits_nothing(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            tx.add_request(a_request())
            tx.add_grant(a_grant())
            tx.note_access("uid-web-1", Access(NOW, "ada", "Ada"))

        write(store, plant)
        assert row_of(store).recent_requests == 1
        write(store, lambda tx: tx.delete_machine("uid-web-1"))
        assert listed(store) == []
        write(store, lambda tx: tx.put_machine(a_machine(uid="uid-new")))
        fresh = row_of(store, "uid-new")
        assert (fresh.recent_requests, fresh.last_access_at, fresh.last_user) == (0, None, "")

    def test_the_last_access_is_kept_to_the_microsecond(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        for at, user in ((NOW, "Ada"), (NOW + HOUR, "bob")):
            write(store, lambda tx: tx.note_access("uid-web-1", Access(at, f"id of {user}", user)))
            row = row_of(store)
            assert (row.last_access_at, row.last_user_id, row.last_user) == (
                at,
                f"id of {user}",
                user,
            )
        write(store, lambda tx: tx.put_machine(replace(a_machine(), os_type=OsType.WINDOWS)))
        assert row_of(store).last_user == "bob"

    def test_a_request_counts_once_a_machine_until_it_is_old(self, store: Store) -> None:
        """Two ports of one request are one; what was never written down takes nothing off."""
        old, young = NOW - timedelta(days=8), NOW

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "db-1"):
                tx.put_machine(a_machine(name))
            for request_id, at in (("old", old), ("older", old - HOUR), ("young", young)):
                tx.add_request(a_request(request_id, at))
                for machine in ("web-1", "db-1") if request_id != "young" else ("web-1",):
                    for number in (22, 3389):
                        grant = a_grant(f"{request_id}-{machine}-{number}", request_id, machine)
                        tx.add_grant(replace(grant, number=number, started_at=at))

        def counts() -> list[int]:
            return [each.recent_requests for each in listed(store)]

        write(store, plant)
        assert counts() == [2, 3]  # db-1, web-1
        before = NOW - timedelta(days=7)
        assert read(store, lambda r: r.has_old_requests(before))
        assert write(store, lambda tx: tx.forget_requests(before, limit=1))  # there is more
        assert counts() in ([1, 2], [0, 1])
        while write(store, lambda tx: tx.forget_requests(before, limit=1)):
            pass
        assert counts() == [0, 1]
        assert not read(store, lambda r: r.has_old_requests(before))
        assert not write(store, lambda tx: tx.forget_requests(before))
        assert counts() == [0, 1]
        assert read(store, lambda r: r.has_old_requests(NOW + HOUR))
        write(store, lambda tx: tx.forget_requests(NOW + HOUR))
        assert counts() == [0, 0]

    def test_many_requests_of_one_instant_are_forgotten_together(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            for number in range(5):
                tx.add_request(a_request(f"r{number}"))
                tx.add_grant(a_grant(f"g{number}", f"r{number}"))

        write(store, plant)
        assert row_of(store).recent_requests == 5
        write(store, lambda tx: tx.forget_requests(NOW + HOUR, limit=2))
        assert row_of(store).recent_requests == 0

    def test_what_is_undone_is_not_counted(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))

        def fails(tx: Transaction) -> None:
            tx.add_request(a_request())
            tx.add_grant(a_grant())
            raise Conflict("no")

        with pytest.raises(Conflict):
            write(store, fails)
        assert row_of(store).recent_requests == 0

    def test_behind_is_a_point_that_has_not_applied_the_newest(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.advance_generation("uid-web-1"))
        assert not row_of(store).is_behind  # nobody is there to be behind
        for observed, is_behind in ((0, True), (1, False), (4, False)):
            point = replace(a_point(), observed_generation=observed)
            write(store, lambda tx: tx.put_enforcement_point(point))
            assert row_of(store).is_behind is is_behind
        write(store, lambda tx: tx.advance_generation("uid-web-1", beyond=9))
        assert row_of(store).is_behind
        write(store, lambda tx: tx.delete_enforcement_point("uid-web-1"))
        assert not row_of(store).is_behind

    def test_shut_is_a_port_that_is_not_released(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        other = PortKey(TransportProtocol.UDP, 53)
        assert not row_of(store).is_closed
        write(store, lambda tx: tx.put_closed_port("uid-web-1", ClosedPort(SSH)))
        assert row_of(store).is_closed
        write(store, lambda tx: tx.release_port("uid-web-1", other, 1))
        assert row_of(store).is_closed
        write(store, lambda tx: tx.release_port("uid-web-1", SSH, 2))
        assert not row_of(store).is_closed

    def test_every_state_is_found_as_the_domain_tells_it(self, store: Store) -> None:
        """All combinations of what it depends on, each a machine; each is in one state."""
        wanted: dict[AccessState, list[str]] = {state: [] for state in AccessState}

        def plant(tx: Transaction) -> None:
            for number, doors in enumerate(_all_doors()):
                name = f"m{number:03}"
                wanted[access_state(doors)].append(name)
                self._plant(tx, name, doors)

        write(store, plant)
        for state, expected in wanted.items():
            assert names(store, ListFilter(state=state)) == expected, state
            assert expected, state

    def _plant(self, tx: Transaction, name: str, doors: Doors) -> None:
        machine = a_machine(name)
        tx.put_machine(machine)
        if doors.has_point:
            point = replace(a_point(machine.uid), observed_generation=0, weaknesses=())
            if doors.shadow is not None:
                point = replace(point, weaknesses=(_SHADOWS[doors.shadow],))
            tx.put_enforcement_point(point)
            if doors.is_behind:
                tx.advance_generation(machine.uid)
            if doors.is_silent:
                tx.mark_silent([machine.uid])
        if doors.is_closed:
            tx.put_closed_port(machine.uid, ClosedPort(SSH))
        if doors.is_root_in:
            known = KnownMachine(machine.id, machine.uid)
            tx.begin(known, Opening("local-1", (SSH,), (), "", "root", "", NOW))
        for state in sorted(doors.grants):
            one = f"{name}-{state}"
            tx.add_request(a_request(one))
            _plant_grant(tx, a_grant(one, one, name), state)

    def test_what_has_ended_at_a_silent_point_is_no_opening_after_a_minute(
        self, store: Store
    ) -> None:
        """EDGES E9: a closing grant, and what root opened."""

        def plant(tx: Transaction) -> None:
            for name in ("ended-1", "rooted-1", "heard-1"):
                machine = a_machine(name)
                tx.put_machine(machine)
                tx.put_enforcement_point(replace(a_point(machine.uid), observed_generation=0))
                tx.put_closed_port(machine.uid, ClosedPort(SSH))
            tx.mark_silent(["uid-ended-1", "uid-rooted-1"])
            for name in ("ended-1", "heard-1"):
                tx.add_request(a_request(name))
                ended_at = replace(a_grant(name, name, name), ends_at=NOW)
                _plant_grant(tx, ended_at, GrantState.CLOSING)
            rooted = KnownMachine(a_machine("rooted-1").id, "uid-rooted-1")
            tx.begin(rooted, Opening("local-1", (SSH,), (), "", "root", "", NOW, NOW))

        write(store, plant)

        def found(state: AccessState, seconds: int) -> list[str]:
            return names(store, ListFilter(state=state, now=NOW + timedelta(seconds=seconds)))

        assert found(AccessState.NOT_CONFIRMED, 59) == ["ended-1", "rooted-1"]
        assert found(AccessState.OFFLINE, 59) == []
        assert found(AccessState.NOT_CONFIRMED, 60) == []
        assert found(AccessState.OFFLINE, 60) == ["ended-1", "rooted-1"]
        assert found(AccessState.CLOSING, 600) == ["heard-1"]

    def test_the_next_word_of_a_point_ends_its_silence(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        offline = ListFilter(state=AccessState.OFFLINE)
        write(store, lambda tx: tx.put_enforcement_point(replace(a_point(), last_contact_at=None)))
        assert names(store, offline) == ["web-1"]  # never heard of
        write(store, lambda tx: tx.put_enforcement_point(a_point()))
        assert names(store, offline) == []
        write(store, lambda tx: tx.mark_silent(["uid-web-1", "uid-other"]))
        assert names(store, offline) == ["web-1"]
        later = replace(a_point(), last_contact_at=NOW + 2 * HOUR)
        write(store, lambda tx: tx.put_enforcement_point(later))
        assert names(store, offline) == []

    def test_points_are_told_apart_by_what_they_lack(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            for name in ("web-1", "db-1", "mail-1"):
                tx.put_machine(a_machine(name))
                tx.put_enforcement_point(replace(a_point(f"uid-{name}"), observed_generation=9))
            tx.advance_generation("uid-db-1", 20)
            tx.mark_silent(["uid-mail-1"])

        write(store, plant)
        assert names(store, ListFilter(is_silent=True)) == ["mail-1"]
        assert names(store, ListFilter(is_behind=True)) == ["db-1"]
        assert names(store, ListFilter(is_silent=False, is_behind=False)) == ["web-1"]

    @pytest.mark.parametrize("order", list(ListOrder))
    @pytest.mark.parametrize("is_descending", [False, True])
    def test_pages_of_every_order_go_on_where_they_ended(
        self, store: Store, order: ListOrder, is_descending: bool
    ) -> None:
        """Many rows are alike in what they are ordered by: the key tells them apart."""

        def plant(tx: Transaction) -> None:
            for number in range(12):
                machine = a_machine(f"m{number % 4}", f"uid-{number}", f"group{number % 3}")
                tx.put_machine(machine)
                if number % 2:
                    at = NOW + (number % 4) * HOUR
                    user = ("ada", "Bob")[number % 4 // 2]
                    tx.note_access(machine.uid, Access(at, "x", user))
                for asked in range(number % 3):
                    tx.add_request(a_request(f"{number}-{asked}"))
                    grant = a_grant(f"g{number}-{asked}", f"{number}-{asked}")
                    tx.add_grant(replace(grant, machine_uid=machine.uid))

        write(store, plant)
        wanted = ListFilter(order=order, is_descending=is_descending)
        every = [each.machine.uid for each in listed(store, wanted)]
        assert len(set(every)) == 12
        paged: list[str] = []
        place: Place | None = None
        for _ in range(6):
            page = read(store, lambda r: r.listed_machines(wanted, place, limit=2))
            assert len(page) == 2
            paged += [each.machine.uid for each in page]
            place = page[-1].place
        assert paged == every
        assert not read(store, lambda r: r.listed_machines(wanted, place))
        values = [each.place.value for each in listed(store, wanted)]
        assert values == sorted(values, reverse=is_descending)

    def test_a_list_is_narrowed_by_each_of_its_filters(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            for name, group, os_type in (
                ("web-1", "one", OsType.LINUX),
                ("Web_2", "two", OsType.WINDOWS),
                ("db%1", "one", OsType.LINUX),
            ):
                machine = replace(a_machine(name.replace("%", "-"), group=group), os_type=os_type)
                tx.put_machine(machine)

        write(store, plant)
        assert names(store, ListFilter(name_part="WEB")) == ["web-1", "Web_2"]
        assert names(store, ListFilter(name_part="_")) == ["Web_2"]  # no wildcard
        assert names(store, ListFilter(name_part="%")) == []
        assert names(store, ListFilter(resource_group="ONE")) == ["db-1", "web-1"]
        assert names(store, ListFilter(os_type=OsType.WINDOWS)) == ["Web_2"]
        assert names(store, ListFilter(traits=frozenset({MANAGED | 2}))) == [
            "db-1",
            "web-1",
            "Web_2",
        ]
        off = ListFilter(traits=frozenset({MANAGED}), groups_off=frozenset({"one"}))
        assert names(store, off) == ["db-1", "web-1"]
        one, web = group_scope(SUBSCRIPTION, "one").key, an_id("Web_2", "two").key
        assert names(store, ListFilter(within=Reach(frozenset({one})))) == ["db-1", "web-1"]
        both = ListFilter(within=Reach(frozenset({one, web})), is_descending=True)
        assert names(store, both) == ["Web_2", "web-1", "db-1"]
        assert names(store, ListFilter(within=Reach(frozenset()))) == []

    def test_a_list_is_narrowed_by_a_tag(self, store: Store) -> None:
        """Whole names and values, without regard to case; what is typed is no pattern."""
        tags = {
            "web-1": {"env": "Prod", "tier": "a=b"},
            "web-2": {"env": "production"},
            "db-1": {"my-env": "prod", "note": "x\x1fenv=prod\x1f"},
        }

        def plant(tx: Transaction) -> None:
            for name, has in tags.items():
                tx.put_machine(replace(a_machine(name), tags=has))

        write(store, plant)
        for wanted, found in (
            ("ENV=prod", ["web-1"]),
            ("env", ["web-1", "web-2"]),
            ("env=", []),
            ("tier=a=b", ["web-1"]),
            ("tier=a", []),
            ("nv", []),
            ("%", []),
            ("en_", []),
        ):
            assert names(store, ListFilter(tag=wanted)) == found, wanted
        write(store, lambda tx: tx.put_machine(replace(a_machine("web-1"), tags={})))
        assert names(store, ListFilter(tag="env")) == ["web-2"]

    def test_a_list_is_narrowed_to_agents_of_some_versions(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            for name in ("web-1", "web-2"):
                tx.put_machine(a_machine(name))

        write(store, plant)
        write(store, lambda tx: tx.put_enforcement_point(a_point("uid-web-1")))
        (version,) = read(store, lambda r: r.agent_versions())
        assert names(store, ListFilter(versions=frozenset({version}))) == ["web-1"]
        assert names(store, ListFilter(versions=frozenset({"other"}))) == []
        assert names(store, ListFilter(versions=frozenset())) == []

    def test_unsettled_grants_of_several_machines(self, store: Store) -> None:
        def plant(tx: Transaction) -> None:
            tx.add_request(a_request())
            for state in GrantState:
                _plant_grant(tx, a_grant(state), state)
            tx.add_grant(a_grant("other", machine="db-1", ends_at=NOW))

        write(store, plant)

        def ids(*uids: str) -> list[str]:
            return [each.id for each in read(store, lambda r: r.unsettled_grants_at(uids))]

        assert ids("uid-web-1") == ["opening", "open", "closing"]
        assert ids("uid-web-1", "uid-db-1") == ["other", "opening", "open", "closing"]
        assert ids() == []


def _all_doors() -> Iterator[Doors]:
    states = (GrantState.OPENING, GrantState.OPEN, GrantState.CLOSING)
    for point, silent, behind, shut, *held in product((False, True), repeat=7):
        if silent and not point:
            continue
        grants = frozenset(state for state, is_held in zip(states, held, strict=True) if is_held)
        yield Doors(point, silent, behind and point, shut, grants)
        if shut and point:
            yield Doors(point, silent, behind, shut, grants, is_root_in=True)
            yield from (
                Doors(point, silent, behind, shut, grants, shadow=shadow) for shadow in _SHADOWS
            )


def _plant_grant(tx: Transaction, grant: Grant, state: GrantState) -> None:
    """A grant moved to that state, by the moves that it may make."""
    tx.add_grant(grant)
    if state is GrantState.OPENING:
        return
    if state is GrantState.FAILED:
        failed = replace(grant, state=GrantState.FAILED, ended_at=NOW)
        tx.update_grant(failed, GrantState.OPENING)
        return
    opened = confirm_open(grant)
    tx.update_grant(opened, GrantState.OPENING)
    if state is not GrantState.OPEN:
        tx.update_grant(ended(opened), GrantState.OPEN)
    if state is GrantState.CLOSED:
        tx.update_grant(confirm_closed(ended(opened)), GrantState.CLOSING)
