"""Policies: whole, by name, by group and location, by the machine they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.policy import MachineRules
from bascule.errors import Conflict
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    ANYWHERE,
    SUBSCRIPTION,
    a_machine,
    a_policy,
    a_policy_id,
    a_rule,
    an_id,
    read,
    write,
)


def _names(policies: Sequence[StoredPolicy]) -> list[str]:
    return [stored.policy.id.name for stored in policies]


class PolicyContract:
    def test_a_policy_comes_back_as_it_was_put(self, store: Store) -> None:
        stored = a_policy("Default", "web-1", "DB-1")
        write(store, lambda tx: tx.put_policy(stored))
        found = read(store, lambda r: r.policy(a_policy_id("dEFAULT", "DEFAULT")))
        assert found == stored
        assert found is not None
        assert str(found.policy.id) == str(stored.policy.id)
        assert str(found.policy.machines[1].machine_id) == str(an_id("DB-1"))
        assert read(store, lambda r: r.policy(a_policy_id("other"))) is None

    def test_a_policy_may_be_empty(self, store: Store) -> None:
        empty = replace(a_policy().policy, machines=())
        bare = replace(a_policy().policy, machines=(MachineRules(an_id("web-1"), ()),))
        for policy in (empty, bare, empty):
            stored = StoredPolicy(policy, '"e"', {})
            write(store, lambda tx: tx.put_policy(stored))
            assert read(store, lambda r: r.policy(a_policy_id())) == stored

    def test_a_policy_is_replaced_whole(self, store: Store) -> None:
        write(store, lambda tx: tx.put_policy(a_policy("default", "web-1", "db-1")))
        fewer = MachineRules(an_id("db-1"), (replace(a_rule(443), sources=ANYWHERE),))
        stored = StoredPolicy(
            replace(a_policy().policy, machines=(fewer,)), '"etag-2"', {"uid-y": 1, "uid-x": 8}
        )
        write(store, lambda tx: tx.put_policy(stored))
        assert read(store, lambda r: r.policy(a_policy_id())) == stored
        assert not read(store, lambda r: r.policies_naming(an_id("web-1")))

    def test_generations_change_without_the_rules_and_the_other_way_round(
        self, store: Store
    ) -> None:
        """A policy is put twice in one act; the second time with its generations."""
        first = a_policy()
        generations = replace(first, generations={"uid-web-1": 9})
        spelling = replace(
            generations,
            policy=replace(first.policy, machines=a_policy("d", "WEB-1").policy.machines),
        )
        for stored in (first, generations, spelling, replace(spelling, generations={})):
            write(store, lambda tx: tx.put_policy(stored))
            found = read(store, lambda r: r.policy(a_policy_id()))
            assert found == stored
            assert found is not None
            (named,) = found.policy.machines
            assert str(named.machine_id) == str(stored.policy.machines[0].machine_id)

    def test_a_deleted_policy_is_gone_and_another_is_not(self, store: Store) -> None:
        write(store, lambda tx: tx.put_policy(a_policy("one")))
        write(store, lambda tx: tx.put_policy(a_policy("two")))
        write(store, lambda tx: tx.delete_policy(a_policy_id("ONE")))
        write(store, lambda tx: tx.delete_policy(a_policy_id("never")))
        assert read(store, lambda r: r.policy(a_policy_id("one"))) is None
        assert _names(read(store, lambda r: r.policies_naming(an_id("web-1")))) == ["two"]
        assert read(store, lambda r: r.policy(a_policy_id("two"))) == a_policy("two")

    def test_policies_are_filtered_without_case_and_paged(self, store: Store) -> None:
        for name in ("c", "a", "B", "d"):
            write(store, lambda tx: tx.put_policy(a_policy(name)))
        elsewhere = replace(a_policy().policy, id=policy_id(SUBSCRIPTION, "Other", "Paris", "far"))
        write(store, lambda tx: tx.put_policy(StoredPolicy(elsewhere, '"e"', {})))
        assert _names(read(store, lambda r: r.policies())) == ["a", "B", "c", "d", "far"]
        assert _names(read(store, lambda r: r.policies("DEFAULT"))) == ["a", "B", "c", "d"]
        assert _names(read(store, lambda r: r.policies(location="PARIS"))) == ["far"]
        assert _names(read(store, lambda r: r.policies("other", "local"))) == []
        paged: list[ResourceId] = []
        while page := read(
            store, lambda r: r.policies(after=paged[-1].key if paged else "", limit=2)
        ):
            assert len(page) <= 2
            paged.extend(stored.policy.id for stored in page)
        assert [each.name for each in paged] == ["a", "B", "c", "d", "far"]

    def test_rules_at_machines_are_those_of_every_policy(self, store: Store) -> None:
        policies = [a_policy("z", "web-1", "DB-1"), a_policy("a", "Web-1"), a_policy("b", "ci-1")]
        bare = replace(a_policy("bare").policy, machines=(MachineRules(an_id("web-1"), ()),))
        for stored in (*policies, StoredPolicy(bare, '"e"', {})):
            write(store, lambda tx: tx.put_policy(stored))
        found = read(store, lambda r: r.rules_at([an_id("WEB-1"), an_id("db-1"), an_id("no-1")]))
        assert [(policy.name, str(rules.machine_id)) for policy, rules in found] == [
            ("z", str(an_id("DB-1"))),
            ("a", str(an_id("Web-1"))),
            ("z", str(an_id("web-1"))),
        ]
        assert found[0][1] == policies[0].policy.machines[1]
        assert found[1][1] == policies[1].policy.machines[0]
        assert read(store, lambda r: r.rules_at([])) == []

    def test_policies_naming_a_machine_are_found_in_any_case(self, store: Store) -> None:
        write(store, lambda tx: tx.put_policy(a_policy("z", "web-1", "db-1")))
        write(store, lambda tx: tx.put_policy(a_policy("a", "WEB-1")))
        write(store, lambda tx: tx.put_policy(a_policy("m", "web-10")))
        assert _names(read(store, lambda r: r.policies_naming(an_id("Web-1")))) == ["a", "z"]
        assert _names(read(store, lambda r: r.policies_naming(an_id("db-1")))) == ["z"]
        assert _names(read(store, lambda r: r.policies_naming(an_id("web-1", "other")))) == []
        whole = read(store, lambda r: r.policies_naming(an_id("db-1")))
        assert list(whole) == [a_policy("z", "web-1", "db-1")], "all of it, not the machine alone"

    def test_a_machine_stands_once_in_a_policy(self, store: Store) -> None:
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_policy(a_policy("twice", "web-1", "WEB-1")))
        assert read(store, lambda r: r.policy(a_policy_id("twice"))) is None

    def test_a_policy_outlives_its_machines(self, store: Store) -> None:
        """Taking a deleted machine out of its policies is the use case's work, with its events."""
        write(store, lambda tx: tx.put_machine(a_machine()))
        write(store, lambda tx: tx.put_policy(a_policy()))
        write(store, lambda tx: tx.delete_machine("uid-web-1"))
        assert read(store, lambda r: r.policy(a_policy_id())) == a_policy()

    def test_hundreds_of_policies_are_read_whole(self, store: Store) -> None:
        """More than one statement can name at once."""

        def many(count: int) -> list[StoredPolicy]:
            return [a_policy(f"p{number:04}", f"m{number}", "shared") for number in range(count)]

        def put_all(tx: Transaction) -> None:
            for stored in many(620):
                tx.put_policy(stored)

        write(store, put_all)
        assert list(read(store, lambda r: r.policies())) == many(620)
        assert len(read(store, lambda r: r.policies_naming(an_id("SHARED")))) == 620
