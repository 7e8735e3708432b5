"""Policies: what their rules close, and every problem of one at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from bascule.api.wire.places import path_of_target
from bascule.domain.features import KNOWN, Feature
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import PortKey, RuleProtocol
from bascule.domain.policy import (
    MachineRules,
    Policy,
    check_policy,
    closed_union,
    drains,
    effective_on_expiry,
    missing_for,
    strictest,
)
from tests.samples import DB, HOUR, POLICY_ID, SSH, TCP, UDP, WEB, codes, policy, rule

KEEP, KILL = OnExpiry.KEEP, OnExpiry.KILL

FIRST = ip_address("198.51.100.7")


@pytest.mark.parametrize(
    ("protocol", "keys"),
    [
        (RuleProtocol.TCP, (PortKey(TCP, 53),)),
        (RuleProtocol.UDP, (PortKey(UDP, 53),)),
        (RuleProtocol.ALL, (PortKey(TCP, 53), PortKey(UDP, 53))),
    ],
)
def test_a_protocol_names_its_transports(protocol: RuleProtocol, keys: tuple[PortKey, ...]) -> None:
    """``*`` is TCP and UDP, both closed: one forgotten would stay open."""
    assert rule(53, protocol).port_keys == keys


@pytest.mark.parametrize(
    ("key", "asked", "holds"),
    [
        (SSH, KEEP, KEEP),
        (SSH, KILL, KILL),
        (PortKey(UDP, 53), KILL, KILL),
        (PortKey(UDP, 53), KEEP, KILL),
    ],
)
def test_udp_is_always_kill(key: PortKey, asked: OnExpiry, holds: OnExpiry) -> None:
    """A UDP flow counted as established would never end (EDGES A4)."""
    assert effective_on_expiry(key, asked) is holds


def test_a_rule_for_both_is_kept_in_one_half_only() -> None:
    """``*`` with keep: its TCP half keeps, its UDP half kills."""
    assert set(rule(53, RuleProtocol.ALL).closed_ports()) == {
        ClosedPort(PortKey(TCP, 53), KEEP),
        ClosedPort(PortKey(UDP, 53), KILL),
    }
    assert not ClosedPort(SSH).is_kill


@pytest.mark.parametrize("order", [(KEEP, KILL), (KILL, KEEP), (KILL, KILL)])
def test_where_policies_differ_kill_wins(order: tuple[OnExpiry, OnExpiry]) -> None:
    """Closed is the union of two policies; the stricter answer holds whatever the order."""
    both = closed_union(replace(rule(), on_expiry=each) for each in order)
    assert both == {ClosedPort(SSH, KILL)}
    assert strictest(replace(rule(), on_expiry=each) for each in order) == (KILL, None)
    assert strictest([rule(), rule()]) == strictest([]) == (KEEP, None)


def test_drain_is_between_keep_and_kill() -> None:
    """Of two times the shorter counts; UDP is killed all the same."""
    drain = replace(rule(53, RuleProtocol.ALL), on_expiry=OnExpiry.DRAIN, drain_for=HOUR)
    keep, kill = (replace(rule(53, RuleProtocol.ALL), on_expiry=each) for each in (KEEP, KILL))
    udp = ClosedPort(PortKey(UDP, 53), KILL)
    dns = PortKey(TCP, 53)
    for rules, end in (([drain, keep], OnExpiry.DRAIN), ([drain, kill], KILL)):
        for order in (rules, rules[::-1]):
            assert closed_union(order) == {ClosedPort(dns, end), udp}
            assert strictest(order) == (end, HOUR if end is OnExpiry.DRAIN else None)
    assert strictest([drain, replace(drain, drain_for=HOUR / 2)])[1] == HOUR / 2
    assert drains(drain)
    assert not drains(keep)
    assert not drains(replace(drain, protocol=RuleProtocol.UDP))
    assert missing_for([drain], KNOWN - {Feature.DRAIN}) == {Feature.DRAIN}
    assert missing_for([drain], frozenset()) == {Feature.DRAIN, Feature.KILL, Feature.UDP}


@pytest.mark.parametrize(
    ("end", "stay", "found"),
    [
        (OnExpiry.DRAIN, timedelta(seconds=1), []),
        (OnExpiry.DRAIN, timedelta(hours=8), []),
        (OnExpiry.DRAIN, timedelta(0), ["InvalidDrain"]),
        (OnExpiry.DRAIN, timedelta(hours=8, seconds=1), ["InvalidDrain"]),
        (OnExpiry.DRAIN, None, ["DrainTimeRequired"]),
        (KEEP, HOUR, ["DrainNotAsked"]),
        (KILL, HOUR, ["DrainNotAsked"]),
    ],
)
def test_the_time_of_a_drain(end: OnExpiry, stay: timedelta | None, found: list[str]) -> None:
    given = replace(rule(), on_expiry=end, drain_for=stay)
    assert codes(check_policy(policy(given))) == found


def test_the_union_keeps_what_only_one_names() -> None:
    """A port that one policy of two closes is closed; nothing named is nothing closed."""
    assert {each.port for each in closed_union([rule(22), rule(3389)])} == {
        SSH,
        PortKey(TCP, 3389),
    }
    assert closed_union([rule(), rule()]) == {ClosedPort(SSH, KEEP)}
    assert closed_union([]) == frozenset()


def test_one_machine_is_changed_without_touching_the_others() -> None:
    """The command line changes one machine of a policy; its neighbours keep their place."""
    web, db = MachineRules(WEB, (rule(),)), MachineRules(DB, (rule(5432),))
    two = policy().with_rules(db)
    assert two.machines == (web, db)
    stricter = MachineRules(WEB, (rule(2222),))
    assert two.with_rules(stricter).machines == (stricter, db)
    assert two.without(WEB).machines == (db,)
    assert two.rules_for(DB) == db
    assert two.without(DB).rules_for(DB) is None


@pytest.mark.parametrize(
    ("longest", "problems"),
    [
        (timedelta(minutes=5), []),
        (timedelta(days=1), []),
        (timedelta(minutes=5) - timedelta(seconds=1), ["InvalidDuration"]),
        (timedelta(days=1, seconds=1), ["InvalidDuration"]),
        (timedelta(0), ["InvalidDuration"]),
    ],
)
def test_a_maximum_is_five_minutes_to_a_day(longest: timedelta, problems: list[str]) -> None:
    """Both bounds are inclusive in the published spec."""
    assert codes(check_policy(policy(rule(longest=longest)))) == problems


@pytest.mark.parametrize(
    ("one", "other", "problems"),
    [
        (rule(22), rule(23), []),
        (rule(53, RuleProtocol.TCP), rule(53, RuleProtocol.UDP), []),
        (rule(22), rule(22), ["DuplicatePort"]),
        (rule(53, RuleProtocol.ALL), rule(53, RuleProtocol.UDP), ["DuplicatePort"]),
        (
            rule(53, RuleProtocol.ALL),
            rule(53, RuleProtocol.ALL),
            ["DuplicatePort", "DuplicatePort"],
        ),
    ],
)
def test_a_port_stands_once(one: object, other: object, problems: list[str]) -> None:
    """Two rules of one port would leave it to chance which of them is asked."""
    assert codes(check_policy(policy(one, other))) == problems  # type: ignore[arg-type]  # reason: table rows


@pytest.mark.parametrize(
    ("one", "other", "problems"),
    [
        ({}, {}, []),
        ({"public_port": 2222}, {"public_port": 2223}, []),
        ({"public_port": 2222}, {"public_port": 2222}, ["PublicPortTaken"]),
        ({"public_port": 2222}, {"public_port": 2222, "public_address": FIRST}, []),
        ({"public_address": FIRST}, {}, ["PublicPortRequired"]),
    ],
)
def test_a_public_port_stands_for_one_port_of_a_machine(
    one: dict[str, Any], other: dict[str, Any], problems: list[str]
) -> None:
    """Whether a gateway gives it at that address is not known here."""
    rules = replace(rule(22), **one), replace(rule(3389), **other)
    assert codes(check_policy(policy(*rules))) == problems


def test_over_another_protocol_a_public_port_is_another_one() -> None:
    rules = (
        replace(rule(22), public_port=2222),
        replace(rule(53, protocol=RuleProtocol.UDP), public_port=2222),
    )
    assert codes(check_policy(policy(*rules))) == []


def test_every_problem_is_said_at_once_and_where() -> None:
    """A file that is mended one error a time is mended five times."""
    bad = MachineRules(WEB, (rule(longest=timedelta(0)), rule()))
    found = check_policy(Policy(POLICY_ID, "Basic", (bad, bad)))
    assert [(each.code, path_of_target(each.target)) for each in found] == [
        ("InvalidDuration", "properties.virtualMachines[0].ports[0].maxRequestAccessDuration"),
        ("DuplicatePort", "properties.virtualMachines[0].ports[1].number"),
        ("DuplicateMachine", "properties.virtualMachines[1].id"),
        ("InvalidDuration", "properties.virtualMachines[1].ports[0].maxRequestAccessDuration"),
        ("DuplicatePort", "properties.virtualMachines[1].ports[1].number"),
    ]


def test_a_sound_policy_has_no_problem() -> None:
    """The neighbour of all the above."""
    assert check_policy(policy(rule(), rule(3389)).with_rules(MachineRules(DB, (rule(),)))) == ()


@pytest.mark.parametrize(
    ("others", "end", "is_required"),
    [
        ([(OnExpiry.KEEP, False)], OnExpiry.KEEP, False),
        ([(OnExpiry.KEEP, True)], OnExpiry.KEEP, True),
        ([(OnExpiry.KILL, False), (OnExpiry.KEEP, True)], OnExpiry.KILL, True),
    ],
)
def test_what_azure_lacks_is_taken_at_its_strictest(
    others: list[tuple[OnExpiry, bool]], end: OnExpiry, is_required: bool
) -> None:
    """Two rules that became one must not end looser than either."""
    stored = [
        replace(rule(22), on_expiry=on_expiry, justification_required=required)
        for on_expiry, required in others
    ]
    taken = rule(22).with_additions_of(stored)
    assert taken == replace(rule(22), on_expiry=end, justification_required=is_required)
