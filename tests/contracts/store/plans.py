"""Plans of scopes, what points hold, and machines by what their classification depends on."""

from __future__ import annotations

from dataclasses import replace

from bascule.domain.classify import ALL_TRAITS, MANAGED_TAG, MachineState, traits_in
from bascule.domain.grant import confirm_closed, confirm_open, end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import ClosedPort, EnforcementPoint, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.policy import MachineRules
from bascule.domain.pricing import PlanSetting, Tier
from bascule.domain.roles import Reach
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.domain.security_rules import HeldOpening
from bascule.interfaces.plans import HeldRules, MachineFilter
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.samples import (
    HOUR,
    NOW,
    SOURCES,
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
HELD = HeldRules(
    "uid-web-1",
    7,
    NOW,
    frozenset({ClosedPort(SSH), ClosedPort(PortKey(TransportProtocol.UDP, 53), OnExpiry.KILL)}),
    (HeldOpening("local-1", (SSH,), SOURCES, ends_at=NOW + HOUR),),
)


class PlanContract:
    def test_a_setting_comes_back_as_it_was_put(self, store: Store) -> None:
        subscription = PlanSetting(subscription_scope(SUBSCRIPTION), Tier.FREE, NOW, True)
        group = PlanSetting(group_scope(SUBSCRIPTION, "Team"), Tier.STANDARD, NOW + HOUR)
        for setting in (subscription, group, replace(group, tier=Tier.FREE), group):
            write(store, lambda tx: tx.put_plan_setting(setting))
            assert read(store, lambda r: r.plan_setting(setting.scope)) == setting
        lower = group_scope(SUBSCRIPTION, "team")
        assert read(store, lambda r: r.plan_setting(lower)) == group
        assert read(store, lambda r: r.plan_settings()) == [subscription, group]
        assert write(store, lambda tx: tx.delete_plan_setting(lower))
        assert not write(store, lambda tx: tx.delete_plan_setting(lower))
        assert read(store, lambda r: r.plan_settings()) == [subscription]

    def test_what_a_point_holds_goes_with_the_point(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.put_enforcement_point(a_point()))
        for held in (HELD, HeldRules("uid-web-1", 8, NOW + HOUR), HELD):
            write(store, lambda tx: tx.put_held_rules(held))
            assert read(store, lambda r: r.held_rules(["uid-web-1", "other"])) == {
                "uid-web-1": held
            }
        write(store, lambda tx: tx.delete_held_rules("uid-web-1"))
        assert read(store, lambda r: r.held_rules(["uid-web-1"])) == {}
        write(store, lambda tx: tx.put_held_rules(HELD))
        write(store, lambda tx: tx.delete_enforcement_point("uid-web-1"))
        assert read(store, lambda r: r.held_rules(["uid-web-1"])) == {}

    def test_in_force_is_what_was_open_and_was_not_read_back_shut(self, store: Store) -> None:
        """One that ended before it opened was never in force; nor is one that is opening."""
        names = ("opening", "open", "ended", "closed", "early")
        write(store, lambda tx: tx.add_request(a_request()))
        for name in names:
            write(store, lambda tx: tx.add_grant(a_grant(name)))

        def moves(tx: Transaction) -> None:
            for name in ("open", "ended", "closed"):
                tx.update_grant(confirm_open(a_grant(name)), GrantState.OPENING)
            for name in ("ended", "closed"):
                over = end(confirm_open(a_grant(name)), StatusReason.USER_REQUESTED, NOW)
                tx.update_grant(over, GrantState.OPEN)
                if name == "closed":
                    tx.update_grant(confirm_closed(over), GrantState.CLOSING)
            early = end(a_grant("early"), StatusReason.USER_REQUESTED, NOW)
            tx.update_grant(early, GrantState.OPENING)

        write(store, moves)
        found = read(store, lambda r: r.grants_in_force(["uid-web-1", "uid-other"]))
        assert [grant.id for grant in found] == ["open", "ended"]
        assert read(store, lambda r: r.grants_in_force(["uid-other"])) == []

    def test_traits_are_counted_and_paged_as_the_domain_reads_them(self, store: Store) -> None:
        """Every combination of the five answers that a machine has by itself once, and the SQL says the
        same code. The sixth is of a gateway (unit/test_services_managed).
        """
        by_itself = [traits for traits in ALL_TRAITS if not traits.is_elsewhere]
        names = {traits: f"m{traits.code:02}" for traits in by_itself}

        def plant(tx: Transaction) -> None:
            named = []
            for traits, name in names.items():
                group = "on" if traits.is_plan_on else "off"
                machine = replace(
                    a_machine(name, group=group),
                    tags={} if traits.is_managed else {MANAGED_TAG: "false"},
                )
                tx.put_machine(machine)
                if traits.has_point:
                    by = "x" if traits.is_flushed else ""
                    tx.put_enforcement_point(
                        EnforcementPoint(machine.uid, "key", NOW, flushed_by=by)
                    )
                rules = a_policy().policy.machines[0]
                ports = rules.ports if traits.is_named else ()  # without a port: not named
                named.append(MachineRules(machine.id, ports))
            stored = a_policy()
            tx.put_policy(replace(stored, policy=replace(stored.policy, machines=tuple(named))))

        write(store, plant)
        off = frozenset({"off"})
        # Without a point there is nobody to say that it is flushed.
        told = {
            name: traits.code & ~4 if not traits.has_point else traits.code
            for traits, name in names.items()
        }
        counted = read(store, lambda r: r.count_machines(MachineFilter(groups_off=off)))
        assert sum(counted.values()) == 32
        assert counted == {code: list(told.values()).count(code) for code in told.values()}
        for state in MachineState:
            wanted = MachineFilter(traits=traits_in(state), groups_off=off)
            found = [machine.id.name for machine in read(store, lambda r: r.machines_where(wanted))]
            assert sorted(found) == sorted(
                name for name, code in told.items() if code in traits_in(state)
            )
            assert found
            assert sum(read(store, lambda r: r.count_machines(wanted)).values()) == len(found)

    def test_machines_are_narrowed_by_group_and_by_scopes(self, store: Store) -> None:
        for name, group in (("a", "one"), ("b", "one"), ("a", "one2"), ("ab", "two")):
            uid = f"{name}-{group}"
            write(store, lambda tx: tx.put_machine(a_machine(name, uid, group)))

        def names(reader: Reader, **more: object) -> list[str]:
            wanted = MachineFilter(**more)  # type: ignore[arg-type]  # reason: passed through
            counted = sum(reader.count_machines(wanted).values())
            found = [machine.uid for machine in reader.machines_where(wanted)]
            assert counted == len(found)
            return found

        def work(reader: Reader) -> None:
            def within(*keys: str) -> list[str]:
                return names(reader, within=Reach(frozenset(keys)))

            subscription = subscription_scope(SUBSCRIPTION).key
            one = group_scope(SUBSCRIPTION, "one").key
            assert names(reader) == ["a-one", "b-one", "a-one2", "ab-two"]
            assert names(reader, resource_group="ONE") == ["a-one", "b-one"]
            assert within() == []
            assert within(subscription) == names(reader)
            assert within(one) == ["a-one", "b-one"]  # and not of one2
            assert within(an_id("a", "one").key) == ["a-one"]
            both = within(an_id("ab", "two").key, one)
            assert both == ["a-one", "b-one", "ab-two"]
            assert within("") == names(reader)
            assert within(an_id("a", "two").key) == []  # not ab's
            assert names(reader, within=Reach(frozenset({one})), resource_group="two") == []
            page = reader.machines_where(MachineFilter(), limit=2)
            rest = reader.machines_where(MachineFilter(), page[-1].id.key)
            assert [machine.uid for machine in (*page, *rest)] == names(reader)

        read(store, work)
