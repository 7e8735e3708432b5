"""Lists of what lies within the scopes that a caller holds, and whose grants are live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.grant import end
from bascule.domain.ids import machine_id, policy_id
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import Machine
from bascule.domain.policy import MachineRules, Policy
from bascule.domain.roles import Reach
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    SUBSCRIPTION,
    a_grant,
    a_machine,
    a_policy,
    a_request,
    read,
    write,
)

WHOLE = f"/subscriptions/{SUBSCRIPTION}"
GROUPS = ("rg1", "rg10", "rg1-x")  # each name begins like another's


def _machine(group: str, name: str) -> Machine:
    return replace(a_machine(f"{group}.{name}"), id=machine_id(SUBSCRIPTION, group, name))


def _policy(group: str, location: str, name: str, *machines: Machine) -> StoredPolicy:
    ports = a_policy().policy.machines[0].ports
    rules = tuple(MachineRules(machine.id, ports) for machine in machines)
    wanted = policy_id(SUBSCRIPTION, group, location, name)
    return StoredPolicy(Policy(wanted, "Basic", rules), '"e"', {})


def _fill(tx: Transaction) -> None:
    for group in GROUPS:
        for name in ("Web-1", "web-10"):
            tx.put_machine(_machine(group, name))
    far = _machine("rg10", "Web-1")
    tx.put_policy(_policy("rg1", "paris", "crossing", far))
    tx.put_policy(
        _policy("rg1", "paris", "own", _machine("rg1", "Web-1"), _machine("rg1", "web-10"))
    )
    tx.put_policy(_policy("rg10", "paris-2", "empty"))


def _group(name: str) -> str:
    return f"{WHOLE}/resourcegroups/{name}"


def _web(group: str, name: str = "web-1") -> str:
    return f"{_group(group)}/providers/microsoft.compute/virtualmachines/{name}"


_LOCATION = f"{_group('rg1')}/providers/microsoft.security/locations/paris"

# Scopes held, and what of machines and of policies lies within.
_WITHIN = [
    ([], [], []),
    ([""], ["rg1", "rg10", "rg1-x"], ["crossing", "own", "empty"]),
    ([WHOLE], ["rg1", "rg10", "rg1-x"], ["crossing", "own", "empty"]),
    (["/subscriptions/00000000-0000-4000-8000-0000000000ff"], [], []),
    ([_group("rg1")], ["rg1"], ["crossing", "own"]),
    ([_group("rg10")], ["rg10"], ["crossing", "empty"]),
    ([_group("rg1-x"), _group("rg1")], ["rg1", "rg1-x"], ["crossing", "own"]),
    ([_group("rg")], [], []),
    ([_web("rg1")], [_web("rg1")], ["own"]),
    (
        [_web("rg10"), _web("rg1", "web-10")],
        [_web("rg10"), _web("rg1", "web-10")],
        ["crossing", "own"],
    ),
    ([_web("rg1") + "/extensions/x"], [], []),
    ([_LOCATION], [], ["crossing", "own"]),
    ([f"{_LOCATION}/jitnetworkaccesspolicies/own"], [], ["own"]),
    ([_web("rg1"), _group("rg10")], [_web("rg1"), "rg10"], ["own", "crossing", "empty"]),
]


class WithinContract:
    @pytest.mark.parametrize(("keys", "machines", "policies"), _WITHIN)
    def test_what_lies_within(
        self, store: Store, keys: list[str], machines: list[str], policies: list[str]
    ) -> None:
        """Each row once, in order, in one list or in pages of one."""
        write(store, _fill)
        reach = Reach(frozenset(keys))
        every = [each.id.key for each in read(store, lambda r: r.machines())]
        whole = {each.casefold() for each in GROUPS} & set(machines)
        expected = [key for key in every if key in machines or key.split("/")[4] in whole]
        found = read(store, lambda r: r.machines(within=reach))
        assert [each.id.key for each in found] == expected
        seen, after = [], ""
        while page := read(store, lambda r: r.policies(None, None, after, 1, reach)):
            after = page[0].policy.id.key
            seen.append(page[0].policy.id.name)
            assert len(seen) <= len(policies)
        named = read(store, lambda r: r.policies(within=reach))
        assert [each.policy.id.name for each in named] == seen
        assert sorted(seen) == sorted(policies)

    def test_filters_and_scopes_add_up(self, store: Store) -> None:
        write(store, _fill)
        reach = Reach(frozenset({_group("rg10"), _web("rg1")}))
        found = read(store, lambda r: r.machines("RG1", within=reach))
        assert [each.id.key for each in found] == [_web("rg1")]
        assert [
            each.policy.id.name
            for each in read(store, lambda r: r.policies("rg1", "PARIS", within=reach))
        ] == ["crossing", "own"]
        assert not read(store, lambda r: r.policies("rg1", "paris-2", within=reach))

    def test_many_scopes_are_no_trouble(self, store: Store) -> None:
        """More than one statement takes."""
        write(store, _fill)
        many = {f"{_group('rg1')}/providers/a/b/{n}" for n in range(1200)}
        found = read(store, lambda r: r.machines(within=Reach(frozenset(many | {_web("rg1")}))))
        assert [each.id.key for each in found] == [_web("rg1")]

    def test_live_grants_by_who_asked(self, store: Store) -> None:
        def fill(tx: Transaction) -> None:
            tx.add_request(a_request())
            for grant_id, who in (("a", "ada"), ("b", "bob"), ("c", "ada"), ("d", "cyd")):
                tx.add_grant(replace(a_grant(grant_id), requestor_id=who))
            over = replace(a_grant("c"), requestor_id="ada")
            tx.update_grant(end(over, StatusReason.USER_REQUESTED, NOW), GrantState.OPENING)

        write(store, fill)
        for who, expected in (
            (["ada"], ["a"]),
            (["bob", "ada", "bob"], ["a", "b"]),
            (["ad", ""], []),
            ([], []),
            ([f"nobody {n}" for n in range(1200)] + ["cyd"], ["d"]),
        ):
            found = read(store, lambda r: r.live_grants_of(who))
            assert [each.id for each in found] == expected
